/* wire/command_test.c - command lines, as machines and as people write them. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "wire/smtp.h"

/* What came out, written down: "MAIL a@b.example SIZE=5" or "501 sender". */
static void parse(struct str line, bool strict, struct buf *told)
{
    static const char *const wrong[] = {
        [SYNTAX_UNKNOWN_COMMAND] = "unknown", [SYNTAX_ARGUMENTS] = "arguments",
        [SYNTAX_SENDER] = "sender",           [SYNTAX_RECIPIENT] = "recipient",
        [SYNTAX_PARAMETERS] = "parameters",   [SYNTAX_CHUNK] = "chunk",
    };
    struct arena a = ARENA_INIT;
    struct smtp_command c;
    struct parse_error error = {0};
    enum smtp_syntax syntax = smtp_command_parse(line, strict, &a, &c, &error);

    if (syntax != SYNTAX_OK) {
        assert_non_null(error.text);
        assert_true(error.at <= line.n);
        buf_add_c(told, wrong[syntax]);
    } else {
        buf_add_c(told, smtp_verb_word(c.verb));
        if (c.mechanism.n > 0)
            buf_printf(told, " %.*s%s%.*s", STR_ARG(c.mechanism), c.response.p ? " " : "",
                       STR_ARG(c.response));
        if (c.text.n > 0)
            buf_printf(told, " %.*s", STR_ARG(c.text));
        if (c.verb == VERB_MAIL || c.verb == VERB_RCPT) {
            buf_add_char(told, ' ');
            address_print(told, &c.path);
        }
        if (c.verb == VERB_BDAT)
            buf_printf(told, " %llu%s", (unsigned long long)c.chunk_bytes,
                       c.last_chunk ? " LAST" : "");
        for (size_t i = 0; i < c.parameter_count; i++) {
            buf_printf(told, " %.*s", STR_ARG(c.parameters[i].key));
            if (c.parameters[i].value.p)
                buf_printf(told, "=%.*s", STR_ARG(c.parameters[i].value));
        }
    }
    arena_free(&a);
}

static const struct {
    const char *line, *lenient, *strict; /* strict NULL: the same */
} rows[] = {
    {"", "unknown", NULL},
    {" ", "unknown", NULL},
    {"FOO", "unknown", NULL},
    {"MAILFROM:<a@b.example>", "unknown", NULL},
    {"HELOx me", "unknown", NULL},
    {"EHLO me.example", "EHLO me.example", NULL},
    {"ehlo\tme.example", "EHLO me.example", NULL},
    {" EHLO me.example", "EHLO me.example", "unknown"},
    {"EHLO me.example ", "EHLO me.example", NULL},
    {"EHLO", "arguments", NULL},
    {"EHLO a b", "arguments", NULL},
    {"HELO [192.0.2.1]", "HELO [192.0.2.1]", NULL},
    {"HELO [IPv6:2001:db8::1]", "HELO [IPv6:2001:db8::1]", NULL},
    {"HELO my_host", "HELO my_host", "arguments"},
    {"DATA", "DATA", NULL},
    {"data ", "DATA", NULL},
    {"DATA x", "arguments", NULL},
    {"BDAT 5", "BDAT 5", NULL},
    {"bdat 0 last", "BDAT 0 LAST", NULL},
    {"BDAT  007  LAST ", "BDAT 7 LAST", NULL},
    {"BDAT 18446744073709551615", "BDAT 18446744073709551615", NULL},
    {"BDAT 18446744073709551616", "chunk", NULL},
    {"BDAT", "chunk", NULL},
    {"BDAT LAST", "chunk", NULL},
    {"BDAT -1", "chunk", NULL},
    {"BDAT 5x", "chunk", NULL},
    {"BDAT 5 LAST x", "chunk", NULL},
    {"BDAT 5 FIRST", "chunk", NULL},
    {"BDAT 5\x01", "chunk", NULL},
    {"RSET x", "arguments", NULL},
    {"QUIT x", "arguments", NULL},
    {"NOOP", "NOOP", NULL},
    {"NOOP any thing", "NOOP any thing", NULL},
    {"HELP", "HELP", NULL},
    {"HELP mail", "HELP mail", NULL},
    {"VRFY", "arguments", NULL},
    {"VRFY bill", "VRFY bill", NULL},
    {"EXPN list", "EXPN list", NULL},
    {"AUTH PLAIN", "AUTH PLAIN", NULL},
    {"auth plain =", "AUTH plain =", NULL},
    {"AUTH  SCRAM-SHA-256 bm8= ", "AUTH SCRAM-SHA-256 bm8=", NULL},
    {"AUTH PLAIN not*base64", "AUTH PLAIN not*base64", NULL},
    {"AUTH", "arguments", NULL},
    {"AUTH PLAIN a b", "arguments", NULL},
    {"AUTH PLAIN/LOGIN", "arguments", NULL},
    {"AUTH A2345678901234567890", "AUTH A2345678901234567890", NULL},
    {"AUTH A23456789012345678901", "arguments", NULL},
    {"MAIL FROM:<a@b.example>", "MAIL a@b.example", NULL},
    {"mail from:<a@B.Example>", "MAIL a@b.example", NULL},
    {"MAIL FROM:<>", "MAIL ", NULL},
    {"MAIL FROM: <a@b.example>", "MAIL a@b.example", "sender"},
    {"MAIL  FROM:<a@b.example>", "MAIL a@b.example", "arguments"},
    {"MAIL FROM :<a@b.example>", "MAIL a@b.example", "arguments"},
    {"MAIL FROM:a@b.example", "MAIL a@b.example", "sender"},
    {"MAIL FROM: a@b.example SIZE=5", "MAIL a@b.example SIZE=5", "sender"},
    {"MAIL FROM:<@x.example,@y.example:a@b.example>", "MAIL a@b.example", NULL},
    {"MAIL FROM:<\"a b\"@c.example>", "MAIL \"a b\"@c.example", NULL},
    {"MAIL", "arguments", NULL},
    {"MAIL FROM", "arguments", NULL},
    {"MAIL FROM <a@b.example>", "arguments", NULL},
    {"MAIL TO:<a@b.example>", "arguments", NULL},
    {"MAIL FROM:", "sender", NULL},
    {"MAIL FROM:<a@b.example", "sender", NULL},
    {"MAIL FROM:<a@b.example> SIZE=5 BODY=8BITMIME X-a-1",
     "MAIL a@b.example SIZE=5 BODY=8BITMIME X-a-1", NULL},
    {"MAIL FROM:<a@b.example>  SIZE=5  ", "MAIL a@b.example SIZE=5", NULL},
    {"MAIL FROM:<a@b.example> SIZE=5 size=6", "parameters", NULL},
    {"MAIL FROM:<a@b.example> SIZE=", "parameters", NULL},
    {"MAIL FROM:<a@b.example> =5", "parameters", NULL},
    {"MAIL FROM:<a@b.example> -A=5", "parameters", NULL},
    {"MAIL FROM:<a@b.example> A==5", "parameters", NULL},
    {"MAIL FROM:<a@b.example> A=\xff", "parameters", NULL},
    {"RCPT TO:<a@b.example>", "RCPT a@b.example", NULL},
    {"RCPT TO:<postmaster>", "RCPT postmaster", NULL},
    {"RCPT TO:<PostMaster> NOTIFY=NEVER", "RCPT postmaster NOTIFY=NEVER", NULL},
    {"RCPT TO:<>", "recipient", NULL},
    {"RCPT TO:<bill>", "recipient", NULL},
    {"RCPT FROM:<a@b.example>", "arguments", NULL},
    {"RCPT TO:<a@b.example\x01>", "arguments", NULL},
    {"NOOP \x1b[2J", "arguments", NULL},
    {"\x16\x03\x01", "unknown", NULL},
};

