/* listen/lines_test.c - how messages are written on the wire. */
// SPDX-License-Identifier: ISC
#include "outward/listen/lines.h"

#include "outward/listen/test_judge.h"
#include "wire/smtp.h"

static void judge_in_steps(struct str raw, size_t step, bool chunked, bool may_8bit,
                           bool may_binary, struct buf *told)
{
    struct judge j = test_judge(told);
    struct lines l;

    lines_init(&l, chunked);
    for (size_t at = 0; at < raw.n; at += step)
        lines_feed(&l, str_sub(raw, at, at + step));
    lines_end(&l);
    lines_judge(&l, &j, may_8bit, may_binary);
}

static const struct {
    const char *raw, *told;
} rows[] = {
    {"Subject: x\r\n\r\nhello\r\n.\r\n", ""},
    {".\r\n", ""},
    {"..\r\n.\r\n", ""},
    {"..a\r\n.\r\n", ""},
    {".a\r\n.\r\n", "dot-not-stuffed (line 1)"},
    {"a\r\n.b\r\n.c\r\n.\r\n", "dot-not-stuffed (line 2, 2 times)"},
    {"a.b\r\n.\r\n", ""},
    {"a\nb\r\n.\r\n", "bare-lf (line 1)"},
    {"a\rb\r\n.\r\n", "bare-cr (line 1)"},
    {"a\r\r\n.\r\n", "bare-cr (line 1)"},
    {"a\n.\r\nb\r\n.\r\n", "false-end (line 2), bare-lf (line 1)"},
    {"a\r\n.\nb\r\n.\r\n", "false-end (line 2), bare-lf (line 2)"},
    {"a\n.\nb\r\n.\r\n", "false-end (line 2), bare-lf (line 1, 2 times)"},
    {"a\r.\rb\r\n.\r\n", "false-end (line 2), bare-cr (line 1, 2 times)"},
    {"a\r\n.\rb\r\n.\r\n", "false-end (line 2), bare-cr (line 2)"},
    {"a\n..\r\n.\r\n", "bare-lf (line 1)"},
    {"a\n.x\r\n.\r\n", "bare-lf (line 1)"}, /* no line start, so nothing to stuff */
    {"caf\xc3\xa9\r\n.\r\n", "8bit-unsaid (line 1)"},
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct str raw = str_c(rows[i].raw);

        for (size_t step = 1; step <= raw.n; step++) {
            struct buf told = buf_init(4096);

            judge_in_steps(raw, step, false, false, false, &told);
            if (strcmp(buf_c(&told), rows[i].told) != 0)
                print_error("row %zu, step %zu\n", i, step);
            assert_string_equal(buf_c(&told), rows[i].told);
            buf_free(&told);
        }
    }
}

static void test_allowed(void **state)
{
    static const struct {
        const char *raw;
        size_t n;
        bool chunked, eight, binary;
        const char *told;
    } some[] = {
        {"\xd0\xb9\r\n", 4, false, true, false, ""},
        {"\xd0\xb9\r\n", 4, true, false, false, "8bit-unsaid (line 1)"},
        {"a\nb\0c\r", 6, true, true, true, ""},
        {"a\nb\0c\r", 6, true, true, false,
         "bare-lf (line 1), bare-cr (line 2), nul-byte (line 2)"},
        {".a\r\n.\r\n.", 8, true, false, false, ""}, /* dots mean nothing in a chunk */
    };

    for (size_t i = 0; i < countof(some); i++) {
        struct buf told = buf_init(4096);

        judge_in_steps(str_n(some[i].raw, some[i].n), 3, some[i].chunked, some[i].eight,
                       some[i].binary, &told);
        assert_string_equal(buf_c(&told), some[i].told);
        buf_free(&told);
    }
}

static void test_long_lines(void **state)
{
    for (size_t n = 996; n <= 1000; n++) {
        struct buf raw = buf_init(2048), told = buf_init(4096);

        for (size_t i = 0; i < n; i++)
            buf_add_char(&raw, 'x');
        buf_add_c(&raw, "\r\n.\r\n");
        judge_in_steps(buf_str(&raw), 7, false, false, false, &told);
        assert_string_equal(buf_c(&told), n > 998 ? "line-long (line 1)" : "");
        buf_free(&raw);
        buf_free(&told);
    }
}

/* Every content of up to seven of these letters: what the grammar of DATA finds bare, this finds
 * bare; and whoever stuffs rightly is not blamed for dots. */
static void test_agrees_with_the_grammar(void **state)
{
    static const char letters[] = ".\r\na";

    for (unsigned long number = 0, n = 0; n <= 7; number++) {
        char text[8];
        unsigned long rest = number;

        for (size_t i = 0; i < n; i++, rest /= 4)
            text[i] = letters[rest % 4];
        if (rest > 0) {
            number = (unsigned long)-1;
            n++;
            continue;
        }
        struct dot_reader d = {.normalize = false};
        struct buf content = buf_init(64);
        size_t used;
        enum dot_event e = dot_read(&d, str_n(text, n), &content, &used);
        struct lines l;

        lines_init(&l, false);
        lines_feed(&l, str_sub(str_n(text, n), 0, used));
        bool bare = l.seen[SEEN_BARE_LF].count + l.seen[SEEN_BARE_CR].count > 0;
        /* The grammar tells of a bare CR before it looks at what comes behind. */
        if (e == DOT_BARE_NEWLINE)
            assert_true(bare || l.saw_cr);
        else
            assert_false(bare);
        if (e == DOT_END)
            assert_int_equal(l.seen[SEEN_FALSE_END].count, 0);
        buf_free(&content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_agrees_with_the_grammar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
