// SPDX-License-Identifier: ISC
#include "mail/idn.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

#include "base/check.h"
#include "base/utf8.h"

/* Of what goes into the libraries; a domain of 253 bytes in A-labels has fewer characters. */
enum { IDN_INPUT_BYTES_MAX = 1024 };

/* A copy that ends in NUL; NULL: too long, or there is one inside. */
static const char *terminated(struct str s, struct arena *a)
{
    return s.n > IDN_INPUT_BYTES_MAX || str_find(s, '\0') < s.n ? NULL : arena_c(a, s);
}

static bool take(char *text, int code, struct arena *a, struct str *ret)
{
    bool ok = code == IDN2_OK && text && *text;

    if (ok)
        *ret = arena_copy(a, str_c(text));
    if (code == IDN2_OK)
        idn2_free(text);
    return ok;
}

bool idn_to_ascii(struct str domain, struct arena *a, struct str *ret)
{
    const char *text = utf8_valid(domain) ? terminated(domain, a) : NULL;
    uint8_t *ascii = NULL;
    struct str found;

    if (!text)
        return false;
    int code = idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (!take((char *)ascii, code, a, &found) || !utf8_is_ascii(found))
        return false;
    *ret = found;
    return true;
}

struct str idn_readable(struct str domain, struct arena *a)
{
    const char *text = terminated(domain, a);
    char *unicode = NULL;
    struct str found, again;

    if (!text || str_find_str(domain, STR("xn--")) == domain.n)
        return domain;
    int code = idn2_to_unicode_8z8z(text, &unicode, 0);
    if (!take(unicode, code, a, &found))
        return domain;
    return utf8_visible(found) && idn_to_ascii(found, a, &again) && str_eq(again, domain) ? found
                                                                                          : domain;
}

static bool is_domain_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '.';
}

/* May a domain stand between these? Not in a local part, where xn-- means nothing. */
static bool is_apart(struct str before, struct str after)
{
    static const char closing[] = " \t\n>)],:;/\"'";

    return (before.n == 0 || !strchr("!#$%&'*+=?^_`{|}~", before.p[before.n - 1])) &&
           (after.n == 0 || (after.p[0] && strchr(closing, after.p[0])));
}

void idn_print_readable(struct buf *to, struct str text)
{
    struct arena a = ARENA_INIT;

    for (size_t from = 0; from < text.n;) {
        size_t end = from;

        while (end < text.n && is_domain_char(text.p[end]))
            end++;
        struct str run = str_sub(text, from, end);
        if (is_apart(str_sub(text, 0, from), str_skip(text, end)))
            run = idn_readable(run, &a);
        buf_add(to, run);
        for (from = end; from < text.n && !is_domain_char(text.p[from]); from++)
            buf_add_char(to, text.p[from]);
    }
    arena_free(&a);
}

bool nfc_make(struct str text, struct arena *a, struct str *ret)
{
    size_t n = 0;

    if (utf8_is_ascii(text)) {
        *ret = text;
        return true;
    }
    if (!utf8_valid(text) || text.n > IDN_INPUT_BYTES_MAX)
        return false;

    uint8_t *made = u8_normalize(UNINORM_NFC, (const uint8_t *)text.p, text.n, NULL, &n);
    bool ok = made != NULL;

    if (ok)
        *ret = arena_copy(a, str_n((const char *)made, n));
    free(made);
    return ok;
}
