/* client/auth_test.c - AUTH within the dialogue: golden ones, and every short sequence of answers. */
// SPDX-License-Identifier: ISC
#include "client/auth.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"
#include "client/dialogue.h"

struct seen {
    size_t ready_count, over_count;
    struct status over;
    bool next_hop_failed;
    struct buf said; /* what may be shown */
};

static void on_ready(void *arg)
{
    ((struct seen *)arg)->ready_count++;
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    fail_msg("there is no message");
}

static void on_message_end(void *arg)
{
    fail_msg("there is no message");
}

static void on_over(void *arg, const struct status *st, bool next_hop_failed)
{
    struct seen *s = arg;

    s->over_count++;
    s->over = *st;
    s->next_hop_failed = next_hop_failed;
}

static void on_said(void *arg, struct str line)
{
    struct seen *s = arg;

    buf_add(&s->said, line);
    buf_add_char(&s->said, '|');
}

static void on_secure(void *arg) {}

static const struct dialogue_events events = {on_ready, on_result, on_message_end,
                                              on_over,  on_said,   on_secure};

enum channel { PLAIN_CHANNEL, TLS_CHANNEL, CERTIFIED_CHANNEL };

static const struct sasl_login me = {.user = {"me@example.org", 14}, .password = {"secret", 6}};

/* A session up to the answer to the EHLO that counts. */
static void begin(struct dialogue *d, struct seen *seen, const struct sasl_login *login,
                  enum channel channel, const char *offered)
{
    struct sasl_channel c = {.service = "smtp",
                             .host = STR("mx.example.net"),
                             .port = 587,
                             .secured = channel != PLAIN_CHANNEL,
                             .client_certificate = channel == CERTIFIED_CHANNEL};

    *seen = (struct seen){.said = buf_init(64 * KIB)};
    dialogue_init(d, STR("me.example"), channel == PLAIN_CHANNEL ? TLS_NONE : TLS_VERIFIED, &events,
                  seen);
    dialogue_login(d, login);
    auth_channel(&d->auth, &c);
    if (channel != PLAIN_CHANNEL) {
        dialogue_tls_first(d);
        assert_int_equal(dialogue_step(d), STEP_TLS);
        dialogue_secured(d);
    }
    assert_int_equal(dialogue_step(d), STEP_GREETING);
    dialogue_reply(d, 220, STR("mx.example.net ESMTP"));
    assert_true(str_eq_c(buf_str(&d->out), "EHLO me.example\r\n"));
    dialogue_out_taken(d);
    buf_reset(&seen->said);
    assert_int_equal(dialogue_step(d), STEP_HELLO);
    dialogue_reply(d, 250, str_c(offered));
}

static void end(struct dialogue *d, struct seen *seen)
{
    dialogue_free(d);
    buf_free(&seen->said);
}

/* ---- golden dialogues ---- */

struct line {
    const char *said; /* is expected, without CRLF */
    uint16_t code;    /* 0: the dialogue is over, or ready */
    const char *text;
};

#define PLAIN_ME "AG1lQGV4YW1wbGUub3JnAHNlY3JldA=="
#define LONG_TOKEN                                                                                 \
    "tokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokento" \
    "tokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokento" \
    "tokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokento" \
    "tokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokentokento"

