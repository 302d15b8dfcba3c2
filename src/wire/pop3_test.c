// SPDX-License-Identifier: ISC
#include "wire/pop3.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void replies(void **state)
{
    static const struct {
        const char *line;
        enum pop3_reply_kind kind;
        const char *code, *text;
    } table[] = {
        {"+OK", POP3_OK, "", ""},
        {"+OK 2 320", POP3_OK, "", "2 320"},
        {"+ok  hello ", POP3_OK, "", "hello"},
        {"-ERR", POP3_ERR, "", ""},
        {"-ERR [AUTH] wrong password", POP3_ERR, "AUTH", "wrong password"},
        {"-ERR [SYS/TEMP] later", POP3_ERR, "SYS/TEMP", "later"},
        {"-ERR [IN-USE]", POP3_ERR, "IN-USE", ""},
        {"-ERR [never closed", POP3_ERR, "", "[never closed"},
        {"+ ", POP3_CHALLENGE, "", ""},
        {"+", POP3_CHALLENGE, "", ""},
        {"+ PDE+", POP3_CHALLENGE, "", "PDE+"},
        {"+ [AUTH]", POP3_CHALLENGE, "", "[AUTH]"},
        {"+OKAY", POP3_NONSENSE, "", "+OKAY"},
        {"", POP3_NONSENSE, "", ""},
        {"220 mail.test ESMTP", POP3_NONSENSE, "", "220 mail.test ESMTP"},
        {"* OK IMAP4rev1", POP3_NONSENSE, "", "* OK IMAP4rev1"},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct pop3_reply got = pop3_reply_parse(str_c(table[i].line));

        assert_int_equal(got.kind, table[i].kind);
        assert_true(str_eq_c(got.code, table[i].code));
        assert_true(str_eq_c(got.text, table[i].text));
    }
}

static void timestamps(void **state)
{
    static const struct {
        const char *greeting, *want;
    } table[] = {
        {"POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
         "<1896.697170952@dbc.mtview.ca.us>"},
        {"<a@b> and more <c@d>", "<a@b>"},
        {"ready", ""},
        {"<no at sign>", ""},
        {"<a@b", ""},
        {"a@b>", ""},
        {"<a b@c>", ""},
        {"<a\x01@c>", ""},
        {"<\xd0\xbf@c>", ""},
        {"", ""},
    };

    for (size_t i = 0; i < countof(table); i++)
        assert_true(str_eq_c(pop3_timestamp(str_c(table[i].greeting)), table[i].want));
}

static void lines(void **state)
{
    struct str line = STR("untouched");
    size_t used = 7;

    assert_int_equal(pop3_line(STR(""), &line, &used), POP3_MORE);
    assert_int_equal(pop3_line(STR("+OK\r"), &line, &used), POP3_MORE);
    assert_int_equal(used, 7);
    assert_int_equal(pop3_line(STR("+OK\r\nmore"), &line, &used), POP3_LINE);
    assert_true(str_eq(line, STR("+OK")) && used == 5);
    assert_int_equal(pop3_line(STR("\n"), &line, &used), POP3_LINE);
    assert_true(line.n == 0 && used == 1);
    assert_int_equal(pop3_line(STR("a\rb\n"), &line, &used), POP3_LINE);
    assert_true(str_eq(line, STR("a\rb")));

    char *much = mem_new(POP3_CHALLENGE_BYTES_MAX + 1);
    memset(much, 'x', POP3_CHALLENGE_BYTES_MAX);
    much[POP3_CHALLENGE_BYTES_MAX] = '\n';
    assert_int_equal(pop3_line(str_n(much, POP3_CHALLENGE_BYTES_MAX - 1), &line, &used), POP3_MORE);
    assert_int_equal(pop3_line(str_n(much, POP3_CHALLENGE_BYTES_MAX + 1), &line, &used),
                     POP3_TOO_LONG);
    free(much);
}

static void answers_of_several_lines(void **state)
{
    struct str line = STR(".");

    assert_false(pop3_multi_line(&line));
    line = STR("..");
    assert_true(pop3_multi_line(&line) && str_eq(line, STR(".")));
    line = STR("STLS");
    assert_true(pop3_multi_line(&line) && str_eq(line, STR("STLS")));
}

static void capabilities(void **state)
{
    struct pop3_capabilities c = {0};
    static const char *const said[] = {"CAPA", "TOP",          "uidl", "SASL PLAIN  CRAM-MD5",
                                       "STLS", "PIPELINING X", "",     "EXPIRE NEVER"};

    for (size_t i = 0; i < countof(said); i++)
        pop3_capability(&c, str_c(said[i]));
    assert_true(c.top && c.uidl && c.stls && c.pipelining && !c.user);
    assert_string_equal(c.sasl, "PLAIN CRAM-MD5");
    pop3_capability(&c, STR("USER"));
    assert_true(c.user);
}

static void mechanisms_that_do_not_fit(void **state)
{
    struct pop3_capabilities c = {0};
    char line[600] = "SASL A ";

    memset(line + 7, 'B', 300);
    memcpy(line + 307, " C", 3);
    pop3_capability(&c, str_c(line));
    assert_string_equal(c.sasl, "A C");
}

static void arguments(void **state)
{
    char much[600];

    memset(much, 'a', sizeof(much));
    assert_true(pop3_argument_valid(STR("me@example.org")));
    assert_true(pop3_argument_valid(STR("with blanks, \xd0\xbf")));
    assert_false(pop3_argument_valid(STR("")));
    assert_false(pop3_argument_valid(STR("a\r\nQUIT")));
    assert_false(pop3_argument_valid(STR("a\0b")));
    assert_false(pop3_argument_valid(str_n(much, sizeof(much))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),      cmocka_unit_test(timestamps),
        cmocka_unit_test(lines),        cmocka_unit_test(answers_of_several_lines),
        cmocka_unit_test(capabilities), cmocka_unit_test(mechanisms_that_do_not_fit),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
