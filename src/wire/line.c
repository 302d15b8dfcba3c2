/* wire/line.c - cutting command lines out of what has arrived. RFC 5321 2.3.8. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "wire/smtp.h"

/* The rest of a line that is too long, bare newlines in it too: only CRLF ends it. */
static enum line_event skip_rest(struct line_reader *r, struct str in, size_t *used)
{
    size_t end = str_find_str(in, STR("\r\n"));

    r->skipping = end == in.n;
    if (!r->skipping) {
        r->spoiled = false;
        *used = end + 2;
        return LINE_TOO_LONG;
    }
    /* A CR at the end may be half of the line end. */
    *used = in.n > 0 && in.p[in.n - 1] == '\r' ? in.n - 1 : in.n;
    return LINE_MORE;
}

static size_t find_newline(struct str in)
{
    return MIN_OF(str_find(in, '\r'), str_find(in, '\n'));
}

/* A line ends properly behind *line; what was spoiled before it is over. */
static enum line_event ended(struct line_reader *r, struct str in, struct str *line, size_t *used)
{
    bool spoiled = r->spoiled;
    size_t end = line->n + 2;

    r->spoiled = false;
    *used = end;
    if (!spoiled)
        return LINE_READY;
    if (line->n > 0)
        return LINE_BARE_NEWLINE;

    enum line_event e = line_read(r, str_skip(in, end), line, used);

    *used += end;
    return e;
}

enum line_event line_read(struct line_reader *r, struct str in, struct str *line, size_t *used)
{
    *used = 0;
    if (r->skipping)
        return skip_rest(r, in, used);

    struct str head = str_sub(in, 0, r->bytes_max + 1);
    size_t end = find_newline(head);

    if (end == head.n) {
        if (head.n > r->bytes_max)
            return skip_rest(r, in, used);
        return LINE_MORE;
    }
    if (in.p[end] == '\r' && end + 1 == in.n)
        return LINE_MORE;

    *line = str_sub(in, 0, end);
    if (in.p[end] == '\n' || in.p[end + 1] != '\n') {
        r->spoiled = true;
        *used = end + 1;
        return LINE_BARE_NEWLINE;
    }
    return ended(r, in, line, used);
}
