// SPDX-License-Identifier: ISC
#include "outward/probe/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void test_wrapping(void **state)
{
    static const struct {
        const char *text;
        size_t indent, columns;
        const char *want;
    } cases[] = {
        {"one two three", 0, 8, "one two\nthree"},
        {"one two three", 2, 10, "one two\n  three"},
        {"one", 0, 2, "one"},
        {"a verylongword b", 0, 6, "a\nverylongword\nb"},
        {"  one   two  ", 0, 80, "one two"},
        {"", 4, 80, ""},
        {"\xd0\xb6\xd0\xb6\xd0\xb6 \xd0\xb6\xd0\xb6", 0, 6,
         "\xd0\xb6\xd0\xb6\xd0\xb6 \xd0\xb6\xd0\xb6"},
        {"\xff\xfe a", 0, 4, "\xff\xfe a"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf got = buf_init(KIB);

        report_wrap(&got, str_c(cases[i].text), cases[i].indent, cases[i].columns);
        assert_string_equal(buf_c(&got), cases[i].want);
        buf_free(&got);
    }
}

static void test_answers(void **state)
{
    struct dns_record records[] = {
        {.preference = 10, .is_host = true, .name = STR("mx.example.org"), .bytes = STR("v=spf1")},
        {.preference = 0,
         .is_host = true,
         .usage = 3,
         .selector = 1,
         .matching = 1,
         .bytes = STR("\x01\xff"),
         .address = {192, 0, 2, 1}},
    };
    struct fact_answer first = {.asked = true, .records = records, .count = 1};
    struct fact_answer second = {.asked = true, .records = &records[1], .count = 1};
    struct fact_answer none = {.asked = true, .outcome = DNS_NO_NAME};
    struct fact_answer later = {.asked = true, .outcome = DNS_LATER, .why = STR("no answer")};
    const struct {
        enum dns_type type;
        const struct fact_answer *answer;
        const char *want;
    } cases[] = {
        {DNS_MX, &first, "10 mx.example.org"}, {DNS_MX, &second, "0 ."},
        {DNS_TXT, &first, "v=spf1"},           {DNS_TLSA, &second, "3 1 1 01ff"},
        {DNS_A, &second, "192.0.2.1"},         {DNS_A, &none, "no such name"},
        {DNS_MX, &later, "no answer"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf got = buf_init(KIB);

        report_answer(&got, cases[i].type, cases[i].answer);
        assert_string_equal(buf_c(&got), cases[i].want);
        buf_free(&got);
    }
    assert_string_equal(report_type_word(DNS_AAAA), "AAAA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrapping),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
