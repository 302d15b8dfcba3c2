/* wire/reply.c - replies as a client reads them. RFC 5321 4.2.
 *
 * Whole lines are taken from the front of the input, so the outcome does not depend on how the
 * bytes were cut into packets. A line that is too long is refused as soon as that is certain: the
 * caller never holds more than REPLY_LINE_BYTES_MAX of it. */
// SPDX-License-Identifier: ISC
#include "wire/smtp.h"

#include <string.h>

#include "base/check.h"

static const char bad_line[] = "reply line too long";
static const char bad_nul[] = "NUL in a reply";
static const char bad_code[] = "reply without a three-digit code";
static const char bad_separator[] = "reply code is followed by neither blank nor hyphen";
static const char bad_mixed[] = "lines of one reply have different codes";
static const char bad_endless[] = "reply has too many lines";

void reply_reader_init(struct reply_reader *r)
{
    *r = (struct reply_reader){.text = buf_init(REPLY_TEXT_BYTES_MAX)};
}

void reply_reader_free(struct reply_reader *r)
{
    buf_free(&r->text);
}

void reply_reader_next(struct reply_reader *r)
{
    r->code = 0;
    r->line_count = 0;
    buf_reset(&r->text);
}

/* Cuts the first line off *in, without its end. REPLY_MORE: it is not whole yet. */
static enum reply_event cut_line(struct str in, struct str *line, size_t *used, const char **error)
{
    size_t line_end = str_find(str_sub(in, 0, REPLY_LINE_BYTES_MAX + 2), '\n');

    if (line_end == in.n && in.n < REPLY_LINE_BYTES_MAX + 2)
        return REPLY_MORE;
    *line = str_sub(in, 0, line_end);
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    if (line->n > REPLY_LINE_BYTES_MAX) {
        *error = bad_line;
        return REPLY_BAD;
    }
    *used += line_end + 1;
    return REPLY_READY;
}

/* The code of a line, 200 to 599, or 0. */
static uint16_t line_code(struct str line)
{
    if (line.n < 3 || !char_is_digit(line.p[0]) || !char_is_digit(line.p[1]) ||
        !char_is_digit(line.p[2]))
        return 0;
    uint16_t code =
        (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0'));
    return code >= 200 && code <= 599 ? code : 0;
}

static const char *line_fault(const struct reply_reader *r, struct str line)
{
    uint16_t code = line_code(line);

    if (line.n > 0 && memchr(line.p, '\0', line.n))
        return bad_nul;
    if (code == 0)
        return bad_code;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return bad_separator;
    if (r->code != 0 && r->code != code)
        return bad_mixed;
    if (r->line_count == REPLY_LINES_MAX)
        return bad_endless;
    return NULL;
}

static void keep_text(struct reply_reader *r, struct str text)
{
    size_t room = REPLY_TEXT_BYTES_MAX - r->text.n;

    if (r->line_count > 1 && room > 0) {
        buf_add_char(&r->text, '\n');
        room--;
    }
    buf_add(&r->text, str_sub(text, 0, room));
}

enum reply_event reply_read(struct reply_reader *r, struct str in, size_t *used, const char **error)
{
    *used = 0;
    for (;;) {
        struct str line;
        enum reply_event event = cut_line(str_skip(in, *used), &line, used, error);

        if (event != REPLY_READY)
            return event;
        const char *fault = line_fault(r, line);
        if (fault) {
            *error = fault;
            return REPLY_BAD;
        }
        r->code = line_code(line);
        r->line_count++;
        keep_text(r, str_skip(line, 4));
        if (line.n == 3 || line.p[3] == ' ')
            return REPLY_READY;
    }
}
