// SPDX-License-Identifier: ISC
#include "outward/talk/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static struct exchange x;
static struct answer_reader answer;

static void begin(enum exchange_protocol protocol)
{
    exchange_init(&x, protocol);
    answer_init(&answer, protocol == EXCHANGE_POP3);
    exchange_connected(&x, 0);
}

static void end(void)
{
    exchange_free(&x);
    answer_free(&answer);
}

static void say(const char *bytes)
{
    exchange_said(&x, str_c(bytes), 100);
}

static struct heard hear(const char *lines)
{
    struct str in = str_c(lines), line;
    size_t used;
    enum answer_event event;

    answer.lists = exchange_lists(&x);
    do {
        event = answer_read(&answer, in, &line, &used);
        in = str_skip(in, used);
    } while (event == ANSWER_LINE);
    assert_int_equal(event, ANSWER_REPLY);
    assert_int_equal(in.n, 0);
    return exchange_heard(&x, &answer, 150);
}

static void a_message(void **state)
{
    begin(EXCHANGE_SMTP);
    assert_true(exchange_holds(&x));
    assert_int_equal(hear("220 mx\r\n").step, STEP_GREETING);
    say("ehlo me\r\n");
    assert_int_equal(
        hear("250-mx\r\n250-SIZE 1000\r\n250-AUTH=LOGIN\r\n250 AUTH PLAIN LOGIN\r\n").step,
        STEP_HELLO);
    struct str words;

    assert_true(exchange_offers(&x, "SIZE", &words) && str_eq_c(words, "1000"));
    assert_true(exchange_offers(&x, "AUTH", &words) && str_eq_c(words, "LOGIN"));
    assert_false(exchange_offers(&x, "SIZ", &words));
    assert_false(exchange_offers(&x, "mx", &words));
    say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nrcpt to: e@f.example\r\n");
    assert_false(exchange_holds(&x));
    assert_int_equal(hear("250 ok\r\n").us, 50);
    assert_int_equal(hear("250 ok\r\n").step, STEP_RCPT);
    assert_int_equal(hear("550 no\r\n").step, STEP_RCPT);
    assert_string_equal(buf_c(&x.sender), "a@b.example");
    assert_string_equal(buf_c(&x.recipients), "c@d.example\n");
    say("RCPT TO:<a b\r\n");
    (void)hear("501 what\r\n");
    say("DATA\r\n");
    assert_true(exchange_holds(&x));
    (void)hear("354 go on\r\n");
    assert_int_equal(x.mode, MODE_CONTENT);
    say("MAIL FROM:<x>\r\n.");
    say("\r");
    assert_int_equal(x.mode, MODE_CONTENT);
    say("\n");
    assert_int_equal(x.mode, MODE_COMMANDS);
    assert_int_equal(hear("250 taken\r\n").step, STEP_CONTENT);
    assert_false(x.has_sender);
    assert_true(hear("421 bye\r\n").unasked);
    end();
}

static void a_login(void **state)
{
    begin(EXCHANGE_SMTP);
    (void)hear("220 mx\r\n");
    say("AUTH LOGIN\r\n");
    assert_true(exchange_in_login(&x) && exchange_holds(&x));
    (void)hear("334 VXNlcm5hbWU6\r\n");
    assert_true(exchange_in_login(&x) && !exchange_holds(&x));
    say("bWU=\r\n");
    assert_true(exchange_in_login(&x) && exchange_holds(&x));
    (void)hear("334 UGFzc3dvcmQ6\r\n");
    say("cA==\r\n");
    struct heard h = hear("535 no\r\n");

    assert_true(h.gate_refused && h.step == STEP_AUTH);
    assert_false(exchange_in_login(&x));
    end();
}

static void chunks(void **state)
{
    begin(EXCHANGE_SMTP);
    (void)hear("220 mx\r\n");
    say("BDAT 10\r\n");
    assert_int_equal(x.mode, MODE_CHUNK);
    say("QUIT\r\n");
    say("QUITNOOP\r\n");
    assert_int_equal(x.mode, MODE_COMMANDS);
    assert_int_equal(x.count, 2);
    assert_int_equal(hear("250 ok\r\n").step, STEP_DATA);
    assert_string_equal(hear("250 ok\r\n").verb, "NOOP");
    say("BDAT 0 LAST\r\n");
    assert_int_equal(hear("250 ok\r\n").step, STEP_CONTENT);
    say("BDAT x\r\n");
    assert_int_equal(x.mode, MODE_COMMANDS);
    end();
}

static void lmtp_has_a_verdict_for_each(void **state)
{
    begin(EXCHANGE_LMTP);
    (void)hear("220 mx\r\n");
    say("RCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    (void)hear("250 ok\r\n");
    (void)hear("250 ok\r\n");
    (void)hear("354 ok\r\n");
    say(".\r\n");
    assert_int_equal(x.count, 2);
    assert_int_equal(hear("250 ok\r\n").step, STEP_CONTENT);
    assert_int_equal(hear("452 no\r\n").step, STEP_CONTENT);
    assert_int_equal(x.recipient_count, 0);
    end();
}

static void pop3(void **state)
{
    begin(EXCHANGE_POP3);
    (void)hear("+OK ready\r\n");
    say("CAPA\r\n");
    assert_int_equal(hear("+OK\r\nSASL PLAIN LOGIN\r\nSTLS\r\n.\r\n").step, STEP_HELLO);
    struct str words;

    assert_true(exchange_offers(&x, "SASL", &words) && str_eq_c(words, "PLAIN LOGIN"));
    say("STLS\r\n");
    assert_true(hear("+OK\r\n").secures);
    exchange_secured(&x, false, 200);
    assert_false(exchange_offers(&x, "SASL", &words));
    say("LIST 1\r\nLIST\r\nAUTH PLAIN\r\n");
    assert_string_equal(hear("+OK 1 2\r\n").verb, "LIST");
    assert_string_equal(hear("+OK\r\n1 2\r\n.\r\n").verb, "LIST");
    (void)hear("+ \r\n");
    assert_int_equal(x.mode, MODE_LOGIN);
    end();
}

static void who_never_listens_does_no_harm(void **state)
{
    begin(EXCHANGE_SMTP);
    for (int i = 0; i < 3 * EXCHANGE_AWAITED_MAX; i++)
        say("RCPT TO:<a@b>\r\n");
    assert_true(exchange_holds(&x));
    assert_int_equal(x.count, EXCHANGE_AWAITED_MAX);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message), cmocka_unit_test(a_login),
        cmocka_unit_test(chunks),    cmocka_unit_test(lmtp_has_a_verdict_for_each),
        cmocka_unit_test(pop3),      cmocka_unit_test(who_never_listens_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
