// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "client/dialogue.h"

enum { RECIPIENTS = 2, MANY = 500 };

/* ---- what the dialogue told ---- */

struct seen {
    size_t ready_count, end_count, over_count;
    size_t result_count[MANY];
    struct status results[MANY];
    struct status over;
    bool next_hop_failed;
};

static void on_ready(void *arg)
{
    struct seen *s = arg;
    s->ready_count++;
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    struct seen *s = arg;
    s->result_count[i]++;
    s->results[i] = *st;
}

static void on_message_end(void *arg)
{
    struct seen *s = arg;
    s->end_count++;
}

static void on_over(void *arg, const struct status *st, bool next_hop_failed)
{
    struct seen *s = arg;
    s->over_count++;
    s->over = *st;
    s->next_hop_failed = next_hop_failed;
}

static const struct dialogue_events events = {on_ready, on_result, on_message_end, on_over, NULL};

static const struct str two[RECIPIENTS] = {{"a@example.net", 13}, {"b@example.net", 13}};

static struct dialogue_message message_to(const struct str *recipients, size_t count)
{
    return (struct dialogue_message){.sender = STR("me@example.org"),
                                     .recipients = recipients,
                                     .recipient_count = count,
                                     .size = 1000};
}

/* ---- a server that answers by a list ---- */

struct server {
    bool pipelining, binary;
    uint16_t mail, rcpt[RECIPIENTS], data, dot; /* replies */
};

/* What the server of the test saw. */
struct record {
    size_t rcpt_count, mail_count, data_count, reset_count, quit_count;
    size_t flights; /* times the client had to wait */
    bool content, accepted, transaction;
};

static uint16_t server_command(const struct server *s, struct record *r, struct str line)
{
    if (str_starts(line, STR("EHLO")) || str_starts(line, STR("HELO")))
        return 250;
    if (str_starts(line, STR("RSET"))) {
        r->reset_count++;
        r->transaction = false;
        return 250;
    }
    if (str_starts(line, STR("MAIL"))) {
        r->mail_count++;
        assert_false(r->transaction);
        r->transaction = s->mail == 250;
        r->rcpt_count = 0;
        return s->mail;
    }
    if (str_starts(line, STR("RCPT")))
        return s->rcpt[r->rcpt_count++ % RECIPIENTS];
    if (str_starts(line, STR("DATA"))) {
        r->data_count++;
        return s->data;
    }
    if (str_starts(line, STR("QUIT"))) {
        r->quit_count++;
        return 221;
    }
    assert_true(str_eq_c(line, s->binary ? "BDAT 1000 LAST" : "."));
    r->accepted = s->dot == 250;
    r->transaction = false;
    return s->dot;
}

/* Answers everything the client says until it has nothing more to say. `cut`: connection is lost
 * after so many replies. */
static void converse(struct dialogue *d, const struct server *s, struct record *r, size_t cut)
{
    static const char hello[] = "mx\nPIPELINING\nSIZE 5000\n8BITMIME\nBINARYMIME\nCHUNKING";
    struct status gone = status_make(0, 4, 4, 2, STR("gone"));
    struct buf heard = buf_init(DIALOGUE_OUT_BYTES_MAX * 2);
    size_t replies = 0;

    while (d->phase != PHASE_OVER) {
        buf_add(&heard, buf_str(&d->out));
        buf_reset(&d->out);
        if (d->phase == PHASE_CONTENT) {
            r->content = true;
            dialogue_content_sent(d);
            if (!dialogue_sends_chunk(d))
                buf_add(&heard, STR(".\r\n"));
        }
        if (heard.n == 0)
            break;
        r->flights++;
        while (heard.n > 0 && d->phase != PHASE_OVER) {
            struct str line = str_sub(buf_str(&heard), 0, str_find(buf_str(&heard), '\r'));
            bool ehlo = str_starts(line, STR("EHLO"));
            uint16_t code = server_command(s, r, line);

            buf_drop_front(&heard, line.n + 2);
            if (replies++ == cut) {
                dialogue_lost(d, &gone);
                break;
            }
            dialogue_reply(d, code,
                           !ehlo           ? STR("said")
                           : s->pipelining ? STR(hello)
                                           : STR("mx\nCHUNKING\nBINARYMIME"));
        }
    }
    buf_free(&heard);
}

/* ---- every combination of answers ---- */

/* The class each recipient must end in, said the slow way: follow the session as RFC 5321 has it. */
static unsigned reference_class(const struct server *s, size_t i)
{
    uint16_t mail_class = s->mail / 100;

    if (mail_class == 3 || s->mail == 421)
        return 4;
    if (mail_class != 2)
        return mail_class;
    /* Nonsense or 421 to an earlier or the own RCPT ends the session. */
    for (size_t k = 0; k <= i; k++) {
        if (s->rcpt[k] == 421 || s->rcpt[k] / 100 == 3)
            return 4;
    }
    if (s->rcpt[i] == 552 && i == 1 && s->rcpt[0] == 250)
        return 4;
    if (s->rcpt[i] != 250)
        return s->rcpt[i] / 100;
    for (size_t k = i + 1; k < RECIPIENTS; k++) {
        if (s->rcpt[k] == 421 || s->rcpt[k] / 100 == 3)
            return 4;
    }
    if (s->data == 421 || s->data / 100 == 2)
        return 4;
    if (s->data / 100 != 3)
        return s->data / 100;
    if (s->dot == 421 || s->dot / 100 == 3)
        return 4;
    return s->dot / 100;
}

