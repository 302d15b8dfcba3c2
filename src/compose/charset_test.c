// SPDX-License-Identifier: ISC
#include "compose/charset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"

static void names(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"utf-8", "utf-8"},
        {"UTF8", "utf-8"},
        {"KOI8-R", "koi8-r"},
        {"koi8r", "koi8-r"},
        {"koi8_r", "koi8-r"},
        {"koi8", "koi8-r"},
        {"KOI8-U", "koi8-u"},
        {"Windows-1251", "windows-1251"},
        {"CP1251", "windows-1251"},
        {"win-1251", "windows-1251"},
        {"1251", "windows-1251"},
        {"cp866", "ibm866"},
        {"ISO_8859-5", "iso-8859-5"},
        {"iso8859-1", "iso-8859-1"},
        {"Latin1", "iso-8859-1"},
        {"SJIS", "shift_jis"},
        {"", NULL},
        {"-", NULL},
        {"utf-16", NULL},
        {"koi8-r//TRANSLIT", NULL},
        {"utf", NULL},
        {"utf-88", NULL},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        const struct charset *c = charset_find(str_c(cases[i].in));

        if (!cases[i].want)
            assert_null(c);
        else
            assert_string_equal(c ? c->name : "none", cases[i].want);
    }
}

/* The C library has them all, and ASCII is ASCII in them. */
static void every_set_works(void **state)
{
    struct buf names = buf_init(KIB), ascii = buf_init(KIB), out = buf_init(KIB);
    size_t bad;

    for (char c = ' '; c <= '~'; c++)
        (void)buf_add_char(&ascii, c);
    (void)buf_add(&ascii, STR("\r\n\t"));
    charset_names(&names);
    for (struct str rest = buf_str(&names); rest.n > 0;) {
        const struct charset *set = charset_find(str_trim(str_cut(&rest, ',')));
        struct coder *to = NULL, *from = NULL;

        assert_non_null(set);
        assert_int_equal(coder_open(set, false, &to), 0);
        assert_int_equal(coder_open(set, true, &from), 0);
        assert_ptr_equal(coder_charset(to), set);
        buf_reset(&out);
        assert_true(coder_convert(to, buf_str(&ascii), &out, &bad));
        assert_true(str_eq(buf_str(&out), buf_str(&ascii)));
        buf_reset(&out);
        assert_true(coder_convert(from, buf_str(&ascii), &out, &bad));
        assert_true(str_eq(buf_str(&out), buf_str(&ascii)));
        coder_close(&to);
        coder_close(&from);
    }
    assert_true(charset_is_utf8(charset_utf8()));
    buf_free(&names);
    buf_free(&ascii);
    buf_free(&out);
}

/* What no other set has: even U+E0061, which is no letter. */
static void chinese_has_everything(void **state)
{
    struct coder *to = NULL;
    struct buf out = buf_init(KIB);
    size_t bad;

    assert_int_equal(coder_open(charset_find(STR("gb18030")), false, &to), 0);
    assert_true(coder_convert(to, STR("\xf3\xa0\x81\xa1"), &out, &bad));
    assert_int_equal(out.n, 4);
    coder_close(&to);
    buf_free(&out);
}

