/* compose/texts.c - what a person wrote, from its character set into the message's: everything is
 * UTF-8 in between, and a character that gets lost is told with its place. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <sysexits.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "compose/html.h"
#include "compose/internal.h"
#include "compose/report.h"

enum { LINES_BYTES_MAX = 2 * COMPOSE_TEXT_BYTES_MAX + 2 };

/* ---- places in a text ---- */

struct place {
    size_t line, column; /* from 1; columns are characters of UTF-8, or bytes of another set */
};

static struct place place_of(struct str text, size_t offset)
{
    struct str before = str_sub(text, 0, offset);
    struct place p = {.line = 1, .column = 1};

    for (size_t i = 0; i < before.n; i++) {
        bool goes_on = ((uint8_t)before.p[i] & 0xc0) == 0x80;

        p.column = before.p[i] == '\n' ? 1 : p.column + !goes_on;
        p.line += before.p[i] == '\n';
    }
    return p;
}

static int find_charset(struct str name, const struct charset **ret, struct buf *error)
{
    struct buf list = buf_init(2 * KIB);
    const struct charset *found = charset_find(name);
    int code = 0;

    charset_names(&list);
    if (!found)
        code =
            report(error, EX_USAGE, _("there is no character set \"%.*s\" in mail; there are %s"),
                   STR_ARG(name), buf_c(&list));
    buf_free(&list);
    if (code == 0)
        *ret = found;
    return code;
}

static int open_coder(const struct charset *charset, bool decode, struct coder **ret,
                      struct buf *error)
{
    if (coder_open(charset, decode, ret) == 0)
        return 0;
    return report(error, EX_OSFILE, _("the C library of this system has no %s"), charset->name);
}

/* ---- in ---- */

/* what: "the text", "the HTML" */
static int refuse_bytes(const char *what, struct str text, size_t bad, const struct charset *set,
                        struct buf *error)
{
    struct place p = place_of(text, bad);
    unsigned byte = bad < text.n ? (uint8_t)text.p[bad] : 0;

    if (bad == text.n)
        return report(error, EX_DATAERR, _("%s is over %d MiB"), what,
                      COMPOSE_TEXT_BYTES_MAX >> 20);
    if (charset_is_utf8(set))
        return report(error, EX_DATAERR,
                      _("%s is not UTF-8 (byte 0x%02X in line %zu, column %zu); name the "
                        "character set it is written in, such as koi8-r or windows-1251"),
                      what, byte, p.line, p.column);
    return report(error, EX_DATAERR,
                  _("%s is not %s: that has no character 0x%02X (line %zu, column %zu)"), what,
                  set->name, byte, p.line, p.column);
}

static int decode(const char *what, struct str text, const struct charset *set, struct buf *to,
                  struct buf *error)
{
    struct coder *coder = NULL;
    size_t bad = 0;
    int code = open_coder(set, true, &coder, error);

    if (code == 0 && !coder_convert(coder, text, to, &bad))
        code = refuse_bytes(what, text, bad, set, error);
    coder_close(&coder);
    return code;
}

static int take_lines(const char *what, struct str text, const struct charset *set,
                      struct text_part *ret, struct buf *error)
{
    struct buf utf8 = buf_init(COMPOSE_TEXT_BYTES_MAX);
    int code = text.n > COMPOSE_TEXT_BYTES_MAX ? refuse_bytes(what, text, text.n, set, error)
                                               : decode(what, text, set, &utf8, error);
    size_t nul = str_find(buf_str(&utf8), '\0');

    if (code == 0 && nul < utf8.n) {
        struct place p = place_of(buf_str(&utf8), nul);

        code = report(error, EX_DATAERR,
                      _("%s has a NUL character in it (line %zu, column %zu), which no text may "
                        "have; attach it as a file"),
                      what, p.line, p.column);
    }
    ret->lines = buf_init(LINES_BYTES_MAX);
    if (code == 0)
        ret->there = content_lines(buf_str(&utf8), &ret->lines);
    buf_free(&utf8);
    return code;
}

/* The text alternative of HTML that came without one; nothing, where it has nothing to read. */
static int make_text(struct compose *c, struct buf *error)
{
    struct buf text = buf_init(LINES_BYTES_MAX);
    bool good = html_text(buf_str(&c->html.lines), &text);

    c->text.lines = buf_init(LINES_BYTES_MAX);
    good = good && content_lines(buf_str(&text), &c->text.lines);
    c->text.there = c->text.made = c->text.lines.n > 0;
    buf_free(&text);
    return good ? 0 : report(error, EX_DATAERR, _("the HTML is too large"));
}

int texts_take(struct compose *c, struct buf *error)
{
    const struct compose_options *o = c->o;
    const struct charset *set = charset_utf8();
    bool nothing = o->html.n == 0 && o->attachment_count == 0;
    int code = 0;

    c->text.subtype = "plain";
    c->html.subtype = "html";
    if (o->input_charset.n > 0)
        code = find_charset(o->input_charset, &set, error);
    if (code == 0 && (o->text.n > 0 || nothing))
        code = take_lines(_("the text"), o->text, set, &c->text, error);
    if (code == 0 && o->html.n > 0)
        code = take_lines(_("the HTML"), o->html, set, &c->html, error);
    if (code == 0 && c->html.there && !c->text.there)
        code = make_text(c, error);
    return code;
}

/* ---- out ---- */

/* Everything that is to be in the character set of the message. */
struct texts {
    struct shown {
        const char *what; /* "Subject"; of a body: "the text" */
        struct str text;
        struct text_part *body; /* or NULL */
    } * items;
    size_t count;
};