static void check_results(const struct server *s, const struct seen *seen, const struct record *r)
{
    for (size_t i = 0; i < RECIPIENTS; i++) {
        assert_int_equal(seen->result_count[i], 1);
        assert_int_equal(seen->results[i].class, reference_class(s, i));
        if (status_done(&seen->results[i]))
            assert_true(r->content && r->accepted);
    }
    assert_int_equal(seen->end_count, 1);
    assert_true(seen->over_count <= 1);
    assert_true(seen->over_count == 1 || seen->ready_count == 2);
}

static void check_second_message(struct dialogue *d, const struct server *s, struct seen *seen,
                                 struct record *r)
{
    static const struct server good = {true, false, 250, {250, 250}, 354, 250};
    struct dialogue_message m = message_to(two, RECIPIENTS);
    bool was_open = r->transaction;

    if (d->phase != PHASE_READY)
        return;
    memset(seen->result_count, 0, sizeof seen->result_count);
    r->content = false;
    dialogue_send(d, &m);
    converse(d, &good, r, SIZE_MAX);
    assert_int_equal(r->reset_count, was_open ? 1 : 0);
    for (size_t i = 0; i < RECIPIENTS; i++) {
        assert_int_equal(seen->result_count[i], 1);
        assert_true(status_done(&seen->results[i]));
    }
    dialogue_quit(d);
    converse(d, &good, r, SIZE_MAX);
    assert_int_equal(r->quit_count, 1);
    assert_true(status_done(&seen->over));
}

static void check_server(const struct server *s, size_t cut)
{
    struct dialogue d;
    struct seen seen = {0};
    struct record r = {0};
    struct dialogue_message m = message_to(two, RECIPIENTS);

    m.body = s->binary ? BODY_BINARY : BODY_8BIT;
    dialogue_init(&d, STR("client.example"), TLS_NONE, &events, &seen);
    dialogue_reply(&d, 220, STR("mx ESMTP"));
    converse(&d, s, &r, SIZE_MAX);
    assert_int_equal(d.phase, PHASE_READY);
    r.flights = 0;
    dialogue_send(&d, &m);
    converse(&d, s, &r, cut);
    if (cut == SIZE_MAX) {
        check_results(s, &seen, &r);
        check_second_message(&d, s, &seen, &r);
    }
    for (size_t i = 0; i < RECIPIENTS; i++) {
        assert_int_equal(seen.result_count[i], 1);
        assert_true(r.accepted || !status_done(&seen.results[i]));
    }
    dialogue_free(&d);
}

static const uint16_t mail_replies[] = {250, 450, 550, 421, 354};
static const uint16_t rcpt_replies[] = {250, 450, 550, 552, 421, 354};
static const uint16_t data_replies[] = {354, 451, 554, 421, 250};
static const uint16_t dot_replies[] = {250, 452, 554, 421, 354};

static void every_combination_of_answers_is_legal(void **state)
{
    struct server s;

    for (size_t p = 0; p < 2; p++)
        for (size_t m = 0; m < countof(mail_replies); m++)
            for (size_t a = 0; a < countof(rcpt_replies); a++)
                for (size_t b = 0; b < countof(rcpt_replies); b++)
                    for (size_t c = 0; c < countof(data_replies); c++)
                        for (size_t e = 0; e < countof(dot_replies); e++) {
                            s = (struct server){p == 1,          false,
                                                mail_replies[m], {rcpt_replies[a], rcpt_replies[b]},
                                                data_replies[c], dot_replies[e]};
                            check_server(&s, SIZE_MAX);
                            for (size_t cut = 0; cut < 5; cut++)
                                check_server(&s, cut);
                            s.binary = true;
                            for (size_t cut = 0; c == 0 && cut <= 5; cut++)
                                check_server(&s, cut < 5 ? cut : SIZE_MAX);
                        }
}

/* ---- single cases ---- */

static void open_session(struct dialogue *d, struct seen *seen, struct str capabilities)
{
    *seen = (struct seen){0};
    dialogue_init(d, STR("client.example"), TLS_NONE, &events, seen);
    dialogue_reply(d, 220, STR("mx.example.net ESMTP\nsecond line"));
    assert_true(str_eq_c(buf_str(&d->out), "EHLO client.example\r\n"));
    buf_reset(&d->out);
    dialogue_reply(d, 250, capabilities);
    assert_int_equal(seen->ready_count, 1);
}

