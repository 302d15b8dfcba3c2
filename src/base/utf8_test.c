// SPDX-License-Identifier: ISC
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"

static void test_valid(void **state)
{
    static const struct {
        struct str s;
        bool valid, visible;
    } rows[] = {
        {{"", 0}, true, true},
        {{"bill", 4}, true, true},
        {{"\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0", 10}, true, true},
        {{"\xf0\x9f\x93\xac", 4}, true, true},   /* a mailbox */
        {{"\xf4\x8f\xbf\xbd", 4}, true, false},  /* private use */
        {{"\xf4\x90\x80\x80", 4}, false, false}, /* beyond the last */
        {{"\xc0\xaf", 2}, false, false},         /* overlong / */
        {{"\xe0\x80\xaf", 3}, false, false},
        {{"\xf0\x80\x80\xaf", 4}, false, false},
        {{"\xed\xa0\x80", 3}, false, false}, /* a surrogate */
        {{"\xed\xbf\xbf", 3}, false, false},
        {{"\xed\x9f\xbf", 3}, true, true}, /* the last before them */
        {{"\x80", 1}, false, false},
        {{"\xd0", 1}, false, false},
        {{"\xd0\x41", 2}, false, false},
        {{"\xff", 1}, false, false},
        {{"\xf8\x88\x80\x80\x80", 5}, false, false},
        {{"a\x7f", 2}, true, false},
        {{"\xc2\x85", 2}, true, false},         /* next line, a C1 control */
        {{"\xe2\x80\xae", 3}, true, false},     /* from here on from right to left */
        {{"\xe2\x80\xa8", 3}, true, false},     /* line separator */
        {{"\xe2\x81\xa6", 3}, true, false},     /* isolate */
        {{"\xef\xbb\xbf", 3}, true, false},     /* byte order mark */
        {{"\xf3\xa0\x80\xa1", 4}, true, false}, /* a tag */
        {{"\xef\xbf\xbf", 3}, true, false},     /* no character */
        {{"\xd7\x90", 2}, true, true},          /* alef, which itself runs leftwards */
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        if (utf8_valid(rows[i].s) != rows[i].valid || utf8_visible(rows[i].s) != rows[i].visible)
            fail_msg("row %zu", i);
    }
    assert_true(utf8_is_ascii(STR("bill\x7f")));
    assert_false(utf8_is_ascii(STR("b\xc3\xafll")));
}

/* Every character there is goes out and comes back as itself, and nothing else is one. */
static void test_all(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110100; c++) {
        char bytes[UTF8_BYTES_MAX];
        size_t n = utf8_put(bytes, c);
        bool is_one = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        struct str s = str_n(bytes, n);
        uint32_t back;

        assert_int_equal(n > 0, is_one);
        if (!is_one)
            continue;
        struct str cut = str_n(bytes, n - 1);
        assert_false(utf8_cut(&cut, &back));
        assert_true(utf8_cut(&s, &back));
        assert_int_equal(back, c);
        assert_int_equal(s.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
