// SPDX-License-Identifier: ISC
#include "base/map.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void puts_gets_and_removes(void **state)
{
    struct map *m = map_new();
    int one = 1;
    int two = 2;

    assert_null(map_get(m, STR("a")));
    assert_null(map_put(m, STR("a"), &one));
    assert_ptr_equal(map_put(m, STR("a"), &two), &one);
    assert_int_equal(map_count(m), 1);
    assert_ptr_equal(map_get(m, STR("a")), &two);
    assert_null(map_put(m, STR_NONE, &one)); /* an empty key is a key */
    assert_ptr_equal(map_get(m, STR("")), &one);
    assert_ptr_equal(map_remove(m, STR("a")), &two);
    assert_null(map_remove(m, STR("a")));
    assert_int_equal(map_count(m), 1);
    map_free(&m);
    assert_null(m);
    map_free(&m);
}

/* A long random life against a plain array. */
static void agrees_with_an_array(void **state)
{
    enum { KEYS = 500, STEPS = 200000 };
    static uint64_t keys[KEYS];
    static bool present[KEYS];
    struct map *m = map_new();
    uint32_t random = 1;
    size_t count = 0;

    for (uint64_t i = 0; i < KEYS; i++)
        keys[i] = i;
    for (size_t step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        size_t k = (random >> 8) % KEYS;
        struct str key = map_key_u64(&keys[k]);
        void *had;

        assert_ptr_equal(map_get(m, key), present[k] ? &keys[k] : NULL);
        bool adds = random >> 31;
        had = adds ? map_put(m, key, &keys[k]) : map_remove(m, key);
        assert_ptr_equal(had, present[k] ? &keys[k] : NULL);
        count = count - present[k] + adds;
        present[k] = adds;
        assert_int_equal(map_count(m), count);
    }
    map_free(&m);
}

static void removing_while_walking_misses_nothing(void **state)
{
    static uint64_t keys[1000];
    struct map *m = map_new();
    size_t at = 0;
    size_t seen = 0;

    for (uint64_t i = 0; i < countof(keys); i++) {
        keys[i] = i;
        (void)map_put(m, map_key_u64(&keys[i]), &keys[i]);
    }
    for (uint64_t *k = map_next(m, &at); k; k = map_next(m, &at)) {
        assert_ptr_equal(map_remove(m, map_key_u64(k)), k);
        seen++;
    }
    assert_int_equal(seen, countof(keys));
    assert_int_equal(map_count(m), 0);
    map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_gets_and_removes),
        cmocka_unit_test(agrees_with_an_array),
        cmocka_unit_test(removing_while_walking_misses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