static void capabilities_are_used(void **state)
{
    static const struct {
        const char *capabilities;
        enum body body;
        const char *said;
    } cases[] = {
        {"mx", BODY_8BIT, "MAIL FROM:<me@example.org>\r\n"},
        {"PIPELINING", BODY_8BIT, "MAIL FROM:<me@example.org>\r\n"}, /* the first line is a name */
        {"mx\nSIZE", BODY_8BIT, "MAIL FROM:<me@example.org> SIZE=1000\r\n"},
        {"mx\nsize 0", BODY_7BIT, "MAIL FROM:<me@example.org> SIZE=1000\r\n"},
        {"mx\n8bitmime\nSIZE 1000", BODY_8BIT,
         "MAIL FROM:<me@example.org> SIZE=1000 BODY=8BITMIME\r\n"},
        {"mx\n8BITMIME", BODY_7BIT, "MAIL FROM:<me@example.org>\r\n"},
        {"mx\nPIPELINING", BODY_7BIT,
         "MAIL FROM:<me@example.org>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<b@example.net>\r\n"
         "DATA\r\n"},
        {"mx\nCHUNKING\nBINARYMIME\n8BITMIME", BODY_BINARY,
         "MAIL FROM:<me@example.org> BODY=BINARYMIME\r\n"},
        {"mx\nCHUNKING\nBINARYMIME\nPIPELINING", BODY_BINARY, /* but BDAT has to wait */
         "MAIL FROM:<me@example.org> BODY=BINARYMIME\r\nRCPT TO:<a@example.net>\r\n"
         "RCPT TO:<b@example.net>\r\n"},
        {"mx\nCHUNKING\n8BITMIME\nSIZE", BODY_BINARY, /* it is converted */
         "MAIL FROM:<me@example.org> BODY=8BITMIME\r\n"},
        {"mx\nBINARYMIME", BODY_BINARY, "MAIL FROM:<me@example.org>\r\n"},
        {"mx\nCHUNKING\n8BITMIME", BODY_8BIT, "MAIL FROM:<me@example.org> BODY=8BITMIME\r\n"},
        {"mx\nLIMITS RCPTMAX=1\nPIPELINING", BODY_7BIT,
         "MAIL FROM:<me@example.org>\r\nRCPT TO:<a@example.net>\r\nDATA\r\n"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct dialogue d;
        struct seen seen;
        struct dialogue_message m = message_to(two, RECIPIENTS);

        m.body = cases[i].body;
        open_session(&d, &seen, str_c(cases[i].capabilities));
        dialogue_send(&d, &m);
        assert_true(str_eq_c(buf_str(&d.out), cases[i].said));
        dialogue_free(&d);
    }
}

/* The server is told commands[i] and answers codes[i]; the content goes by itself. */
static void play(struct dialogue *d, const char *const *commands, const uint16_t *codes,
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!str_eq_c(buf_str(&d->out), commands[i]))
            fail_msg("step %zu: %.*s", i, STR_ARG(buf_str(&d->out)));
        buf_reset(&d->out);
        dialogue_reply(d, codes[i], STR("said"));
        if (d->phase == PHASE_CONTENT)
            dialogue_content_sent(d);
    }
}

static const struct str five[] = {{"a@e", 3}, {"b@e", 3}, {"c@e", 3}, {"d@e\n", 4}, {"e@e", 3}};

/* RFC 9422 RCPTMAX: the same message again for those who are left. */
static void recipients_over_the_limit_get_another_transaction(void **state)
{
    static const char *const commands[] = {"MAIL FROM:<me@example.org>\r\n",
                                           "RCPT TO:<a@e>\r\n",
                                           "RCPT TO:<b@e>\r\n",
                                           "RSET\r\n",
                                           "MAIL FROM:<me@example.org>\r\n",
                                           "RCPT TO:<c@e>\r\n",
                                           "RCPT TO:<e@e>\r\n",
                                           "DATA\r\n",
                                           ""};
    static const uint16_t codes[] = {250, 550, 550, 250, 250, 250, 450, 354, 250};
    static const unsigned classes[] = {5, 5, 2, 5, 4};
    struct dialogue d;
    struct seen seen;
    struct dialogue_message m = message_to(five, countof(five));

    open_session(&d, &seen, STR("mx\nLIMITS FOO=1 rcptmax=2 RCPTMAX=x MAILMAX=3"));
    dialogue_send(&d, &m);
    play(&d, commands, codes, countof(commands));
    for (size_t i = 0; i < countof(five); i++) {
        assert_int_equal(seen.result_count[i], 1);
        assert_int_equal(seen.results[i].class, classes[i]);
    }
    assert_int_equal(seen.end_count, 1);
    assert_int_equal(seen.ready_count, 2);
    assert_true(dialogue_takes_more(&d)); /* two MAILs of three */
    dialogue_free(&d);
}

