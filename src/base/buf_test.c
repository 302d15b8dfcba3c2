// SPDX-License-Identifier: ISC
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void grows_to_its_limit(void **state)
{
    struct buf b = buf_init(1000);

    for (size_t i = 0; i < 1000; i++)
        assert_true(buf_add_char(&b, (char)('a' + i % 26)));
    assert_false(b.full);
    assert_int_equal(strlen(buf_c(&b)), 1000);
    assert_false(buf_add_char(&b, 'x'));
    assert_true(b.full);
    assert_int_equal(b.n, 1000);
    buf_free(&b);
    assert_int_equal(b.bytes_max, 1000);
}

static void stays_full(void **state)
{
    struct buf b = buf_init(4);

    assert_true(buf_add_c(&b, "ab"));
    assert_false(buf_add_c(&b, "cde"));
    assert_false(buf_add_c(&b, "c")); /* would fit, but the text would have a hole */
    assert_string_equal(buf_c(&b), "ab");
    buf_reset(&b);
    assert_true(buf_add_c(&b, "cdef"));
    buf_free(&b);
}

static void prints(void **state)
{
    struct buf b = buf_init(64);

    assert_true(buf_printf(&b, "%s=%d ", "a", -1));
    assert_true(buf_add_u64(&b, 0));
    assert_true(buf_add_char(&b, ' '));
    assert_true(buf_add_u64(&b, UINT64_MAX));
    assert_true(buf_add(&b, STR_NONE));
    assert_string_equal(buf_c(&b), "a=-1 0 18446744073709551615");
    assert_false(buf_printf(&b, "%64s", ""));
    assert_true(b.full);
    buf_free(&b);
}

static void prints_up_to_the_last_byte(void **state)
{
    struct buf b = buf_init(3);

    assert_true(buf_printf(&b, "%s", "abc"));
    assert_string_equal(buf_c(&b), "abc");
    buf_free(&b);
}

static void drops_and_cuts(void **state)
{
    struct buf b = buf_init(16);

    (void)buf_add_c(&b, "0123456789");
    buf_drop_front(&b, 3);
    assert_string_equal(buf_c(&b), "3456789");
    buf_cut(&b, 2);
    assert_string_equal(buf_c(&b), "34");
    buf_cut(&b, 5);
    buf_drop_front(&b, 99);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

static void wipes(void **state)
{
    struct buf b = buf_init(16);

    (void)buf_add_c(&b, "secret rest");
    buf_wipe_front(&b, 7);
    assert_true(str_eq(buf_str(&b), STR("rest")));
    for (size_t i = b.n; i < 11; i++)
        assert_int_equal(b.p[i], 0);
    buf_wipe_front(&b, 99);
    assert_int_equal(b.n, 0);
    for (size_t i = 0; i < 11; i++)
        assert_int_equal(b.p[i], 0);
    buf_wipe(&b);
    assert_null(b.p);
    buf_wipe_front(&b, 0);
    buf_wipe(&b);
}

static void takes(void **state)
{
    struct buf b = buf_init(16);
    char *empty = buf_take(&b);

    assert_string_equal(empty, "");
    (void)buf_add_c(&b, "abc");
    char *p = buf_take(&b);
    assert_string_equal(p, "abc");
    assert_null(b.p);
    free(p);
    free(empty);
}

static void room_beyond_the_limit_is_refused(void **state)
{
    struct buf b = buf_init(8);

    assert_non_null(buf_room(&b, 8));
    buf_added(&b, 4);
    assert_null(buf_room(&b, SIZE_MAX));
    assert_true(b.full);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_limit),
        cmocka_unit_test(stays_full),
        cmocka_unit_test(prints),
        cmocka_unit_test(prints_up_to_the_last_byte),
        cmocka_unit_test(drops_and_cuts),
        cmocka_unit_test(wipes),
        cmocka_unit_test(takes),
        cmocka_unit_test(room_beyond_the_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
