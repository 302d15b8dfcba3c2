/* wire/dot_reader.c - the content after DATA. RFC 5321 4.5.2.
 *
 *   LINE_START --"."--> SAW_DOT --CR--> SAW_DOT_CR --LF--> the end
 *       ^  \               | other: the dot was stuffing, it goes
 *       |   +--> INSIDE <--+
 *       |          | CR
 *       +---LF-- SAW_CR          any other way to a CR or LF is a bare newline
 *
 * A bare newline leads INSIDE: what follows it is no line start, so neither an end nor a stuffed
 * dot can hide behind it. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "wire/plain.h"
#include "wire/smtp.h"

enum state { LINE_START, INSIDE, SAW_CR, SAW_DOT, SAW_DOT_CR };

static void keep(const struct dot_reader *d, struct str bytes, struct buf *to)
{
    if (!d->spoiled)
        check(buf_add(to, bytes));
}

/* True: the caller is to be told. */
static bool bare_newline(struct dot_reader *d, struct buf *to)
{
    d->state = INSIDE;
    if (d->normalize) {
        keep(d, STR("\r\n"), to);
        return false;
    }
    bool first = !d->spoiled;

    d->spoiled = true;
    return first;
}

/* A CR has been seen, c comes behind it. Uses c only when it completes CRLF. */
static bool after_cr(struct dot_reader *d, char c, struct buf *to, size_t *used, bool *bare)
{
    bool ends = d->state == SAW_DOT_CR;

    if (c != '\n') {
        *bare = bare_newline(d, to);
        return false;
    }
    (*used)++;
    d->state = LINE_START;
    if (!ends)
        keep(d, STR("\r\n"), to);
    return ends;
}

/* One byte that is not plain text inside a line. */
static bool newline(struct dot_reader *d, char c, struct buf *to)
{
    if (c == '\n')
        return bare_newline(d, to);
    d->state = d->state == SAW_DOT ? SAW_DOT_CR : SAW_CR;
    return false;
}

enum dot_event dot_read(struct dot_reader *d, struct str in, struct buf *to, size_t *used)
{
    *used = 0;
    while (*used < in.n) {
        struct str rest = str_skip(in, *used);
        bool bare = false;

        if (d->state == SAW_CR || d->state == SAW_DOT_CR) {
            if (after_cr(d, rest.p[0], to, used, &bare))
                return DOT_END;
        } else if (d->state == LINE_START && rest.p[0] == '.') {
            d->state = SAW_DOT;
            (*used)++;
        } else if (rest.p[0] == '\r' || rest.p[0] == '\n') {
            bare = newline(d, rest.p[0], to);
            (*used)++;
        } else {
            size_t n = plain_bytes(rest);

            keep(d, str_sub(rest, 0, n), to);
            d->state = INSIDE;
            *used += n;
        }
        if (bare)
            return DOT_BARE_NEWLINE;
    }
    return DOT_MORE;
}
