/* wire/line_test.c - only CRLF ends a line, whatever the chunks. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "wire/smtp.h"

/* What happened, written down: "READY(abc)BARE(x)LONG". */
static void feed_all(struct str in, size_t chunk, size_t bytes_max, struct buf *told)
{
    struct line_reader r = {.bytes_max = bytes_max};
    size_t start = 0;

    for (size_t end = MIN_OF(chunk, in.n); start < in.n;) {
        struct str line = STR_NONE;
        size_t used;
        enum line_event e = line_read(&r, str_sub(in, start, end), &line, &used);

        assert_true(used <= end - start);
        start += used;
        if (e == LINE_READY)
            buf_printf(told, "READY(%.*s)", STR_ARG(line));
        if (e == LINE_BARE_NEWLINE)
            buf_printf(told, "BARE(%.*s)", STR_ARG(line));
        if (e == LINE_TOO_LONG)
            buf_add_c(told, "LONG");
        if (e == LINE_MORE && end == in.n)
            break;
        if (e == LINE_MORE)
            end = MIN_OF(end + chunk, in.n);
    }
    buf_printf(told, "+%zu", in.n - start);
}

static const struct {
    const char *in, *expect; /* lines of at most 5 bytes */
} rows[] = {
    {"", "+0"},
    {"abc", "+3"},
    {"abc\r", "+4"},
    {"abc\r\n", "READY(abc)+0"},
    {"\r\n\r\n", "READY()READY()+0"},
    {"a\nb\r\n", "BARE(a)BARE(b)+0"},
    {"a\rb\r\n", "BARE(a)BARE(b)+0"},
    {"a\r\r\n", "BARE(a)+0"},
    {"a\n\r\n", "BARE(a)+0"},
    {"a\nb\r\nc\r\n", "BARE(a)BARE(b)READY(c)+0"},
    {"a\n\r\nc\r\n", "BARE(a)READY(c)+0"},
    {"a\n123456\r\nc\r\n", "BARE(a)LONGREADY(c)+0"},
    {"\n\n", "BARE()BARE()+0"},
    {"12345\r\nx\r\n", "READY(12345)READY(x)+0"},
    {"12345\n", "BARE(12345)+0"},
    {"123456\r\nx\r\n", "LONGREADY(x)+0"},
    {"123456\nab\rcd\r\nx\r\n", "LONGREADY(x)+0"},
    {"123456\r\r\nx\r\n", "LONGREADY(x)+0"},
    {"123456789abcdef", "+0"},
    {"123456789\r", "+1"},
};

static void any_chunks(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct str in = str_c(rows[i].in);

        for (size_t chunk = 1; chunk <= in.n + 1; chunk++) {
            struct buf told = buf_init(4 * KIB);

            feed_all(in, chunk, 5, &told);
            assert_string_equal(buf_c(&told), rows[i].expect);
            buf_free(&told);
        }
    }
}

static void sizes_at_the_limit(void **state)
{
    char line[2048 + 3];
    struct line_reader r = {.bytes_max = 2048};
    struct str got;
    size_t used;

    memset(line, 'x', sizeof line);
    memcpy(line + 2048, "\r\n", 2);
    assert_int_equal(line_read(&r, str_n(line, 2050), &got, &used), LINE_READY);
    assert_int_equal(got.n, 2048);
    memcpy(line + 2048, "x\r\n", 3);
    assert_int_equal(line_read(&r, str_n(line, 2051), &got, &used), LINE_TOO_LONG);
    assert_int_equal(used, 2051);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_chunks),
        cmocka_unit_test(sizes_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
