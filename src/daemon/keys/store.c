// SPDX-License-Identifier: ISC
#include "daemon/keys/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/message.h"
#include "tls/remote_key.h"

/* ---- lines ---- */

static void log_refused(const char *path, struct str why)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "certificate-refused");
    line_c(&line, "file", path);
    line_str(&line, "reason", why);
    log_line(LEVEL_ERROR, buf_str(&line));
    buf_free(&line);
}

static void log_taken(const struct stored *e, const struct chain *c)
{
    struct buf line = buf_init(LINE_BYTES_MAX), names = buf_init(512), kind = buf_init(64),
               until = buf_init(64);

    chain_print_names(c, &names);
    chain_print_kind(c, &kind);
    time_print(&until, chain_not_after_us(c));
    line_c(&line, "event", "certificate-taken");
    line_c(&line, "file", e->path);
    line_str(&line, "names", buf_str(&names));
    line_str(&line, "key", buf_str(&kind));
    line_str(&line, "until", buf_str(&until));
    log_line(LEVEL_INFO, buf_str(&line));
    struct buf *all[] = {&line, &names, &kind, &until};
    for (size_t i = 0; i < countof(all); i++)
        buf_free(all[i]);
}

/* ---- sets ---- */

static void stored_free(struct stored *e)
{
    free(e->name);
    free(e->path);
    certificate_wipe(&e->chain);
    certificate_wipe(&e->key_text);
    EVP_PKEY_free(e->key);
}

static void set_free(struct stored_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        stored_free(&s->list[i]);
    free(s->list);
    *s = (struct stored_set){0};
}

static struct stored *set_add(struct stored_set *s)
{
    s->list = mem_resize(s->list, (s->count + 1) * sizeof *s->list);
    s->list[s->count] = (struct stored){0};
    return &s->list[s->count++];
}

static struct stored *set_named(const struct stored_set *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->list[i].name, name) == 0)
            return &s->list[i];
    return NULL;
}

static void set_copy(struct stored_set *to, const struct stored *e)
{
    struct stored *copy = set_add(to);

    *copy = (struct stored){.number = e->number,
                            .name = mem_copy(e->name, strlen(e->name)),
                            .path = mem_copy(e->path, strlen(e->path)),
                            .chain = buf_init(CERTIFICATE_FILE_BYTES_MAX),
                            .key = e->key,
                            .id = e->id};
    buf_add(&copy->chain, buf_str(&e->chain));
    (void)EVP_PKEY_up_ref(e->key);
}

/* ---- reading ---- */

static struct stored *fresh_entry(struct store *s, uint32_t number, struct str name)
{
    struct stored_set *fresh = &s->fresh;

    for (size_t i = 0; i < fresh->count; i++)
        if (fresh->list[i].number == number)
            return &fresh->list[i];
    if (fresh->count == STORED_MAX)
        return NULL;
    struct stored *e = set_add(fresh);
    e->number = number;
    e->name = mem_copy(name.p, name.n);
    e->path = mem_copy("", 0);
    return e;
}

/* What smtpd will get. The text may be of a file that holds the key as well. */
static struct buf public_part(struct buf *text)
{
    struct buf public = buf_init(CERTIFICATE_FILE_BYTES_MAX);

    (void)certificates_only(buf_str(text), &public);
    certificate_wipe(text);
    return public;
}

static void take_text(struct store *s, uint32_t number, uint8_t what, struct str name,
                      struct str path, struct buf *text)
{
    if (what == TLS_FILE_ROOTS) {
        buf_free(&s->fresh_roots);
        s->fresh_roots = public_part(text);
        return;
    }
    struct stored *e = what < TLS_FILE_ROOTS ? fresh_entry(s, number, name) : NULL;
    if (!e) {
        certificate_wipe(text);
        return;
    }
    struct buf *to = what == TLS_FILE_CHAIN ? &e->chain : &e->key_text;
    certificate_wipe(to);
    *to = *text;
    if (what == TLS_FILE_KEY)
        return;
    free(e->path);
    e->path = mem_copy(path.p, path.n);
}

void store_file(struct store *s, uint32_t number, uint8_t what, struct str name, struct str path,
                int fd)
{
    struct buf text;
    int error = certificate_read(fd, &text);

    (void)close(fd);
    if (error == 0) {
        take_text(s, number, what, name, path, &text);
        return;
    }
    char *file = mem_copy(path.p, path.n);
    log_refused(file, error == -EFBIG    ? STR("it is larger than 128 KiB")
                      : error == -EINVAL ? STR("it is not a file")
                                         : str_c(strerror(-error)));
    free(file);
    certificate_wipe(&text);
}

/* ---- judging ---- */

/* The texts of files are wiped in any case; what stays of the chain is its certificates. */
static bool judge(struct stored *e, struct chain *chain, struct buf *why)
{
    EVP_PKEY *key = NULL;
    bool good = chain_parse(buf_str(&e->chain), chain, why);

    if (good)
        key = private_key_parse(buf_str(&e->key_text), why);
    certificate_wipe(&e->key_text);
    e->chain = public_part(&e->chain);
    if (!good || !key || !chain_key_fit(chain, key, why)) {
        EVP_PKEY_free(key);
        return false;
    }
    e->key = key;
    e->id = remote_key_number(chain->list[0]);
    return true;
}

static void take(struct store *s, struct stored_set *next, struct stored *e)
{
    const struct stored *old = set_named(&s->force, e->name);
    struct buf why = buf_init(512);
    struct chain chain = {.count = 0};
    bool complete = e->chain.n > 0 || e->path[0];

    if (complete && judge(e, &chain, &why)) {
        if (!old || !str_eq(buf_str(&old->chain), buf_str(&e->chain)))
            log_taken(e, &chain);
        set_copy(next, e);
    } else {
        if (complete)
            log_refused(e->path, buf_str(&why));
        if (old)
            set_copy(next, old);
    }
    chain_free(&chain);
    buf_free(&why);
}

/* The one for everybody comes first, or there is none for anybody. */
void store_end(struct store *s)
{
    struct stored_set next = {0};

    for (size_t i = 0; i < s->fresh.count; i++)
        take(s, &next, &s->fresh.list[i]);
    if (!set_named(&s->fresh, "") && set_named(&s->force, "")) /* unreadable: the parent said so */
        set_copy(&next, set_named(&s->force, ""));
    for (size_t i = 1; i < next.count; i++) {
        struct stored first = next.list[0];

        if (next.list[i].name[0])
            continue;
        next.list[0] = next.list[i];
        next.list[i] = first;
    }
    set_free(&s->fresh);
    set_free(&s->before);
    s->before = s->force;
    s->force = next;
    buf_free(&s->roots);
    s->roots = s->fresh_roots;
    s->fresh_roots = (struct buf){0};
}

static EVP_PKEY *set_find(const struct stored_set *s, uint64_t id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].id == id)
            return s->list[i].key;
    return NULL;
}

EVP_PKEY *store_find(const struct store *s, uint64_t id)
{
    EVP_PKEY *key = set_find(&s->force, id);

    return key ? key : set_find(&s->before, id);
}

void store_done(struct store *s)
{
    set_free(&s->fresh);
    set_free(&s->force);
    set_free(&s->before);
    buf_free(&s->fresh_roots);
    buf_free(&s->roots);
}
