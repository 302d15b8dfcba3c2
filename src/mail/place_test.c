// SPDX-License-Identifier: ISC
#include "mail/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"

static void test_problems(void **state)
{
    static const struct {
        const char *place, *problem; /* the beginning */
    } cases[] = {
        {"~/Maildir", NULL},
        {"~/mail/in.box", NULL},
        {"/var/mail/{user}", NULL},
        {"/srv/{user}/Maildir-{user}{user}", NULL},
        {"", "begins with"},
        {"Maildir", "begins with"},
        {"~", "begins with"},
        {"~bob/Maildir", "begins with"},
        {"~/", "names a folder"},
        {"~/a//b", "names a folder"},
        {"~/../x", "names a folder"},
        {"~/a/..", "names a folder"},
        {"~/./x", "names a folder"},
        {"~/{home}", "names a folder"},
        {"~/{user", "names a folder"},
        {"~/}{user}", "names a folder"},
        {"~/a/", "ends in a slash"},
        {"/var/mail/{user}/", "ends in a slash"},
        {"/var/mail", "would be the same"},
        {"~/a~b", "has a character"},
        {"~/a\tb", "has a character"},
        {"~/m\xc3\xbc", "has a character"},
    };
    char longest[PLACE_BYTES_MAX + 2] = "~/";

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct str problem = str_c(place_problem(str_c(cases[i].place)));

        if (!cases[i].problem != !problem.p || !str_starts(problem, str_c(cases[i].problem)))
            fail_msg("%s: %s", cases[i].place, problem.p ? problem.p : "(none)");
    }
    for (size_t i = 2; i <= PLACE_BYTES_MAX; i++)
        longest[i] = 'x';
    assert_null(place_problem(str_n(longest, PLACE_BYTES_MAX)));
    assert_non_null(place_problem(str_n(longest, PLACE_BYTES_MAX + 1)));
}

static void test_expand(void **state)
{
    static const struct {
        const char *place, *home, *path, *base;
    } cases[] = {
        {"~/Maildir", "/home/al", "/home/al/Maildir", "/home/al"},
        {"~/Maildir", "/home/al/", "/home/al/Maildir", "/home/al"},
        {"~/mail/{user}", "/home/al", "/home/al/mail/al", "/home/al"},
        {"~/Maildir", "/", "/Maildir", ""},
        {"/var/mail/{user}", "", "/var/mail/al", "/var/mail"},
        {"/srv/{user}/Maildir", "/home/al", "/srv/al/Maildir", "/srv"},
        {"/{user}-{user}x", "/home/al", "/al-alx", ""},
        {"~/Maildir", "home", NULL, NULL},
        {"~/Maildir", "", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf path = buf_init(PLACE_PATH_BYTES_MAX);
        size_t base = 99;
        bool ok =
            place_expand(str_c(cases[i].place), STR("al"), str_c(cases[i].home), &path, &base);

        assert_int_equal(ok, cases[i].path != NULL);
        if (ok) {
            assert_string_equal(buf_c(&path), cases[i].path);
            assert_true(str_eq_c(str_sub(buf_str(&path), 0, base), cases[i].base));
        }
        buf_free(&path);
    }
}

static void test_too_long(void **state)
{
    struct buf path = buf_init(10);
    size_t base;

    (void)state;
    assert_false(place_expand(STR("~/Maildir"), STR("al"), STR("/home/al"), &path, &base));
    buf_free(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