/* MAILMAX: who is still left then has to wait for another session. */
static void messages_over_the_limit_wait(void **state)
{
    static const char *const commands[] = {"MAIL FROM:<me@example.org>\r\n",
                                           "RCPT TO:<a@example.net>\r\n", "DATA\r\n", ""};
    static const uint16_t codes[] = {250, 250, 354, 250};
    struct dialogue d;
    struct seen seen;
    struct dialogue_message m = message_to(two, RECIPIENTS);

    open_session(&d, &seen, STR("mx\nLIMITS MAILMAX=1 RCPTMAX=1"));
    assert_true(dialogue_takes_more(&d));
    dialogue_send(&d, &m);
    play(&d, commands, codes, countof(commands));
    assert_int_equal(seen.results[0].class, 2);
    assert_int_equal(seen.results[1].class, 4);
    assert_int_equal(seen.ready_count, 2);
    assert_false(dialogue_takes_more(&d));
    assert_int_equal(d.out.n, 0);
    dialogue_free(&d);
}

/* Whose messages are counted sends none behind the counter's back. */
static void recipients_over_the_limit_wait_where_messages_count(void **state)
{
    static const char *const commands[] = {"MAIL FROM:<me@example.org>\r\n",
                                           "RCPT TO:<a@example.net>\r\n", "DATA\r\n", ""};
    static const uint16_t codes[] = {250, 250, 354, 250};
    struct dialogue d;
    struct seen seen;
    struct dialogue_message m = message_to(two, RECIPIENTS);

    open_session(&d, &seen, STR("mx\nLIMITS RCPTMAX=1"));
    d.one_transaction = true;
    dialogue_send(&d, &m);
    play(&d, commands, codes, countof(commands));
    assert_int_equal(seen.results[0].class, 2);
    assert_int_equal(seen.results[1].class, 4);
    assert_int_equal(seen.end_count, 1);
    assert_true(dialogue_takes_more(&d));
    dialogue_free(&d);
}

static void a_message_over_the_announced_size_is_not_sent(void **state)
{
    struct dialogue d;
    struct seen seen;
    struct dialogue_message m = message_to(two, RECIPIENTS);

    open_session(&d, &seen, STR("mx\nSIZE 999"));
    dialogue_send(&d, &m);
    assert_int_equal(d.out.n, 0);
    assert_int_equal(seen.results[0].code, 552);
    assert_int_equal(seen.results[1].subject, 3);
    assert_int_equal(seen.results[1].detail, 4);
    assert_int_equal(seen.end_count, 1);
    assert_int_equal(seen.ready_count, 2);
    dialogue_free(&d);
}

static void nothing_can_be_injected(void **state)
{
    static const struct str recipients[] = {
        {"a@b\r\nDATA", 9}, {"ok@example.net", 14}, {"nul\0@b", 6}, {"b@example.net", 13}};
    struct dialogue d;
    struct seen seen;
    struct dialogue_message m = message_to(recipients, countof(recipients));

    open_session(&d, &seen, STR("mx\nPIPELINING"));
    dialogue_send(&d, &m);
    assert_true(str_eq_c(buf_str(&d.out), "MAIL FROM:<me@example.org>\r\nRCPT TO:<ok@example.net>"
                                          "\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"));
    dialogue_reply(&d, 250, STR("ok"));
    dialogue_reply(&d, 250, STR("ok"));
    dialogue_reply(&d, 550, STR("5.1.1 no"));
    dialogue_reply(&d, 354, STR("go"));
    dialogue_content_sent(&d);
    dialogue_reply(&d, 250, STR("2.0.0 queued"));
    static const uint16_t codes[] = {501, 250, 501, 550};
    for (size_t i = 0; i < countof(recipients); i++) {
        assert_int_equal(seen.result_count[i], 1);
        assert_int_equal(seen.results[i].code, codes[i]);
    }
    m.sender = STR("x>\r\nRSET");
    dialogue_send(&d, &m);
    assert_int_equal(seen.end_count, 2);
    assert_int_equal(seen.results[1].code, 550);
    dialogue_free(&d);
}

