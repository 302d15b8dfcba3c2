/* mailauth/spf_record.c - see spf_record.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/spf_record.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

enum { IPV4_BITS = 32, IPV6_BITS = 128, EXPANDED_BYTES_MAX = 1024 };

static const char version[] = "v=spf1";

bool spf_record_is(struct str text)
{
    return str_starts_nocase(text, str_c(version)) &&
           (text.n == strlen(version) || text.p[strlen(version)] == ' ');
}

/* ---- macros and domains ---- */

struct macro_text {
    size_t macro_end;            /* behind the last macro that expands to something */
    size_t last_dot, dot_before; /* of the literal ones; n: none */
};

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* "{d2r-}" behind the %: its length, or 0. c, r and t may only stand in an explanation's text. */
static size_t macro_bytes(struct str s)
{
    size_t at = 2;
    bool digits = false, nonzero = false;

    if (s.n < 3 || s.p[0] != '{' || !is_one_of(char_lower(s.p[1]), "slodiphv"))
        return 0;
    for (; at < s.n && char_is_digit(s.p[at]); at++) {
        digits = true;
        nonzero = nonzero || s.p[at] != '0';
    }
    if (at < s.n && char_lower(s.p[at]) == 'r')
        at++;
    while (at < s.n && is_one_of(s.p[at], ".-+,/_="))
        at++;
    return at < s.n && s.p[at] == '}' && digits == nonzero ? at + 1 : 0;
}

/* Walks over a macro-string. False: it is none. */
static bool macro_string(struct str s, struct macro_text *ret)
{
    *ret = (struct macro_text){.last_dot = s.n, .dot_before = s.n};
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '!' || s.p[i] > '~')
            return false;
        if (s.p[i] == '.') {
            ret->dot_before = ret->last_dot;
            ret->last_dot = i;
        }
        if (s.p[i] != '%')
            continue;
        struct str rest = str_skip(s, i + 1);
        size_t n = macro_bytes(rest);

        if (n > 0)
            ret->macro_end = i + 1 + n;
        else if (rest.n > 0 && is_one_of(rest.p[0], "%_-"))
            n = 1;
        else
            return false;
        i += n;
    }
    return true;
}

/* RFC 7208 7.1: letters, digits, and hyphens within; not digits alone. */
static bool toplabel(struct str s)
{
    bool other = false;

    if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && s.p[i] != '-')
            return false;
        other = other || !char_is_digit(s.p[i]);
    }
    return other;
}

/* It ends with a macro, or with a literal label behind a literal dot. */
static bool domain_spec(struct str s)
{
    struct macro_text m;
    size_t end = s.n;
    size_t dot;

    if (s.n == 0 || !macro_string(s, &m))
        return false;
    if (m.macro_end == s.n)
        return true;
    dot = m.last_dot;
    if (dot + 1 == s.n) {
        end--;
        dot = m.dot_before;
    }
    return dot < end && dot >= m.macro_end && toplabel(str_sub(s, dot + 1, end));
}

static bool take_domain(struct str spec, struct str *ret, struct record_error *error,
                        struct str about)
{
    if (!domain_spec(spec))
        return record_wrong(error, N_("a name of a domain is needed there, and this is none"),
                            about);
    *ret = spec;
    return true;
}

/* ---- mechanisms ---- */

/* "0", or digits that do not begin with 0, up to `most`. */
static bool take_bits(struct str digits, unsigned most, uint8_t *ret)
{
    uint64_t v;

    if (digits.n > 3 || !str_u64(digits, &v) || v > most || (digits.n > 1 && digits.p[0] == '0'))
        return false;
    *ret = (uint8_t)v;
    return true;
}

/* Where the digits at the end of s begin. */
static size_t digits_at_end(struct str s)
{
    size_t n = s.n;

    while (n > 0 && char_is_digit(s.p[n - 1]))
        n--;
    return n;
}

