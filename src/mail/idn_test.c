// SPDX-License-Identifier: ISC
#include "mail/idn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"

static void test_to_ascii(void **state)
{
    static const struct {
        const char *domain, *ascii; /* NULL: none */
    } rows[] = {
        {"пример.рф", "xn--e1afmkfd.xn--p1ai"},
        {"ПРИМЕР.РФ", "xn--e1afmkfd.xn--p1ai"},
        {"пример。рф", "xn--e1afmkfd.xn--p1ai"}, /* the full stop of Chinese keyboards */
        {"例え.テスト", "xn--r8jz45g.xn--zckzah"},
        {"faß.de", "xn--fa-hia.de"}, /* transitional processing would say fass.de */
        {"bücher.example", "xn--bcher-kva.example"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example"}, /* u and a combining diaeresis */
        {"mx.пример.рф", "mx.xn--e1afmkfd.xn--p1ai"},
        {"xn--e1afmkfd.рф", "xn--e1afmkfd.xn--p1ai"},
        {"example.org", "example.org"},
        {"", NULL},
        {"\xd0", NULL},
        {"\xc0\xaf.org", NULL},
        {"a\xed\xa0\x80.org", NULL},
        {"a\xe2\x80\xae"
         "b.org",
         NULL},              /* a mark that turns the direction */
        {"☃.example", NULL}, /* no letter: IDNA2008 has no symbols */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct arena a = ARENA_INIT;
        struct str found = STR_NONE;
        bool ok = idn_to_ascii(str_c(rows[i].domain), &a, &found);

        if (ok != (rows[i].ascii != NULL) || (ok && !str_eq_c(found, rows[i].ascii)))
            fail_msg("%s: %.*s", rows[i].domain, STR_ARG(found));
        arena_free(&a);
    }
}

static void test_too_long(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf long_one = buf_init(8 * KIB);
    struct str found;

    (void)state;
    for (size_t labels = 0; labels < 700; labels++) {
        buf_add_c(&long_one, "п.");
        if (labels > 40)
            assert_false(idn_to_ascii(buf_str(&long_one), &a, &found));
    }
    buf_reset(&long_one);
    for (size_t i = 0; i < 70; i++)
        buf_add_c(&long_one, "п");
    buf_add_c(&long_one, ".org");
    assert_false(idn_to_ascii(buf_str(&long_one), &a, &found));
    buf_free(&long_one);
    arena_free(&a);
}

static void test_readable(void **state)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"example.org", "example.org"},
        {"xn--e1afmkfd.xn--p1ai", "пример.рф"},
        {"bill@xn--e1afmkfd.xn--p1ai", "bill@пример.рф"},
        {"to <bill@xn--e1afmkfd.xn--p1ai>, by DNS (MX of xn--e1afmkfd.xn--p1ai)",
         "to <bill@пример.рф>, by DNS (MX of пример.рф)"},
        {"xn--e1afmkfd.xn--p1ai/bill", "пример.рф/bill"},
        {"mx.xn--e1afmkfd.xn--p1ai:25", "mx.пример.рф:25"},
        {"xn--e1afmkfd@example.org", "xn--e1afmkfd@example.org"}, /* a local part is no domain */
        {"x+xn--e1afmkfd@example.org", "x+xn--e1afmkfd@example.org"},
        {"xn--e1afmkfd+x@example.org", "xn--e1afmkfd+x@example.org"},
        {"xn--a.example", "xn--a.example"}, /* no A-label */
        {"xn--zzzzzzz99999.example", "xn--zzzzzzz99999.example"},
        {"xn--example-", "xn--example-"},
        {"почта@xn--p1ai", "почта@рф"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf shown = buf_init(KIB);

        idn_print_readable(&shown, str_c(rows[i].text));
        assert_string_equal(buf_c(&shown), rows[i].shown);
        buf_free(&shown);
    }
}

static void test_nfc(void **state)
{
    struct arena a = ARENA_INIT;
    struct str found;

    (void)state;
    assert_true(nfc_make(STR("bill"), &a, &found) && str_eq_c(found, "bill"));
    assert_true(nfc_make(STR("и\xcc\x86"), &a, &found) && str_eq_c(found, "й"));
    assert_true(nfc_make(STR("й"), &a, &found) && str_eq_c(found, "й"));
    assert_true(nfc_make(STR("ﬁ"), &a, &found) && str_eq_c(found, "ﬁ")); /* NFKC would say fi */
    assert_false(nfc_make(STR("\xed\xa0\x80"), &a, &found));
    assert_false(nfc_make(STR("a\xff"), &a, &found));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_ascii),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_readable),
        cmocka_unit_test(test_nfc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