/* RFC 6531: said where it is offered and needed; where it is not offered, nothing that needs it. */
static void utf8_is_never_made_ascii(void **state)
{
    static const struct {
        const char *capabilities, *sender, *recipients[RECIPIENTS];
        enum message_utf8 utf8;
        const char *said;
        uint16_t codes[RECIPIENTS]; /* 0: not refused */
    } cases[] = {
        {"mx\nSMTPUTF8",
         "a@b.test",
         {"c@d.test", "e@f.test"},
         UTF8_UNSAID,
         "MAIL FROM:<a@b.test>\r\n",
         {0, 0}},
        {"mx\nsmtputf8",
         "a@b.test",
         {"c@d.test", "e@f.test"},
         UTF8_SAID,
         "MAIL FROM:<a@b.test> SMTPUTF8\r\n",
         {0, 0}},
        {"mx\nSMTPUTF8\n8BITMIME\nPIPELINING",
         "я@xn--p1ai",
         {"ты@xn--e1afmkfd.xn--p1ai", "e@xn--p1ai"},
         UTF8_UNSAID,
         "MAIL FROM:<я@рф> SMTPUTF8\r\nRCPT TO:<ты@пример.рф>\r\nRCPT TO:<e@xn--p1ai>\r\nDATA\r\n",
         {0, 0}},
        {"mx\nSMTPUTF8",
         "",
         {"ты@d.test", "e@f.test"},
         UTF8_UNSAID,
         "MAIL FROM:<> SMTPUTF8\r\n",
         {0, 0}},
        {"mx",
         "a@b.test",
         {"c@xn--p1ai", "e@f.test"},
         UTF8_SAID,
         "MAIL FROM:<a@b.test>\r\n",
         {0, 0}},
        {"mx\nPIPELINING",
         "a@b.test",
         {"ты@d.test", "e@f.test"},
         UTF8_SAID,
         "MAIL FROM:<a@b.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n",
         {550, 0}},
        {"mx\n8BITMIME", "я@b.test", {"c@d.test", "e@f.test"}, UTF8_UNSAID, "", {550, 550}},
        {"mx\n8BITMIME", "a@b.test", {"c@d.test", "e@f.test"}, UTF8_HEADER, "", {550, 550}},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct str list[RECIPIENTS] = {str_c(cases[i].recipients[0]),
                                       str_c(cases[i].recipients[1])};
        struct dialogue_message m = message_to(list, RECIPIENTS);
        struct dialogue d;
        struct seen seen;

        m.sender = str_c(cases[i].sender);
        m.utf8 = cases[i].utf8;
        open_session(&d, &seen, str_c(cases[i].capabilities));
        dialogue_send(&d, &m);
        if (!str_eq_c(buf_str(&d.out), cases[i].said))
            fail_msg("%zu: %.*s", i, (int)d.out.n, d.out.p);
        for (size_t r = 0; r < RECIPIENTS; r++) {
            assert_int_equal(seen.results[r].code, cases[i].codes[r]);
            assert_int_equal(seen.results[r].subject, cases[i].codes[r] ? 6 : 0);
        }
        dialogue_free(&d);
    }
}

static void ehlo_refused_falls_back_to_helo(void **state)
{
    struct dialogue d;
    struct seen seen = {0};

    dialogue_init(&d, STR("client.example"), TLS_NONE, &events, &seen);
    dialogue_reply(&d, 220, STR(""));
    buf_reset(&d.out);
    dialogue_reply(&d, 502, STR("what?"));
    assert_true(str_eq_c(buf_str(&d.out), "HELO client.example\r\n"));
    dialogue_reply(&d, 250, STR("mx\nPIPELINING"));
    assert_int_equal(seen.ready_count, 1);
    assert_false(d.offers.pipelining);
    dialogue_free(&d);
}

/* ---- STARTTLS ---- */

struct tls_seen {
    struct seen seen; /* first: the events are those of the others */
    size_t secure_count;
};

static void on_secure(void *arg)
{
    ((struct tls_seen *)arg)->secure_count++;
}

static const struct dialogue_events tls_events = {on_ready, on_result, on_message_end,
                                                  on_over,  NULL,      on_secure};

static const char said_starttls[] = "EHLO me\r\nSTARTTLS\r\n";

static const struct {
    enum tls_policy tls;
    const char *offers;
    uint16_t starttls; /* its answer; 0: it is not said */
    bool secures, ready;
    const char *why;
} tls_rows[] = {
    {TLS_NONE, "h\nSTARTTLS", 0, false, true, "off"},
    {TLS_OPPORTUNISTIC, "h\nSTARTTLS", 220, true, false, ""},
    {TLS_OPPORTUNISTIC, "h\nstarttls", 220, true, false, ""},
    {TLS_OPPORTUNISTIC, "h\nXSTARTTLS", 0, false, true, "not offered"},
    {TLS_OPPORTUNISTIC, "STARTTLS", 0, false, true, "not offered"}, /* its name */
    {TLS_OPPORTUNISTIC, "h\nSTARTTLS", 454, false, true, "refused with 454 no"},
    {TLS_OPPORTUNISTIC, "h\nSTARTTLS", 554, false, true, "refused with 554 no"},
    {TLS_REQUIRED, "h\nSTARTTLS", 220, true, false, ""},
    {TLS_REQUIRED, "h\nSTARTTLS", 454, false, false, "refused with 454 no"},
    {TLS_REQUIRED, "h", 0, false, false, "not offered"},
};

static void starttls_by_policy(void **state)
{
    for (size_t i = 0; i < countof(tls_rows); i++) {
        struct tls_seen s = {0};
        struct dialogue d;

        dialogue_init(&d, STR("me"), tls_rows[i].tls, &tls_events, &s);
        dialogue_reply(&d, 220, STR("h"));
        dialogue_reply(&d, 250, str_c(tls_rows[i].offers));
        assert_int_equal(str_eq_c(buf_str(&d.out), said_starttls), tls_rows[i].starttls != 0);
        if (tls_rows[i].starttls)
            dialogue_reply(&d, tls_rows[i].starttls, STR("no\nat all"));
        assert_int_equal(s.secure_count, tls_rows[i].secures);
        assert_int_equal(s.seen.ready_count, tls_rows[i].ready);
        assert_true(str_eq_c(buf_str(&d.plain_why), tls_rows[i].why));
        if (!tls_rows[i].ready && !tls_rows[i].secures) {
            assert_int_equal(s.seen.over_count, 1);
            assert_true(status_try_later(&s.seen.over) && s.seen.next_hop_failed);
            assert_int_equal(s.seen.over.subject, 7);
        }
        dialogue_free(&d);
    }
}

