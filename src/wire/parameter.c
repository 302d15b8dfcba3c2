/* wire/parameter.c - see parameter.h. */
// SPDX-License-Identifier: ISC
#include "wire/parameter.h"

#include "base/check.h"

static int hex_digit(char c)
{
    if (char_is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte behind a '+', or a negative number. */
static int hex_pair(struct str s)
{
    int high = s.n > 2 ? hex_digit(s.p[1]) : -1;
    int low = high >= 0 ? hex_digit(s.p[2]) : -1;

    return low < 0 ? -1 : high * 16 + low;
}

bool xtext_parse(struct str text, size_t bytes_max, struct arena *a, struct str *ret)
{
    char *to = arena_alloc(a, MIN_OF(text.n, bytes_max) + 1);
    size_t n = 0;

    if (text.n > bytes_max)
        return false;
    while (text.n > 0) {
        bool escaped = text.p[0] == '+';
        int c = escaped ? hex_pair(text) : (unsigned char)text.p[0];
        if (c < ' ' || c > '~' || (!escaped && (c == ' ' || c == '=')))
            return false;
        to[n++] = (char)c;
        text = str_skip(text, escaped ? 3 : 1);
    }
    *ret = str_n(to, n);
    return n > 0;
}

void xtext_print(struct buf *to, struct str decoded)
{
    for (size_t i = 0; i < decoded.n; i++) {
        unsigned char c = (unsigned char)decoded.p[i];
        if (c <= ' ' || c > '~' || c == '+' || c == '=')
            buf_printf(to, "+%02X", c);
        else
            buf_add_char(to, (char)c);
    }
}

bool orcpt_parse(struct str value, struct arena *a, struct str *ret)
{
    size_t at = str_find(value, ';');
    struct str address;

    if (at == value.n || value.n > ORCPT_BYTES_MAX ||
        !xtext_parse(str_skip(value, at + 1), ORCPT_BYTES_MAX, a, &address))
        return false;
    struct str all = arena_printf(a, "%.*s;%.*s", (int)at, value.p, (int)address.n, address.p);
    if (!orcpt_valid(all))
        return false;
    *ret = all;
    return true;
}

void orcpt_print(struct buf *to, struct str decoded)
{
    struct str address = decoded;
    struct str type = str_cut(&address, ';');

    buf_add(to, type);
    buf_add_char(to, ';');
    xtext_print(to, address);
}

void mail_wishes_print(struct buf *to, enum notify_return ret, struct str envid)
{
    if (ret != RETURN_UNSAID)
        buf_printf(to, " RET=%s", notify_return_name(ret));
    if (envid.n > 0) {
        buf_add_c(to, " ENVID=");
        xtext_print(to, envid);
    }
}

void rcpt_wishes_print(struct buf *to, const struct notify *n)
{
    if (n->when & NOTIFY_ASKED) {
        buf_add_c(to, " NOTIFY=");
        notify_print(to, n->when);
    }
    if (n->orcpt.n > 0) {
        buf_add_c(to, " ORCPT=");
        orcpt_print(to, n->orcpt);
    }
}
