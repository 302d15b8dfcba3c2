// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route/test_table.h"

static void what_a_person_types(void **state)
{
    static const struct {
        const char *text;
        unsigned code;
        size_t target_count;
        const char *why; /* NULL: whatever */
    } cases[] = {
        {"alice", 250, 1, "alice@a.test"},
        {"Alice", 250, 1, "Alice@a.test"},
        {"<alice@a.test>", 250, 1, "alice@a.test"},
        {"Alice Liddell <alice@a.test>", 250, 1, "alice@a.test"},
        {"<alice>", 250, 1, "alice@a.test"},
        {"sales", 250, 2, "sales@a.test"},
        {"info@a.test", 250, 2, "info@a.test"},
        {"far", 250, 1, "far@a.test"},
        {"bob", 553, 0, NULL}, /* there are two */
        {"nobody", 550, 0, NULL},
        {"nobody@a.test", 550, 0, "nobody@a.test"},
        {"x@elsewhere.test", 550, 0, NULL}, /* relaying denied */
        {"gone", 550, 0, NULL},
        {"wait", 451, 0, NULL},
        {"two words", 550, 0, NULL},
        {"<>", 550, 0, NULL},
        {"@", 501, 0, NULL},
        {"a!b@a.test", 550, 0, NULL},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct route_answer answer = {0};
        struct route_question q = {.recipient = str_c(cases[i].text)};

        route_verify(&test_table, &q, &a, &answer);
        if (answer.status.code / 10 != cases[i].code / 10 ||
            answer.target_count != cases[i].target_count ||
            (cases[i].why && !str_eq_c(answer.why, cases[i].why)))
            fail_msg("%s: %u %s, %zu, %.*s", cases[i].text, answer.status.code, answer.status.text,
                     answer.target_count, STR_ARG(answer.why));
        arena_free(&a);
    }
}

static void who_is_meant(void **state)
{
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    struct route_question q = {.recipient = STR("bob")};

    route_verify(&test_table, &q, &a, &answer);
    assert_int_equal(answer.status.code, 553);
    assert_string_equal(answer.status.text, "ambiguous; it could be <bob@a.test> <bob@b.test>");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_person_types),
        cmocka_unit_test(who_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