/* 502 to EHLO, HELO works: there is no TLS to be had. */
static void required_is_not_lost_behind_helo(void **state)
{
    struct tls_seen s = {0};
    struct dialogue d;

    dialogue_init(&d, STR("me"), TLS_REQUIRED, &tls_events, &s);
    dialogue_reply(&d, 220, STR("h"));
    dialogue_reply(&d, 502, STR("what?"));
    dialogue_reply(&d, 250, STR("h"));
    assert_int_equal(s.seen.ready_count, 0);
    assert_true(status_try_later(&s.seen.over));
    dialogue_free(&d);
}

static void begin_securing(struct dialogue *d, struct tls_seen *s, enum tls_policy tls)
{
    *s = (struct tls_seen){0};
    dialogue_init(d, STR("me"), tls, &tls_events, s);
    dialogue_reply(d, 220, STR("h"));
    dialogue_reply(d, 250, STR("h\nSTARTTLS\nPIPELINING\nSIZE 5"));
    dialogue_reply(d, 220, STR("go"));
    assert_int_equal(d->phase, PHASE_SECURING);
    assert_int_equal(dialogue_timeout_s(d), 60);
    buf_reset(&d->out);
}

static void nothing_counts_of_what_was_heard_before(void **state)
{
    struct tls_seen s;
    struct dialogue d;

    begin_securing(&d, &s, TLS_REQUIRED);
    dialogue_secured(&d);
    assert_true(str_eq_c(buf_str(&d.out), "EHLO me\r\n"));
    dialogue_reply(&d, 250, STR("h\nSTARTTLS"));
    assert_true(str_eq_c(buf_str(&d.out), "EHLO me\r\n")); /* not a second time */
    assert_int_equal(s.seen.ready_count, 1);
    assert_false(d.offers.pipelining || d.offers.has_size);
    assert_int_equal(d.offers.size_max, 0);
    dialogue_free(&d);
}

static void a_failed_handshake_begins_again(void **state)
{
    struct tls_seen s;
    struct dialogue d;

    begin_securing(&d, &s, TLS_OPPORTUNISTIC);
    dialogue_again_plain(&d, "bad record");
    dialogue_reply(&d, 220, STR("h"));
    dialogue_reply(&d, 250, STR("h\nSTARTTLS"));
    assert_true(str_eq_c(buf_str(&d.out), "EHLO me\r\n"));
    assert_int_equal(s.seen.ready_count, 1);
    assert_true(str_eq_c(buf_str(&d.plain_why), "handshake failed: bad record"));
    dialogue_free(&d);
}

static void words_during_the_handshake_are_nonsense(void **state)
{
    struct tls_seen s;
    struct dialogue d;

    begin_securing(&d, &s, TLS_OPPORTUNISTIC);
    dialogue_reply(&d, 250, STR("h"));
    assert_int_equal(s.seen.over_count, 1);
    assert_true(status_try_later(&s.seen.over));
    dialogue_free(&d);
}

static void no_session_is_never_for_good(void **state)
{
    static const uint16_t codes[] = {554, 421, 450, 521, 354};

    for (size_t i = 0; i < countof(codes); i++) {
        for (size_t step = 0; step < 2; step++) { /* refused at the greeting, at EHLO */
            struct dialogue d;
            struct seen seen = {0};

            dialogue_init(&d, STR("client.example"), TLS_NONE, &events, &seen);
            if (step == 1)
                dialogue_reply(&d, 220, STR("mx"));
            dialogue_reply(&d, codes[i], STR("5.7.1 go away"));
            if (step == 1 && codes[i] / 100 == 5)
                dialogue_reply(&d, codes[i], STR("5.7.1 go away")); /* HELO */
            assert_int_equal(seen.over_count, 1);
            assert_true(seen.next_hop_failed);
            assert_true(status_try_later(&seen.over));
            assert_int_equal(seen.ready_count, 0);
            dialogue_free(&d);
        }
    }
}

static void early_answers_are_not_believed(void **state)
{
    static const struct {
        uint16_t code;
        unsigned class;
    } cases[] = {{250, 4}, {354, 4}, {421, 4}, {452, 4}, {552, 5}};

    for (size_t i = 0; i < countof(cases); i++) {
        struct dialogue d;
        struct seen seen;
        struct dialogue_message m = message_to(two, RECIPIENTS);

        open_session(&d, &seen, STR("mx\nPIPELINING"));
        dialogue_send(&d, &m);
        dialogue_reply(&d, 250, STR("ok"));
        dialogue_reply(&d, 250, STR("ok"));
        dialogue_reply(&d, 250, STR("ok"));
        dialogue_reply(&d, 354, STR("go"));
        dialogue_reply(&d, cases[i].code, STR("early"));
        assert_int_equal(seen.over_count, 1);
        assert_false(seen.next_hop_failed);
        assert_int_equal(seen.results[0].class, cases[i].class);
        assert_int_equal(seen.results[1].class, cases[i].class);
        dialogue_free(&d);
    }
}

