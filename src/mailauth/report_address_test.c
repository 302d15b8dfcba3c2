// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "mailauth/report_address.h"

static void test_addresses(void **state)
{
    static const struct {
        const char *text;
        bool sized;
        const char *want; /* "ADDRESS@HOST …", or NULL: refused */
    } cases[] = {
        {"mailto:a@b.example", false, "a@b.example,b.example "},
        {"MAILTO:a@b.example , https://c.example/x", false, "a@b.example,b.example ,c.example "},
        {"https://c.example:8443/x", false, ",c.example "},
        {"mailto:a@b.example?subject=x", false, "a@b.example,b.example "},
        {"mailto:a@b.example!10m,mailto:c@d.example!5", true,
         "a@b.example,b.example c@d.example,d.example "},
        {"mailto:a@b.example!10x", true, NULL},
        {"mailto:a@b.example!", true, NULL},
        {"mailto:a@b.example!10m!1", true, NULL},
        {"a@b.example", false, NULL},
        {"mailto:b.example", false, NULL},
        {"mailto:@b.example", false, NULL},
        {"mailto:a@", false, NULL},
        {"mailto:a@b.example mailto:c@d.example", false, NULL},
        {"https:///x", false, NULL},
        {"http://c.example/", false, NULL},
        {"", false, NULL},
        {"mailto:a@b.example,", false, "a@b.example,b.example "},
        {",mailto:a@b.example", false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct buf got = buf_init(KIB);
        struct report_addresses r;
        bool good = report_addresses_parse(str_c(cases[i].text), cases[i].sized, &r, &error);

        for (size_t k = 0; k < r.count; k++)
            buf_printf(&got, "%.*s,%.*s ", STR_ARG(r.list[k].address), STR_ARG(r.list[k].host));
        assert_int_equal(good, error.why == NULL);
        if (good != (cases[i].want != NULL) || (good && strcmp(buf_c(&got), cases[i].want) != 0))
            fail_msg("%s: %s", cases[i].text, good ? buf_c(&got) : error.why);
        buf_free(&got);
    }
}

static void test_many(void **state)
{
    struct buf text = buf_init(4 * KIB);
    struct record_error error = {0};
    struct report_addresses r;

    (void)state;
    for (size_t i = 0; i <= REPORT_ADDRESSES_MAX; i++)
        buf_add_c(&text, "mailto:a@b.example,");
    assert_false(report_addresses_parse(buf_str(&text), false, &r, &error));
    assert_int_equal(r.count, REPORT_ADDRESSES_MAX);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
