/* listen/parts.c - see parts.h.
 *
 *   IN_HEADER --blank line, or a line that is no field--> IN_BODY --delimiter--> IN_HEADER
 *                                                           ^  |
 *                                                           +--+ last delimiter: an epilogue
 *
 * Works on whole lines, of which at most LINE_BYTES_KEPT bytes are kept: no delimiter is longer. */
// SPDX-License-Identifier: ISC
#include "outward/listen/parts.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/utf8.h"
#include "outward/listen/words.h"

enum { LINE_BYTES_KEPT = 1000, BOUNDARY_BYTES_MAX = 70, ENCODED_LINE_BYTES_MAX = 76 };

enum coding { CODING_7BIT, CODING_8BIT, CODING_BINARY, CODING_BASE64, CODING_QUOTED, CODING_ODD };

struct level { /* a multipart whose last delimiter has not come */
    struct str boundary;
    const struct part *part;
    size_t part_count;
};

struct parts {
    struct arena *arena;
    struct judge *judge;
    struct part list[PARTS_MAX];
    size_t count;
    struct part *open; /* what is being read; NULL: a preamble, an epilogue, one too many */
    enum coding coding;
    bool is_text, leaf;
    bool in_header;
    struct buf header; /* of the part that begins */
    struct buf first_header;
    bool first_over, first_cut;
    struct level levels[PARTS_DEPTH_MAX];
    size_t level_count;

    struct buf line;     /* the beginning of the line under way */
    uint64_t line_bytes; /* all of it, without its end */
    bool line_8bit, line_cr;
};

static void part_begin(struct parts *p, unsigned depth)
{
    p->open = NULL;
    p->coding = CODING_7BIT;
    p->is_text = p->leaf = false;
    buf_reset(&p->header);
    p->in_header = true;
    if (p->count < PARTS_MAX) {
        p->open = &p->list[p->count++];
        *p->open = (struct part){.depth = depth};
    } else {
        judge_tell(p->judge, FOUND_MANY_PARTS, STR_NONE);
    }
}

struct parts *parts_new(struct arena *a, struct judge *j)
{
    struct parts *p = mem_new(sizeof *p);

    *p = (struct parts){.arena = a,
                        .judge = j,
                        .header = buf_init(PART_HEADER_BYTES_MAX),
                        .first_header = buf_init(PART_HEADER_BYTES_MAX),
                        .line = buf_init(LINE_BYTES_KEPT)};
    part_begin(p, 0);
    return p;
}

void parts_free(struct parts **p)
{
    if (!*p)
        return;
    buf_free(&(*p)->header);
    buf_free(&(*p)->first_header);
    buf_free(&(*p)->line);
    free(*p);
    *p = NULL;
}

/* ---- the header of a part ---- */

static const struct {
    const char *word;
    enum coding coding;
} codings[] = {
    {"7bit", CODING_7BIT},
    {"8bit", CODING_8BIT},
    {"binary", CODING_BINARY},
    {"base64", CODING_BASE64},
    {"quoted-printable", CODING_QUOTED},
};

static enum coding coding_find(struct str word)
{
    for (size_t i = 0; i < countof(codings); i++)
        if (str_eq_c(word, codings[i].word))
            return codings[i].coding;
    return CODING_ODD;
}

static void take_encoding(struct parts *p, struct str header, struct part *part)
{
    struct header_field f;

    if (!header_find(header, "Content-Transfer-Encoding", &f))
        return;
    part->encoding = mime_token(f.body, p->arena);
    p->coding = coding_find(part->encoding);
    if (p->coding == CODING_ODD)
        judge_tell(p->judge, FOUND_BAD_ENCODING, part->encoding);
}

static void take_disposition(struct parts *p, struct str header, struct part *part)
{
    struct mime_field m;
    struct header_field f;

    if (!header_find(header, "Content-Disposition", &f))
        return;
    (void)mime_field_parse(f.body, p->arena, &m);
    part->disposition = m.value;
    if (m.filename.n > 0)
        part->filename = m.filename;
}

static void multipart_begin(struct parts *p, struct part *part, const struct mime_field *m)
{
    if (p->coding == CODING_BASE64 || p->coding == CODING_QUOTED)
        judge_tell(p->judge, FOUND_ENCODED_MULTIPART, part->encoding);
    if (m->boundary.n == 0) {
        judge_tell(p->judge, FOUND_NO_BOUNDARY, part->type);
    } else if (p->level_count == PARTS_DEPTH_MAX) {
        judge_tell(p->judge, FOUND_MANY_PARTS, STR_NONE);
    } else {
        if (m->boundary.n > BOUNDARY_BYTES_MAX)
            judge_tell(p->judge, FOUND_BAD_BOUNDARY, m->boundary);
        p->levels[p->level_count++] =
            (struct level){.boundary = str_sub(m->boundary, 0, LINE_BYTES_KEPT - 10), .part = part};
    }
}

