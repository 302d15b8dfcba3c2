/* compose/compose.c - the order of things: what each option is, whether all fit into the character
 * set, then the header. What follows depends on the server and is in write.c. */
// SPDX-License-Identifier: ISC
#include "compose/compose.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/translate.h"
#include "compose/cid.h"
#include "compose/internal.h"
#include "compose/report.h"

void random_letters(char *to, size_t n)
{
    uint64_t random = 0;

    for (size_t i = 0; i < n; i++) {
        if (i % 12 == 0 && getrandom(&random, sizeof random, 0) != sizeof random)
            mem_none(); /* a kernel without random numbers: nothing works here */
        base32_put(to + i, 1, random & 31);
        random >>= 5;
    }
    to[n] = '\0';
}

/* "=_" is in no line of quoted-printable or base64, and nobody who wrote a text or file before could
 * know the rest (RFC 2046 5.1.1). */
static void make_boundaries(struct compose *c)
{
    for (size_t i = 0; i < MULTIPART_COUNT; i++) {
        memcpy(c->boundaries[i], "=_", 2);
        random_letters(c->boundaries[i] + 2, BOUNDARY_BYTES - 4);
    }
}

/* ---- files ---- */

static int inspect_all(struct compose *c, struct inspector *inspector, struct buf *error)
{
    const struct compose_options *o = c->o;
    bool describe = o->limits.type_count > 0;
    const struct file **files = arena_alloc(&c->arena, c->file_count * sizeof *files);
    int code = 0;

    for (size_t i = 0; i < c->file_count && code == 0; i++) {
        const struct compose_part *part =
            i < o->attachment_count ? &o->attachments[i] : &o->inlines[i - o->attachment_count];

        code = file_inspect(inspector, part, describe, &c->arena, &c->files[i], error);
        files[i] = &c->files[i];
    }
    return code == 0 ? limits_check(&o->limits, files, c->file_count, error) : code;
}

static int take_files(struct compose *c, struct buf *error)
{
    const struct compose_options *o = c->o;
    struct inspector *inspector = NULL;

    c->file_count = o->attachment_count + o->inline_count;
    if (c->file_count > COMPOSE_ATTACHMENTS_MAX)
        return report(error, EX_USAGE, _("a message may have %d attachments"),
                      COMPOSE_ATTACHMENTS_MAX);
    if (o->inline_count > 0 && o->html.n == 0)
        return report(error, EX_USAGE,
                      _("pictures are shown by HTML, as in <img src=\"cid:NAME\">, and there is "
                        "none; attach them, or give the HTML"));
    if (c->file_count == 0)
        return 0;
    c->files = arena_alloc(&c->arena, c->file_count * sizeof *c->files);
    int code = inspector_open(&inspector, error);

    if (code == 0)
        code = inspect_all(c, inspector, error);
    inspector_close(&inspector);
    return code;
}

/* ---- pictures in the HTML ---- */

/* Its Content-ID: made of its name where that can be, for whoever reads the source. */
static int name_inline(struct compose *c, const struct compose_part *part, struct file *f,
                       struct cid *cid, struct buf *error)
{
    char letters[21];

    cid->called = part->id ? str_c(part->id) : f->name;
    random_letters(letters, sizeof letters - 1);
    if (cid_valid(cid->called, true))
        cid->id = cid->called;
    else if (part->id && !cid_valid(cid->called, false))
        return report(error, EX_DATAERR,
                      _("\"%s\" is no Content-ID; letters, digits and . - _ + are, with one @ or "
                        "none"),
                      part->id);
    else if (cid_valid(cid->called, false))
        cid->id = arena_printf(&c->arena, "%.*s.%s@%.*s", STR_ARG(cid->called), letters,
                               STR_ARG(c->host));
    else
        cid->id = arena_printf(&c->arena, "%s@%.*s", letters, STR_ARG(c->host));
    f->id = cid->id.p;
    return 0;
}

static bool is_called_twice(const struct cid *cids, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (str_eq(cids[i].called, cids[count - 1].called))
            return true;
    return false;
}

static int name_inlines(struct compose *c, struct cid *cids, struct buf *error)
{
    const struct compose_options *o = c->o;

    for (size_t i = 0; i < o->inline_count; i++) {
        int code =
            name_inline(c, &o->inlines[i], &c->files[o->attachment_count + i], &cids[i], error);
        if (code != 0)
            return code;
        if (is_called_twice(cids, i + 1))
            return report(error, EX_USAGE, _("two pictures are called cid:%.*s; name one anew"),
                          STR_ARG(cids[i].called));
    }
    return 0;
}

static int refuse_reference(const struct cid *cids, size_t count, struct str unknown,
                            struct buf *error)
{
    struct buf list = buf_init(2 * KIB);

    for (size_t i = 0; i < count; i++)
        (void)buf_printf(&list, "%s%.*s", i > 0 ? ", " : "", STR_ARG(cids[i].called));
    if (count > 0)
        report(error, 0, _("the HTML shows cid:%.*s, but the pictures are called %s"),
               STR_ARG(unknown), buf_c(&list));
    else
        report(error, 0, _("the HTML shows cid:%.*s, but no picture goes with it"),
               STR_ARG(unknown));
    buf_free(&list);
    return EX_DATAERR;
}

static int take_inlines(struct compose *c, struct buf *error)
{
    size_t count = c->o->inline_count;
    struct cid *cids = arena_alloc(&c->arena, (count + 1) * sizeof *cids);
    struct buf renamed = buf_init(2 * (size_t)COMPOSE_TEXT_BYTES_MAX);
    struct str unknown;

    if (!c->html.there)
        return 0;
    int code = name_inlines(c, cids, error);

    if (code == 0 && !cid_rename(buf_str(&c->html.lines), cids, count, &renamed, &unknown))
        code = unknown.n == 0 && renamed.full
                   ? report(error, EX_DATAERR, _("the HTML is too large"))
                   : refuse_reference(cids, count, unknown, error);
    buf_free(&c->html.lines);
    c->html.lines = renamed;
    return code;
}

/* ---- the doors ---- */

int compose_new(const struct compose_options *o, struct compose **ret, struct buf *error)
{
    static int (*const steps[])(struct compose * c, struct buf * error) = {
        fields_take, texts_take, take_files, take_inlines, texts_choose_charset, fields_print,
    };
    struct compose *c = mem_new(sizeof *c);
    int code = 0;

    c->o = o;
    make_boundaries(c);
    for (size_t i = 0; i < countof(steps) && code == 0; i++)
        code = steps[i](c, error);
    if (code != 0)
        compose_free(&c);
    else
        *ret = c;
    return code;
}

void compose_free(struct compose **c)
{
    if (!*c)
        return;
    buf_free(&(*c)->text.lines);
    buf_free(&(*c)->text.coded);
    buf_free(&(*c)->html.lines);
    buf_free(&(*c)->html.coded);
    buf_free(&(*c)->header);
    coder_close(&(*c)->coder);
    arena_free(&(*c)->arena);
    free(*c);
    *c = NULL;
}

const struct str *compose_recipients(const struct compose *c, size_t *count)
{
    *count = c->recipient_count;
    return c->recipients;
}

struct str compose_sender(const struct compose *c)
{
    return c->from.items[0].address;
}

bool compose_needs_utf8(const struct compose *c)
{
    return c->from.needs_utf8 || c->sender.needs_utf8 || c->reply_to.needs_utf8 ||
           c->to.needs_utf8 || c->cc.needs_utf8;
}
