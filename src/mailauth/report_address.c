/* mailauth/report_address.c - see report_address.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/report_address.h"

/* "!10m" at the end: digits and one of k, m, g, t, or none. */
static bool size_good(struct str s)
{
    uint64_t v;

    if (s.n > 0 && char_is_alpha(s.p[s.n - 1])) {
        char unit = char_lower(s.p[s.n - 1]);

        if (unit != 'k' && unit != 'm' && unit != 'g' && unit != 't')
            return false;
        s.n--;
    }
    return str_u64(s, &v);
}

static bool uri_good(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static bool take_mailto(struct report_address *to, struct str rest)
{
    struct str address = str_sub(rest, 0, str_find(rest, '?'));
    size_t at = str_find_last(address, '@');

    to->address = address;
    to->host = str_skip(address, at + 1);
    return at > 0 && to->host.n > 0 && at < address.n;
}

static bool take_https(struct report_address *to, struct str rest)
{
    to->host = str_sub(rest, 0, str_find(rest, '/'));
    to->host = str_sub(to->host, 0, str_find(to->host, ':'));
    return to->host.n > 0;
}

static bool take_uri(struct report_address *to, struct str text)
{
    static const struct str mailto = {"mailto:", 7}, https = {"https://", 8};

    *to = (struct report_address){.uri = text};
    if (str_starts_nocase(text, mailto))
        return take_mailto(to, str_skip(text, mailto.n));
    return str_starts_nocase(text, https) && take_https(to, str_skip(text, https.n));
}

bool report_addresses_parse(struct str text, bool sized, struct report_addresses *ret,
                            struct record_error *error)
{
    ret->count = 0;
    do {
        struct str one = str_trim(str_cut(&text, ','));
        struct str uri = sized ? str_sub(one, 0, str_find(one, '!')) : one;

        if (uri.n < one.n && !size_good(str_skip(one, uri.n + 1)))
            return record_wrong(error, N_("a size of reports that is none"), one);
        if (ret->count == REPORT_ADDRESSES_MAX)
            return record_wrong(error, N_("more addresses for reports than anybody needs"), one);
        if (!uri_good(uri) || !take_uri(&ret->list[ret->count], uri))
            return record_wrong(
                error, N_("reports go to mailto: and an address, and this is something else"), one);
        ret->count++;
    } while (text.n > 0);
    return true;
}
