// SPDX-License-Identifier: ISC
#include "compose/content.h"

#include "base/check.h"
#include "base/codec.h"

enum {
    LINE_LETTERS_MAX = 78, /* RFC 5322 2.1.1 */
    LINE_BYTES_MAX = 998,
    ENCODED_LINE_MAX = 76, /* RFC 2045 6.7 (5), 6.8 */
    BASE64_LINE_BYTES = ENCODED_LINE_MAX / 4 * 3,
    BASE64_BETTER = 6, /* from one special byte in so many on it is shorter */
};

bool content_lines(struct str text, struct buf *to)
{
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    while (text.n > 0) {
        size_t end = 0;

        while (end < text.n && text.p[end] != '\r' && text.p[end] != '\n')
            end++;
        (void)buf_add(to, str_sub(text, 0, end));
        (void)buf_add(to, STR("\r\n"));
        text = str_skip(text, end);
        text = str_skip(text, str_starts(text, STR("\r\n")) ? 2 : 1);
    }
    return !to->full;
}

static bool is_control(char c)
{
    return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
}

/* Has it to be written as =XX wherever it stands? */
static bool is_special(char c)
{
    return c == '=' || is_control(c) || (uint8_t)c > 0x7f;
}

static bool starts_from(struct str line)
{
    return str_starts(line, STR("From ")); /* mailboxes would put a > in front of it */
}

static void scan_line(struct content_facts *f, struct str line, bool utf8)
{
    size_t letters = 0;

    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];

        letters += !utf8 || ((uint8_t)c & 0xc0) != 0x80;
        f->special_bytes += is_special(c);
        f->has_8bit |= (uint8_t)c > 0x7f;
        f->fragile |= is_control(c);
    }
    f->fragile |= starts_from(line) || str_eq_c(line, ".") ||
                  (line.n > 0 && char_is_blank(line.p[line.n - 1]));
    f->line_letters = MAX_OF(f->line_letters, letters);
    f->line_bytes = MAX_OF(f->line_bytes, line.n);
}

static struct str cut_line(struct str *lines)
{
    struct str line = str_cut(lines, '\n');

    return str_sub(line, 0, line.n - str_ends(line, STR("\r")));
}

struct content_facts content_scan(struct str lines, bool utf8)
{
    struct content_facts f = {0};

    while (lines.n > 0)
        scan_line(&f, cut_line(&lines), utf8);
    return f;
}

enum content_encoding content_choose(const struct content_facts *f, size_t bytes, bool may_8bit)
{
    bool safe =
        !f->fragile && f->line_letters <= LINE_LETTERS_MAX && f->line_bytes <= LINE_BYTES_MAX;

    if (safe && !f->has_8bit)
        return CONTENT_7BIT;
    if (safe && may_8bit)
        return CONTENT_8BIT;
    return f->special_bytes > bytes / BASE64_BETTER ? CONTENT_BASE64 : CONTENT_QUOTED_PRINTABLE;
}

/* ---- quoted-printable ---- */

/* What may be misread at the start of a line, of ours too: a soft break makes new ones. */
static bool is_misread(struct str rest, size_t column)
{
    return column == 0 && (starts_from(rest) || rest.p[0] == '.');
}

static void quote_line(struct str line, struct buf *to)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;

    while (line.n > 0) {
        char c = line.p[0];
        bool last = line.n == 1;
        bool coded = is_special(c) || (last && char_is_blank(c)) || is_misread(line, column);
        char code[3] = {'=', hex[(uint8_t)c >> 4], hex[c & 15]};
        size_t width = coded ? sizeof code : 1;

        if (column + width + !last > ENCODED_LINE_MAX) {
            (void)buf_add(to, STR("=\r\n"));
            column = 0;
            continue; /* at the start of a line it may have to be coded */
        }
        (void)buf_add(to, coded ? str_n(code, sizeof code) : str_n(&c, 1));
        column += width;
        line = str_skip(line, 1);
    }
    (void)buf_add(to, STR("\r\n"));
}

static void quote(struct str lines, struct buf *to)
{
    while (lines.n > 0 && !to->full)
        quote_line(cut_line(&lines), to);
}

static void encode_base64(struct str bytes, struct buf *to)
{
    while (bytes.n > 0 && !to->full) {
        base64_put(to, str_sub(bytes, 0, BASE64_LINE_BYTES));
        (void)buf_add(to, STR("\r\n"));
        bytes = str_skip(bytes, BASE64_LINE_BYTES);
    }
}

bool content_encode(struct str lines, enum content_encoding encoding, struct buf *to)
{
    check(encoding == CONTENT_QUOTED_PRINTABLE || encoding == CONTENT_BASE64);
    if (encoding == CONTENT_BASE64)
        encode_base64(lines, to);
    else
        quote(lines, to);
    return !to->full;
}

size_t content_encoded_max(size_t bytes)
{
    return 4 * bytes + 64;
}
