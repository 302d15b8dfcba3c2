// SPDX-License-Identifier: ISC
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void writes_numbers_little_endian(void **state)
{
    struct buf b = buf_init(64);

    put_u8(&b, 0x01);
    put_u16(&b, 0x0203);
    put_u32(&b, 0x04050607);
    put_u64(&b, UINT64_C(0x08090a0b0c0d0e0f));
    put_str(&b, STR("hi"));
    assert_int_equal(b.n, 21);
    assert_memory_equal(
        b.p, "\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x02\0\0\0hi", 21);

    /* Every shorter reading fails cleanly and stays failed. */
    for (size_t n = 0; n <= b.n; n++) {
        struct reader r = reader_init(str_n(b.p, n));
        (void)get_u8(&r);
        (void)get_u16(&r);
        (void)get_u32(&r);
        uint64_t v = get_u64(&r);
        struct str s = get_str(&r);
        assert_int_equal(reader_ended(&r), n == b.n);
        assert_int_equal(r.bad, n != b.n);
        assert_true(n >= 15 ? v == UINT64_C(0x08090a0b0c0d0e0f) : v == 0);
        assert_true(str_eq_c(s, n == b.n ? "hi" : ""));
    }
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_numbers_little_endian),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