static const struct golden {
    const char *what, *offered;
    enum channel channel;
    struct sasl_login login;
    struct line lines[6];
    const char *shown;
    uint16_t over_code; /* 0: ready */
    const char *over_text;
} goldens[] = {
    {"PLAIN at once",
     "mx\nAUTH PLAIN LOGIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"AUTH PLAIN " PLAIN_ME, 235, "2.7.0 welcome"}, {"", 0, NULL}},
     "AUTH PLAIN ***|",
     0,
     NULL},
    {"LOGIN, asked for each",
     "mx\nAUTH=LOGIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"AUTH LOGIN", 334, "VXNlcm5hbWU6"},
      {"bWVAZXhhbXBsZS5vcmc=", 334, "UGFzc3dvcmQ6"},
      {"c2VjcmV0", 235, "ok"},
      {"", 0, NULL}},
     "AUTH LOGIN|***|***|",
     0,
     NULL},
    {"CRAM-MD5 without TLS",
     "mx\nAUTH PLAIN LOGIN CRAM-MD5",
     PLAIN_CHANNEL,
     {.user = {"tim", 3}, .password = {"tanstaaftanstaaf", 16}},
     {{"AUTH CRAM-MD5", 334, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"},
      {"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", 235, "ok"},
      {"", 0, NULL}},
     "AUTH CRAM-MD5|***|",
     0,
     NULL},
    {"no password without TLS",
     "mx\nAUTH PLAIN LOGIN",
     PLAIN_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"QUIT", 0, NULL}},
     "QUIT|",
     451,
     "would show the password"},
    {"unless it was asked for",
     "mx\nAUTH PLAIN LOGIN",
     PLAIN_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}, .plain_anyway = true},
     {{"AUTH PLAIN " PLAIN_ME, 235, "ok"}, {"", 0, NULL}},
     "AUTH PLAIN ***|",
     0,
     NULL},
    {"nothing offered",
     "mx\nSIZE",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"QUIT", 0, NULL}},
     "QUIT|",
     451,
     "offers no login"},
    {"a mechanism that is not wanted there is followed by the next",
     "mx\nAUTH CRAM-MD5 LOGIN PLAIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"AUTH PLAIN " PLAIN_ME, 504, "5.5.4 not here"},
      {"AUTH LOGIN", 534, "5.7.9 too weak"},
      {"AUTH CRAM-MD5", 504, "5.5.4 neither"},
      {"QUIT", 0, NULL}},
     "AUTH PLAIN ***|AUTH LOGIN|AUTH CRAM-MD5|QUIT|",
     504,
     "neither"},
    {"after 535 a hash may still know the password",
     "mx\nAUTH CRAM-MD5 LOGIN PLAIN",
     TLS_CHANNEL,
     {.user = {"tim", 3}, .password = {"tanstaaftanstaaf", 16}, .mechanism = {"CRAM-MD5", 8}},
     {{"AUTH CRAM-MD5", 334, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"},
      {"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", 535, "5.7.8 wrong"},
      {"QUIT", 0, NULL}}, /* but only CRAM-MD5 was asked for */
     "AUTH CRAM-MD5|***|QUIT|",
     535,
     "wrong"},
    {"a wrong password is said once",
     "mx\nAUTH LOGIN PLAIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"AUTH PLAIN " PLAIN_ME, 535, "5.7.8 Username and Password not accepted"}, {"QUIT", 0, NULL}},
     "AUTH PLAIN ***|QUIT|",
     535,
     "not accepted"},
    {"trouble there is no refusal",
     "mx\nAUTH LOGIN PLAIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"AUTH PLAIN " PLAIN_ME, 454, "4.7.0 database"}, {"QUIT", 0, NULL}},
     "AUTH PLAIN ***|QUIT|",
     454,
     "database"},
    {"EXTERNAL has nothing to say, and says so",
     "mx\nAUTH PLAIN EXTERNAL",
     CERTIFIED_CHANNEL,
     {.user = {"me@example.org", 14}},
     {{"AUTH EXTERNAL =", 235, "ok"}, {"", 0, NULL}},
     "AUTH EXTERNAL ***|",
     0,
     NULL},
    {"a token's refusal is read to its end",
     "mx\nAUTH PLAIN XOAUTH2",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .token = {"t", 1}},
     {{"AUTH XOAUTH2 dXNlcj1tZUBleGFtcGxlLm9yZwFhdXRoPUJlYXJlciB0AQE=", 334,
       "eyJzdGF0dXMiOiI0MDEifQ=="},
      {"", 535, "5.7.8 token"},
      {"QUIT", 0, NULL}},
     "AUTH XOAUTH2 ***||QUIT|",
     535,
     "token"},
    {"a long token waits for its 334",
     "mx\nAUTH XOAUTH2",
     TLS_CHANNEL,
     {.user = {"me", 2}, .token = {LONG_TOKEN, sizeof LONG_TOKEN - 1}},
     {{"AUTH XOAUTH2", 334, ""}, {NULL, 235, "ok"}, {"", 0, NULL}},
     "AUTH XOAUTH2|***|",
     0,
     NULL},
    {"nonsense is cancelled",
     "mx\nAUTH LOGIN PLAIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}, .mechanism = {"login", 5}},
     {{"AUTH LOGIN", 334, "User?"}, {"*", 501, "5.7.0 cancelled"}, {"QUIT", 0, NULL}},
     "AUTH LOGIN|*|QUIT|",
     451,
     "not base64"},
    {"SCRAM believes nobody without a proof",
     "mx\nAUTH SCRAM-SHA-256",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{NULL, 235, "2.7.0 come in"}, {"QUIT", 0, NULL}},
     "AUTH SCRAM-SHA-256 ***|QUIT|",
     451,
     "not proved"},
    {"a password that cannot be said",
     "mx\nAUTH PLAIN",
     TLS_CHANNEL,
     {.user = {"me\r\nRCPT", 8}, .password = {"secret", 6}},
     {{"QUIT", 0, NULL}},
     "QUIT|",
     451,
     "characters"},
    {"421 ends it",
     "mx\nAUTH PLAIN",
     TLS_CHANNEL,
     {.user = {"me@example.org", 14}, .password = {"secret", 6}},
     {{"AUTH PLAIN " PLAIN_ME, 421, "4.3.2 going down"}, {"", 0, NULL}},
     "AUTH PLAIN ***|",
     421,
     "going down"},
};