/* RFC 2046 5.1.5: what is in a digest is a message unless it says otherwise. */
static struct str usual_type(const struct parts *p)
{
    const struct part *above = p->level_count > 0 ? p->levels[p->level_count - 1].part : NULL;

    return above && str_eq_c(above->type, "multipart/digest") ? STR("message/rfc822")
                                                              : STR("text/plain");
}

static void header_over(struct parts *p)
{
    struct part nobody = {0};
    struct part *part = p->open ? p->open : &nobody;
    struct str header = buf_str(&p->header);
    struct mime_field m = {0};
    struct header_field f;

    p->in_header = false;
    if (!p->first_over) {
        p->first_over = true;
        p->first_cut = p->header.full;
        buf_add(&p->first_header, header);
        header = buf_str(&p->first_header);
    }
    part->type = usual_type(p);
    if (header_find(header, "Content-Type", &f)) {
        struct arena *a = p->arena;

        if (!mime_field_parse(f.body, a, &m) || str_find(m.value, '/') == m.value.n)
            judge_tell(p->judge, FOUND_BAD_TYPE, str_trim(f.body));
        if (m.value.n > 0)
            part->type = m.value;
        part->charset = m.charset;
        part->filename = m.filename;
    }
    take_encoding(p, header, part);
    take_disposition(p, header, part);
    p->is_text = str_starts(part->type, STR("text/"));
    p->leaf = !str_starts(part->type, STR("multipart/"));
    if (!p->leaf)
        multipart_begin(p, part, &m);
}

/* ---- delimiters ---- */

enum delimiter { NO_DELIMITER, DELIMITER, LAST_DELIMITER };

static bool only_blanks(struct str s)
{
    return str_trim(s).n == 0;
}

static enum delimiter delimiter_of(struct str line, struct str boundary)
{
    if (!str_starts(line, STR("--")) || !str_starts(str_skip(line, 2), boundary))
        return NO_DELIMITER;
    line = str_skip(line, 2 + boundary.n);
    if (only_blanks(line))
        return DELIMITER;
    return str_starts(line, STR("--")) && only_blanks(str_skip(line, 2)) ? LAST_DELIMITER
                                                                         : NO_DELIMITER;
}

static void level_close(struct parts *p, bool properly)
{
    struct level *l = &p->levels[--p->level_count];

    if (l->part_count == 0)
        judge_tell(p->judge, FOUND_NO_PARTS, l->boundary);
    if (!properly)
        judge_tell(p->judge, FOUND_NOT_CLOSED, l->boundary);
}

/* The CRLF in front of a delimiter belongs to it. */
static void part_over(struct parts *p)
{
    if (p->open && p->open->lines > 0)
        p->open->bytes -= MIN_OF(p->open->bytes, (uint64_t)2);
    p->open = NULL;
}

static bool delimiter_take(struct parts *p, struct str line)
{
    for (size_t i = p->level_count; i > 0; i--) {
        enum delimiter d = delimiter_of(line, p->levels[i - 1].boundary);

        if (d == NO_DELIMITER)
            continue;
        if (p->in_header) /* of a part without a blank line */
            header_over(p);
        part_over(p);
        while (p->level_count > i)
            level_close(p, false);
        if (d == DELIMITER) {
            p->levels[i - 1].part_count++;
            part_begin(p, (unsigned)i);
        } else {
            level_close(p, true);
        }
        return true;
    }
    return false;
}

/* ---- what is in a part ---- */

static bool is_base64_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '+' || c == '/' || c == '=' ||
           char_is_blank(c);
}

static bool is_base64(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (!is_base64_char(line.p[i]))
            return false;
    return true;
}

static bool is_hex(struct str two)
{
    for (size_t i = 0; i < two.n; i++)
        if (!char_is_digit(two.p[i]) && (two.p[i] < 'A' || two.p[i] > 'F') &&
            (two.p[i] < 'a' || two.p[i] > 'f'))
            return false;
    return two.n == 2;
}

