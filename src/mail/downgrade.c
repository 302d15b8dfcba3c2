/* mail/downgrade.c - walks the tree of a message's parts, one line start after the other.
 *
 *   HEADER --blank line--> LINE_START --no delimiter--> INSIDE --CR--> SAW_CR --LF--> LINE_START
 *     ^                        |
 *     +------- "--boundary" ---+     "--boundary--" leads to LINE_START, too: an epilogue
 *
 * A CRLF is held back until the next line is known: in front of a delimiter it belongs to that.
 * Only multiparts are levels; the message of a message/rfc822 ends where the part does. */
// SPDX-License-Identifier: ISC
#include "mail/downgrade.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/header.h"

enum {
    LEVELS_MAX = 32,
    BOUNDARY_BYTES_MAX = 70,                       /* RFC 2046 5.1.1 */
    DELIMITER_BYTES_MAX = BOUNDARY_BYTES_MAX + 40, /* dashes, blanks behind it, CRLF */
    BASE64_LINE_BYTES = 76,
};

enum state { HEADER, LINE_START, INSIDE, SAW_CR };

struct level {
    char boundary[BOUNDARY_BYTES_MAX];
    size_t boundary_bytes;
    bool digest; /* its parts are messages unless they say otherwise */
};

struct downgrade {
    enum state state;
    struct buf header; /* of the part that begins */
    bool enclosed;     /* it is the message in a part, not the part */
    struct buf line;   /* what may become a delimiter */
    bool held_crlf;
    bool encodes; /* the part under way becomes base64 */
    struct level levels[LEVELS_MAX];
    size_t level_count;
    unsigned char group[3]; /* of base64, not written yet */
    size_t group_bytes, column;
};

struct downgrade *downgrade_new(void)
{
    struct downgrade *d = mem_new(sizeof *d);

    *d = (struct downgrade){.header = buf_init(DOWNGRADE_HEADER_BYTES_MAX),
                            .line = buf_init(DELIMITER_BYTES_MAX + 1)};
    return d;
}

void downgrade_free(struct downgrade **d)
{
    if (!*d)
        return;
    buf_free(&(*d)->header);
    buf_free(&(*d)->line);
    free(*d);
    *d = NULL;
}

/* ---- base64 ---- */

static void group_write(struct downgrade *d, struct buf *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *g = d->group;
    char out[4] = {digits[g[0] >> 2], digits[(g[0] & 3) << 4 | g[1] >> 4],
                   digits[(g[1] & 15) << 2 | g[2] >> 6], digits[g[2] & 63]};

    memset(out + d->group_bytes + 1, '=', 3 - d->group_bytes);
    if (d->column == BASE64_LINE_BYTES) {
        buf_add(to, STR("\r\n"));
        d->column = 0;
    }
    buf_add(to, str_n(out, sizeof out));
    d->column += sizeof out;
    memset(d->group, 0, sizeof d->group);
    d->group_bytes = 0;
}

static void encode(struct downgrade *d, struct str bytes, struct buf *to)
{
    for (size_t i = 0; i < bytes.n; i++) {
        d->group[d->group_bytes++] = (unsigned char)bytes.p[i];
        if (d->group_bytes == sizeof d->group)
            group_write(d, to);
    }
}

static void part_end(struct downgrade *d, struct buf *to)
{
    if (d->group_bytes > 0)
        group_write(d, to);
    d->encodes = false;
    d->column = 0;
}

/* ---- what is in a part ---- */

/* False: a part that says it has lines has none. */
static bool emit(struct downgrade *d, struct str bytes, struct buf *to)
{
    if (d->encodes) {
        encode(d, bytes, to);
        return true;
    }
    buf_add(to, bytes);
    return str_find(bytes, '\0') == bytes.n && str_find(bytes, '\n') == bytes.n &&
           str_find(bytes, '\r') == bytes.n;
}

static void emit_held(struct downgrade *d, struct buf *to)
{
    if (d->held_crlf && d->encodes)
        encode(d, STR("\r\n"), to);
    else if (d->held_crlf)
        buf_add(to, STR("\r\n"));
    d->held_crlf = false;
}

/* ---- the header of a part ---- */

enum kind { KIND_LEAF, KIND_MULTIPART, KIND_MESSAGE, KIND_FIXED /* may not be encoded */ };

struct part {
    struct str type, encoding;
    bool has_type, has_encoding;
};

/* The next word of a field's value; quoted strings without their quotes. False: malformed. */
static bool take_value(struct str *s, struct buf *to)
{
    bool quoted = str_starts(*s, STR("\""));

    if (quoted)
        *s = str_skip(*s, 1);
    for (; s->n > 0; *s = str_skip(*s, 1)) {
        char c = s->p[0];

        if (quoted && c == '"') {
            *s = str_skip(*s, 1);
            return true;
        }
        if (!quoted && (c == ';' || char_is_blank(c) || c == '\r' || c == '('))
            return true;
        if (quoted && c == '\\' && s->n > 1) {
            *s = str_skip(*s, 1);
            c = s->p[0];
        }
        if (!buf_add_char(to, c))
            return false;
    }
    return !quoted;
}

