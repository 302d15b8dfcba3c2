/* cli/tls.c - troika tls: what each listener presents, and what is wrong with it. Reads the files that
 * the configuration names, as the server does. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "tls/certificate.h"

enum { PROBLEMS_BYTES_MAX = 4096, TEXT_BYTES_MAX = 2048 };
#define SOON_US (14 * 24 * 60 * 60 * US_PER_S)

struct shown {
    struct str name; /* of who asks for it; empty: everybody */
    struct str chain_path, key_path, at;
    struct chain chain;
    struct buf wrong;   /* a line each: clients are turned away by it */
    struct buf warning; /* likewise: they may be */
};

/* ---- looking ---- */

static bool read_file(struct str path, struct buf *text, struct buf *wrong)
{
    struct arena a = ARENA_INIT;
    int fd = open(arena_c(&a, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error = fd < 0 ? -errno : certificate_read(fd, text);

    if (fd >= 0)
        close(fd);
    else
        *text = buf_init(1);
    if (error < 0)
        buf_printf(wrong, "%.*s cannot be read: %s\n", STR_ARG(path),
                   error == -EFBIG    ? "it is larger than 128 KiB"
                   : error == -EINVAL ? "it is not a file"
                                      : strerror(-error));
    arena_free(&a);
    return error == 0;
}

static void add_why(struct buf *to, struct str path, struct buf *why)
{
    if (why->n > 0)
        buf_printf(to, "%.*s: %.*s\n", STR_ARG(path), STR_ARG(buf_str(why)));
    buf_reset(why);
}

static void look_at_key(struct shown *s)
{
    struct buf text, why = buf_init(512);
    EVP_PKEY *key = NULL;

    if (read_file(s->key_path, &text, &s->wrong))
        key = private_key_parse(buf_str(&text), &why);
    certificate_wipe(&text);
    if (key && s->chain.count > 0)
        (void)chain_key_fit(&s->chain, key, &why);
    add_why(&s->wrong, s->key_path, &why);
    EVP_PKEY_free(key);
    buf_free(&why);
}

static void look_at_time(struct shown *s, uint64_t now)
{
    uint64_t until = chain_not_after_us(&s->chain);
    struct buf day = buf_init(64);

    time_print(&day, until);
    if (until <= now)
        buf_printf(&s->wrong, "it expired on %.10s\n", buf_c(&day));
    else if (chain_not_before_us(&s->chain) > now)
        buf_add_c(&s->wrong, "it is not valid yet\n");
    else if (until - now < SOON_US)
        buf_printf(&s->warning, "it expires soon, on %.10s\n", buf_c(&day));
    buf_free(&day);
}

static void look(struct shown *s, const struct config *c)
{
    struct buf text, why = buf_init(512);
    uint64_t now = clock_now_us(&clock_system);
    struct str name = s->name.n > 0 ? s->name : c->hostname;

    if (read_file(s->chain_path, &text, &s->wrong) && !chain_parse(buf_str(&text), &s->chain, &why))
        s->chain.count = 0;
    add_why(&s->wrong, s->chain_path, &why);
    certificate_wipe(&text);
    look_at_key(s);
    buf_free(&why);
    if (s->chain.count == 0)
        return;
    look_at_time(s, now);
    if (!chain_has_name(&s->chain, name))
        buf_printf(s->name.n > 0 ? &s->wrong : &s->warning, "the name %.*s is not in it\n",
                   STR_ARG(name));
    const char *trouble = chain_trouble(&s->chain, NULL, now);
    if (trouble && chain_not_after_us(&s->chain) > now)
        buf_printf(&s->warning, "%s\n", trouble);
}

static size_t gather(const struct config *c, struct arena *a, struct shown **ret)
{
    size_t count = config_has_certificate(c) ? c->certificate_count + 1 : 0;
    struct shown *list = arena_alloc(a, (count + 1) * sizeof *list);

    for (size_t i = 0; i < count; i++) {
        const struct config_certificate *one = i > 0 ? &c->certificates[i - 1] : NULL;

        list[i] = (struct shown){.name = one ? one->name : STR_NONE,
                                 .chain_path = one ? one->chain : c->tls.certificate,
                                 .key_path = one ? one->key : c->tls.key,
                                 .at = one ? one->at : c->tls.at,
                                 .wrong = buf_init(PROBLEMS_BYTES_MAX),
                                 .warning = buf_init(PROBLEMS_BYTES_MAX)};
        look(&list[i], c);
    }
    *ret = list;
    return count;
}

static void let_go(struct shown *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        chain_free(&list[i].chain);
        buf_free(&list[i].wrong);
        buf_free(&list[i].warning);
    }
}

/* ---- telling ---- */

struct words {
    struct buf names, issuer, kind, until;
};

static struct words words_of(const struct shown *s)
{
    struct words w = {buf_init(TEXT_BYTES_MAX), buf_init(TEXT_BYTES_MAX), buf_init(64),
                      buf_init(64)};

    if (s->chain.count == 0)
        return w;
    chain_print_names(&s->chain, &w.names);
    chain_print_name(X509_get_issuer_name(s->chain.list[0]), &w.issuer);
    chain_print_kind(&s->chain, &w.kind);
    time_print(&w.until, chain_not_after_us(&s->chain));
    return w;
}

static void words_free(struct words *w)
{
    buf_free(&w->names);
    buf_free(&w->issuer);
    buf_free(&w->kind);
    buf_free(&w->until);
}

static void print_lines(const char *head, struct str lines)
{
    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');

        printf("    %s", head);
        print_text(line);
        putchar('\n');
    }
}

