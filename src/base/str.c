// SPDX-License-Identifier: ISC
#include "base/str.h"

#include <string.h>

struct str str_c(const char *terminated)
{
    if (!terminated)
        return STR_NONE;
    return (struct str){terminated, strlen(terminated)};
}

struct str str_n(const char *p, size_t n)
{
    return (struct str){p, n};
}

char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool char_is_alpha(char c)
{
    c = char_lower(c);
    return c >= 'a' && c <= 'z';
}

bool char_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool bytes_eq(const char *a, const char *b, size_t n)
{
    return n == 0 || memcmp(a, b, n) == 0; /* memcmp must not be given NULL */
}

static bool bytes_eq_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (char_lower(a[i]) != char_lower(b[i]))
            return false;
    return true;
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && bytes_eq(a.p, b.p, a.n);
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && bytes_eq_nocase(a.p, b.p, a.n);
}

bool str_eq_c(struct str a, const char *b)
{
    return str_eq(a, str_c(b));
}

int str_cmp(struct str a, struct str b)
{
    size_t common = a.n < b.n ? a.n : b.n;
    int order = common ? memcmp(a.p, b.p, common) : 0;

    if (order != 0 || a.n == b.n)
        return order;
    return a.n < b.n ? -1 : 1;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && bytes_eq(s.p, prefix.p, prefix.n);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && bytes_eq_nocase(s.p, prefix.p, prefix.n);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq_nocase(str_skip(s, s.n - suffix.n), suffix);
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

size_t str_find_last(struct str s, char c)
{
    const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

size_t str_find_str(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (needle.n > s.n)
        return s.n;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? (size_t)(at - s.p) : s.n;
}

struct str str_sub(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return (struct str){s.p ? s.p + from : NULL, to - from};
}

struct str str_skip(struct str s, size_t n)
{
    return str_sub(s, n, s.n);
}

static bool is_trimmed(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_trimmed(s.p[s.n - 1]))
        s.n--;
    while (s.n > 0 && is_trimmed(s.p[0]))
        s = str_skip(s, 1);
    return s;
}

struct str str_cut(struct str *s, char c)
{
    size_t at = str_find(*s, c);
    struct str before = str_sub(*s, 0, at);

    *s = str_skip(*s, at < s->n ? at + 1 : at);
    return before;
}

static struct str skip_blanks(struct str s)
{
    size_t n = 0;

    while (n < s.n && char_is_blank(s.p[n]))
        n++;
    return str_skip(s, n);
}

struct str str_cut_word(struct str *s)
{
    struct str rest = skip_blanks(*s);
    size_t n = 0;

    while (n < rest.n && !char_is_blank(rest.p[n]))
        n++;
    *s = skip_blanks(str_skip(rest, n));
    return str_sub(rest, 0, n);
}

bool str_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!char_is_digit(s.p[i]))
            return false;
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}
