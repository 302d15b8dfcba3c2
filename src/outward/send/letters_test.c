// SPDX-License-Identifier: ISC
#include "outward/send/letters.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void decoded(void **state)
{
    static const struct {
        const char *charset;
        struct str bytes;
        int code;
        const char *want; /* or a piece of the error */
    } table[] = {
        {"utf-8", {"\xd0\x9f", 2}, EX_OK, "П"},
        {"UTF8", {"\xef\xbb\xbfx", 4}, EX_OK, "x"},
        {"koi8-r", {"\xf0\xd2\xc9", 3}, EX_OK, "При"},
        {"windows-1251", {"\xcf\xf0\xe8", 3}, EX_OK, "При"},
        {"cp866", {"\x8f\xe0\xa8", 3}, EX_OK, "При"},
        {"utf-16le", {"\x1f\x04", 2}, EX_OK, "П"},
        {"utf-8", {"", 0}, EX_OK, ""},
        {"utf-8", {"a\nb\xff", 4}, EX_DATAERR, "line 2, byte 4: 0xFF"},
        {"utf-8", {"\xd0", 1}, EX_DATAERR, "line 1, byte 1: 0xD0"},
        {"us-ascii", {"ab\xe4", 3}, EX_DATAERR, "byte 3: 0xE4 means nothing in us-ascii"},
        {"utf-16le", {"x", 1}, EX_DATAERR, "byte 1"},
        {"no-such", {"x", 1}, EX_USAGE, "no-such"},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct buf to = buf_init(KIB), error = buf_init(KIB);

        assert_int_equal(letters_decode(table[i].charset, table[i].bytes, &to, &error),
                         table[i].code);
        if (table[i].code == EX_OK)
            assert_string_equal(buf_c(&to), table[i].want);
        else
            assert_non_null(strstr(buf_c(&error), table[i].want));
        buf_free(&to);
        buf_free(&error);
    }
}

static void long_texts_come_whole(void **state)
{
    enum { LETTERS = 100000 };
    char *koi = mem_new(LETTERS);
    struct buf to = buf_init(3 * LETTERS), error = buf_init(KIB);

    memset(koi, '\xd0', LETTERS); /* a small p */
    assert_int_equal(letters_decode("koi8-r", str_n(koi, LETTERS), &to, &error), EX_OK);
    assert_int_equal(to.n, 2 * LETTERS);
    for (size_t i = 0; i < to.n; i += 2)
        assert_memory_equal(to.p + i, "\xd0\xbf", 2);

    struct buf small = buf_init(100);
    assert_int_equal(letters_decode("koi8-r", str_n(koi, LETTERS), &small, &error), EX_DATAERR);
    assert_non_null(strstr(buf_c(&error), "longer than 100"));
    buf_free(&small);
    buf_free(&to);
    buf_free(&error);
    free(koi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoded),
        cmocka_unit_test(long_texts_come_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