static void an_old_connection_that_ran_out_has_touched_nothing(void **state)
{
    struct status gone = status_make(0, 4, 4, 2, STR("gone"));

    for (size_t how = 0; how < 2; how++) {
        struct dialogue d;
        struct seen seen;
        struct dialogue_message m = message_to(two, RECIPIENTS);

        open_session(&d, &seen, STR("mx\nPIPELINING"));
        dialogue_send(&d, &m);
        if (how == 0)
            dialogue_reply(&d, 421, STR("idle too long"));
        else
            dialogue_lost(&d, &gone);
        assert_false(d.touched);
        assert_true(seen.next_hop_failed);
        assert_int_equal(seen.result_count[0], 1);
        assert_true(status_try_later(&seen.results[1]));
        dialogue_free(&d);
    }
}

static void many_recipients_go_in_bounded_flights(void **state)
{
    static struct str recipients[MANY];
    static const struct server good = {true, false, 250, {250, 550}, 354, 250};
    struct dialogue d;
    struct seen seen;
    struct record r = {0};
    struct dialogue_message m = message_to(recipients, MANY);

    for (size_t i = 0; i < MANY; i++)
        recipients[i] = STR("somebody@example.net");
    open_session(&d, &seen, STR("mx\nPIPELINING"));
    dialogue_send(&d, &m);
    assert_int_equal(d.expected_count, DIALOGUE_PIPELINE_MAX);
    converse(&d, &good, &r, SIZE_MAX);
    assert_int_equal(r.rcpt_count, MANY);
    assert_int_equal(r.data_count, 1);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(seen.result_count[i], 1);
        assert_int_equal(seen.results[i].class, i % 2 == 0 ? 2 : 5);
    }
    dialogue_free(&d);
}

static void the_code_decides_not_the_enhanced_one(void **state)
{
    struct dialogue d;
    struct seen seen;
    struct dialogue_message m = message_to(two, 1);

    open_session(&d, &seen, STR("mx\nPIPELINING"));
    dialogue_send(&d, &m);
    dialogue_reply(&d, 250, STR("ok"));
    dialogue_reply(&d, 250, STR("ok"));
    dialogue_reply(&d, 354, STR("go"));
    dialogue_content_sent(&d);
    dialogue_reply(&d, 250, STR("5.1.1 no such user, but thank you"));
    assert_true(status_done(&seen.results[0]));
    dialogue_free(&d);
}

static void time_outs_are_those_of_the_rfc(void **state)
{
    struct dialogue d;
    struct seen seen = {0};
    struct dialogue_message m = message_to(two, 1);

    dialogue_init(&d, STR("client.example"), TLS_NONE, &events, &seen);
    assert_int_equal(dialogue_timeout_s(&d), 300);
    dialogue_reply(&d, 220, STR("mx"));
    assert_int_equal(dialogue_timeout_s(&d), 300);
    dialogue_reply(&d, 250, STR("mx\nPIPELINING"));
    assert_int_equal(dialogue_timeout_s(&d), 0);
    dialogue_send(&d, &m);
    assert_string_equal(dialogue_awaits(&d), "MAIL FROM");
    assert_int_equal(dialogue_timeout_s(&d), 300);
    dialogue_reply(&d, 250, STR("ok"));
    assert_int_equal(dialogue_timeout_s(&d), 300);
    dialogue_reply(&d, 250, STR("ok"));
    assert_int_equal(dialogue_timeout_s(&d), 120);
    dialogue_reply(&d, 354, STR("go"));
    assert_int_equal(dialogue_timeout_s(&d), 180);
    dialogue_content_sent(&d);
    assert_int_equal(dialogue_timeout_s(&d), 600);
    dialogue_free(&d);
}

/* ---- LMTP ---- */

enum { LMTP_RECIPIENTS = 3 };

/* The class each recipient ends in, by the replies to three RCPTs and then to the dot; 0 ends the
 * replies, and the connection breaks. */
static const struct lmtp_row {
    uint16_t rcpt[LMTP_RECIPIENTS], dot[LMTP_RECIPIENTS];
    unsigned class[LMTP_RECIPIENTS];
    bool goes_on;
} lmtp_rows[] = {
    {{250, 250, 250}, {250, 250, 250}, {2, 2, 2}, true},
    {{250, 250, 250}, {250, 452, 550}, {2, 4, 5}, true},
    {{250, 550, 250}, {452, 250}, {4, 5, 2}, true},
    {{550, 450, 250}, {250}, {5, 4, 2}, true},
    {{250, 250, 250}, {250, 0}, {2, 4, 4}, false},
    {{250, 250, 250}, {0}, {4, 4, 4}, false},
    {{250, 250, 250}, {250, 421}, {2, 4, 4}, false},
    {{250, 250, 250}, {550, 354}, {5, 4, 4}, false},
};