static void add(struct texts *t, const char *what, struct str text, struct text_part *body)
{
    if (text.n > 0)
        t->items[t->count++] = (struct shown){.what = what, .text = text, .body = body};
}

static void add_names(struct texts *t, const char *what, const struct mailboxes *m)
{
    for (size_t i = 0; i < m->count; i++)
        add(t, what, m->items[i].name, NULL);
}

static struct texts all_texts(struct compose *c)
{
    size_t count = c->from.count + c->sender.count + c->reply_to.count + c->to.count + c->cc.count +
                   c->o->header_count + c->file_count + 3;
    struct texts t = {.items = arena_alloc(&c->arena, count * sizeof *t.items)};

    add(&t, "Subject", c->o->subject, NULL);
    add_names(&t, "From", &c->from);
    add_names(&t, "Sender", &c->sender);
    add_names(&t, "Reply-To", &c->reply_to);
    add_names(&t, "To", &c->to);
    add_names(&t, "Cc", &c->cc);
    for (size_t i = 0; i < c->o->header_count; i++)
        add(&t, c->fields[i].name.p, c->fields[i].value, NULL);
    for (size_t i = 0; i < c->file_count; i++)
        add(&t, c->files[i].path, c->files[i].name, NULL);
    add(&t, c->text.made ? _("the text made of the HTML") : _("the text"), buf_str(&c->text.lines),
        &c->text);
    add(&t, _("the HTML"), buf_str(&c->html.lines), &c->html);
    return t;
}

static bool all_ascii(const struct texts *t)
{
    bool all = true;

    for (size_t i = 0; i < t->count && all; i++)
        all = utf8_is_ascii(t->items[i].text);
    return all;
}

/* What else would have it all. */
static void add_remedy(struct compose *c, const struct texts *t, struct buf *to)
{
    struct str *texts = arena_alloc(&c->arena, t->count * sizeof *texts);

    for (size_t i = 0; i < t->count; i++)
        texts[i] = t->items[i].text;
    const struct charset *other = charset_suggest(texts, t->count);

    if (other)
        report(to, 0, _("%s has all of this message, and utf-8 every character"), other->name);
    else
        report(to, 0, _("utf-8 has every character"));
}

static int refuse_character(struct compose *c, const struct texts *t, const struct shown *s,
                            size_t bad, struct buf *error)
{
    struct str rest = str_skip(s->text, bad), glyph = rest;
    struct buf where = buf_init(KIB), remedy = buf_init(KIB);
    struct place p = place_of(s->text, bad);
    uint32_t character = 0;

    (void)utf8_cut(&rest, &character);
    glyph.n = utf8_is_visible(character) ? glyph.n - rest.n : 0;
    if (s->body)
        report(&where, 0, _("%s, line %zu, column %zu"), s->what, p.line, p.column);
    else
        report(&where, 0, _("%s, character %zu"), s->what, p.column);
    add_remedy(c, t, &remedy);
    report(error, 0, _("%s: %s has no %.*s%sU+%04X; %s"), buf_c(&where), c->charset->name,
           STR_ARG(glyph), glyph.n > 0 ? " " : "", (unsigned)character, buf_c(&remedy));
    buf_free(&where);
    buf_free(&remedy);
    return EX_DATAERR;
}

static int use_charset(struct compose *c, const struct charset *charset, struct buf *error)
{
    coder_close(&c->coder);
    c->charset = charset;
    return open_coder(charset, false, &c->coder, error);
}

/* Index of the text that does not fit, or t->count. Bodies are converted at once. */
static size_t convert_all(struct compose *c, const struct texts *t, size_t *bad)
{
    size_t i;

    for (i = 0; i < t->count; i++) {
        struct text_part *body = t->items[i].body;

        if (body)
            body->coded = buf_init(2 * (size_t)LINES_BYTES_MAX);
        if (!coder_convert(c->coder, t->items[i].text, body ? &body->coded : NULL, bad))
            break;
    }
    return i;
}

static bool is_asked(struct str charset)
{
    return charset.n > 0 && !str_eq_nocase(charset, STR("auto"));
}

static int first_charset(struct compose *c, const struct texts *t, struct buf *error)
{
    const struct charset *charset = charset_utf8();
    int code = 0;

    if (is_asked(c->o->charset))
        code = find_charset(c->o->charset, &charset, error);
    else if (all_ascii(t))
        charset = charset_find(STR("us-ascii"));
    return code == 0 ? use_charset(c, charset, error) : code;
}

static void drop_coded(struct compose *c)
{
    buf_free(&c->text.coded);
    buf_free(&c->html.coded);
}

struct str text_bytes(const struct compose *c, const struct text_part *t)
{
    return charset_is_utf8(c->charset) ? buf_str(&t->lines) : buf_str(&t->coded);
}

static void scan(const struct compose *c, struct text_part *t)
{
    t->facts = content_scan(text_bytes(c, t), charset_is_utf8(c->charset));
}

int texts_choose_charset(struct compose *c, struct buf *error)
{
    struct texts t = all_texts(c);
    size_t bad = 0;
    int code = first_charset(c, &t, error);

    if (code == 0 && !charset_is_utf8(c->charset)) {
        size_t which = convert_all(c, &t, &bad);

        if (which < t.count && c->o->charset_auto) {
            drop_coded(c);
            code = use_charset(c, charset_utf8(), error);
        } else if (which < t.count) {
            code = refuse_character(c, &t, &t.items[which], bad, error);
        }
    }
    if (code == 0) {
        scan(c, &c->text);
        scan(c, &c->html);
    }
    return code;
}