static bool boundary_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    }
    return s.n > 0 && s.n <= BOUNDARY_BYTES_MAX && s.p[s.n - 1] != ' ';
}

/* The boundary of a multipart. False: there is none that everybody reads alike. */
static bool find_boundary(struct str type, struct level *ret)
{
    bool found = false;

    (void)str_cut(&type, ';');
    while ((type = str_trim(type)).n > 0) {
        struct str name = str_trim(str_cut(&type, '='));
        struct buf value = buf_init(1000);
        bool ours = str_eq_nocase(name, STR("boundary"));

        type = str_trim(type);
        bool good = take_value(&type, &value) && !(ours && found);
        type = str_trim(type);
        good = good && (type.n == 0 || type.p[0] == ';'); /* comments, too */
        if (ours && boundary_valid(buf_str(&value))) {
            memcpy(ret->boundary, value.p, value.n);
            ret->boundary_bytes = value.n;
            found = true;
        }
        buf_free(&value);
        if (!good)
            return false;
        type = str_skip(type, 1);
    }
    return found;
}

static bool type_is(struct str type, const char *name)
{
    return str_eq_nocase(str_trim(str_cut(&type, ';')), str_c(name));
}

static enum kind kind_of(const struct downgrade *d, const struct part *p)
{
    bool digest = !d->enclosed && d->level_count > 0 && d->levels[d->level_count - 1].digest;

    if (str_starts_nocase(p->type, STR("multipart/")))
        return KIND_MULTIPART;
    if (p->has_type ? type_is(p->type, "message/rfc822") : digest)
        return KIND_MESSAGE;
    return str_starts_nocase(p->type, STR("message/")) ? KIND_FIXED : KIND_LEAF;
}

/* False: the header says something twice. */
static bool read_header(struct str header, struct part *ret)
{
    struct header_field f;

    *ret = (struct part){0};
    while (header_next(&header, &f)) {
        bool type = str_eq_nocase(f.name, STR("Content-Type"));
        bool encoding = str_eq_nocase(f.name, STR("Content-Transfer-Encoding"));

        if ((type && ret->has_type) || (encoding && ret->has_encoding))
            return false;
        if (type)
            ret->type = str_trim(f.body);
        if (encoding)
            ret->encoding = str_trim(f.body);
        ret->has_type |= type;
        ret->has_encoding |= encoding;
    }
    return true;
}

static void write_header(struct str header, const char *encoding, struct buf *to)
{
    struct header_field f;

    while (header_next(&header, &f)) {
        if (encoding && str_eq_nocase(f.name, STR("Content-Transfer-Encoding")))
            buf_printf(to, "Content-Transfer-Encoding: %s\r\n", encoding);
        else
            buf_add(to, f.all);
    }
    buf_add(to, header); /* a line that is no field */
}

static bool level_enter(struct downgrade *d, struct str type, bool binary)
{
    struct level level = {.digest = type_is(type, "multipart/digest")};

    if (d->level_count == LEVELS_MAX || (binary && type_is(type, "multipart/signed")) ||
        !find_boundary(type, &level))
        return false;
    d->levels[d->level_count++] = level;
    return true;
}

/* header: whole, without the blank line behind it. */
static bool header_end(struct downgrade *d, struct str header, struct buf *to)
{
    struct part part;

    if (!read_header(header, &part))
        return false;

    enum kind kind = kind_of(d, &part);
    bool binary = str_eq_nocase(part.encoding, STR("binary"));

    if (kind == KIND_FIXED && binary)
        return false;
    if (kind == KIND_MULTIPART && !level_enter(d, part.type, binary))
        return false;
    d->encodes = binary && kind == KIND_LEAF;
    write_header(header, !binary ? NULL : d->encodes ? "base64" : "8bit", to);
    d->enclosed = kind == KIND_MESSAGE;
    d->state = d->enclosed ? HEADER : LINE_START;
    buf_reset(&d->header);
    return true;
}

/* ---- delimiters ---- */

enum delimiter { NO_DELIMITER, PART_BEGINS, PARTS_END };

/* RFC 2046 5.1.1; blanks behind it are padding. The innermost that fits counts. */
static enum delimiter delimiter_of(const struct downgrade *d, struct str line, size_t *level)
{
    if (!str_starts(line, STR("--")))
        return NO_DELIMITER;
    while (char_is_blank(line.p[line.n - 1]))
        line.n--;
    line = str_skip(line, 2);
    for (*level = d->level_count; (*level)-- > 0;) {
        const struct level *l = &d->levels[*level];
        struct str boundary = str_n(l->boundary, l->boundary_bytes);

        if (str_eq(line, boundary))
            return PART_BEGINS;
        if (str_starts(line, boundary) && str_eq_c(str_skip(line, boundary.n), "--"))
            return PARTS_END;
    }
    return NO_DELIMITER;
}