static void check_said(struct dialogue *d, const char *expected)
{
    struct str said = buf_str(&d->out);

    if (expected) {
        struct buf whole = buf_init(4096);

        buf_add_c(&whole, expected);
        if (expected[0] || d->phase == PHASE_LOGIN)
            buf_add_c(&whole, "\r\n");
        if (!str_eq(said, buf_str(&whole)))
            fail_msg("said %.*s instead of %s", STR_ARG(said), expected);
        buf_free(&whole);
    } else {
        assert_true(said.n > 2);
    }
    dialogue_out_taken(d);
}

static void golden_dialogues(void **state)
{
    for (size_t i = 0; i < countof(goldens); i++) {
        const struct golden *g = &goldens[i];
        struct dialogue d;
        struct seen seen;

        print_message("%s\n", g->what);
        begin(&d, &seen, &g->login, g->channel, g->offered);
        for (size_t k = 0; k < countof(g->lines); k++) {
            check_said(&d, g->lines[k].said);
            if (g->lines[k].code == 0)
                break;
            assert_int_equal(dialogue_step(&d), STEP_AUTH);
            dialogue_reply(&d, g->lines[k].code, str_c(g->lines[k].text));
        }
        if (!str_eq_c(buf_str(&seen.said), g->shown))
            fail_msg("shown: %.*s", STR_ARG(buf_str(&seen.said)));
        assert_int_equal(seen.ready_count, g->over_code == 0);
        assert_int_equal(seen.over_count, g->over_code != 0);
        if (g->over_code) {
            assert_int_equal(seen.over.code, g->over_code);
            assert_non_null(strstr(seen.over.text, g->over_text));
            assert_true(status_try_later(&seen.over) && seen.next_hop_failed);
            assert_int_equal(dialogue_step(&d), STEP_AUTH);
        } else {
            assert_int_equal(d.phase, PHASE_READY);
        }
        end(&d, &seen);
    }
}

