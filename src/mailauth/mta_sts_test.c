// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "mailauth/mta_sts.h"

static void test_records(void **state)
{
    static const struct {
        const char *text, *id; /* NULL: refused */
    } cases[] = {
        {"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
        {"v=STSv1;id=a;x=y", "a"},
        {"v=STSv1;", NULL},
        {"v=STSv1; id=;", NULL},
        {"v=STSv1; id=2016-08-31;", NULL},
        {"v=STSv1; id=123456789012345678901234567890123;", NULL},
        {"v=STSv2; id=1;", NULL},
        {"id=1; v=STSv1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct str id = STR_NONE;
        bool good = mta_sts_record_parse(str_c(cases[i].text), &id, &error);

        assert_int_equal(good, cases[i].id != NULL);
        assert_int_equal(good, error.why == NULL);
        if (good)
            assert_true(str_eq_c(id, cases[i].id));
    }
}

static void test_policies(void **state)
{
    static const struct {
        const char *text, *want; /* want: mode age hosts, or "! why" */
    } cases[] = {
        {"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
         "mx: backupmx.example.com\r\nmax_age: 604800\r\n",
         "enforce 604800 mail.example.com *.example.net backupmx.example.com"},
        {"version:STSv1\nmode:testing\nmx:a.example\nmax_age:1", "testing 1 a.example"},
        {"version: STSv1\nmode: none\nmax_age: 86400\n", "none 86400"},
        {"version: STSv1\nmode: testing\nmode: enforce\nmx: a.example\nmax_age: 1\nnew: x\n",
         "testing 1 a.example"},
        {"mode: enforce\nmx: a.example\nmax_age: 1\n", "! the policy has no line version: STSv1"},
        {"version: STSv1\nmx: a.example\nmax_age: 1\n", "! the policy has no mode"},
        {"version: STSv1\nmode: enforce\nmx: a.example\n", "! the policy has no max_age"},
        {"version: STSv1\nmode: enforce\nmax_age: 1\n", "! the policy names no server (mx)"},
        {"version: STSv1\nmode: on\nmax_age: 1\n",
         "! a value that this line of the policy cannot have"},
        {"version: STSv1\nmode: enforce\nmax_age: 31557601\nmx: a.example\n",
         "! a value that this line of the policy cannot have"},
        {"version: STSv1\nmode: enforce\nmax_age: 1\nmx: a example\n",
         "! a value that this line of the policy cannot have"},
        {"version: STSv1\nmode: enforce\nmax_age: 1\nmx: mail.*.example\n",
         "! a value that this line of the policy cannot have"},
        {"<html>", "! a line without a colon"},
        {"", "! the policy has no line version: STSv1"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct buf got = buf_init(KIB);
        struct mta_sts_policy p;

        if (mta_sts_policy_parse(str_c(cases[i].text), &p, &error))
            buf_printf(&got, "%s %llu", mta_sts_mode_word(p.mode), (unsigned long long)p.max_age_s);
        else
            buf_printf(&got, "! %s", error.why);
        for (size_t k = 0; !error.why && k < p.host_count; k++)
            buf_printf(&got, " %.*s", STR_ARG(p.hosts[k]));
        if (strcmp(buf_c(&got), cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].text, buf_c(&got));
        buf_free(&got);
    }
}

static void test_hosts(void **state)
{
    static const struct mta_sts_policy p = {
        .hosts = {{"Mail.example.com", 16}, {"*.example.net", 13}}, .host_count = 2};

    (void)state;
    assert_true(mta_sts_has(&p, STR("mail.example.com")));
    assert_true(mta_sts_has(&p, STR("mx1.example.net")));
    assert_false(mta_sts_has(&p, STR("example.net")));
    assert_false(mta_sts_has(&p, STR("a.mx1.example.net")));
    assert_false(mta_sts_has(&p, STR("mail.example.org")));
    assert_false(mta_sts_has(&p, STR("net")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
