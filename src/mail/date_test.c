// SPDX-License-Identifier: ISC
#include "mail/date.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

static void prints(void **state)
{
    static const struct {
        uint64_t us;
        int offset;
        const char *text;
    } cases[] = {
        {0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"},
        {1795197850 * S + 999999, 0, "Fri, 20 Nov 2026 18:04:10 +0000"},
        {1795197850 * S, 330, "Fri, 20 Nov 2026 23:34:10 +0530"},
        {1795197850 * S, 720, "Sat, 21 Nov 2026 06:04:10 +1200"},
        {1795197850 * S, -210, "Fri, 20 Nov 2026 14:34:10 -0330"},
        {951782399 * S, 0, "Mon, 28 Feb 2000 23:59:59 +0000"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(64);
        uint64_t us = 0;
        date_print(&b, cases[i].us, cases[i].offset);
        assert_string_equal(buf_c(&b), cases[i].text);
        assert_true(date_parse(buf_str(&b), &us));
        assert_true(us == cases[i].us - cases[i].us % S);
        buf_free(&b);
    }
}

static void reads(void **state)
{
    static const struct {
        const char *text;
        uint64_t s;
    } cases[] = {
        {"Fri, 20 Nov 2026 18:04:10 +0000", 1795197850},
        {"20 Nov 2026 18:04:10 +0000", 1795197850},
        {"20 nov 2026 18:04 GMT", 1795197840},
        {" Fri , 20\r\n\tNov 2026 18 : 04 : 10 +0000 (UTC)", 1795197850},
        {"(a(b\\)c)) Fri, (x) 20 (y) Nov (z) 2026 18:04:10 (w) +0000", 1795197850},
        {"Fri, 20 Nov 26 18:04:10 UT", 1795197850},
        {"Fri, 20 Nov 126 18:04:10 Z", 1795197850},
        {"20 Nov 2026 13:04:10 EST", 1795197850},
        {"20 Nov 2026 11:04:10 PDT", 1795197850},
        {"20 Nov 2026 18:04:10 -0000", 1795197850},
        {"20 Nov 2026 18:04:10 XYZ", 1795197850},
        {"21 Nov 2026 01:04:10 +0700", 1795197850},
        {"Mon, 20 Nov 2026 18:04:10 +0000", 1795197850}, /* the wrong day of the week */
        {"1 Jan 70 00:00:00 +0000", 0},
        {"31 Dec 2016 23:59:60 +0000", 1483228800},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        uint64_t us = 42;
        if (!date_parse(str_c(cases[i].text), &us) || us != cases[i].s * S)
            fail_msg("%s gave %llu", cases[i].text, (unsigned long long)(us / S));
    }
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "Fri",
        "Fri, ",
        "Fri 20 Nov 2026 18:04:10 +0000",
        "Frx, 20 Nov 2026 18:04:10 +0000",
        "20 Nov 2026",
        "20 Nov 2026 18:04:10",
        "20 Nov 2026 18:04:10 +000",
        "20 Nov 2026 18:04:10 +00000",
        "20 Nov 2026 18:04:10 +0060",
        "20 Nov 2026 18:04:10 + 0000",
        "20 Nov 2026 18:04:10 +0000 x",
        "20 Nov 2026 18:04:10 +0000 (x",
        "20 Nov 2026 24:04:10 +0000",
        "20 Nov 2026 18:60:10 +0000",
        "20 Nov 2026 18:04:61 +0000",
        "20 Nov 2026 18:4:10 +0000",
        "31 Nov 2026 18:04:10 +0000",
        "29 Feb 2026 18:04:10 +0000",
        "0 Nov 2026 18:04:10 +0000",
        "020 Nov 2026 18:04:10 +0000",
        "20 Nox 2026 18:04:10 +0000",
        "20 Nov 20266 18:04:10 +0000",
        "20 Nov 6 18:04:10 +0000",
        "20 Nov 1926 18:04:10 +0000",
        "31 Dec 69 23:00:00 -0100", /* 1970 in UTC, but no mail is as old */
        "((((",
        "\\",
    };

    for (size_t i = 0; i < countof(bad); i++) {
        uint64_t us = 42;
        if (date_parse(str_c(bad[i]), &us))
            fail_msg("took %s", bad[i]);
        assert_int_equal(us, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints),
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
