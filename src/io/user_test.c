// SPDX-License-Identifier: ISC
#include "io/user.h"

#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"alice", true},
        {"a", true},
        {"Bob.Smith-3_x", true},
        {"7up", true},
        {"_apt", true},
        {"", false},
        {"1000", false}, /* some services take it for a uid */
        {".hidden", false},
        {"-f", false},
        {"a/b", false},
        {"..", false},
        {"a b", false},
        {"a+tag", false},
        {"m\xc3\xbcller", false},
        {"a:b", false},
        {"abcdefghijklmnopqrstuvwxyz012345", true},
        {"abcdefghijklmnopqrstuvwxyz0123456", false},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        if (user_name_valid(str_c(cases[i].name)) != cases[i].valid)
            fail_msg("%s", cases[i].name);
    assert_false(user_name_valid(str_n("a\0b", 3)));
}

static void test_root_is_never_a_person(void **state)
{
    struct user u;

    (void)state;
    assert_int_equal(user_find(STR("root"), 0, &u), USER_REFUSED);
    assert_int_equal(user_find(STR("root"), 1000, &u), USER_REFUSED);
    assert_string_equal(u.name, "root");
    assert_int_equal(u.uid, 0);
    assert_int_equal(user_find(STR("ROOT"), 1000, &u), USER_REFUSED);
}

static void test_system_users(void **state)
{
    struct user u;

    (void)state;
    assert_int_equal(user_find(STR("daemon"), 1000, &u), USER_REFUSED);
    assert_int_equal(user_find(STR("daemon"), 1, &u), USER_FOUND);
    assert_string_equal(u.name, "daemon");
    assert_string_equal(u.home, getpwnam("daemon")->pw_dir);
    assert_int_equal(user_find(STR("nobody"), 1000, &u), USER_REFUSED);
    assert_int_equal(user_find(STR("no-such-user-here"), 1, &u), USER_UNKNOWN);
    assert_int_equal(user_find(STR("../root"), 1, &u), USER_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_root_is_never_a_person),
        cmocka_unit_test(test_system_users),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
