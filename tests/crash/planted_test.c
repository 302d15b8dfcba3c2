/* crash/planted_test.c - does the crash test see anything? Each planted fault must be found. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After what it needs.
#include <cmocka.h>

#include "base/check.h"
#include "run.h"

enum { STORIES_MAX = 6 };

static size_t found_with(enum fault fault, uint64_t stories)
{
    struct tally t = {0};

    for (uint64_t seed = 1; seed <= stories && t.violations == 0; seed++) {
        struct run_options o = {.seed = seed,
                                .steps = 500,
                                .parts = 2,
                                .picks = 1,
                                .violations_max = 1,
                                .fault = fault,
                                .quiet = fault != FAULT_NONE};
        run(&o, &t);
    }
    return t.violations;
}

static void test_faults_are_found(void **state)
{
    static const struct {
        const char *what;
        enum fault fault;
    } rows[] = {
        {"a disk whose syncs do nothing", FAULT_SYNC},
        {"names are never synced", FAULT_FOLDER_SYNC},
        {"a mailbox file is named before it is synced", FAULT_MAIL_SYNC},
        {"rows are durable before their bytes", FAULT_LATE_SYNC},
        {"the database's log is never synced", FAULT_LOG_SYNC},
        {"250 before the commit", FAULT_EARLY_250},
        {"delivered before the mailbox is durable", FAULT_EARLY_DELIVERED},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        print_message("%s\n", rows[i].what);
        assert_true(found_with(rows[i].fault, STORIES_MAX) > 0);
    }
}

static void test_without_fault_nothing_is_found(void **state)
{
    assert_int_equal(found_with(FAULT_NONE, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_found),
        cmocka_unit_test(test_without_fault_nothing_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
