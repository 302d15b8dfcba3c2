// SPDX-License-Identifier: ISC
#include "mail/status.h"

#include <string.h>

struct status status_make(uint16_t code, uint8_t class, uint8_t subject, uint8_t detail,
                          struct str text)
{
    struct status st = {.code = code, .class = class, .subject = subject, .detail = detail};

    text = str_sub(text, 0, sizeof(st.text) - 1);
    if (text.n)
        memcpy(st.text, text.p, text.n);
    return st;
}

/* One number of an enhanced code: up to three digits, no leading zero. RFC 3463 2 */
static bool cut_number(struct str *s, uint8_t *ret)
{
    size_t n = 0;
    uint64_t v;

    while (n < s->n && char_is_digit(s->p[n]))
        n++;
    if (n > 3 || !str_u64(str_sub(*s, 0, n), &v) || v > UINT8_MAX || (n > 1 && s->p[0] == '0'))
        return false;
    *ret = (uint8_t)v;
    *s = str_skip(*s, n);
    return true;
}

static bool cut_dot(struct str *s)
{
    if (s->n == 0 || s->p[0] != '.')
        return false;
    *s = str_skip(*s, 1);
    return true;
}

/* Cuts an enhanced code off the front of *s, when it is followed by a blank or the end. */
static bool cut_enhanced(struct str *s, struct status *ret)
{
    struct str rest = *s;
    uint8_t class;
    uint8_t subject;
    uint8_t detail;

    if (!cut_number(&rest, &class) || (class != 2 && class != 4 && class != 5))
        return false;
    if (!cut_dot(&rest) || !cut_number(&rest, &subject) || !cut_dot(&rest) ||
        !cut_number(&rest, &detail))
        return false;
    if (rest.n > 0 && !char_is_blank(rest.p[0]))
        return false;
    ret->class = class;
    ret->subject = subject;
    ret->detail = detail;
    *s = str_trim(rest);
    return true;
}

bool status_parse_enhanced(struct str s, struct status *ret)
{
    struct status st = *ret;

    if (str_find(s, ' ') < s.n || str_find(s, '\t') < s.n || !cut_enhanced(&s, &st))
        return false;
    *ret = st;
    return true;
}

static uint8_t class_of_code(uint16_t code)
{
    switch (code / 100) {
    case 2:
        return 2;
    case 5:
        return 5;
    default: /* 3xx at the end of something, or no reply code at all: not to be relied on */
        return 4;
    }
}

struct status status_from_reply(uint16_t code, struct str text)
{
    struct status st = {.code = code, .class = class_of_code(code)};
    size_t n = 0;

    /* The lines of a long reply repeat the enhanced code (RFC 2034 4) and become one text. A code
     * of another class than the reply's is no such code. */
    for (bool first = true; text.n > 0; first = false) {
        struct str line = str_trim(str_cut(&text, '\n'));
        struct str rest = line;
        struct status found = st;
        if (cut_enhanced(&rest, &found) && found.class == st.class) {
            line = rest;
            if (first)
                st = found;
        }
        if (n > 0 && n < sizeof(st.text) - 1 && line.n > 0)
            st.text[n++] = ' ';
        line = str_sub(line, 0, sizeof(st.text) - 1 - n);
        if (line.n)
            memcpy(st.text + n, line.p, line.n);
        n += line.n;
    }
    return st;
}

void status_print_enhanced(struct buf *to, const struct status *st)
{
    (void)buf_add_u64(to, st->class);
    (void)buf_add_char(to, '.');
    (void)buf_add_u64(to, st->subject);
    (void)buf_add_char(to, '.');
    (void)buf_add_u64(to, st->detail);
}
