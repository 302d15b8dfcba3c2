/* wire/parameter.c - see parameter.h. */
// SPDX-License-Identifier: ISC
#include "wire/parameter.h"

#include "base/check.h"
#include "base/utf8.h"

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

/* To any bytes but controls. */
static bool xtext_decode(struct str text, size_t bytes_max, struct arena *a, struct str *ret)
{
    char *to = arena_alloc(a, MIN_OF(text.n, bytes_max) + 1);
    size_t n = 0;

    if (text.n > bytes_max)
        return false;
    while (text.n > 0) {
        bool escaped = text.p[0] == '+';
        int c = escaped ? hex_pair(text) : (unsigned char)text.p[0];
        if (c < ' ' || c == 0x7f || (!escaped && (c == ' ' || c == '=' || c > '~')))
            return false;
        to[n++] = (char)c;
        text = str_skip(text, escaped ? 3 : 1);
    }
    *ret = str_n(to, n);
    return n > 0;
}

bool xtext_parse(struct str text, size_t bytes_max, struct arena *a, struct str *ret)
{
    struct str decoded;

    if (!xtext_decode(text, bytes_max, a, &decoded) || !utf8_is_ascii(decoded))
        return false;
    *ret = decoded;
    return true;
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

/* "\\x{43F}" at the front of *s: cut off. RFC 6533 3 EmbeddedUnicodeChar. */
static bool cut_embedded(struct str *s, uint32_t *ret)
{
    enum { DIGITS_MAX = 6 };
    struct str rest = str_skip(*s, 3);
    uint32_t c = 0;
    size_t n = 0;

    if (!str_starts(*s, STR("\\x{")))
        return false;
    for (; n < rest.n && n <= DIGITS_MAX && hex_digit(rest.p[n]) >= 0; n++)
        c = c * 16 + (uint32_t)hex_digit(rest.p[n]);
    if (n == 0 || n > DIGITS_MAX || n == rest.n || rest.p[n] != '}')
        return false;
    *s = str_skip(rest, n + 1);
    *ret = c;
    return true;
}

/* RFC 6533 3 QCHAR */
static bool is_plain_character(uint32_t c)
{
    return c > ' ' && c != '+' && c != '=' && c != '\\';
}

bool unitext_parse(struct str text, struct arena *a, struct str *ret)
{
    char *to = arena_alloc(a, MIN_OF(text.n, (size_t)ORCPT_BYTES_MAX) + UTF8_BYTES_MAX);
    size_t n = 0;

    if (text.n > ORCPT_BYTES_MAX)
        return false;
    while (text.n > 0) {
        uint32_t c;
        if (!cut_embedded(&text, &c) && (!utf8_cut(&text, &c) || !is_plain_character(c)))
            return false;
        if (!utf8_is_visible(c))
            return false;
        n += utf8_put(to + n, c);
    }
    *ret = str_n(to, n);
    return n > 0;
}

void unitext_print(struct buf *to, struct str decoded, bool ascii)
{
    uint32_t c;

    while (utf8_cut(&decoded, &c)) {
        char bytes[UTF8_BYTES_MAX];
        if (is_plain_character(c) && (c <= '~' || !ascii))
            buf_add(to, str_n(bytes, utf8_put(bytes, c)));
        else
            buf_printf(to, "\\x{%X}", c);
    }
}

bool orcpt_parse(struct str value, struct arena *a, struct str *ret)
{
    size_t at = str_find(value, ';');
    struct str address;

    if (at == value.n || value.n > ORCPT_BYTES_MAX)
        return false;
    struct str type = str_sub(value, 0, at), encoded = str_skip(value, at + 1);
    if (orcpt_is_utf8(value) ? !unitext_parse(encoded, a, &address)
                             : !xtext_decode(encoded, ORCPT_BYTES_MAX, a, &address))
        return false;
    if (str_eq_nocase(type, STR("rfc822")) && !utf8_is_ascii(address))
        type = STR("utf-8"); /* Postfix writes the bytes of UTF-8 as xtext */
    struct str all = arena_printf(a, "%.*s;%.*s", STR_ARG(type), STR_ARG(address));
    if (!orcpt_valid(all))
        return false;
    *ret = all;
    return true;
}

void orcpt_print(struct buf *to, struct str decoded, bool ascii)
{
    struct str address = decoded;
    struct str type = str_cut(&address, ';');

    buf_add(to, type);
    buf_add_char(to, ';');
    if (orcpt_is_utf8(decoded))
        unitext_print(to, address, ascii);
    else
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

static void add_orcpt(struct buf *to, struct str decoded, bool ascii)
{
    struct buf value = buf_init(ORCPT_BYTES_MAX);

    orcpt_print(&value, decoded, ascii);
    if (!value.full)
        buf_printf(to, " ORCPT=%.*s", (int)value.n, value.p);
    buf_free(&value);
}

void rcpt_wishes_print(struct buf *to, const struct notify *n, bool ascii)
{
    if (n->when & NOTIFY_ASKED) {
        buf_add_c(to, " NOTIFY=");
        notify_print(to, n->when);
    }
    if (n->orcpt.n > 0)
        add_orcpt(to, n->orcpt, ascii);
}
