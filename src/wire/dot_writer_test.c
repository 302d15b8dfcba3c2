// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "wire/smtp.h"

enum { LETTERS_MAX = 9 };

/* The content as lines that all end in CRLF; the obvious way, one byte after the other. */
static void reference_lines(struct str in, struct buf *to)
{
    for (size_t i = 0; i < in.n; i++) {
        bool newline_of_crlf = in.p[i] == '\n' && i > 0 && in.p[i - 1] == '\r';

        if (newline_of_crlf)
            continue;
        if (in.p[i] == '\r' || in.p[i] == '\n')
            buf_add(to, STR("\r\n"));
        else
            buf_add_char(to, in.p[i]);
    }
    if (to->n > 0 && !str_ends(buf_str(to), STR("\r\n")))
        buf_add(to, STR("\r\n"));
}

static void reference(struct str in, struct buf *to)
{
    struct buf lines = buf_init(4096);
    reference_lines(in, &lines);

    for (size_t i = 0; i < lines.n; i++) {
        bool line_start = i == 0 || lines.p[i - 1] == '\n';

        if (line_start && lines.p[i] == '.')
            buf_add_char(to, '.');
        buf_add_char(to, lines.p[i]);
    }
    buf_add(to, STR(".\r\n"));
    buf_free(&lines);
}

static void write_in_two(struct str in, size_t cut, struct buf *to)
{
    struct dot_writer d = {0};

    dot_write(&d, str_sub(in, 0, cut), to);
    dot_write(&d, str_skip(in, cut), to);
    dot_write_end(&d, to);
}

/* What the receiving side of this tree reads is the content with its line ends made CRLF. */
static void check_round_trip(struct str in, struct str wire)
{
    struct dot_reader reader = {0};
    struct buf back = buf_init(4096);
    struct buf lines = buf_init(4096);
    size_t used;

    assert_int_equal(dot_read(&reader, wire, &back, &used), DOT_END);
    assert_int_equal(used, wire.n);
    reference_lines(in, &lines);
    assert_true(str_eq(buf_str(&back), buf_str(&lines)));
    buf_free(&back);
    buf_free(&lines);
}

static void check_all_of_length(size_t n, struct buf *want, struct buf *got)
{
    static const char alphabet[] = {'\r', '\n', '.', 'x'};
    char in[LETTERS_MAX + 1];
    size_t count = (size_t)1 << (2 * n);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < n; k++)
            in[k] = alphabet[(i >> (2 * k)) & 3];
        buf_reset(want);
        reference(str_n(in, n), want);
        for (size_t cut = 0; cut <= n; cut++) {
            buf_reset(got);
            write_in_two(str_n(in, n), cut, got);
            assert_true(str_eq(buf_str(got), buf_str(want)));
            assert_true(got->n <= 2 * n + 5);
        }
        check_round_trip(str_n(in, n), buf_str(want));
    }
}

static void every_short_content_is_exact(void **state)
{
    struct buf want = buf_init(4096);
    struct buf got = buf_init(4096);

    for (size_t n = 0; n <= LETTERS_MAX; n++)
        check_all_of_length(n, &want, &got);
    buf_free(&want);
    buf_free(&got);
}

static void any_byte_passes(void **state)
{
    struct buf got = buf_init(4096);
    struct dot_writer d = {0};
    char in[256];

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)i;
    for (size_t i = 0; i < sizeof in; i++)
        dot_write(&d, str_n(in + i, 1), &got);
    dot_write_end(&d, &got);
    assert_int_equal(got.n, 256 + 2 + 2 + 3); /* CR and LF became two bytes each, CRLF added */
    assert_memory_equal(got.p, in, 10);
    assert_memory_equal(got.p + 10, "\r\n\x0b\x0c\r\n\x0e", 7);
    assert_memory_equal(got.p + got.n - 6, "\xff\r\n.\r\n", 6);
    buf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_content_is_exact),
        cmocka_unit_test(any_byte_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
