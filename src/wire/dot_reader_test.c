/* wire/dot_reader_test.c - every input up to nine bytes against a slow, obvious reference. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "wire/smtp.h"

struct outcome {
    bool ended, spoiled;
    size_t used;
    struct buf content;
};

static struct outcome read_in_chunks(struct str in, size_t chunk, bool normalize)
{
    struct outcome o = {.content = buf_init(4 * KIB)};
    struct dot_reader d = {.normalize = normalize};

    while (o.used < in.n && !o.ended) {
        size_t used;
        enum dot_event e = dot_read(&d, str_sub(in, o.used, o.used + chunk), &o.content, &used);

        o.used += used;
        o.ended = e == DOT_END;
        if (e == DOT_BARE_NEWLINE) {
            assert_false(o.spoiled || normalize);
            o.spoiled = true;
        }
    }
    return o;
}

/* The reference cuts wire lines at CRLF and looks at each as a whole. */
static void reference_line(struct outcome *o, struct str line, bool normalize, bool complete)
{
    if (line.n > 0 && line.p[0] == '.')
        line = str_skip(line, 1);
    for (size_t i = 0; i < line.n; i++) {
        bool newline = line.p[i] == '\r' || line.p[i] == '\n';

        /* A CR that the input ends with may still become a CRLF. */
        if (newline && !complete && line.p[i] == '\r' && i + 1 == line.n)
            break;
        if (newline && !normalize)
            o->spoiled = true;
        if (!o->spoiled)
            buf_add(&o->content, newline ? STR("\r\n") : str_sub(line, i, i + 1));
    }
    if (complete && !o->spoiled)
        buf_add(&o->content, STR("\r\n"));
}

static struct outcome reference(struct str in, bool normalize)
{
    struct outcome o = {.content = buf_init(4 * KIB)};

    while (o.used < in.n) {
        struct str rest = str_skip(in, o.used);
        size_t end = str_find_str(rest, STR("\r\n"));
        struct str line = str_sub(rest, 0, end);

        o.used += end == rest.n ? end : end + 2;
        if (end < rest.n && str_eq_c(line, ".")) {
            o.ended = true;
            break;
        }
        reference_line(&o, line, normalize, end < rest.n);
    }
    return o;
}

static void compare(struct str in, size_t chunk, bool normalize)
{
    struct outcome got = read_in_chunks(in, chunk, normalize);
    struct outcome expect = reference(in, normalize);

    assert_int_equal(got.ended, expect.ended);
    assert_int_equal(got.used, expect.used);
    assert_int_equal(got.spoiled, expect.spoiled);
    if (!got.spoiled) {
        assert_int_equal(got.content.n, expect.content.n);
        if (got.content.n > 0)
            assert_memory_equal(got.content.p, expect.content.p, got.content.n);
    }
    buf_free(&got.content);
    buf_free(&expect.content);
}

static void every_input_up_to_nine_bytes(void **state)
{
    static const char letters[] = {'.', '\r', '\n', 'x'};

    for (size_t n = 0; n <= 9; n++) {
        for (size_t number = 0; number < (size_t)1 << (2 * n); number++) {
            char in[9];

            for (size_t i = 0; i < n; i++)
                in[i] = letters[(number >> (2 * i)) & 3];
            compare(str_n(in, n), 9, false);
            compare(str_n(in, n), n < 8 ? 1 : 9, true);
            if (n < 8)
                compare(str_n(in, n), 1, false);
        }
    }
}

static const struct {
    const char *in;
    bool normalize;
    const char *content;
    bool ended, spoiled;
} rows[] = {
    {".\r\n", false, "", true, false},
    {"\r\n.\r\n", false, "\r\n", true, false},
    {"a\r\n..b\r\n.\r\n", false, "a\r\n.b\r\n", true, false},
    {"a\n.\n", false, "", false, true},
    {"a\n.\r\n", false, "", false, true},
    {"a\r.\r\r\n.\r\n", false, "", true, true},
    {"a\r\n.\n", false, "", false, true},
    {"a\n.\r\n", true, "a\r\n.\r\n", false, false},
    {"a\n.\n\r\n.\r\n", true, "a\r\n.\r\n\r\n", true, false},
    {"a\r.\rb\r\n.\r\n", true, "a\r\n.\r\nb\r\n", true, false},
};

static void smuggling(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct outcome o = read_in_chunks(str_c(rows[i].in), 1, rows[i].normalize);

        assert_int_equal(o.ended, rows[i].ended);
        assert_int_equal(o.spoiled, rows[i].spoiled);
        if (!o.spoiled)
            assert_string_equal(buf_c(&o.content), rows[i].content);
        buf_free(&o.content);
    }
}

/* Plain text around the size of the window, newlines at every place near its end. */
static void long_lines(void **state)
{
    static char in[2 * 512 + 64];

    for (size_t at = 505; at < 520; at++) {
        memset(in, 'x', sizeof in);
        memcpy(in + at, "\r\n.\r\n", 5);
        compare(str_n(in, sizeof in), sizeof in, false);
        memcpy(in + at, "\r.\n\r\n", 5);
        compare(str_n(in, sizeof in), sizeof in, false);
        compare(str_n(in, sizeof in), sizeof in, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_up_to_nine_bytes),
        cmocka_unit_test(smuggling),
        cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
