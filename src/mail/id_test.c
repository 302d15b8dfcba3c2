// SPDX-License-Identifier: ISC
#include "mail/id.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define KEY_MAX ((UINT64_C(1) << 51) - 1)

static void goes_both_ways_in_order(void **state)
{
    static const struct id ids[] = {
        {1, 0},      {1, 0xffffff},  {2, 0},           {2047, 0xffffff},        {2048, 0},
        {215000, 5}, {1 << 20, 123}, {KEY_MAX - 1, 0}, {KEY_MAX, 0xffffff - 1}, {KEY_MAX, 0xffffff},
    };
    char last[ID_TEXT_BYTES + 1] = "";
    uint64_t last_key = 0;

    for (size_t i = 0; i < countof(ids); i++) {
        struct id_text text = id_print(ids[i]);
        struct id back;
        assert_int_equal(strlen(text.p), ID_TEXT_BYTES);
        if (ids[i].key >= last_key)
            assert_true(strcmp(text.p, last) > 0);
        last_key = ids[i].key;
        memcpy(last, text.p, sizeof(last));
        assert_true(id_parse(str_c(text.p), &back));
        assert_true(back.key == ids[i].key && back.node == ids[i].node);
    }
}

static void refuses_what_is_no_id(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "000000000000000",
        "00000000000001",
        "0000000000000001",
        "31rn5n0e00000u1",
        "31rn5n0e 000001",
        "000000000000zzz" /* key 0 */,
    };
    struct id id = {.key = 42};

    for (size_t i = 0; i < countof(bad); i++)
        assert_false(id_parse(str_c(bad[i]), &id));
    assert_int_equal(id.key, 42);
    assert_true(id_parse(STR("31RN5N0E000002D"), &id)); /* as read out on the telephone */
}

static void tells_its_time(void **state)
{
    assert_true(id_time_us((struct id){.key = 7}) == UINT64_C(1577836800000007));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_both_ways_in_order),
        cmocka_unit_test(refuses_what_is_no_id),
        cmocka_unit_test(tells_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
