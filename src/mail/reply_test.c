// SPDX-License-Identifier: ISC
#include "mail/reply.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        n++;
    return n;
}

/* RFC 5321 4.2, RFC 2034 4: what every row must keep to. */
static void rows_are_sound(void **state)
{
    uint16_t last = 0;

    for (size_t i = 0; i < REPLY_COUNT; i++) {
        const struct reply_row *row = &reply_table[i];
        struct status st = {0};
        bool enhanced = status_parse_enhanced(str_c(row->enhanced), &st);

        assert_true(row->code >= 200 && row->code <= 599 && row->code >= last);
        last = row->code;
        assert_true(enhanced || row->enhanced[0] == '\0');
        if (enhanced)
            assert_int_equal(st.class, row->code / 100);
        else
            assert_true(row->code == 220 || row->code == 250 || row->code == 334 ||
                        row->code == 354);
        assert_true(count_of(row->text, "%s") <= 1);
        assert_true(row->cause[0] && row->remedy[0]);
    }
}

static void prints_rows(void **state)
{
    static const struct {
        enum reply_name name;
        const char *about, *wire, *bare;
    } cases[] = {
        {REPLY_OK, "", "250 2.0.0 ok\r\n", "250 ok\r\n"},
        {REPLY_NO_SUCH_USER, "a@b", "550 5.1.1 no such user here: <a@b>\r\n",
         "550 no such user here: <a@b>\r\n"},
        {REPLY_SEND_CONTENT, "", "354 send the message, end with <CRLF>.<CRLF>\r\n",
         "354 send the message, end with <CRLF>.<CRLF>\r\n"},
        {REPLY_HELLO, "mx\nPIPELINING\nSIZE 1", "250-mx\r\n250-PIPELINING\r\n250 SIZE 1\r\n",
         "250-mx\r\n250-PIPELINING\r\n250 SIZE 1\r\n"},
        {REPLY_HELP, "a\nb", "214-2.0.0 a\r\n214 2.0.0 b\r\n", "214-a\r\n214 b\r\n"},
        {REPLY_SYNTAX, "a\nb\x01\xff%s", "501 5.5.4 a?b??%s\r\n", "501 a?b??%s\r\n"},
        {REPLY_ROUTING_SYNTAX, "a%b",
         "550 5.1.3 <a%b>: addresses with %, ! or @ inside the name are not passed on\r\n",
         "550 <a%b>: addresses with %, ! or @ inside the name are not passed on\r\n"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct status st = reply_status(cases[i].name, str_c(cases[i].about));
        struct buf b = buf_init(2048);
        reply_print(&b, &st, true);
        assert_string_equal(buf_c(&b), cases[i].wire);
        buf_reset(&b);
        reply_print(&b, &st, false);
        assert_string_equal(buf_c(&b), cases[i].bare);
        buf_free(&b);
    }
}

/* Every length of text, with and without blanks to break at. */
static void lines_stay_within_512_bytes(void **state)
{
    char text[STATUS_TEXT_BYTES_MAX];

    for (size_t n = 0; n < 2 * sizeof(text); n++) {
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = i % 7 == 6 && n % 2 ? ' ' : 'x';
        struct status st = status_make(550, 5, 1, 1, str_n(text, n / 2));
        struct buf b = buf_init(4096);
        size_t x_count = 0;

        reply_print(&b, &st, true);
        struct str rest = buf_str(&b);
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            assert_true(line.n + 1 <= 512 && line.p[line.n - 1] == '\r');
            assert_true(str_starts(line, rest.n ? STR("550-5.1.1 ") : STR("550 5.1.1 ")));
            for (size_t i = 10; i < line.n; i++)
                x_count += line.p[i] == 'x';
        }
        for (size_t i = 0; i < n / 2; i++)
            x_count -= text[i] == 'x';
        assert_int_equal(x_count, 0);
        buf_free(&b);
    }
}

static void a_status_without_a_code_gets_one(void **state)
{
    static const struct {
        uint8_t class;
        const char *wire;
    } cases[] = {{2, "250 2.0.0 x\r\n"}, {4, "451 4.0.0 x\r\n"}, {5, "554 5.0.0 x\r\n"}};

    for (size_t i = 0; i < countof(cases); i++) {
        struct status st = status_make(0, cases[i].class, 0, 0, STR("x"));
        struct buf b = buf_init(64);
        reply_print(&b, &st, true);
        assert_string_equal(buf_c(&b), cases[i].wire);
        buf_free(&b);
    }
}

static void long_names_do_not_hide_the_words(void **state)
{
    char name[1000];

    memset(name, 'a', sizeof(name));
    struct status st = reply_status(REPLY_RELAY_DENIED, str_n(name, sizeof(name)));
    assert_int_equal(strlen(st.text), STATUS_TEXT_BYTES_MAX - 1);
    assert_non_null(strstr(st.text, "you may not send elsewhere from here"));
}

static void finds_the_row_of_a_status(void **state)
{
    for (size_t i = 0; i < REPLY_COUNT; i++) {
        const struct reply_row *row = &reply_table[i];
        struct status st = reply_status((enum reply_name)i, STR("it"));
        if (st.bare || strcmp(row->text, "%s") == 0)
            assert_null(reply_row_of(&st));
        else
            assert_string_equal(reply_row_of(&st)->text, row->text);
    }
    struct status foreign = status_make(550, 5, 1, 1, STR("user unknown"));
    assert_null(reply_row_of(&foreign));
}

static void the_manual_has_every_row(void **state)
{
    struct buf b = buf_init(64 * KIB);

    reply_manual(&b);
    assert_false(b.full);
    const char *text = buf_c(&b);
    assert_int_equal(count_of(text, "\n| `"), REPLY_COUNT);
    assert_int_equal(count_of(text, "\n## "), 4);
    assert_non_null(strstr(text, "| `550 5.1.1 no such user here: <...>` | The domain is ours"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(prints_rows),
        cmocka_unit_test(lines_stay_within_512_bytes),
        cmocka_unit_test(a_status_without_a_code_gets_one),
        cmocka_unit_test(long_names_do_not_hide_the_words),
        cmocka_unit_test(finds_the_row_of_a_status),
        cmocka_unit_test(the_manual_has_every_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
