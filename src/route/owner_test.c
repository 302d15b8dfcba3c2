// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route/test_table.h"

static void addresses_of_a_login(void **state)
{
    static const struct {
        const char *login, *addresses;
        unsigned code; /* 250, 550, 451 */
        const char *why;
    } cases[] = {
        {"alice@a.test", "alice@a.test", 250, ""},
        {"alice@a.test", "ALICE@A.Test", 250, ""},
        {"alice@a.test", "alice+news@a.test", 250, ""},
        {"alice@a.test", "sales@a.test", 250, ""},         /* an alias */
        {"alice@a.test", "info+x@a.test", 250, ""},        /* of an alias */
        {"alice@a.test", "postmaster@a.test", 250, ""},    /* an alias, too */
        {"alice@a.test", "bob@a.test", 550, "bob@a.test"}, /* who only sends copies */
        {"bob@b.test", "sales@a.test", 250, ""},
        {"bob@b.test", "bob@a.test", 550, "bob@a.test"}, /* another bob */
        {"bob@a.test", "sales@a.test", 550, "sales@a.test"},
        {"bob@b.test", "postmaster@b.test", 550, "postmaster@b.test"},
        {"alice@a.test", "far@a.test", 550, "far@a.test"},
        {"alice@a.test", "nobody@a.test", 550, "nobody@a.test"},
        {"alice@a.test", "alice@b.test", 550, "alice@b.test"},
        {"alice@a.test", "alice@elsewhere.test", 550, "alice@elsewhere.test"},
        {"alice@a.test", "alice%a.test@a.test", 550, "alice%a.test@a.test"},
        {"alice@a.test", "alice", 550, "alice"},
        {"alice@a.test", "wait@a.test", 451, "wait@a.test"},
        {"wait@a.test", "sales@a.test", 451, "wait@a.test"},
        {"alice@a.test", "alice@a.test\nsales@a.test", 250, ""},
        {"alice@a.test", "alice@a.test\nbob@b.test\nsales@a.test", 550, "bob@b.test"},
        {"far@elsewhere.test", "far@elsewhere.test", 250, ""}, /* whoever that is */
        {"far@elsewhere.test", "alice@a.test", 550, "alice@a.test"},
        {"nonsense", "alice@a.test", 550, "nonsense"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct route_answer answer = {0};
        struct route_question q = {.sender = str_c(cases[i].login),
                                   .recipient = str_c(cases[i].addresses)};

        route_owner(&test_table, &q, &a, &answer);
        if (answer.status.code != cases[i].code || !str_eq_c(answer.why, cases[i].why))
            fail_msg("%s as %s: %u %.*s", cases[i].login, cases[i].addresses, answer.status.code,
                     STR_ARG(answer.why));
        arena_free(&a);
    }
}

static void not_too_many(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf list = buf_init(8 * KIB);
    struct route_answer answer = {0};

    for (size_t i = 0; i < ROUTE_OWNED_MAX; i++)
        buf_add_c(&list, "alice@a.test\n");

    struct route_question q = {.sender = STR("alice@a.test"), .recipient = buf_str(&list)};

    route_owner(&test_table, &q, &a, &answer);
    assert_int_equal(answer.status.code, 250);
    buf_add_c(&list, "alice@a.test\n");
    q.recipient = buf_str(&list);
    route_owner(&test_table, &q, &a, &answer);
    assert_int_equal(answer.status.code, 550);
    buf_free(&list);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_a_login),
        cmocka_unit_test(not_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
