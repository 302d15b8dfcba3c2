// SPDX-License-Identifier: ISC
#include "base/arena.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void arena_memory_is_zeroed_and_apart(void **state)
{
    struct arena a = ARENA_INIT;
    char *last = NULL;

    for (size_t i = 0; i < 1000; i++) {
        char *p = arena_alloc(&a, i % 300);
        for (size_t k = 0; k < i % 300; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, i % 300);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, last);
        last = i % 300 ? p : NULL;
    }
    char *large = arena_alloc(&a, MIB);
    large[MIB - 1] = 1;
    struct str s = arena_copy(&a, STR("abc"));
    assert_string_equal(s.p, "abc");
    assert_string_equal(arena_c(&a, STR_NONE), "");
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x").p, "7-x");
    arena_free(&a);
    assert_int_equal(a.bytes, 0);
    assert_string_equal(arena_c(&a, STR("again")), "again");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_zeroed_and_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