static void print_shown(const struct shown *s)
{
    struct words w = words_of(s);

    printf("  %s%.*s: ", s->name.n > 0 ? "who asks for " : "everybody", STR_ARG(s->name));
    print_text(s->chain_path);
    putchar('\n');
    if (s->chain.count > 0) {
        printf("    for %s\n    of %s, until %.10s, %s, chain of %zu\n", buf_c(&w.names),
               buf_c(&w.issuer), buf_c(&w.until), buf_c(&w.kind), s->chain.count);
    }
    print_lines("WRONG: ", buf_str(&s->wrong));
    print_lines("warning: ", buf_str(&s->warning));
    words_free(&w);
}

static void print_person(const struct config *c, const struct shown *list, size_t count)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *l = &c->listens[i];

        printf("listen %.*s:", STR_ARG(l->name));
        for (size_t k = 0; k < l->address_count; k++)
            printf(" %.*s", STR_ARG(l->addresses[k]));
        printf(", tls %.*s%s\n", STR_ARG(l->tls),
               count == 0 ? ", but there is no certificate" : "");
        for (size_t k = 0; k < count && !str_eq_c(l->tls, "off"); k++)
            print_shown(&list[k]);
    }
}

static json_t *lines_json(struct str lines)
{
    json_t *list = json_array();

    while (lines.n > 0)
        json_array_append_new(list, json_text(str_cut(&lines, '\n')));
    return list;
}

static json_t *shown_json(const struct shown *s)
{
    struct words w = words_of(s);
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o}", "for", json_text(s->name),
                  "chain-file", json_text(s->chain_path), "names", json_text(buf_str(&w.names)),
                  "issuer", json_text(buf_str(&w.issuer)), "until", json_text(buf_str(&w.until)),
                  "key", json_text(buf_str(&w.kind)), "chain", (int)s->chain.count, "wrong",
                  lines_json(buf_str(&s->wrong)), "warnings", lines_json(buf_str(&s->warning)));

    words_free(&w);
    return o;
}

static void print_all_json(const struct config *c, const struct shown *list, size_t count)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *l = &c->listens[i];
        json_t *addresses = json_array(), *certificates = json_array();

        for (size_t k = 0; k < l->address_count; k++)
            json_array_append_new(addresses, json_text(l->addresses[k]));
        for (size_t k = 0; k < count && !str_eq_c(l->tls, "off"); k++)
            json_array_append_new(certificates, shown_json(&list[k]));
        print_json(json_pack("{s:o, s:o, s:o, s:o}", "listen", json_text(l->name), "addresses",
                             addresses, "tls", json_text(l->tls), "certificates", certificates));
    }
}

int check_certificates(const struct config *c, struct buf *errors)
{
    struct arena a = ARENA_INIT;
    struct shown *list;
    size_t count = gather(c, &a, &list);
    int code = EX_OK;

    for (size_t i = 0; i < count; i++) {
        struct str lines = buf_str(&list[i].wrong);

        while (lines.n > 0) {
            struct str line = str_cut(&lines, '\n');

            buf_printf(errors, "%.*s: %s: %.*s\n", STR_ARG(list[i].at),
                       list[i].name.n > 0 ? "certificate" : "tls", STR_ARG(line));
            code = EX_CONFIG;
        }
    }
    let_go(list, count);
    arena_free(&a);
    return code;
}

int run_tls(const struct command_line *l)
{
    struct arena a = ARENA_INIT;
    struct shown *list;
    bool wrong = false;

    if (l->argument_count)
        return fail(l, EX_USAGE, "takes no arguments; see --help");
    struct config *c = load_config(l, NULL);
    if (!c)
        return EX_CONFIG;
    size_t count = gather(c, &a, &list);
    for (size_t i = 0; i < count; i++)
        wrong = wrong || list[i].wrong.n > 0;
    if (l->json)
        print_all_json(c, list, count);
    else
        print_person(c, list, count);
    let_go(list, count);
    arena_free(&a);
    config_drop(&c);
    return wrong ? EX_CONFIG : EX_OK;
}