/* Takes "/24//64" off the end. */
static bool cut_lengths(struct str *rest, struct spf_term *t)
{
    size_t at = digits_at_end(*rest);

    if (at >= 2 && rest->p[at - 1] == '/' && rest->p[at - 2] == '/') {
        if (!take_bits(str_skip(*rest, at), IPV6_BITS, &t->bits6))
            return false;
        *rest = str_sub(*rest, 0, at - 2);
        at = digits_at_end(*rest);
    }
    if (at >= 1 && rest->p[at - 1] == '/') {
        if (!take_bits(str_skip(*rest, at), IPV4_BITS, &t->bits4))
            return false;
        *rest = str_sub(*rest, 0, at - 1);
    }
    return true;
}

static bool read_all(struct str rest, struct spf_term *t, struct record_error *error)
{
    return rest.n == 0 || record_wrong(error, N_("\"all\" takes nothing behind it"), t->text);
}

/* include, exists */
static bool read_domain(struct str rest, struct spf_term *t, struct record_error *error)
{
    if (rest.n == 0 || rest.p[0] != ':')
        return record_wrong(error, N_("this mechanism wants \":\" and a name of a domain"),
                            t->text);
    return take_domain(str_skip(rest, 1), &t->domain, error, t->text);
}

static bool read_ptr(struct str rest, struct spf_term *t, struct record_error *error)
{
    return rest.n == 0 || read_domain(rest, t, error);
}

/* a, mx */
static bool read_hosts(struct str rest, struct spf_term *t, struct record_error *error)
{
    t->bits4 = IPV4_BITS;
    t->bits6 = IPV6_BITS;
    if (!cut_lengths(&rest, t))
        return record_wrong(error, N_("a length of a network that cannot be"), t->text);
    return rest.n == 0 || read_domain(rest, t, error);
}

static bool take_address(int family, struct str s, uint8_t *ret)
{
    char text[INET6_ADDRSTRLEN + 1];

    if (s.n >= sizeof text || str_find(s, '\0') < s.n)
        return false;
    memcpy(text, s.p ? s.p : "", s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, ret) == 1;
}

static bool read_network(struct str rest, struct spf_term *t, struct record_error *error)
{
    bool four = t->mechanism == SPF_IP4;
    uint8_t *bits = four ? &t->bits4 : &t->bits6;
    unsigned most = four ? IPV4_BITS : IPV6_BITS;

    *bits = (uint8_t)most;
    if (rest.n == 0 || rest.p[0] != ':')
        return record_wrong(error, N_("this mechanism wants \":\" and an address"), t->text);
    rest = str_skip(rest, 1);
    struct str address = str_sub(rest, 0, str_find(rest, '/'));
    if (!take_address(four ? AF_INET : AF_INET6, address, t->address))
        return record_wrong(
            error, four ? N_("this is no address of IPv4") : N_("this is no address of IPv6"),
            t->text);
    if (address.n < rest.n && !take_bits(str_skip(rest, address.n + 1), most, bits))
        return record_wrong(error, N_("a length of a network that cannot be"), t->text);
    return true;
}

static const struct mechanism {
    const char *name;
    bool asks;
    bool (*read)(struct str rest, struct spf_term *t, struct record_error *error);
} mechanisms[SPF_MECHANISM_COUNT] = {
    [SPF_ALL] = {"all", false, read_all},     [SPF_INCLUDE] = {"include", true, read_domain},
    [SPF_A] = {"a", true, read_hosts},        [SPF_MX] = {"mx", true, read_hosts},
    [SPF_PTR] = {"ptr", true, read_ptr},      [SPF_IP4] = {"ip4", false, read_network},
    [SPF_IP6] = {"ip6", false, read_network}, [SPF_EXISTS] = {"exists", true, read_domain},
};

static bool find_mechanism(struct str name, enum spf_mechanism *ret)
{
    for (enum spf_mechanism m = 0; m < SPF_MECHANISM_COUNT; m++)
        if (str_eq_nocase(name, str_c(mechanisms[m].name))) {
            *ret = m;
            return true;
        }
    return false;
}

bool spf_asks(enum spf_mechanism m)
{
    return mechanisms[m].asks;
}

const struct spf_term *spf_all(const struct spf_record *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->terms[i].mechanism == SPF_ALL)
            return &r->terms[i];
    return NULL;
}

/* ---- terms ---- */