static void check_row(const char *line, bool strict, const char *expect)
{
    struct buf told = buf_init(4 * KIB);
    char *copy = mem_copy(line, strlen(line)); /* exactly sized: the sanitizer sees a byte more */

    parse(str_n(copy, strlen(line)), strict, &told);
    if (strcmp(buf_c(&told), expect) != 0)
        fail_msg("%s: \"%s\" gives \"%s\"", strict ? "strict" : "lenient", line, buf_c(&told));
    free(copy);
    buf_free(&told);
}

static void lines(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        check_row(rows[i].line, false, rows[i].lenient);
        check_row(rows[i].line, true, rows[i].strict ? rows[i].strict : rows[i].lenient);
    }
}

static void a_nul_is_refused(void **state)
{
    struct buf told = buf_init(KIB);

    parse(str_n("MAIL FROM:<a@b.example>\0SIZE=1", 30), false, &told);
    assert_string_equal(buf_c(&told), "arguments");
    buf_free(&told);
}

static void parameters_up_to_the_limit(void **state)
{
    struct buf line = buf_init(KIB), told = buf_init(KIB);

    buf_add_c(&line, "MAIL FROM:<>");
    for (int i = 0; i < SMTP_PARAMETERS_MAX; i++)
        buf_printf(&line, " P%d", i);
    parse(buf_str(&line), false, &told);
    assert_true(str_starts(buf_str(&told), STR("MAIL  P0 P1")));
    buf_reset(&told);
    buf_add_c(&line, " P");
    parse(buf_str(&line), false, &told);
    assert_string_equal(buf_c(&told), "parameters");
    buf_free(&line);
    buf_free(&told);
}

static void verbs(void **state)
{
    for (enum smtp_verb v = VERB_UNKNOWN + 1; v < VERB_COUNT; v++)
        assert_int_equal(smtp_verb_find(str_c(smtp_verb_word(v))), v);
    assert_int_equal(smtp_verb_find(STR("mAiL")), VERB_MAIL);
    assert_int_equal(smtp_verb_find(STR("")), VERB_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(parameters_up_to_the_limit),
        cmocka_unit_test(verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
