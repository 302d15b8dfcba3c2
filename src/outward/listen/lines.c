/* listen/lines.c - see lines.h.
 *
 * A newline is any CR or LF. `behind_newline` is true behind each of them, `at_start` only behind
 * CRLF: a lonely dot is a false end when one of the newlines around it is not CRLF. */
// SPDX-License-Identifier: ISC
#include "outward/listen/lines.h"

#include "base/check.h"
#include "base/utf8.h"
#include "wire/plain.h"

enum { LINE_TEXT_BYTES_MAX = 998 }; /* RFC 5322 2.1.1 */

void lines_init(struct lines *l, bool chunked)
{
    *l = (struct lines){.line = 1, .chunked = chunked, .at_start = true, .behind_newline = true};
}

static void see(struct lines *l, enum lines_seen what)
{
    if (l->seen[what].count++ == 0)
        l->seen[what].first_line = l->line;
    l->seen[what].last_line = l->line;
}

/* Once in a line. */
static void see_in_line(struct lines *l, enum lines_seen what)
{
    if (l->seen[what].last_line != l->line)
        see(l, what);
}

static void line_over(struct lines *l)
{
    if (l->line_bytes > LINE_TEXT_BYTES_MAX)
        see(l, SEEN_LONG);
    l->longest = MAX_OF(l->longest, l->line_bytes);
    l->line_bytes = 0;
}

/* A dot stood alone, and a newline of this kind comes behind it. */
static void dot_over(struct lines *l, bool proper)
{
    if (l->lone_dot && !(proper && l->lone_dot_proper) && !l->chunked)
        see(l, SEEN_FALSE_END);
    l->lone_dot = l->first_dot = false;
}

static void bare(struct lines *l, enum lines_seen what)
{
    see(l, what);
    dot_over(l, false);
    line_over(l);
    l->line++;
    l->at_start = false;
    l->behind_newline = true;
}

static void proper_end(struct lines *l)
{
    dot_over(l, true);
    line_over(l);
    l->line++;
    l->at_start = l->behind_newline = true;
    l->saw_cr = false;
}

static void newline(struct lines *l, char c)
{
    bool saw_cr = l->saw_cr;

    if (c == '\n' && saw_cr) {
        proper_end(l);
        return;
    }
    l->saw_cr = c == '\r';
    if (saw_cr)
        bare(l, SEEN_BARE_CR);
    else if (c == '\n')
        bare(l, SEEN_BARE_LF);
}

/* Plain text: no CR, no LF. */
static void text(struct lines *l, struct str s)
{
    if (l->saw_cr) {
        l->saw_cr = false;
        bare(l, SEEN_BARE_CR);
    }
    char first = s.p[0], second = s.n > 1 ? s.p[1] : '\0';

    if (l->first_dot && first != '.' && !l->chunked)
        see(l, SEEN_NOT_STUFFED);
    l->first_dot = l->at_start && first == '.';
    if (l->first_dot && s.n > 1) {
        if (second != '.' && !l->chunked)
            see(l, SEEN_NOT_STUFFED);
        l->first_dot = false;
    }
    l->lone_dot = l->behind_newline && s.n == 1 && first == '.';
    l->lone_dot_proper = l->at_start;
    l->at_start = l->behind_newline = false;
    l->line_bytes += s.n;
    if (str_find(s, '\0') < s.n)
        see_in_line(l, SEEN_NUL);
    if (!utf8_is_ascii(s))
        see_in_line(l, SEEN_8BIT);
}

void lines_feed(struct lines *l, struct str raw)
{
    while (raw.n > 0) {
        size_t n = plain_bytes(raw);

        if (n > 0)
            text(l, str_sub(raw, 0, n));
        else
            newline(l, raw.p[0]);
        raw = str_skip(raw, MAX_OF(n, (size_t)1));
    }
}

void lines_end(struct lines *l)
{
    if (l->saw_cr)
        bare(l, SEEN_BARE_CR);
    line_over(l);
}

static void tell(const struct lines *l, struct judge *j, enum lines_seen what, enum finding f)
{
    uint64_t count = l->seen[what].count, first = l->seen[what].first_line;

    if (count == 1)
        judge_printf(j, f, "line %llu", (unsigned long long)first);
    else if (count > 1)
        judge_printf(j, f, "line %llu, %llu times", (unsigned long long)first,
                     (unsigned long long)count);
}

void lines_judge(const struct lines *l, struct judge *j, bool may_8bit, bool may_binary)
{
    static const struct {
        enum lines_seen seen;
        enum finding found;
        bool also_8bit, also_binary; /* it is wrong there, too */
    } rows[] = {
        {SEEN_FALSE_END, FOUND_FALSE_END, true, true},
        {SEEN_BARE_LF, FOUND_BARE_LF, true, false},
        {SEEN_BARE_CR, FOUND_BARE_CR, true, false},
        {SEEN_LONG, FOUND_LINE_LONG, true, false},
        {SEEN_NOT_STUFFED, FOUND_NOT_STUFFED, true, true},
        {SEEN_NUL, FOUND_NUL_BYTE, true, false},
        {SEEN_8BIT, FOUND_BODY_8BIT, false, false},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        bool allowed = (may_8bit && !rows[i].also_8bit) || (may_binary && !rows[i].also_binary);

        if (!allowed)
            tell(l, j, rows[i].seen, rows[i].found);
    }
}