static bool take_directive(struct spf_record *r, struct str text, size_t name_end,
                           struct record_error *error)
{
    size_t sign = is_one_of(text.p[0], "+-?~") ? 1 : 0;
    struct spf_term *t = &r->terms[r->count];

    if (r->count == SPF_TERMS_MAX)
        return record_wrong(error, N_("more terms than anybody needs"), text);
    *t = (struct spf_term){.text = text, .qualifier = sign ? text.p[0] : '+'};
    if (!find_mechanism(str_sub(text, sign, name_end), &t->mechanism))
        return record_wrong(error, N_("an unknown mechanism"), text);
    if (!mechanisms[t->mechanism].read(str_skip(text, name_end), t, error))
        return false;
    if (spf_all(r) && !r->after_all.p)
        r->after_all = text;
    r->count++;
    return true;
}

static bool modifier_name(struct str name)
{
    if (name.n == 0 || !char_is_alpha(name.p[0]))
        return false;
    for (size_t i = 1; i < name.n; i++)
        if (!char_is_alpha(name.p[i]) && !char_is_digit(name.p[i]) && !is_one_of(name.p[i], "-_."))
            return false;
    return true;
}

static bool take_once(struct str *to, struct str value, struct str text, struct record_error *error)
{
    if (to->n > 0)
        return record_wrong(error, N_("a modifier that may be there once is there twice"), text);
    return take_domain(value, to, error, text);
}

static bool take_modifier(struct spf_record *r, struct str text, size_t name_end,
                          struct record_error *error)
{
    struct str name = str_sub(text, 0, name_end);
    struct str value = str_skip(text, name_end + 1);
    enum spf_mechanism m;
    struct macro_text ignored;

    if (!modifier_name(name))
        return record_wrong(error, N_("this cannot be the name of a modifier"), text);
    if (str_eq_nocase(name, STR("redirect")))
        return take_once(&r->redirect, value, text, error);
    if (str_eq_nocase(name, STR("exp")))
        return take_once(&r->explanation, value, text, error);
    if (find_mechanism(name, &m) && !r->mistaken.p)
        r->mistaken = text;
    return macro_string(value, &ignored) ||
           record_wrong(error, N_("a macro that is not written as RFC 7208 7 wants it"), text);
}

static bool take_term(struct spf_record *r, struct str text, struct record_error *error)
{
    size_t name_end = 0;

    while (name_end < text.n && !is_one_of(text.p[name_end], ":/="))
        name_end++;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '!' || text.p[i] > '~')
            return record_wrong(error, N_("a character that is not printable ASCII"), text);
    return name_end < text.n && text.p[name_end] == '=' ? take_modifier(r, text, name_end, error)
                                                        : take_directive(r, text, name_end, error);
}

bool spf_record_parse(struct str text, struct spf_record *ret, struct record_error *error)
{
    *ret = (struct spf_record){0};
    if (!spf_record_is(text))
        return record_wrong(error, N_("it does not begin with \"v=spf1\" and a blank"), STR_NONE);
    text = str_skip(text, strlen(version));
    while (text.n > 0) {
        struct str one = str_cut(&text, ' ');

        if (one.n > 0 && !take_term(ret, one, error))
            return false;
    }
    return true;
}

/* ---- what the macros mean ---- */

bool spf_expand(struct str spec, struct str domain, struct arena *a, struct str *ret)
{
    struct buf to = buf_init(EXPANDED_BYTES_MAX);

    while (spec.n > 0) {
        struct str literal = str_sub(spec, 0, str_find(spec, '%'));

        buf_add(&to, literal);
        spec = str_skip(spec, literal.n);
        if (spec.n == 0)
            break;
        bool is_domain = str_starts_nocase(spec, STR("%{d}"));
        if (is_domain)
            buf_add(&to, domain);
        else if (str_starts(spec, STR("%%")))
            buf_add_char(&to, '%');
        else
            break;
        spec = str_skip(spec, is_domain ? 4 : 2);
    }
    bool known = spec.n == 0 && !to.full;
    if (known)
        *ret = arena_copy(a, buf_str(&to));
    buf_free(&to);
    return known;
}
