// SPDX-License-Identifier: ISC
#include "outward/talk/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void reads_both_forms(void **state)
{
    static const struct {
        const char *line;
        bool dialogue;
        enum script_kind kind;
        const char *text;
    } cases[] = {
        {"S: 220 *", true, SCRIPT_HEAR, "220 *"},
        {"C: EHLO x\r", true, SCRIPT_SAY, "EHLO x"},
        {"C:", true, SCRIPT_SAY, ""},
        {"C:  two", true, SCRIPT_SAY, " two"},
        {"C\\: a\\r\\n", true, SCRIPT_SAY_RAW, "a\\r\\n"},
        {"S\\: a", true, SCRIPT_HEAR_RAW, "a"},
        {"closed:", true, SCRIPT_CLOSED, ""},
        {"wait: 3", true, SCRIPT_WAIT, "3"},
        {"spool: 1", true, SCRIPT_SKIPPED, "1"},
        {"# words", true, SCRIPT_NOTHING, "# words"},
        {"", true, SCRIPT_NOTHING, ""},
        {"EHLO x", true, SCRIPT_BAD, "EHLO x"},
        {"EHLO x\r", false, SCRIPT_TYPED, "EHLO x"},
        {"S: x", false, SCRIPT_TYPED, "S: x"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct script_line l = script_parse(str_c(cases[i].line), cases[i].dialogue);

        assert_int_equal(l.kind, cases[i].kind);
        assert_true(str_eq_c(l.text, cases[i].text));
    }
    assert_true(script_is_dialogue(STR("config message-size 10")));
    assert_false(script_is_dialogue(STR("configure")));
    assert_false(script_is_dialogue(STR("")));
    assert_false(script_is_dialogue(STR("EHLO S:")));
}

static void matches_stars(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {{"250 *", "250 ok", true},
                 {"250 *", "250 ", true},
                 {"250 *", "250", false},
                 {"*", "", true},
                 {"", "", true},
                 {"", "x", false},
                 {"a*b*c", "axxbyyc", true},
                 {"a*b*c", "axxbyy", false},
                 {"**a", "ba", true},
                 {"*ab", "aab", true},
                 {"a*", "ba", false},
                 {"a", "A", false},
                 {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};

    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(script_matches(str_c(cases[i].pattern), str_c(cases[i].text)),
                         cases[i].matches);
}

static void unescapes(void **state)
{
    static const struct {
        const char *text;
        struct str bytes; /* p NULL: wrong */
    } cases[] = {
        {"a\\r\\n", {"a\r\n", 3}},  {"\\0\\x41\\xfF", {"\0A\xff", 3}},
        {"\\\\\\\"", {"\\\"", 2}},  {"\\{3*ab}c", {"abababc", 7}},
        {"\\{2*\\x41}", {"AA", 2}}, {"\\{0*x}", {"", 0}},
        {"\\", {NULL, 0}},          {"\\q", {NULL, 0}},
        {"\\x4", {NULL, 0}},        {"\\{3ab}", {NULL, 0}},
        {"\\{3*ab", {NULL, 0}},     {"\\{99999999*x}", {NULL, 0}},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(SCRIPT_SAID_BYTES_MAX);
        const char *why = NULL;
        bool good = script_unescape(str_c(cases[i].text), &b, &why);

        assert_int_equal(good, cases[i].bytes.p != NULL);
        if (good)
            assert_true(str_eq(buf_str(&b), cases[i].bytes));
        else
            assert_non_null(why);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_both_forms),
        cmocka_unit_test(matches_stars),
        cmocka_unit_test(unescapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
