// SPDX-License-Identifier: ISC
#include "mail/explain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static struct explanation explained(enum explain_step step, uint16_t code, const char *text)
{
    struct status st = status_from_reply(code, str_c(text));

    return explain_reply(step, &st);
}

static void assert_means(struct explanation e, const char *part)
{
    if (!strstr(e.meaning, part))
        fail_msg("\"%s\" is not in \"%s\"", part, e.meaning);
}

/* Replies as these servers give them. */
static void words_of_well_known_servers(void **state)
{
    static const struct {
        enum explain_step step;
        uint16_t code;
        const char *text, *meaning;
    } cases[] = {
        {STEP_AUTH, 535,
         "5.7.8 Username and Password not accepted. For more information, go to\n5.7.8 "
         "https://support.google.com/mail/?p=BadCredentials x - gsmtp",
         "Gmail does not accept"},
        {STEP_AUTH, 534,
         "5.7.9 Application-specific password required. For more information, go to\n5.7.9  "
         "https://support.google.com/mail/?p=InvalidSecondFactor",
         "application password"},
        {STEP_AUTH, 535,
         "5.7.8 Error: authentication failed: This user does not have access rights to this "
         "service",
         "Mail programs are not allowed"},
        {STEP_AUTH, 535, "5.7.0 NEOBHODIM parol prilozheniya / Application password is REQUIRED",
         "application password"},
        {STEP_AUTH, 535, "5.7.139 Authentication unsuccessful, basic authentication is disabled.",
         "only OAuth"},
        {STEP_AUTH, 535,
         "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
         "Tenant.",
         "Microsoft 365"},
        {STEP_AUTH, 535, "5.7.8 Error: authentication failed: UGFzc3dvcmQ6", "password is wrong"},
        {STEP_AUTH, 503, "5.5.1 Error: authentication not enabled", "AUTH may not be said now"},
        {STEP_MAIL, 530, "5.7.1 Client was not authenticated", "log in before MAIL"},
        {STEP_MAIL, 530, "5.7.0 Must issue a STARTTLS command first.", "encrypted first"},
        {STEP_MAIL, 530,
         "5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
         "log in before MAIL"},
        {STEP_MAIL, 553, "5.7.1 Sender address rejected: not owned by user a@yandex.ru",
         "send as another"},
        {STEP_MAIL, 550, "5.1.7 Invalid address", "sender's address is written wrongly"},
        {STEP_HELLO, 501, "5.5.4 Invalid domain name", "name behind EHLO or HELO"},
        {STEP_RCPT, 450, "4.2.0 <a@b>: Recipient address rejected: Greylisted", "Greylisting"},
        {STEP_RCPT, 554, "5.7.1 <a@b>: Relay access denied", "does not pass on mail"},
        {STEP_RCPT, 550, "relay not permitted", "does not pass on mail"},
        {STEP_RCPT, 550,
         "5.1.1 The email account that you tried to reach does not exist. Please try\n5.1.1 "
         "double-checking the recipient's email address - gsmtp",
         "does not exist there"},
        {STEP_RCPT, 550,
         "5.1.1 <x@y>: Recipient address rejected: User unknown in local recipient table",
         "does not exist there"},
        {STEP_RCPT, 550, "Unrouteable address", "does not exist there"},
        {STEP_RCPT, 452, "4.2.2 The recipient's inbox is out of storage space.", "is full"},
        {STEP_RCPT, 554,
         "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
         "ZEN"},
        {STEP_RCPT, 550, "blocked using bl.spamcop.net", "SpamCop"},
        {STEP_RCPT, 554, "5.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]",
         "reverse DNS"},
        {STEP_MAIL, 550,
         "5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list "
         "please visit https://sender.office.com/",
         "Microsoft blocks"},
        {STEP_CONTENT, 554,
         "5.7.1 [1] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc",
         "Yandex takes the message for spam"},
        {STEP_CONTENT, 550,
         "spam message rejected. Please visit http://help.mail.ru/notspam-support/id",
         "Mail.ru takes the message for spam"},
        {STEP_CONTENT, 550,
         "5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC "
         "policy.",
         "DMARC"},
        {STEP_RCPT, 550, "5.7.23 SPF check failed", "SPF"},
        {STEP_CONTENT, 552,
         "5.7.0 This message was blocked because its content presents a potential security issue.",
         "of a kind that is not taken"},
        {STEP_GREETING, 421,
         "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or "
         "user complaints",
         "because of complaints"},
        {STEP_DATA, 554, "5.5.1 Error: no valid recipients", "DATA may not be said now"},
    };

    for (size_t i = 0; i < countof(cases); i++)
        assert_means(explained(cases[i].step, cases[i].code, cases[i].text), cases[i].meaning);
}

/* The same code means another thing behind another command. */
static void the_step_matters(void **state)
{
    assert_means(explained(STEP_RCPT, 550, "no"), "recipient is refused");
    assert_means(explained(STEP_CONTENT, 550, "no"), "rule or filter");
    assert_means(explained(STEP_MAIL, 550, "no"), "sender is not taken");
    assert_means(explained(STEP_RCPT, 550, "5.7.1 no"), "may not send to this recipient");
    assert_means(explained(STEP_CONTENT, 550, "5.7.1 no"), "rule or filter");
    assert_means(explained(STEP_GREETING, 554, "no"), "does not talk to you");
    assert_means(explained(STEP_ANY, 299, "what"), "Done");
    assert_means(explained(STEP_ANY, 0, "what"), "Not now");
}