/* RFC 2045 6.7: =XX, or = at the end, blanks behind it forgiven. */
static bool is_quoted(struct str line)
{
    for (size_t i = str_find(line, '='); i < line.n;) {
        struct str behind = str_skip(line, i + 1);

        if (only_blanks(behind))
            return true;
        if (!is_hex(str_sub(behind, 0, 2)))
            return false;
        i += 1 + str_find(behind, '=');
    }
    return true;
}

static void judge_line(struct parts *p, struct str line)
{
    struct str where = p->open ? p->open->type : STR_NONE;
    bool is_long = p->line_bytes > ENCODED_LINE_BYTES_MAX;

    if (p->coding == CODING_7BIT && p->line_8bit)
        judge_tell(p->judge, FOUND_FALSE_7BIT, where);
    if (p->coding == CODING_BASE64 && (is_long || !is_base64(line)))
        judge_tell(p->judge, FOUND_BAD_BASE64, where);
    if (p->coding == CODING_QUOTED && (is_long || p->line_8bit || !is_quoted(line)))
        judge_tell(p->judge, FOUND_BAD_QUOTED, where);
    if (p->is_text && p->line_8bit && p->open && p->open->charset.n == 0)
        judge_tell(p->judge, FOUND_NO_CHARSET, where);
}

static void body_line(struct parts *p, struct str line, bool whole)
{
    if (p->open) {
        p->open->bytes += p->line_bytes + (whole ? 2 : 0);
        p->open->lines += whole;
    }
    if (p->leaf && p->open)
        judge_line(p, line);
}

/* ---- lines ---- */

/* Is it a field, or the second line of one? */
static bool belongs_to_header(const struct parts *p, struct str line)
{
    struct str rest = line;
    struct header_field f;

    if (char_is_blank(line.p[0]))
        return p->header.n > 0;
    return header_next(&rest, &f);
}

static void header_line(struct parts *p, struct str line, bool whole)
{
    if (line.n == 0) {
        buf_add(&p->header, STR("\r\n"));
        header_over(p);
    } else if (belongs_to_header(p, line)) {
        buf_add(&p->header, line);
        buf_add(&p->header, STR("\r\n"));
    } else { /* the body starts here, RFC 5322 2.1 wants a blank line before it */
        judge_tell(p->judge, FOUND_NO_FIELD, line);
        header_over(p);
        body_line(p, line, whole);
    }
}

static void line_over(struct parts *p, bool whole)
{
    struct str line = buf_str(&p->line);

    if (!delimiter_take(p, line)) {
        if (p->in_header)
            header_line(p, line, whole);
        else
            body_line(p, line, whole);
    }
    buf_reset(&p->line);
    p->line_bytes = 0;
    p->line_8bit = p->line_cr = false;
}

static void line_add(struct parts *p, struct str s)
{
    buf_add(&p->line, str_sub(s, 0, LINE_BYTES_KEPT - p->line.n));
    p->line_bytes += s.n;
    p->line_8bit = p->line_8bit || !utf8_is_ascii(s);
}

void parts_feed(struct parts *p, struct str bytes)
{
    while (bytes.n > 0) {
        size_t n = str_find(bytes, '\n');
        struct str s = str_sub(bytes, 0, n);
        bool ends = n < bytes.n && (s.n > 0 ? s.p[s.n - 1] == '\r' : p->line_cr);

        if (p->line_cr && s.n > 0) { /* it was no line end */
            line_add(p, STR("\r"));
            p->line_cr = false;
        }
        if (s.n > 0 && s.p[s.n - 1] == '\r') {
            p->line_cr = true;
            s.n--;
        }
        if (s.n > 0)
            line_add(p, s);
        bytes = str_skip(bytes, n);
        if (bytes.n > 0 && ends)
            line_over(p, true);
        else if (bytes.n > 0)
            line_add(p, STR("\n"));
        bytes = str_skip(bytes, 1);
    }
}

void parts_end(struct parts *p)
{
    if (p->line_bytes > 0 || p->line_cr)
        line_over(p, false);
    if (p->in_header)
        header_over(p);
    p->open = NULL;
    while (p->level_count > 0)
        level_close(p, false);
}

bool parts_header_over(const struct parts *p)
{
    return p->first_over;
}

struct str parts_header(const struct parts *p)
{
    return buf_str(&p->first_header);
}

bool parts_header_cut(const struct parts *p)
{
    return p->first_cut;
}

const struct part *parts_list(const struct parts *p, size_t *count)
{
    *count = p->count;
    return p->list;
}
