/* cli/readable.c - text of strangers on a terminal: letters of all languages and domains as people
 * write them, but nothing that moves the cursor, hides, or turns what stands beside it. */
// SPDX-License-Identifier: ISC
#include <stdio.h>

#include "base/check.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "mail/address.h"
#include "mail/idn.h"

/* Cuts a character that can be shown, or one byte that cannot. */
static bool cut_visible(struct str *rest, struct str *ret)
{
    struct str from = *rest;
    uint32_t c;
    bool visible = utf8_cut(rest, &c) && utf8_is_visible(c);

    if (!visible)
        *rest = str_skip(from, 1);
    *ret = str_sub(from, 0, from.n - rest->n);
    return visible;
}

static struct buf readable(struct str text)
{
    struct buf b = buf_init(8 * text.n + KIB);

    idn_print_readable(&b, text);
    return b;
}

/* Nearly all text: it need not be looked at letter by letter. */
static bool shows_as_it_is(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\' ||
            (s.p[i] == '-' && str_starts(str_skip(s, i), STR("--")))) /* xn--… */
            return false;
    return true;
}

size_t write_text(FILE *to, struct str text)
{
    if (text.n == 0)
        return 0;
    if (shows_as_it_is(text))
        return fwrite(text.p, 1, text.n, to);

    struct buf b = readable(text);
    struct str rest = buf_str(&b), one;
    size_t columns = 0;

    for (; rest.n > 0; columns++) {
        if (!cut_visible(&rest, &one))
            one = STR("?");
        fprintf(to, "%.*s", STR_ARG(one));
    }
    buf_free(&b);
    return columns;
}

size_t print_text(struct str text)
{
    return write_text(stdout, text);
}

void print_value(struct str value)
{
    if (value.n > 0 && shows_as_it_is(value) && str_find(value, ' ') == value.n &&
        str_find(value, '=') == value.n) {
        (void)fwrite(value.p, 1, value.n, stdout);
        return;
    }

    struct buf b = readable(value);
    struct str rest = buf_str(&b), one;
    bool quoted = rest.n == 0 || str_find(rest, ' ') < rest.n || str_find(rest, '=') < rest.n;

    printf("%s", quoted ? "\"" : "");
    while (rest.n > 0) {
        if (cut_visible(&rest, &one) && one.p[0] != '"' && one.p[0] != '\\')
            printf("%.*s", STR_ARG(one));
        else
            printf("\\x%02x", (uint8_t)one.p[0]);
    }
    printf("%s", quoted ? "\"" : "");
    buf_free(&b);
}

struct str stored_form(struct arena *a, const char *text)
{
    struct str s = str_c(text), domain;
    struct address address;

    if (utf8_is_ascii(s))
        return s;
    if (str_starts(s, STR("@")) && idn_to_ascii(str_skip(s, 1), a, &domain))
        return arena_printf(a, "@%.*s", STR_ARG(domain));
    return address_parse(s, a, &address, NULL) ? address_text(a, &address) : s;
}
