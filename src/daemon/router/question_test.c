// SPDX-License-Identifier: ISC
#include "daemon/router/question.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"

static const struct route_question ask = {{"s@a.test", 8}, {"r@b.test", 8}, true};

static void test_story(void **state)
{
    struct question *q = question_new(&ask);
    struct str name, login;

    (void)state;
    assert_true(str_eq_c(q->ask.recipient, "r@b.test"));
    assert_int_equal(question_login(q, STR("alice"), &login), LOGIN_TRY_LATER);
    assert_int_equal(question_login(q, STR("alice"), &login), LOGIN_TRY_LATER);
    assert_int_equal(question_login(q, STR("root"), &login), LOGIN_TRY_LATER);
    assert_int_equal(question_login(q, STR("no/name"), &login), LOGIN_NO);
    assert_true(question_next(q, &name) && str_eq_c(name, "alice"));
    assert_true(question_next(q, &name) && str_eq_c(name, "root"));
    assert_false(question_next(q, &name));
    assert_int_equal(q->open_count, 2);
    question_answered(q, STR("nobody-asked"), LOGIN_YES, STR("x"));
    question_answered(q, STR("alice"), LOGIN_YES, STR("Alice"));
    question_answered(q, STR("alice"), LOGIN_NO, STR("")); /* again: means nothing */
    assert_int_equal(q->open_count, 1);
    assert_int_equal(question_login(q, STR("alice"), &login), LOGIN_YES);
    assert_true(str_eq_c(login, "Alice"));
    assert_int_equal(question_login(q, STR("root"), &login), LOGIN_TRY_LATER);
    question_answered(q, STR("root"), LOGIN_REFUSED, STR("root"));
    assert_int_equal(question_login(q, STR("root"), &login), LOGIN_REFUSED);
    assert_int_equal(q->open_count, 0);
    assert_false(question_next(q, &name));
    question_free(&q);
    assert_null(q);
}

static void test_bounded(void **state)
{
    struct question *q = question_new(&ask);
    struct str name, login;
    size_t count = 0;

    (void)state;
    for (unsigned i = 0; i < QUESTION_LOGINS_MAX + 10; i++) {
        char text[16];

        (void)snprintf(text, sizeof text, "u%u", i);
        assert_int_equal(question_login(q, str_c(text), &login), LOGIN_TRY_LATER);
    }
    while (question_next(q, &name))
        count++;
    assert_int_equal(count, QUESTION_LOGINS_MAX);
    question_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
