/* wire/chunk_reader_test.c - every input up to eight bytes, in every cut into two and byte by byte,
 * against a slow reference. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "wire/smtp.h"

/* False: it has a bare newline. */
static bool reference(struct str in, enum chunk_lines lines, struct buf *to)
{
    for (size_t i = 0; i < in.n; i++) {
        bool pair = in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n';

        if (lines == CHUNK_BINARY || (in.p[i] != '\r' && in.p[i] != '\n')) {
            buf_add_char(to, in.p[i]);
            continue;
        }
        if (!pair && lines == CHUNK_STRICT)
            return false;
        buf_add(to, STR("\r\n"));
        i += pair;
    }
    return true;
}

static bool read_cut(struct str in, size_t first, size_t step, enum chunk_lines lines,
                     struct buf *to)
{
    struct chunk_reader c = {.lines = lines};

    if (!chunk_read(&c, str_sub(in, 0, first), to))
        return false;
    for (size_t at = first; at < in.n; at += step) {
        if (!chunk_read(&c, str_sub(in, at, at + step), to))
            return false;
    }
    return chunk_read_end(&c, to);
}

static void compare(struct str in, size_t first, size_t step, enum chunk_lines lines)
{
    struct buf got = buf_init(2 * in.n + 2);
    struct buf expect = buf_init(2 * in.n + 2);
    bool whole = reference(in, lines, &expect);

    assert_int_equal(read_cut(in, first, step, lines, &got), whole);
    if (whole)
        assert_true(str_eq(buf_str(&got), buf_str(&expect)));
    buf_free(&got);
    buf_free(&expect);
}

static void compare_all_cuts(struct str in)
{
    static const enum chunk_lines all[] = {CHUNK_STRICT, CHUNK_NORMALIZED, CHUNK_BINARY};

    for (size_t i = 0; i < countof(all); i++) {
        for (size_t first = 0; first <= in.n; first++)
            compare(in, first, in.n + 1, all[i]);
        compare(in, 0, 1, all[i]);
    }
}

static void every_input_up_to_eight_bytes(void **state)
{
    static const char letters[] = {'\0', '\r', '\n', '.'};

    for (size_t n = 0; n <= 8; n++) {
        for (size_t number = 0; number < (size_t)1 << (2 * n); number++) {
            char in[8];

            for (size_t i = 0; i < n; i++)
                in[i] = letters[(number >> (2 * i)) & 3];
            compare_all_cuts(str_n(in, n));
        }
    }
}

static void long_lines(void **state)
{
    static char in[1100];

    for (size_t at = 505; at < 520; at++) {
        memset(in, 'x', sizeof in);
        memcpy(in + at, "\r\n.\r\n", 5);
        compare_all_cuts(str_n(in, sizeof in));
        memcpy(in + at, "\r.\n\r\n", 5);
        compare_all_cuts(str_n(in, sizeof in));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_up_to_eight_bytes),
        cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
