// SPDX-License-Identifier: ISC
#include "base/clock.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void prints_known_times(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {UINT64_C(951782400000001), "2000-02-29T00:00:00.000001Z"},
        {UINT64_C(1795197850123456), "2026-11-20T18:04:10.123456Z"},
        {UINT64_C(4107542399999999), "2100-02-28T23:59:59.999999Z"},
        {UINT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
        {UINT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(64);
        uint64_t us = 0;
        time_print(&b, cases[i].us);
        assert_string_equal(buf_c(&b), cases[i].text);
        assert_true(time_parse(buf_str(&b), &us));
        assert_true(us == cases[i].us);
        buf_free(&b);
    }
}

static void times_beyond_four_digits_stop_there(void **state)
{
    struct buf b = buf_init(64);

    time_print(&b, UINT64_MAX);
    assert_string_equal(buf_c(&b), "9999-12-31T23:59:59.999999Z");
    buf_free(&b);
}

/* Every day of 900 years against the C library. */
static void days_agree_with_the_c_library(void **state)
{
    struct buf b = buf_init(64);

    for (uint64_t day = 0; day < 900 * 365; day++) {
        time_t t = (time_t)(day * 86400);
        struct tm tm;
        char expect[64];
        uint64_t back = 0;

        gmtime_r(&t, &tm);
        (void)snprintf(expect, sizeof(expect), "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                       tm.tm_mday);
        buf_reset(&b);
        day_print(&b, day);
        if (!str_eq_c(buf_str(&b), expect) || !day_parse(buf_str(&b), &back) || back != day)
            fail_msg("day %d: %s, not %s", (int)day, buf_c(&b), expect);
    }
    buf_free(&b);
}

static void refuses_what_is_no_time(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-11-20",
        "2026-11-20T18:04:10.12345Z",
        "2026-11-20T18:04:10.1234567Z",
        "2026-11-20 18:04:10.123456Z",
        "2026-11-20T18:04:10.123456z",
        "2026-11-20T24:04:10.123456Z",
        "2026-11-20T18:60:10.123456Z",
        "2026-11-20T18:04:60.123456Z",
        "2026-02-29T18:04:10.123456Z",
        "2100-02-29T18:04:10.123456Z",
        "2026-00-10T18:04:10.123456Z",
        "2026-13-10T18:04:10.123456Z",
        "2026-11-00T18:04:10.123456Z",
        "1969-12-31T18:04:10.123456Z",
        "+026-11-20T18:04:10.123456Z",
    };

    for (size_t i = 0; i < countof(bad); i++) {
        uint64_t us = 42;
        assert_false(time_parse(str_c(bad[i]), &us));
        assert_int_equal(us, 42);
    }
}

static void prints_durations(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "0s"},
        {US_PER_S / 2, "1s"},
        {90 * US_PER_S, "90s"},
        {300 * US_PER_S, "5m"},
        {7200 * US_PER_S, "2h"},
        {86400 * 5 * US_PER_S, "5d"},
        {86401 * US_PER_S, "86401s"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(64);
        duration_print(&b, cases[i].us);
        assert_string_equal(buf_c(&b), cases[i].text);
        buf_free(&b);
    }
}

static void the_system_clock_runs(void **state)
{
    uint64_t first = clock_monotonic_us(&clock_system);

    assert_true(clock_monotonic_us(&clock_system) >= first);
    assert_true(clock_now_us(&clock_system) > UINT64_C(1700000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_known_times),
        cmocka_unit_test(times_beyond_four_digits_stop_there),
        cmocka_unit_test(days_agree_with_the_c_library),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(prints_durations),
        cmocka_unit_test(the_system_clock_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
