// SPDX-License-Identifier: ISC
#include "compose/parameter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"

static struct coder *coder(const char *name)
{
    struct coder *c = NULL;

    assert_int_equal(coder_open(charset_find(str_c(name)), false, &c), 0);
    return c;
}

static void short_values(void **state)
{
    static const struct {
        const char *charset, *value, *want;
    } cases[] = {
        {"utf-8", "logo.png", "; name=logo.png"},
        {"utf-8", "", "; name=\"\""},
        {"utf-8", "my logo.png", "; name=\"my logo.png\""},
        {"utf-8", "a;b=c(d)", "; name=\"a;b=c(d)\""},
        {"utf-8", "a'b*c", "; name=\"a'b*c\""},
        {"utf-8", "a\"b", "; name*=utf-8''a%22b"},
        {"utf-8", "a\\b", "; name*=utf-8''a%5Cb"},
        {"us-ascii", "50%", "; name*=us-ascii''50%25"},
        {"utf-8", "utf-8''x", "; name*=utf-8''utf-8%27%27x"},
        {"utf-8", "=?utf-8?Q?x?=", "; name*=utf-8''%3D%3Futf-8%3FQ%3Fx%3F%3D"},
        {"utf-8", "\xd0\x96.txt", "; name*=utf-8''%D0%96.txt"},
        {"koi8-r", "\xd0\x96 .txt", "; name*=koi8-r''%F6%20.txt"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct coder *c = coder(cases[i].charset);
        struct buf b = buf_init(KIB);
        struct fold f = {.to = &b, .indent = "\t", .indent_width = 8};

        assert_true(parameter_print(&f, "name", str_c(cases[i].value), c));
        assert_string_equal(buf_c(&b), cases[i].want);
        buf_free(&b);
        coder_close(&c);
    }
}

static void unescape(struct str s, struct buf *to)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '%') {
            (void)buf_add_char(to, s.p[i]);
        } else {
            (void)buf_add_char(
                to, (char)((strchr(hex, s.p[i + 1]) - hex) * 16 + (strchr(hex, s.p[i + 2]) - hex)));
            i += 2;
        }
}

/* Each piece is numbered, on a line of its own, and whole UTF-8 by itself. */
static void long_values(void **state)
{
    struct coder *c = coder("utf-8");
    struct buf value = buf_init(8 * KIB), out = buf_init(64 * KIB), back = buf_init(8 * KIB);
    char start[32];

    for (int round = 0; round < 100; round++) {
        (void)buf_add(&value, STR("a\xd0\x96\xe2\x82\xac\xf0\x9f\x98\x80 "));
        buf_reset(&out);
        buf_reset(&back);
        struct fold f = fold_field(&out, "X");
        fold_word(&f, STR("attachment"));
        assert_true(parameter_print(&f, "filename", buf_str(&value), c));

        struct str rest = buf_str(&out);
        (void)str_cut(&rest, ';');
        for (unsigned i = 0; rest.n > 0; i++) {
            struct str piece = str_trim(str_cut(&rest, ';'));
            bool only = i == 0 && rest.n == 0;
            size_t before = back.n;

            assert_in_range(piece.n, 1, 76);
            snprintf(start, sizeof start, only ? "filename*=" : "filename*%u*=", i);
            assert_true(str_starts(piece, str_c(start)));
            piece = str_skip(piece, strlen(start));
            if (i == 0) {
                assert_true(str_starts(piece, STR("utf-8''")));
                piece = str_skip(piece, 7);
            }
            unescape(piece, &back);
            assert_true(utf8_valid(str_skip(buf_str(&back), before)));
        }
        assert_true(str_eq(buf_str(&value), buf_str(&back)));
    }
    buf_free(&value);
    buf_free(&out);
    buf_free(&back);
    coder_close(&c);
}

static void what_does_not_fit(void **state)
{
    struct coder *c = coder("koi8-r");
    struct buf b = buf_init(KIB), small = buf_init(10);
    struct fold f = fold_field(&b, "X");

    assert_false(parameter_print(&f, "name", STR("\xe2\x82\xac"), c));
    f = fold_field(&small, "X");
    assert_false(parameter_print(&f, "name", STR("more than ten"), c));
    buf_free(&b);
    buf_free(&small);
    coder_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_values),
        cmocka_unit_test(long_values),
        cmocka_unit_test(what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
