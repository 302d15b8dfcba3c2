// SPDX-License-Identifier: ISC
#include "mailauth/canonical.h"

#include <string.h>

#include "base/check.h"

static bool is_white(char c)
{
    return char_is_blank(c) || c == '\r' || c == '\n';
}

void canonical_field(struct buf *to, struct str name, struct str value)
{
    name = str_trim(name);
    for (size_t i = 0; i < name.n; i++)
        (void)buf_add_char(to, char_lower(name.p[i]));
    (void)buf_add_char(to, ':');
    value = str_trim(value);
    for (size_t i = 0; i < value.n; i++) {
        bool white = is_white(value.p[i]);

        if (!white)
            (void)buf_add_char(to, value.p[i]);
        else if (!is_white(value.p[i - 1])) /* trimmed: the first is none */
            (void)buf_add_char(to, ' ');
    }
    (void)buf_add(to, STR("\r\n"));
}

void canonical_body_init(struct canonical_body *c, void (*fn)(void *arg, struct str bytes),
                         void *arg)
{
    c->fn = fn;
    c->arg = arg;
    c->line_ends = 0;
    c->blank = c->saw_cr = c->anything = false;
    c->n = 0;
}

static void flush(struct canonical_body *c)
{
    if (c->n > 0)
        c->fn(c->arg, str_n(c->out, c->n));
    c->n = 0;
}

static void put(struct canonical_body *c, struct str bytes)
{
    if (bytes.n > sizeof c->out - c->n)
        flush(c);
    if (bytes.n > sizeof c->out) {
        c->fn(c->arg, bytes);
        return;
    }
    memcpy(c->out + c->n, bytes.p, bytes.n);
    c->n += bytes.n;
}

/* What was held back has something behind it now, so it counts. */
static void put_held(struct canonical_body *c)
{
    for (; c->line_ends > 0; c->line_ends--)
        put(c, STR("\r\n"));
    if (c->blank)
        put(c, STR(" "));
    c->blank = false;
    c->anything = true;
}

static void put_text(struct canonical_body *c, struct str bytes)
{
    put_held(c);
    put(c, bytes);
}

static void line_end(struct canonical_body *c)
{
    c->blank = false;
    c->saw_cr = false;
    c->line_ends++;
}

static size_t text_bytes(struct str s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] != '\r' && !char_is_blank(s.p[n]))
        n++;
    return n;
}

void canonical_body_feed(struct canonical_body *c, struct str bytes)
{
    while (bytes.n > 0) {
        char first = bytes.p[0];
        size_t n = 1;

        if (c->saw_cr && first == '\n') {
            line_end(c);
        } else {
            if (c->saw_cr)
                put_text(c, STR("\r"));
            c->saw_cr = first == '\r';
            if (char_is_blank(first))
                c->blank = true;
            else if (!c->saw_cr) {
                n = text_bytes(bytes);
                put_text(c, str_sub(bytes, 0, n));
            }
        }
        bytes = str_skip(bytes, n);
    }
}

void canonical_body_end(struct canonical_body *c)
{
    if (c->saw_cr)
        put_text(c, STR("\r"));
    if (c->anything)
        put(c, STR("\r\n"));
    flush(c);
}
