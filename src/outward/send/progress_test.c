// SPDX-License-Identifier: ISC
#include "outward/send/progress.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void printed(void **state)
{
    static const struct {
        uint64_t done, all, elapsed_us;
        size_t columns;
        const char *want;
    } table[] = {
        {0, 100 * MIB, 0, 79,
         "x 0.0 KiB of 100.0 MiB [>                                    ]   0 %  0.0 KiB/s"},
        {25 * MIB, 100 * MIB, 5 * US_PER_S, 70,
         "x 25.0 MiB of 100.0 MiB [====>           ]  25 %  5.0 MiB/s  0:15 left"},
        {100 * MIB, 100 * MIB, 10 * US_PER_S, 70,
         "x 100.0 MiB of 100.0 MiB [==============] 100 %  10.0 MiB/s  0:00 left"},
        {1 * MIB, 2048 * MIB, 2 * US_PER_S, 60,
         "x 1.0 MiB of 2.0 GiB   0 %  512.0 KiB/s  1:08:14 left"},
        {1 * MIB, 4 * MIB, 2 * US_PER_S, 30, "x 1.0 MiB of 4.0 MiB"},
        {5, 0, 1, 30, "x 0.0 KiB of 0.0 KiB"},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct buf b = buf_init(KIB);

        progress_print(&b, "x", table[i].done, table[i].all, table[i].elapsed_us, table[i].columns);
        assert_true(b.n <= table[i].columns + 4);
        assert_string_equal(buf_c(&b), table[i].want);
        buf_free(&b);
    }
}

/* Whatever it is, it fits into the line. */
static void never_wraps(void **state)
{
    for (size_t columns = 0; columns < 200; columns++) {
        for (unsigned shift = 0; shift < 50; shift += 7) {
            struct buf b = buf_init(KIB);

            progress_print(&b, "sending", UINT64_C(1) << shift, UINT64_C(3) << shift, 3000000,
                           columns);
            assert_true(b.n <= MAX_OF(columns, (size_t)40));
            buf_free(&b);
        }
    }
}

static uint64_t now_us;

static uint64_t fake_us(const struct clock *c)
{
    return now_us;
}

static void nothing_is_shown_at_once(void **state)
{
    static const struct clock clock = {fake_us, fake_us};
    struct progress p = {.enabled = true};

    progress_begin(&p, &clock, "sending");
    progress_at(&p, 1, 2);
    assert_false(p.shown);
    now_us = 999999;
    progress_at(&p, 1, 2);
    assert_false(p.shown);
    now_us = 1000000;
    progress_at(&p, 1, 2);
    assert_true(p.shown);
    progress_clear(&p);
    assert_false(p.shown);
    now_us = 1050000; /* too soon again */
    progress_at(&p, 2, 2);
    assert_false(p.shown);
    p.enabled = false;
    now_us = 9000000;
    progress_at(&p, 2, 2);
    assert_false(p.shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed),
        cmocka_unit_test(never_wraps),
        cmocka_unit_test(nothing_is_shown_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
