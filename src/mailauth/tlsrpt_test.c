// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mailauth/tlsrpt.h"

static void test_records(void **state)
{
    static const struct {
        const char *text;
        size_t count; /* of addresses; 0: refused */
    } cases[] = {
        {"v=TLSRPTv1; rua=mailto:tlsrpt@company-x.example", 1},
        {"v=TLSRPTv1;rua=mailto:a@b.example,https://c.example/tlsrpt; x=y;", 2},
        {"v=TLSRPTv1", 0},
        {"v=TLSRPTv1; rua=", 0},
        {"v=TLSRPTv1; rua=a@b.example", 0},
        {"v=TLSRPTv2; rua=mailto:a@b.example", 0},
        {"v=TLSRPTv1; rua=mailto:a@b.example!10m; rua=x", 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct report_addresses r;
        bool good = tlsrpt_record_parse(str_c(cases[i].text), &r, &error);

        assert_int_equal(good, cases[i].count > 0);
        assert_int_equal(good, error.why == NULL);
        if (good)
            assert_int_equal(r.count, cases[i].count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
