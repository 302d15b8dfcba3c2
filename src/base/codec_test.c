// SPDX-License-Identifier: ISC
#include "base/codec.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720 B.4, and the usual check value. */
static void crc_has_the_published_values(void **state)
{
    char rising[32];
    char ones[32];
    char zeros[32] = {0};

    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < sizeof(rising); i++)
        rising[i] = (char)i;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(0, rising, 32), 0x46dd794e);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(7, NULL, 0), 7);
}

static void crc_goes_on_at_any_split(void **state)
{
    char bytes[67];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37 + 11);
    uint32_t whole = crc32c_portable(0, bytes, sizeof(bytes));
    for (size_t at = 0; at <= sizeof(bytes); at++) {
        uint32_t crc = crc32c(0, bytes, at);
        assert_int_equal(crc32c(crc, bytes + at, sizeof(bytes) - at), whole);
        assert_int_equal(crc32c_portable(crc, bytes + at, sizeof(bytes) - at), whole);
    }
}

static void base32_goes_both_ways_in_order(void **state)
{
    static const uint64_t values[] = {0, 1, 31, 32, 1000, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    char last[14] = "";

    for (size_t i = 0; i < countof(values); i++) {
        char text[14] = {0};
        uint64_t v = 42;
        base32_put(text, 13, values[i]);
        assert_true(strcmp(text, last) > 0);
        memcpy(last, text, sizeof(text));
        assert_true(base32_get(str_c(text), &v));
        assert_true(v == values[i]);
    }
}

static void base32_refuses_foreign_letters(void **state)
{
    static const char *const bad[] = {"", "i", "l", "o", "u", "-", " 1", "g00000000000000", "\x80"};
    uint64_t v = 42;

    for (size_t i = 0; i < countof(bad); i++)
        assert_false(base32_get(str_c(bad[i]), &v));
    assert_int_equal(v, 42);
    assert_true(base32_get(STR("ZZ"), &v));
    assert_int_equal(v, 1023);
}

static void base64_goes_both_ways(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"Username:", "VXNlcm5hbWU6"},
        {"\xff\xfe\xfd", "//79"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct buf b = buf_init(64);

        base64_put(&b, str_c(rows[i][0]));
        assert_string_equal(buf_c(&b), rows[i][1]);
        buf_reset(&b);
        assert_true(base64_get(&b, str_c(rows[i][1])));
        assert_string_equal(buf_c(&b), rows[i][0]);
        buf_free(&b);
    }
    for (size_t n = 0; n < 100; n++) { /* all bytes, at all lengths */
        char bytes[100];
        struct buf text = buf_init(256), back = buf_init(100);

        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(uint8_t)(n * 37 + i * 11);
        base64_put(&text, str_n(bytes, n));
        assert_true(base64_get(&back, buf_str(&text)));
        assert_true(str_eq(buf_str(&back), str_n(bytes, n)));
        buf_free(&text);
        buf_free(&back);
    }
}

/* Nothing has two forms: padding, the bits behind the end, and the place of = are looked at. */
static void base64_refuses_what_it_would_not_write(void **state)
{
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",   "Zg==Zg==", "Zh==",
                                      "Zm9=", "Z===", "====",  "Zm9v\n",   "Zm 9v",
                                      "=Zm9", "Zm-_", "Zm9vZ", "*",        "Zm9vYg==="};

    for (size_t i = 0; i < countof(bad); i++) {
        struct buf b = buf_init(64);

        buf_add_c(&b, "x");
        assert_false(base64_get(&b, str_c(bad[i])));
        assert_string_equal(buf_c(&b), "x");
        buf_free(&b);
    }

    struct buf small = buf_init(2);

    assert_false(base64_get(&small, STR("Zm9v")));
    assert_int_equal(small.n, 0);
    buf_free(&small);
}

static void hash_depends_on_seed_length_and_every_byte(void **state)
{
    char bytes[80] = {0};

    for (size_t n = 0; n <= sizeof(bytes); n++) {
        uint64_t h = hash_bytes(1, str_n(bytes, n));
        assert_true(h != hash_bytes(2, str_n(bytes, n)));
        assert_true(n == 0 || h != hash_bytes(1, str_n(bytes, n - 1)));
        for (size_t i = 0; i < n; i++) {
            bytes[i] ^= 0x10;
            assert_true(h != hash_bytes(1, str_n(bytes, n)));
            bytes[i] ^= 0x10;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_has_the_published_values),
        cmocka_unit_test(crc_goes_on_at_any_split),
        cmocka_unit_test(base32_goes_both_ways_in_order),
        cmocka_unit_test(base32_refuses_foreign_letters),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(base64_refuses_what_it_would_not_write),
        cmocka_unit_test(hash_depends_on_seed_length_and_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