/* Success is never explained by the row of a failure. */
static void success_is_success(void **state)
{
    static const char *const texts[] = {
        "2.1.0 Ok",      "2.1.5 Ok",      "2.0.0 Ok: queued, no spam",
        "2.6.0 Queued",  "2.7.0 welcome", "greylisting is off",
        "2.1.1 quota ok"};

    for (size_t i = 0; i < countof(texts); i++)
        for (int step = STEP_ANY; step <= STEP_QUIT; step++) {
            struct explanation e = explained((enum explain_step)step, 250, texts[i]);

            if (e.causes)
                fail_msg("%s: %s", texts[i], e.meaning);
        }
    assert_means(explained(STEP_RCPT, 250, "2.1.5 Ok"), "recipient is taken");
}

static void words_begin_where_a_word_begins(void **state)
{
    assert_means(explained(STEP_RCPT, 550, "id 4spfx"), "recipient is refused");
    assert_means(explained(STEP_RCPT, 550, "(spf) no"), "SPF");
}

static void our_own_rows_explain_themselves(void **state)
{
    for (size_t i = 0; i < REPLY_COUNT; i++) {
        struct status st = reply_status((enum reply_name)i, STR("it"));
        const struct reply_row *row = reply_row_of(&st);
        struct explanation e = explain_reply(STEP_ANY, &st);

        assert_non_null(e.meaning);
        if (row && i != REPLY_OK)
            assert_string_equal(e.meaning, row->cause);
    }
    assert_null(explained(STEP_QUIT, 221, "2.0.0 mx closing connection").remedy);
}

/* Each code of RFC 5321 and each detail of the registry has words of its own. */
static void the_registry_is_complete(void **state)
{
    static const uint16_t codes[] = {211, 214, 220, 221, 250, 251, 252, 354, 421, 450, 451,
                                     452, 454, 455, 500, 501, 502, 503, 504, 521, 530, 534,
                                     535, 538, 550, 551, 552, 553, 554, 555, 556, 334, 235};
    static const uint8_t detail_max[] = {0, 10, 4, 6, 8, 6, 10, 30};
    const char *no = explained(STEP_ANY, 599, "x").meaning;

    for (size_t i = 0; i < countof(codes); i++) {
        const char *meaning = explained(STEP_ANY, codes[i], "x").meaning;

        assert_ptr_not_equal(meaning, no);
        assert_string_not_equal(meaning, explained(STEP_ANY, 499, "x").meaning);
    }
    for (uint8_t subject = 1; subject < countof(detail_max); subject++)
        for (uint8_t detail = 1; detail <= detail_max[subject]; detail++) {
            struct status st = status_make(599, 5, subject, detail, STR("x"));

            if (strcmp(explain_reply(STEP_ANY, &st).meaning, no) == 0 &&
                !(subject == 1 && (detail == 5 || detail == 9)) && !(subject == 3 && detail == 6) &&
                !(subject == 6 && detail == 4)) /* those are of success */
                fail_msg("5.%u.%u is not explained", subject, detail);
        }
}

static void connections_by_error_and_port(void **state)
{
    assert_means(explain_connection(-ECONNREFUSED, 25), "port 25");
    assert_means(explain_connection(-ECONNREFUSED, 2525), "that port");
    assert_means(explain_connection(-ETIMEDOUT, 25), "port 25");
    assert_means(explain_connection(-EPROTO, 587), "handshake");
    assert_means(explain_connection(-ENOENT, 25), "no such host");
    assert_means(explain_connection(-EXDEV, 1), "failed");
    assert_non_null(strstr(explain_connection(-ECONNRESET, 465).causes, "TLS from the first byte"));
}

static void pop3_by_code_and_words(void **state)
{
    assert_means(explain_pop3(STEP_AUTH, false, STR("AUTH"), STR("no")), "password is wrong");
    assert_means(explain_pop3(STEP_AUTH, false, STR("in-use"), STR("no")), "another session");
    assert_means(explain_pop3(STEP_AUTH, false, STR("SYS/TEMP"), STR("no")), "will pass");
    assert_means(explain_pop3(STEP_OTHER, false, STR(""), STR("There's no message 7.")),
                 "that number");
    assert_means(explain_pop3(STEP_OTHER, false, STR(""), STR("no such message")), "that number");
    assert_means(
        explain_pop3(
            STEP_AUTH, false, STR(""),
            STR("Plaintext authentication disallowed on non-secure (SSL/TLS) connections.")),
        "TLS before");
    assert_means(explain_pop3(STEP_GREETING, true, STR(""), STR("ready")), "ready");
    assert_means(explain_pop3(STEP_OTHER, true, STR(""), STR("in use")), "Done");
}

static void steps_of_commands(void **state)
{
    static const struct {
        const char *line;
        enum explain_step step;
    } cases[] = {{"ehlo x", STEP_HELLO}, {"Mail From:<a>", STEP_MAIL}, {"rcpt", STEP_RCPT},
                 {"DATA", STEP_DATA},    {"bdat 3", STEP_DATA},        {"STLS", STEP_STARTTLS},
                 {"PASS x", STEP_AUTH},  {"quit", STEP_QUIT},          {"NOOP", STEP_OTHER},
                 {"", STEP_OTHER},       {"DATAX", STEP_OTHER}};

    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(explain_step_of(str_c(cases[i].line)), cases[i].step);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_well_known_servers),
        cmocka_unit_test(the_step_matters),
        cmocka_unit_test(success_is_success),
        cmocka_unit_test(words_begin_where_a_word_begins),
        cmocka_unit_test(our_own_rows_explain_themselves),
        cmocka_unit_test(the_registry_is_complete),
        cmocka_unit_test(connections_by_error_and_port),
        cmocka_unit_test(pop3_by_code_and_words),
        cmocka_unit_test(steps_of_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
