// SPDX-License-Identifier: ISC
#include "outward/talk/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/check.h"

static void only_what_the_server_cannot_mean_is_ours(void **state)
{
    static const struct {
        const char *line;
        bool pop3, ours;
        const char *arguments;
    } cases[] = {
        {"/auth PLAIN a@b", false, true, "PLAIN a@b"},
        {"/nonsense", false, true, ""},
        {"auth", false, true, ""},
        {"AUTH", true, false, ""},
        {"auth PLAIN", false, false, NULL},
        {"AUTH LOGIN", false, false, NULL},
        {"DATA", false, false, NULL},
        {"data letter.eml", false, true, "letter.eml"},
        {"bdat 100", false, false, NULL},
        {"BDAT 100 LAST", false, false, NULL},
        {"bdat letter.eml 100", false, true, "letter.eml 100"},
        {"bdat", false, false, NULL},
        {"STARTTLS", false, false, NULL},
        {"expect 250", false, true, "250"},
        {"expect", false, false, NULL},
        {"data x", true, false, NULL},
        {"HELP", false, false, NULL},
        {"", false, false, NULL},
        {" /help", false, true, ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct str verb, arguments;
        bool ours = local_cut(str_c(cases[i].line), cases[i].pop3, &verb, &arguments);

        if (ours != cases[i].ours)
            fail_msg("%s", cases[i].line);
        if (ours)
            assert_true(str_eq_c(arguments, cases[i].arguments));
    }
}

static void finds_commands(void **state)
{
    for (size_t i = 0; i < local_count; i++) {
        assert_int_equal(local_find(str_c(locals[i].name)), i);
        assert_int_equal(local_find(str_skip(str_c(locals[i].name), 1)), i);
        assert_true(str_starts(str_c(locals[i].word), str_c(locals[i].name)));
    }
    assert_int_equal(local_find(STR("/")), local_count);
    assert_true(local_waits(STR("/auth")) && !local_waits(STR("/help")) && !local_waits(STR("x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_server_cannot_mean_is_ours),
        cmocka_unit_test(finds_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
