// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "wire/smtp.h"

static const struct {
    const char *in;
    size_t n; /* 0: strlen */
    enum reply_event event;
    uint16_t code;
    const char *text_or_error;
} replies[] = {
    {"", 0, REPLY_MORE, 0, NULL},
    {"220 ready", 0, REPLY_MORE, 0, NULL},
    {"220 ready\r\n", 0, REPLY_READY, 220, "ready"},
    {"220 ready\n", 0, REPLY_READY, 220, "ready"},
    {"250\r\n", 0, REPLY_READY, 250, ""},
    {"250 \r\n", 0, REPLY_READY, 250, ""},
    {"599 no\r\n", 0, REPLY_READY, 599, "no"},
    {"250-a\r\n", 0, REPLY_MORE, 0, NULL},
    {"250-a\r\n250-B C\r\n250 d\r\n", 0, REPLY_READY, 250, "a\nB C\nd"},
    {"250-\r\n250-\r\n250\r\n", 0, REPLY_READY, 250, "\n\n"},
    {"550 5.1.1 no\rsuch\r\n", 0, REPLY_READY, 550, "5.1.1 no\rsuch"},
    {"250-a\r\n251 b\r\n", 0, REPLY_BAD, 0, "lines of one reply have different codes"},
    {"\r\n", 0, REPLY_BAD, 0, "reply without a three-digit code"},
    {"25\r\n", 0, REPLY_BAD, 0, "reply without a three-digit code"},
    {"2x0 a\r\n", 0, REPLY_BAD, 0, "reply without a three-digit code"},
    {"199 a\r\n", 0, REPLY_BAD, 0, "reply without a three-digit code"},
    {"600 a\r\n", 0, REPLY_BAD, 0, "reply without a three-digit code"},
    {"HTTP/1.1 400 Bad Request\r\n", 0, REPLY_BAD, 0, "reply without a three-digit code"},
    {"2500 a\r\n", 0, REPLY_BAD, 0, "reply code is followed by neither blank nor hyphen"},
    {"250 a\0b\r\n", 9, REPLY_BAD, 0, "NUL in a reply"},
};

/* Feeds `in` in steps of `step` bytes as a stream would: what was used is dropped. */
static enum reply_event feed(struct reply_reader *r, struct str in, size_t step, size_t *ret_used,
                             const char **error)
{
    size_t start = 0;

    for (size_t held = MIN_OF(step, in.n);; held = MIN_OF(held + step, in.n)) {
        size_t used;
        enum reply_event event = reply_read(r, str_sub(in, start, held), &used, error);

        start += used;
        assert_true(start <= held);
        *ret_used = start;
        if (event != REPLY_MORE || held == in.n)
            return event;
    }
}

static void replies_are_read_however_they_arrive(void **state)
{
    for (size_t i = 0; i < countof(replies); i++) {
        struct str in = str_n(replies[i].in, replies[i].n ? replies[i].n : strlen(replies[i].in));

        for (size_t step = 1; step <= in.n + 1; step++) {
            struct reply_reader r;
            const char *error = NULL;
            size_t used;
            reply_reader_init(&r);
            assert_int_equal(feed(&r, in, step, &used, &error), replies[i].event);
            if (replies[i].event == REPLY_READY) {
                assert_int_equal(r.code, replies[i].code);
                assert_true(str_eq_c(buf_str(&r.text), replies[i].text_or_error));
                assert_int_equal(used, in.n);
            }
            if (replies[i].event == REPLY_BAD)
                assert_string_equal(error, replies[i].text_or_error);
            reply_reader_free(&r);
        }
    }
}

static void one_reply_at_a_time_is_taken(void **state)
{
    struct str in = STR("250 a\r\n354-b\r\n354 c\r\n421 d\r\n");
    static const uint16_t codes[] = {250, 354, 421};
    struct reply_reader r;
    const char *error;
    size_t used;

    reply_reader_init(&r);
    for (size_t i = 0; i < countof(codes); i++) {
        assert_int_equal(reply_read(&r, in, &used, &error), REPLY_READY);
        assert_int_equal(r.code, codes[i]);
        in = str_skip(in, used);
        reply_reader_next(&r);
    }
    assert_int_equal(in.n, 0);
    reply_reader_free(&r);
}

static enum reply_event read_line_of(size_t bytes, const char *end)
{
    struct reply_reader r;
    struct buf in = buf_init(16 * MIB);
    const char *error = NULL;
    size_t used;

    buf_add(&in, STR("250 "));
    memset(buf_room(&in, bytes - 4), 'x', bytes - 4);
    buf_added(&in, bytes - 4);
    buf_add_c(&in, end);
    reply_reader_init(&r);
    enum reply_event at_once = reply_read(&r, buf_str(&in), &used, &error);
    if (at_once == REPLY_BAD)
        assert_string_equal(error, "reply line too long");
    reply_reader_free(&r);
    buf_free(&in);
    return at_once;
}

static void long_lines_end_the_patience(void **state)
{
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX, "\r\n"), REPLY_READY);
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX, "\n"), REPLY_READY);
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX, "\r"), REPLY_MORE);
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX + 1, ""), REPLY_MORE);
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX + 1, "\n"), REPLY_BAD);
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX + 1, "\r\n"), REPLY_BAD);
    assert_int_equal(read_line_of(REPLY_LINE_BYTES_MAX + 2, ""), REPLY_BAD);
    assert_int_equal(read_line_of(10 * MIB, ""), REPLY_BAD);
    assert_int_equal(read_line_of(10 * MIB, "\r\n"), REPLY_BAD);
}

static void endless_replies_end_the_patience(void **state)
{
    struct reply_reader r;
    const char *error = NULL;
    size_t used;
    char line[64 + 6 + 1];

    snprintf(line, sizeof line, "250-%064d\r\n", 7);
    reply_reader_init(&r);
    for (size_t i = 0; i < REPLY_LINES_MAX; i++)
        assert_int_equal(reply_read(&r, str_c(line), &used, &error), REPLY_MORE);
    assert_true(r.text.n <= REPLY_TEXT_BYTES_MAX);
    assert_int_equal(reply_read(&r, str_c(line), &used, &error), REPLY_BAD);
    assert_string_equal(error, "reply has too many lines");
    reply_reader_free(&r);
}

static void text_over_the_limit_is_dropped(void **state)
{
    struct reply_reader r;
    const char *error = NULL;
    size_t used;
    char line[1010];

    memset(line, 'x', sizeof line);
    memcpy(line, "250-", 4);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    reply_reader_init(&r);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(reply_read(&r, str_n(line, sizeof line), &used, &error), REPLY_MORE);
    assert_int_equal(r.text.n, REPLY_TEXT_BYTES_MAX);
    assert_int_equal(reply_read(&r, STR("250 end\r\n"), &used, &error), REPLY_READY);
    assert_int_equal(r.line_count, 21);
    reply_reader_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_however_they_arrive),
        cmocka_unit_test(one_reply_at_a_time_is_taken),
        cmocka_unit_test(long_lines_end_the_patience),
        cmocka_unit_test(endless_replies_end_the_patience),
        cmocka_unit_test(text_over_the_limit_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