/* Writes the line, if it is one, and goes where it leads. */
static bool take_delimiter(struct downgrade *d, struct str line, struct buf *to)
{
    size_t level;
    enum delimiter what = delimiter_of(d, line, &level);

    if (what == NO_DELIMITER)
        return false;
    part_end(d, to);
    emit_held(d, to);
    buf_add(to, line);
    buf_add(to, STR("\r\n"));
    d->level_count = what == PART_BEGINS ? level + 1 : level;
    d->state = what == PART_BEGINS ? HEADER : LINE_START;
    d->enclosed = false;
    return true;
}

/* ---- byte by byte where it matters ---- */

/* What d->header holds ends in a line. */
static bool header_line(struct downgrade *d, struct buf *to)
{
    struct str all = str_sub(buf_str(&d->header), 0, d->header.n - 2);
    size_t before = str_find_last(all, '\n');
    struct str line = str_skip(all, before < all.n ? before + 1 : 0);
    size_t level;

    if (line.n > 0) /* a delimiter here would end a part that has no body */
        return delimiter_of(d, line, &level) == NO_DELIMITER;
    if (!header_end(d, all, to))
        return false;
    buf_add(to, STR("\r\n"));
    return true;
}

static bool header_byte(struct downgrade *d, char c, struct buf *to)
{
    bool cr = str_ends(buf_str(&d->header), STR("\r"));

    if (c == '\0' || cr != (c == '\n') || !buf_add_char(&d->header, c))
        return false;
    return c != '\n' || header_line(d, to);
}

/* A whole line that might be a delimiter, with its CRLF. */
static bool whole_line(struct downgrade *d, struct buf *to)
{
    struct str line = str_sub(buf_str(&d->line), 0, d->line.n - 2);
    bool good = true;

    if (!take_delimiter(d, line, to)) {
        emit_held(d, to);
        good = emit(d, line, to);
        d->held_crlf = true;
    }
    buf_reset(&d->line);
    return good;
}

static bool may_be_delimiter(struct str line)
{
    return line.n <= DELIMITER_BYTES_MAX &&
           (str_starts(line, STR("--")) || str_starts(STR("--"), line) || str_eq_c(line, "\r"));
}

static bool line_byte(struct downgrade *d, char c, struct buf *to)
{
    buf_add_char(&d->line, c);

    struct str line = buf_str(&d->line);

    if (str_ends(line, STR("\r\n")))
        return whole_line(d, to);
    if (may_be_delimiter(line))
        return true;
    emit_held(d, to);
    d->state = c == '\r' ? SAW_CR : INSIDE;

    bool good = emit(d, str_sub(line, 0, line.n - (c == '\r')), to);

    buf_reset(&d->line);
    return good;
}

static bool after_cr(struct downgrade *d, struct str *in, struct buf *to)
{
    if (in->p[0] != '\n') {
        d->state = INSIDE;
        return emit(d, STR("\r"), to);
    }
    *in = str_skip(*in, 1);
    d->held_crlf = true;
    d->state = LINE_START;
    return true;
}

static bool inside(struct downgrade *d, struct str *in, struct buf *to)
{
    size_t n = str_find(*in, '\r');
    struct str run = str_sub(*in, 0, n);

    if (n < in->n)
        d->state = SAW_CR;
    *in = str_skip(*in, n + 1);
    return emit(d, run, to);
}

static bool step(struct downgrade *d, struct str *in, struct buf *to)
{
    char c = in->p[0];

    if (d->state == INSIDE)
        return inside(d, in, to);
    if (d->state == SAW_CR)
        return after_cr(d, in, to);
    *in = str_skip(*in, 1);
    return d->state == HEADER ? header_byte(d, c, to) : line_byte(d, c, to);
}

/* ---- the doors ---- */

bool downgrade_feed(struct downgrade *d, struct str in, struct buf *to)
{
    while (in.n > 0) {
        if (!step(d, &in, to))
            return false;
    }
    check(!to->full);
    return true;
}

/* A last line without CRLF may be a delimiter, too. */
static bool last_line(struct downgrade *d, struct buf *to)
{
    struct str line = buf_str(&d->line);

    if (line.n == 0 || take_delimiter(d, line, to))
        return true;
    emit_held(d, to);
    return emit(d, line, to);
}

bool downgrade_end(struct downgrade *d, struct buf *to)
{
    bool good = true;

    if (d->state == HEADER && d->header.n > 0 && !str_ends(buf_str(&d->header), STR("\r\n")))
        good = downgrade_feed(d, STR("\r\n"), to);
    if (good && d->state == HEADER)
        return header_end(d, buf_str(&d->header), to);
    if (d->state == SAW_CR)
        good = emit(d, STR("\r"), to);
    if (d->state == LINE_START)
        good = last_line(d, to);
    emit_held(d, to);

    bool encoded = d->encodes;

    part_end(d, to);
    if (encoded)
        buf_add(to, STR("\r\n"));
    return good;
}
