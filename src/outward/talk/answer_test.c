// SPDX-License-Identifier: ISC
#include "outward/talk/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

/* One letter for each event, the whole at once or byte by byte. */
static void read_all(struct answer_reader *r, struct str in, size_t step, struct buf *events)
{
    size_t held = MIN_OF(step, in.n);

    for (;;) {
        struct str line;
        size_t used;
        enum answer_event event = answer_read(r, str_sub(in, 0, held), &line, &used);

        if (event == ANSWER_MORE && held == in.n)
            return;
        if (event != ANSWER_MORE)
            buf_add_char(events, "?lRn"[event]);
        in = str_skip(in, used);
        held = MIN_OF(held - used + (event == ANSWER_MORE ? step : 0), in.n);
        if (held == 0)
            held = MIN_OF(step, in.n);
    }
}

static void reads_replies(void **state)
{
    static const struct {
        bool pop3, lists;
        const char *in, *events, *text;
        uint16_t code;
    } cases[] = {
        {false, false, "250 ok\r\n", "R", "ok", 250},
        {false, false, "250-a\r\n250-b\r\n250 c\r\n", "llR", "a\nb\nc", 250},
        {false, false, "250\r\n", "R", "", 250},
        {false, false, "220 a\n", "R", "a", 220},
        {false, false, "HTTP/1.1 400\r\n\r\n", "nn", "", 0},
        {false, false, "220 a\r\nxx\r\n221 b\r\n", "RnR", "b", 221},
        {false, false, "2x0 a\r\n600 b\r\n250_c\r\n25", "nnn", "", 0},
        {true, false, "+OK hi <a@b>\r\n", "R", "hi <a@b>", 0},
        {true, false, "-ERR [AUTH] no\r\n", "R", "no", 0},
        {true, false, "+ Zm9v\r\n", "R", "Zm9v", 0},
        {true, true, "+OK\r\nUSER\r\n..x\r\n.\r\n+OK\r\n", "lllRR", "", 0},
        {true, true, "-ERR no\r\n+OK a\r\n", "RR", "a", 0},
        {true, false, "ok\r\n", "n", "", 0},
    };

    for (size_t i = 0; i < countof(cases); i++)
        for (size_t step = 1; step < 40; step += 38) {
            struct answer_reader r;
            struct buf events = buf_init(64);

            answer_init(&r, cases[i].pop3);
            r.lists = cases[i].lists;
            read_all(&r, str_c(cases[i].in), step, &events);
            assert_string_equal(buf_c(&events), cases[i].events);
            assert_string_equal(buf_c(&r.text), cases[i].text);
            assert_int_equal(r.code, cases[i].code);
            buf_free(&events);
            answer_free(&r);
        }
}

static void endless_lines_come_in_pieces(void **state)
{
    static char text[3 * ANSWER_LINE_BYTES_MAX];
    struct answer_reader r;
    struct str line, in = str_n(text, sizeof(text));
    size_t used;

    memset(text, 'x', sizeof(text));
    answer_init(&r, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answer_read(&r, in, &line, &used), ANSWER_NONSENSE);
        assert_int_equal(used, ANSWER_LINE_BYTES_MAX);
        in = str_skip(in, used);
    }
    assert_int_equal(answer_read(&r, in, &line, &used), ANSWER_MORE);
    answer_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_replies),
        cmocka_unit_test(endless_lines_come_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
