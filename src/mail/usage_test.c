// SPDX-License-Identifier: ISC
#include "mail/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define MINUTE_US (60 * US_PER_S)
#define HOUR_US (60 * MINUTE_US)
#define NOON_US (UINT64_C(1795176000) * US_PER_S) /* 2026-11-20T12:00:00Z */

static void send_one(struct usage *u, uint64_t now_us, uint32_t recipients)
{
    usage_add(u, now_us, (const uint32_t[]){1, recipients});
}

static void windows_slide(void **state)
{
    static const struct {
        uint64_t later_us, in_hour, in_day;
    } cases[] = {
        {0, 7, 7},
        {59 * MINUTE_US, 7, 7},
        {64 * MINUTE_US, 7, 7}, /* a slot counts until all of it is too old */
        {65 * MINUTE_US, 0, 7},
        {24 * HOUR_US, 0, 7},
        {25 * HOUR_US, 0, 0},
        {1000 * HOUR_US, 0, 0},
    };
    struct usage u = {0};

    send_one(&u, NOON_US, 3);
    send_one(&u, NOON_US + 1, 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t now = NOON_US + cases[i].later_us;

        assert_int_equal(usage_sum(&u, USAGE_HOUR, USAGE_RECIPIENTS, now), cases[i].in_hour);
        assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_RECIPIENTS, now), cases[i].in_day);
        assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_MESSAGES, now), cases[i].in_day ? 2 : 0);
    }
}

static void it_says_when(void **state)
{
    struct usage u = {0};

    for (unsigned i = 0; i < 4; i++) /* 2 at 12:00, 12:10, 12:20, 12:30 */
        send_one(&u, NOON_US + i * 10 * MINUTE_US, 2);

    uint64_t now = NOON_US + 37 * MINUTE_US;

    assert_int_equal(usage_wait_us(&u, USAGE_HOUR, USAGE_RECIPIENTS, now, 9, 1), 0);
    assert_int_equal(usage_wait_us(&u, USAGE_HOUR, USAGE_RECIPIENTS, now, 8, 1), 28 * MINUTE_US);
    assert_int_equal(usage_wait_us(&u, USAGE_HOUR, USAGE_RECIPIENTS, now, 8, 3), 38 * MINUTE_US);
    assert_int_equal(usage_wait_us(&u, USAGE_HOUR, USAGE_RECIPIENTS, now, 8, 9), HOUR_US);
    assert_int_equal(usage_wait_us(&u, USAGE_DAY, USAGE_MESSAGES, now, 4, 1),
                     25 * HOUR_US - 37 * MINUTE_US);
    /* What it says is true. */
    assert_int_equal(
        usage_wait_us(&u, USAGE_HOUR, USAGE_RECIPIENTS, now + 28 * MINUTE_US - 1, 8, 1), 1);
    assert_int_equal(usage_wait_us(&u, USAGE_HOUR, USAGE_RECIPIENTS, now + 28 * MINUTE_US, 8, 1),
                     0);
}

static void what_is_taken_back_counts_no_more(void **state)
{
    struct usage u = {0};
    const uint32_t amount[USAGE_WHAT_COUNT] = {1, 3};

    send_one(&u, NOON_US, 3);
    send_one(&u, NOON_US + 10 * MINUTE_US, 3);
    usage_take_back(&u, NOON_US, NOON_US + 20 * MINUTE_US, amount);
    assert_int_equal(usage_sum(&u, USAGE_HOUR, USAGE_RECIPIENTS, NOON_US + 20 * MINUTE_US), 3);
    assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_MESSAGES, NOON_US + 20 * MINUTE_US), 1);
    /* Twice, or what was never there: nothing becomes less than nothing. */
    usage_take_back(&u, NOON_US, NOON_US + 20 * MINUTE_US, amount);
    assert_int_equal(usage_sum(&u, USAGE_HOUR, USAGE_MESSAGES, NOON_US + 20 * MINUTE_US), 1);
    /* The hour has forgotten it, the day has not. */
    usage_take_back(&u, NOON_US + 10 * MINUTE_US, NOON_US + 3 * HOUR_US, amount);
    assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_MESSAGES, NOON_US + 3 * HOUR_US), 0);
    usage_take_back(&u, NOON_US + 99 * HOUR_US, NOON_US + 3 * HOUR_US, amount);
}

/* Against a list of all that was sent: never less than the window, never more than a slot more. */
static void never_too_few(void **state)
{
    enum { SENT = 2000 };
    static uint64_t sent[SENT];
    struct usage u = {0};
    uint64_t now = NOON_US;
    uint64_t seed = 42;

    for (size_t i = 0; i < SENT; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        now += (seed >> 33) % (4 * MINUTE_US);
        send_one(&u, now, 1);
        sent[i] = now;

        uint64_t least = 0, most = 0;
        for (size_t j = 0; j <= i; j++) {
            least += sent[j] + HOUR_US > now;
            most += sent[j] + HOUR_US + 5 * MINUTE_US > now;
        }
        uint64_t got = usage_sum(&u, USAGE_HOUR, USAGE_RECIPIENTS, now);
        assert_true(got >= least && got <= most);
    }
}

static void clocks_that_leap(void **state)
{
    struct usage u = {0};

    send_one(&u, NOON_US, 5);
    send_one(&u, NOON_US - 10 * MINUTE_US, 5); /* a little back: still counted */
    assert_int_equal(usage_sum(&u, USAGE_HOUR, USAGE_RECIPIENTS, NOON_US), 10);
    assert_int_equal(usage_sum(&u, USAGE_HOUR, USAGE_RECIPIENTS, NOON_US - 10 * MINUTE_US), 10);
    assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_RECIPIENTS, NOON_US - 100 * HOUR_US), 0);
    send_one(&u, NOON_US - 100 * HOUR_US, 1);
    assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_RECIPIENTS, NOON_US - 100 * HOUR_US), 1);
    usage_add(&u, NOON_US, (const uint32_t[]){UINT32_MAX, UINT32_MAX});
    usage_add(&u, NOON_US, (const uint32_t[]){UINT32_MAX, UINT32_MAX});
    assert_int_equal(usage_sum(&u, USAGE_DAY, USAGE_RECIPIENTS, NOON_US), UINT32_MAX);
}

static void it_survives_as_bytes(void **state)
{
    struct usage u = {.told_us = NOON_US};
    struct usage back;
    struct buf b = buf_init(USAGE_BYTES_MAX);

    send_one(&u, NOON_US, 3);
    usage_encode(&b, &u);
    assert_false(b.full);
    assert_true(usage_decode(buf_str(&b), &back));
    assert_memory_equal(&u, &back, sizeof u);
    for (size_t n = 0; n < b.n; n++)
        assert_false(usage_decode(str_sub(buf_str(&b), 0, n), &back));
    buf_add_char(&b, 'x');
    assert_false(usage_decode(buf_str(&b), &back));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_slide),
        cmocka_unit_test(it_says_when),
        cmocka_unit_test(what_is_taken_back_counts_no_more),
        cmocka_unit_test(never_too_few),
        cmocka_unit_test(clocks_that_leap),
        cmocka_unit_test(it_survives_as_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
