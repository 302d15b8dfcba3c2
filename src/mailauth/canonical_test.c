// SPDX-License-Identifier: ISC
#include "mailauth/canonical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void fields(void **state)
{
    static const struct {
        const char *name, *value, *want;
    } cases[] = {
        {"A", " X", "a:X\r\n"}, /* RFC 6376 3.4.5 */
        {"B ", " Y\t\r\n\tZ  ", "b:Y Z\r\n"},
        {"SUBJect", " AbC\r\n", "subject:AbC\r\n"},
        {"Subject", "", "subject:\r\n"},
        {"Subject", " \t\r\n ", "subject:\r\n"},
        {"X", "\r\n \r\n  a\r\n\t \r\n b", "x:a b\r\n"},
        {"X", "\xd0\x96", "x:\xd0\x96\r\n"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(KIB);

        canonical_field(&b, str_c(cases[i].name), str_c(cases[i].value));
        assert_string_equal(buf_c(&b), cases[i].want);
        buf_free(&b);
    }
}

static void add(void *arg, struct str bytes)
{
    (void)buf_add(arg, bytes);
}

static void canonical(struct str in, size_t step, struct buf *to)
{
    static struct canonical_body c;

    buf_reset(to);
    canonical_body_init(&c, add, to);
    for (size_t at = 0; at < in.n; at += step)
        canonical_body_feed(&c, str_sub(in, at, at + step));
    canonical_body_end(&c);
}

static void bodies(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"", ""},
        {" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"}, /* RFC 6376 3.4.5 */
        {"\r\n", ""},
        {"\r\n\r\n \t\r\n", ""},
        {" \t", ""},
        {"a", "a\r\n"},
        {"a \r\n", "a\r\n"},
        {"a\r\n\r\n\r\nb", "a\r\n\r\n\r\nb\r\n"},
        {"a\r\n \r\n\t\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
        {"\r\na", "\r\na\r\n"},
        {"  a  b  ", " a b\r\n"},
        {"a\r", "a\r\r\n"},
        {"a\rb\nc\r\r\n", "a\rb\nc\r\r\n"},
        {"a \r b", "a \r b\r\n"},
    };
    struct buf out = buf_init(KIB);

    for (size_t i = 0; i < countof(cases); i++)
        for (size_t step = 1; step < 8; step++) {
            canonical(str_c(cases[i].in), step, &out);
            assert_string_equal(buf_c(&out), cases[i].want);
        }
    buf_free(&out);
}

/* RFC 6376 3.4.4 word by word: line by line, with everything in memory. */
static void reference(struct str in, struct buf *to)
{
    size_t keep = 0;

    buf_reset(to);
    while (in.n > 0) {
        size_t end = str_find_str(in, STR("\r\n"));
        size_t line_start = to->n;

        for (size_t i = 0; i < end; i++) {
            bool blank = char_is_blank(in.p[i]);

            if (!blank)
                (void)buf_add_char(to, in.p[i]);
            else if (to->n == line_start || to->p[to->n - 1] != ' ')
                (void)buf_add_char(to, ' ');
        }
        while (to->n > line_start && to->p[to->n - 1] == ' ')
            buf_cut(to, to->n - 1);
        if (to->n > line_start)
            keep = to->n + 2;
        (void)buf_add(to, STR("\r\n"));
        in = str_skip(in, end + 2);
    }
    buf_cut(to, keep);
}

/* Every body of up to seven bytes out of the five kinds that matter. */
static void all_small_bodies(void **state)
{
    static const char alphabet[] = {'a', ' ', '\t', '\r', '\n'};
    struct buf want = buf_init(KIB), got = buf_init(KIB);
    char text[7];

    for (size_t n = 0; n <= sizeof text; n++) {
        size_t count = 1;

        for (size_t i = 0; i < n; i++)
            count *= sizeof alphabet;
        for (size_t number = 0; number < count; number++) {
            size_t rest = number;

            for (size_t i = 0; i < n; i++, rest /= sizeof alphabet)
                text[i] = alphabet[rest % sizeof alphabet];
            reference(str_n(text, n), &want);
            canonical(str_n(text, n), 1 + number % 3, &got);
            assert_int_equal(got.n, want.n);
            assert_true(got.n == 0 || memcmp(got.p, want.p, got.n) == 0);
        }
    }
    buf_free(&want);
    buf_free(&got);
}

/* Longer than what is held inside. */
static void long_bodies(void **state)
{
    struct buf in = buf_init(MIB), out = buf_init(MIB), want = buf_init(MIB);

    for (size_t i = 0; i < 3000; i++)
        (void)buf_add(&in, STR("\r\n"));
    for (size_t i = 0; i < 20000; i++)
        (void)buf_add_char(&in, 'x');
    (void)buf_add(&in, STR("  y\r\n\r\n"));
    reference(buf_str(&in), &want);
    for (size_t step = 1; step < 30000; step = step * 3 + 1) {
        canonical(buf_str(&in), step, &out);
        assert_true(str_eq(buf_str(&out), buf_str(&want)));
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(bodies),
        cmocka_unit_test(all_small_bodies),
        cmocka_unit_test(long_bodies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