/* A server with the password as a hash cannot check CRAM-MD5: PLAIN is the one more try. */
static void one_more_try_shows_the_password(void **state)
{
    struct dialogue d;
    struct seen seen;

    begin(&d, &seen, &me, TLS_CHANNEL, "mx\nAUTH SCRAM-SHA-1 SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
    assert_true(str_starts(buf_str(&d.out), STR("AUTH SCRAM-SHA-256 ")));
    dialogue_out_taken(&d);
    dialogue_reply(&d, 535, STR("5.7.8 no keys"));
    check_said(&d, "AUTH PLAIN " PLAIN_ME);
    dialogue_reply(&d, 504, STR("5.5.4 not this"));
    check_said(&d, "AUTH LOGIN");
    dialogue_reply(&d, 535, STR("5.7.8 wrong"));
    check_said(&d, "QUIT");
    assert_int_equal(seen.over.code, 535);
    end(&d, &seen);
}

/* ---- every sequence of answers ---- */

static const struct {
    uint16_t code;
    const char *text;
} answers[] = {
    {235, "ok"},    {334, ""},      {334, "!"},   {334, "VXNlcm5hbWU6"}, {504, "5.5.4 no"},
    {535, "5.7.8"}, {454, "4.7.0"}, {421, "bye"}, {501, "5.5.2 what"},
};

struct record { /* of one sequence */
    size_t command_count;
    bool plain_said; /* the password itself was on the wire */
};

static void note_said(struct dialogue *d, struct record *r)
{
    struct str out = buf_str(&d->out);
    struct str line = str_trim(out);

    r->command_count += str_starts(line, STR("AUTH "));
    if (str_find_str(line, STR(PLAIN_ME)) < line.n || str_eq_c(line, "c2VjcmV0"))
        r->plain_said = true;
    dialogue_out_taken(d);
}

static void one_sequence(const char *offered, enum channel channel, const size_t *sequence,
                         size_t count)
{
    struct dialogue d;
    struct seen seen;
    struct record r = {0};
    uint16_t last = 0;

    begin(&d, &seen, &me, channel, offered);
    for (size_t i = 0; i < count && d.phase == PHASE_LOGIN; i++) {
        note_said(&d, &r);
        assert_int_equal(dialogue_step(&d), STEP_AUTH);
        last = answers[sequence[i]].code;
        dialogue_reply(&d, last, str_c(answers[sequence[i]].text));
    }
    note_said(&d, &r);
    assert_int_equal(seen.ready_count, d.phase == PHASE_READY);
    assert_int_equal(seen.over_count, d.phase == PHASE_OVER);
    if (d.phase == PHASE_READY) {
        assert_int_equal(last, 235);
        assert_true(d.auth.done && d.auth.sasl == NULL);
        assert_true(strncmp(d.auth.mechanism, "SCRAM", 5) != 0); /* there was no proof */
    }
    if (d.phase == PHASE_OVER)
        assert_true(status_try_later(&seen.over) && seen.next_hop_failed);
    assert_true(channel == TLS_CHANNEL || !r.plain_said);
    assert_true(r.command_count <= 5);
    assert_true(str_find_str(buf_str(&seen.said), STR("c2VjcmV0")) == seen.said.n);
    assert_true(str_find_str(buf_str(&seen.said), STR("AG1l")) == seen.said.n);
    if (d.phase == PHASE_LOGIN) { /* the connection breaks there */
        dialogue_lost(&d, &(struct status){.class = 4, .subject = 4, .detail = 2});
        assert_int_equal(dialogue_step(&d), STEP_AUTH);
        assert_int_equal(seen.over_count, 1);
    }
    end(&d, &seen);
}

static void every_sequence_of_answers_is_legal(void **state)
{
    static const char *const offers[] = {"mx\nAUTH PLAIN LOGIN", "mx\nAUTH LOGIN CRAM-MD5",
                                         "mx\nAUTH SCRAM-SHA-1 PLAIN CRAM-MD5 LOGIN"};
    enum { DEPTH = 4 };

    for (size_t o = 0; o < countof(offers); o++)
        for (size_t channel = PLAIN_CHANNEL; channel <= TLS_CHANNEL; channel++)
            for (size_t n = 0; n < 9 * 9 * 9 * 9; n++) {
                size_t sequence[DEPTH] = {n % 9, n / 9 % 9, n / 81 % 9, n / 729};

                one_sequence(offers[o], (enum channel)channel, sequence, DEPTH);
            }
}

/* At most two refusals of the same password, whatever is offered. */
static void a_wrong_password_is_not_insisted_on(void **state)
{
    static const char *const offers[] = {"mx\nAUTH PLAIN LOGIN", "mx\nAUTH CRAM-MD5 LOGIN PLAIN",
                                         "mx\nAUTH SCRAM-SHA-1 SCRAM-SHA-256 CRAM-MD5 LOGIN PLAIN"};

    for (size_t i = 0; i < countof(offers); i++) {
        struct dialogue d;
        struct seen seen;
        size_t refusals = 0;

        begin(&d, &seen, &me, TLS_CHANNEL, offers[i]);
        for (; d.phase == PHASE_LOGIN; refusals++) {
            dialogue_out_taken(&d);
            dialogue_reply(&d, 535, STR("5.7.8 wrong"));
        }
        assert_in_range(refusals, 1, 2);
        assert_int_equal(seen.over.code, 535);
        end(&d, &seen);
    }
}

int main(void)
{
    static_assert(countof(answers) == 9, "every_sequence_of_answers_is_legal counts on it");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_dialogues),
        cmocka_unit_test(one_more_try_shows_the_password),
        cmocka_unit_test(every_sequence_of_answers_is_legal),
        cmocka_unit_test(a_wrong_password_is_not_insisted_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
