// SPDX-License-Identifier: ISC
#include "ipc/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"

static const struct job_recipient list[] = {
    {0, {"a@example.org", 13}, {"", 0}},
    {UINT32_MAX, {"", 0}, {"example.org/a", 13}},
    {7, {"b@\0x", 4}, {"10.0.0.1:25", 11}},
};

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t count = 0; count <= countof(list); count++) {
        struct buf bytes = buf_init(KIB);
        struct arena a = ARENA_INIT;
        struct job_recipient *back = NULL;
        size_t back_count = 99;

        job_recipients_encode(&bytes, list, count);
        assert_true(job_recipients_decode(buf_str(&bytes), &a, &back, &back_count));
        assert_int_equal(back_count, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(back[i].number, list[i].number);
            assert_true(str_eq(back[i].address, list[i].address));
            assert_true(str_eq(back[i].next_hop, list[i].next_hop));
        }
        arena_free(&a);
        buf_free(&bytes);
    }
}

static void test_shorter_or_longer_is_refused(void **state)
{
    struct buf bytes = buf_init(KIB);
    struct arena a = ARENA_INIT;
    struct job_recipient *back;
    size_t count;

    (void)state;
    job_recipients_encode(&bytes, list, countof(list));
    for (size_t n = 0; n < bytes.n; n++) {
        char *prefix = mem_copy(bytes.p, n);
        assert_false(job_recipients_decode(str_n(prefix, n), &a, &back, &count));
        free(prefix);
    }
    buf_add_char(&bytes, 'x');
    assert_false(job_recipients_decode(buf_str(&bytes), &a, &back, &count));
    arena_free(&a);
    buf_free(&bytes);
}

/* Four bytes must not make us allocate 100 GB. */
static void test_count_is_bounded_by_the_bytes(void **state)
{
    struct arena a = ARENA_INIT;
    struct job_recipient *back;
    size_t count;

    (void)state;
    assert_false(job_recipients_decode(STR("\xff\xff\xff\xff"), &a, &back, &count));
    assert_false(
        job_recipients_decode(STR("\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), &a, &back, &count));
    assert_int_equal(a.bytes, 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_shorter_or_longer_is_refused),
        cmocka_unit_test(test_count_is_bounded_by_the_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