static void lmtp_judge(struct dialogue *d, const struct lmtp_row *row)
{
    struct status gone = status_make(0, 4, 4, 2, STR("gone"));

    for (size_t i = 0; d->phase == PHASE_DOT; i++) {
        if (row->dot[i] != 0)
            dialogue_reply(d, row->dot[i], STR("judged"));
        else
            dialogue_lost(d, &gone);
    }
}

static void lmtp_play(const struct lmtp_row *row, enum body body)
{
    static const struct str recipients[LMTP_RECIPIENTS] = {{"a@x", 3}, {"b@x", 3}, {"c@x", 3}};
    struct dialogue d;
    struct seen seen = {0};
    struct dialogue_message m = message_to(recipients, LMTP_RECIPIENTS);

    m.body = body;
    dialogue_init(&d, STR("me"), TLS_NONE, &events, &seen);
    d.lmtp = true;
    dialogue_reply(&d, 220, STR("h"));
    assert_true(str_eq_c(buf_str(&d.out), "LHLO me\r\n"));
    dialogue_reply(&d, 250, STR("h\nPIPELINING\nCHUNKING\nBINARYMIME"));
    dialogue_send(&d, &m);
    dialogue_reply(&d, 250, STR("sender"));
    for (size_t i = 0; i < LMTP_RECIPIENTS; i++)
        dialogue_reply(&d, row->rcpt[i], STR("recipient"));
    if (!dialogue_sends_chunk(&d))
        dialogue_reply(&d, 354, STR("go"));
    assert_int_equal(d.phase, PHASE_CONTENT);
    dialogue_content_sent(&d);
    lmtp_judge(&d, row);
    for (size_t i = 0; i < LMTP_RECIPIENTS; i++) {
        assert_int_equal(seen.result_count[i], 1);
        assert_int_equal(seen.results[i].class, row->class[i]);
    }
    assert_int_equal(seen.end_count, 1);
    assert_int_equal(seen.ready_count, row->goes_on ? 2 : 1);
    assert_int_equal(seen.over_count, row->goes_on ? 0 : 1);
    dialogue_free(&d);
}

static void lmtp_verdicts(void **state)
{
    for (size_t i = 0; i < countof(lmtp_rows); i++) {
        lmtp_play(&lmtp_rows[i], BODY_8BIT);
        lmtp_play(&lmtp_rows[i], BODY_BINARY); /* behind BDAT LAST it is the same */
    }
}

/* No LHLO is no LMTP: HELO is not tried. Nor is an empty message sent when nobody was accepted. */
static void lmtp_refusals(void **state)
{
    struct dialogue d;
    struct seen seen = {0};
    struct dialogue_message m = message_to(two, RECIPIENTS);

    dialogue_init(&d, STR("me"), TLS_NONE, &events, &seen);
    d.lmtp = true;
    dialogue_reply(&d, 220, STR("h"));
    dialogue_reply(&d, 500, STR("what?"));
    assert_true(seen.over_count == 1 && seen.next_hop_failed && seen.over.class == 4);
    dialogue_free(&d);

    seen = (struct seen){0};
    dialogue_init(&d, STR("me"), TLS_NONE, &events, &seen);
    d.lmtp = true;
    dialogue_reply(&d, 220, STR("h"));
    dialogue_reply(&d, 250, STR("h\nPIPELINING"));
    dialogue_send(&d, &m);
    dialogue_reply(&d, 250, STR("sender"));
    dialogue_reply(&d, 550, STR("no"));
    dialogue_reply(&d, 550, STR("no"));
    dialogue_reply(&d, 354, STR("go"));
    assert_true(d.phase == PHASE_OVER && seen.end_count == 1 && seen.over_count == 1);
    assert_true(seen.results[0].class == 5 && seen.results[1].class == 5);
    dialogue_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_of_answers_is_legal),
        cmocka_unit_test(capabilities_are_used),
        cmocka_unit_test(recipients_over_the_limit_get_another_transaction),
        cmocka_unit_test(messages_over_the_limit_wait),
        cmocka_unit_test(recipients_over_the_limit_wait_where_messages_count),
        cmocka_unit_test(a_message_over_the_announced_size_is_not_sent),
        cmocka_unit_test(nothing_can_be_injected),
        cmocka_unit_test(utf8_is_never_made_ascii),
        cmocka_unit_test(ehlo_refused_falls_back_to_helo),
        cmocka_unit_test(starttls_by_policy),
        cmocka_unit_test(required_is_not_lost_behind_helo),
        cmocka_unit_test(nothing_counts_of_what_was_heard_before),
        cmocka_unit_test(a_failed_handshake_begins_again),
        cmocka_unit_test(words_during_the_handshake_are_nonsense),
        cmocka_unit_test(no_session_is_never_for_good),
        cmocka_unit_test(early_answers_are_not_believed),
        cmocka_unit_test(an_old_connection_that_ran_out_has_touched_nothing),
        cmocka_unit_test(many_recipients_go_in_bounded_flights),
        cmocka_unit_test(the_code_decides_not_the_enhanced_one),
        cmocka_unit_test(time_outs_are_those_of_the_rfc),
        cmocka_unit_test(lmtp_verdicts),
        cmocka_unit_test(lmtp_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