static void russian(void **state)
{
    static const struct {
        const char *set, *bytes;
    } cases[] = {
        {"koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4"},
        {"windows-1251", "\xcf\xf0\xe8\xe2\xe5\xf2"},
        {"iso-8859-5", "\xbf\xe0\xd8\xd2\xd5\xe2"},
        {"ibm866", "\x8f\xe0\xa8\xa2\xa5\xe2"},
        {"utf-8", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
    };
    const char *text = "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"; /* Привет */
    struct buf out = buf_init(KIB);
    size_t bad;

    for (size_t i = 0; i < countof(cases); i++) {
        struct coder *to = NULL, *from = NULL;

        assert_int_equal(coder_open(charset_find(str_c(cases[i].set)), false, &to), 0);
        assert_int_equal(coder_open(charset_find(str_c(cases[i].set)), true, &from), 0);
        buf_reset(&out);
        assert_true(coder_convert(to, str_c(text), &out, &bad));
        assert_string_equal(buf_c(&out), cases[i].bytes);
        buf_reset(&out);
        assert_true(coder_convert(from, str_c(cases[i].bytes), &out, &bad));
        assert_string_equal(buf_c(&out), text);
        coder_close(&to);
        coder_close(&from);
    }
    buf_free(&out);
}

static void says_what_does_not_fit(void **state)
{
    struct coder *koi8 = NULL, *utf8 = NULL, *from = NULL;
    struct buf out = buf_init(10 * KIB), small = buf_init(3), text = buf_init(10 * KIB);
    size_t bad = 99;

    assert_int_equal(coder_open(charset_find(STR("koi8-r")), false, &koi8), 0);
    assert_int_equal(coder_open(charset_utf8(), true, &utf8), 0);
    assert_int_equal(coder_open(charset_find(STR("windows-1251")), true, &from), 0);
    assert_false(coder_convert(koi8, STR("\xd0\x96 \xe2\x82\xac!"), &out, &bad));
    assert_int_equal(bad, 3);
    assert_true(coder_convert(koi8, STR("\xd0\x96"), NULL, &bad)); /* and goes on after that */
    assert_false(coder_convert(koi8, STR("abcd"), &small, &bad));
    assert_int_equal(bad, 4);
    assert_false(coder_convert(utf8, STR("ab\xff"), &out, &bad));
    assert_int_equal(bad, 2);
    assert_false(coder_convert(utf8, STR("abc\xd0"), &out, &bad)); /* cut off */
    assert_int_equal(bad, 3);
    assert_false(coder_convert(from, STR("\x98"), &out, &bad)); /* no character there */
    assert_int_equal(bad, 0);
    /* U+E0061, which the C library would drop */
    assert_false(coder_convert(koi8, STR("ab\xf3\xa0\x81\xa1"), NULL, &bad));
    assert_int_equal(bad, 2);
    assert_false(coder_convert(koi8, STR("\xf3\xa0\x84\x80\xf3\xa0\x80\xa0"), NULL, &bad));
    assert_int_equal(bad, 0);
    assert_false(coder_convert(koi8, STR("abcd\xf3\xa0\x81\xa1"), &small, &bad));
    assert_int_equal(bad, 8);
    for (size_t i = 0; i < 5000; i++)
        (void)buf_add_char(&text, 'x');
    (void)buf_add(&text, STR("\xe2\x82\xac"));
    assert_false(coder_convert(koi8, buf_str(&text), NULL, &bad));
    assert_int_equal(bad, 5000);
    coder_close(&koi8);
    coder_close(&utf8);
    coder_close(&from);
    buf_free(&out);
    buf_free(&small);
    buf_free(&text);
}

/* Each text begins and ends in ASCII, as an encoded word must (RFC 2047 3). */
static void sets_with_states(void **state)
{
    struct coder *jis = NULL;
    struct buf out = buf_init(KIB);
    size_t bad;

    assert_int_equal(coder_open(charset_find(STR("iso-2022-jp")), false, &jis), 0);
    for (int i = 0; i < 2; i++) {
        buf_reset(&out);
        assert_true(coder_convert(jis, STR("\xe3\x81\x82"), &out, &bad));
        assert_string_equal(buf_c(&out), "\x1b$B$\"\x1b(B");
    }
    coder_close(&jis);
    buf_free(&out);
}

static void suggests(void **state)
{
    static const struct {
        const char *texts[2], *want;
    } cases[] = {
        {{"abc", "def"}, "us-ascii"},
        {{"\xd0\x96", "x"}, "koi8-r"},
        {{"\xd0\x96", "\xe2\x82\xac"}, "windows-1251"}, /* a euro */
        {{"\xd0\x96", "\xd2\x90"}, "windows-1251"},     /* Ґ */
        {{"\xc3\xa9", "\xe2\x82\xac"}, "iso-8859-15"},
        {{"\xd0\x96", "\xc3\xa9"}, NULL},
        {{"\xe4\xb8\xad", ""}, NULL},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct str texts[2] = {str_c(cases[i].texts[0]), str_c(cases[i].texts[1])};
        const struct charset *c = charset_suggest(texts, 2);

        if (!cases[i].want)
            assert_null(c);
        else
            assert_string_equal(c ? c->name : "none", cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(every_set_works),
        cmocka_unit_test(chinese_has_everything),
        cmocka_unit_test(russian),
        cmocka_unit_test(says_what_does_not_fit),
        cmocka_unit_test(sets_with_states),
        cmocka_unit_test(suggests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
