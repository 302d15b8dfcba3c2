// SPDX-License-Identifier: ISC
#include "base/str.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_str(struct str s, const char *expect)
{
    if (!str_eq_c(s, expect))
        fail_msg("'%.*s' is not '%s'", STR_ARG(s), expect);
}

static void compares(void **state)
{
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eq(STR("a"), STR("a")));
    assert_false(str_eq(STR("a"), STR("A")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_eq_nocase(STR("MaIl"), STR("mAiL")));
    assert_false(str_eq_nocase(STR("@"), STR("`"))); /* differ by 0x20 but are no letters */
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
    assert_true(str_eq_c(STR_NONE, NULL));
    assert_int_equal(str_cmp(STR("a"), STR("a")), 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("\x7f"), STR("\x80")) < 0);
    assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
}

static void starts_and_ends(void **state)
{
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("")));
    assert_true(str_starts(STR_NONE, STR_NONE));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_starts_nocase(STR("Ab"), STR("aB")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_true(str_ends(STR("abc"), STR("")));
    assert_false(str_ends(STR("c"), STR("bc")));
    assert_false(str_ends(STR("aBC"), STR("bc")));
    assert_true(str_ends_nocase(STR("aBC"), STR("bc")));
}

static void finds(void **state)
{
    assert_int_equal(str_find(STR("a@b@c"), '@'), 1);
    assert_int_equal(str_find_last(STR("a@b@c"), '@'), 3);
    assert_int_equal(str_find(STR("abc"), '@'), 3);
    assert_int_equal(str_find_last(STR_NONE, '@'), 0);
    assert_int_equal(str_find_str(STR("one two"), STR("two")), 4);
    assert_int_equal(str_find_str(STR("one two"), STR("three")), 7);
    assert_int_equal(str_find_str(STR("one"), STR("")), 0);
    assert_int_equal(str_find_str(STR_NONE, STR("a")), 0);
}

static void takes_parts(void **state)
{
    assert_str(str_sub(STR("abc"), 1, 2), "b");
    assert_str(str_sub(STR("abc"), 1, 99), "bc");
    assert_str(str_sub(STR("abc"), 99, 100), "");
    assert_str(str_sub(STR("abc"), 2, 1), "");
    assert_str(str_skip(STR_NONE, 5), "");
    assert_str(str_trim(STR(" \t\r\na b\n ")), "a b");
    assert_str(str_trim(STR(" \r\n")), "");
}

static void cuts(void **state)
{
    struct str s = STR("a,b,,c");

    assert_str(str_cut(&s, ','), "a");
    assert_str(str_cut(&s, ','), "b");
    assert_str(str_cut(&s, ','), "");
    assert_str(str_cut(&s, ','), "c");
    assert_str(str_cut(&s, ','), "");
    s = STR(" \tMAIL  FROM:<a>\t ");
    assert_str(str_cut_word(&s), "MAIL");
    assert_str(s, "FROM:<a>\t ");
    assert_str(str_cut_word(&s), "FROM:<a>");
    assert_str(s, "");
    assert_str(str_cut_word(&s), "");
}

static void reads_numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {" 1", false, 0},
        {"1x", false, 0},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        uint64_t v = 42;
        assert_int_equal(str_u64(str_c(cases[i].text), &v), cases[i].ok);
        assert_int_equal(v, cases[i].ok ? cases[i].value : 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares), cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(finds),    cmocka_unit_test(takes_parts),
        cmocka_unit_test(cuts),     cmocka_unit_test(reads_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
