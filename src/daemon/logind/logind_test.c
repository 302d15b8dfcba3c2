/* logind/logind_test.c - the role as smtpd sees it: steps in, answers out, with a real database, and
 * a router and a pam that are played here. Accounts: bob, robert a further address of his; users of
 * the machine: carl. slow cannot be looked up, silent is never answered for. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config.h"
#include "daemon/logind/logind.h"
#include "login/credential.h"
#include "mail/envelope.h"
#include "mail/reply.h"

enum { ANSWERS_MAX = 2048 };

struct answer {
    uint64_t ticket;
    bool done;
    unsigned code;
    char login[64], challenge[64], why[64];
};

static struct {
    char folder[64];
    struct worker worker;
    struct channel *logind, *smtpd; /* both ends of each */
    struct channel *to_router, *router, *to_pam, *pam;
    size_t router_asked, pam_asked;
    char pam_client[64];
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
    bool down;
} t;

/* ---- both ends ---- */

static void role_message(void *arg, struct channel *c, union message *m)
{
    for (size_t i = 0; i < logind_spec.handler_count; i++) {
        if (logind_spec.handlers[i].kind == m->kind)
            logind_spec.handlers[i].fn(&t.worker, c, m);
    }
}

static struct channel **end_of(const struct channel *c)
{
    if (c == t.to_router)
        return &t.to_router;
    return c == t.to_pam ? &t.to_pam : &t.logind;
}

static void role_down(void *arg, struct channel *c, const char *why)
{
    t.down = t.down || c == t.logind;
    logind_spec.peer_down(&t.worker, c);
    channel_free(end_of(c));
}

static void keep(char *to, size_t room, struct str s)
{
    (void)snprintf(to, room, "%.*s", STR_ARG(s));
}

static void smtpd_message(void *arg, struct channel *c, union message *m)
{
    struct answer *a = &t.answers[t.answer_count++];

    assert_true(t.answer_count < ANSWERS_MAX);
    *a = (struct answer){.done = m->kind == MSG_LOGIN_DONE};
    if (a->done) {
        a->ticket = m->login_done.ticket;
        a->code = m->login_done.status.code;
        keep(a->login, sizeof a->login, m->login_done.login);
        keep(a->why, sizeof a->why, m->login_done.why);
    } else {
        a->ticket = m->login_challenge.ticket;
        keep(a->challenge, sizeof a->challenge, m->login_challenge.challenge);
    }
}

static void smtpd_down(void *arg, struct channel *c, const char *why)
{
    t.down = true;
}

static const struct channel_events role_events = {role_message, NULL, role_down};
static const struct channel_events smtpd_events = {smtpd_message, NULL, smtpd_down};

static void connect_pair(enum role peer, struct channel **near, struct channel **far,
                         const struct channel_events *far_events)
{
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    *near = channel_new(t.worker.loop, pair[0], LOGIND, peer, &role_events, NULL);
    *far = channel_new(t.worker.loop, pair[1], peer, LOGIND, far_events, NULL);
    logind_spec.peer_up(&t.worker, *near, 1);
}

/* ---- router and pam ---- */

static const struct {
    const char *login;
    enum reply_name reply;
    const char *mailbox, *own;
} logins[] = {
    {"bob@example.test", REPLY_OK, "example.test/bob", "bob@example.test"},
    {"robert@example.test", REPLY_OK, "example.test/bob", "bob@example.test"},
    {"bob@gone.test", REPLY_OK, "gone.test/bob", "bob@gone.test"},
    {"carl@example.test", REPLY_OK, "~carl", "carl@example.test"},
    {"slow@example.test", REPLY_ROUTER_AWAY, "", ""},
    {"silent@example.test", REPLY_COUNT, "", ""},
    {"", REPLY_NO_SUCH_USER, "", ""}, /* everybody else */
};

static void router_message(void *arg, struct channel *c, union message *m)
{
    const struct msg_route_ask *asked = &m->route_ask;
    struct buf targets = buf_init(KIB);
    size_t i = 0;

    assert_int_equal(m->kind, MSG_ROUTE_ASK);
    assert_int_equal(asked->what, ROUTE_LOGIN);
    t.router_asked++;
    while (logins[i].login[0] && !str_eq_c(asked->recipient, logins[i].login))
        i++;
    if (logins[i].reply == REPLY_COUNT)
        return;
    if (logins[i].reply == REPLY_OK)
        target_encode(&targets, &(struct target){.next_hop = str_c(logins[i].mailbox),
                                                 .address = str_c(logins[i].own)});
    channel_send(c, &(struct msg_route_answer){.kind = MSG_ROUTE_ANSWER,
                                               .ticket = asked->ticket,
                                               .status = reply_status(logins[i].reply, STR_NONE),
                                               .targets = buf_str(&targets),
                                               .why = str_c(logins[i].own)});
    buf_free(&targets);
}

static void pam_message(void *arg, struct channel *c, union message *m)
{
    const struct msg_pam_ask *asked = &m->pam_ask;
    struct msg_pam_answer answer = {.kind = MSG_PAM_ANSWER,
                                    .ticket = asked->ticket,
                                    .verdict = PASSWORD_WRONG,
                                    .why = STR("the password has expired")};

    assert_int_equal(m->kind, MSG_PAM_ASK);
    assert_true(str_eq_c(asked->login, "carl"));
    t.pam_asked++;
    keep(t.pam_client, sizeof t.pam_client, asked->client);
    if (str_eq_c(asked->password, "silent"))
        return;
    if (str_eq_c(asked->password, "right")) {
        answer.verdict = PASSWORD_RIGHT;
        answer.why = STR_NONE;
    }
    if (str_eq_c(asked->password, "later"))
        answer.verdict = PASSWORD_LATER;
    channel_send(c, &answer);
}

static void far_down(void *arg, struct channel *c, const char *why) {}

static const struct channel_events router_events = {router_message, NULL, far_down};
static const struct channel_events pam_events = {pam_message, NULL, far_down};

/* ---- the world ---- */

static void accounts_make(void)
{
    struct credentials *all;
    struct credential c;
    struct address bob = {.local = STR("bob"), .domain = STR("example.test")};

    assert_int_equal(credentials_open(".", true, &all), 0);
    assert_int_equal(credential_make(STR("a good secret"), true, &c), 0);
    assert_int_equal(credentials_set(all, &bob, &c), 0);
    bob.domain = STR("gone.test"); /* of a domain that the configuration has no more */
    assert_int_equal(credentials_set(all, &bob, &c), 0);
    credential_wipe(&c);
    credentials_close(&all);
}

static void config_take(void)
{
    static const char text[] = "hostname = mx.test\ndomain example.test { accounts = yes }\n";
    struct buf errors = buf_init(4096);
    int fd = open("t.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), snapshot = -1;

    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    (void)close(fd);
    assert_int_equal(config_check_file("t.conf", &snapshot, &errors), 0);
    logind_spec.config(&t.worker, snapshot);
    buf_free(&errors);
}

static int set_up(void **state)
{
    (void)snprintf(t.folder, sizeof t.folder, "/tmp/troika-logind-XXXXXX");
    if (!mkdtemp(t.folder) || chdir(t.folder) < 0)
        return -1;
    t.worker.clock = &clock_system;
    if (loop_new(t.worker.clock, &t.worker.loop) < 0)
        return -1;
    accounts_make();
    config_take();
    return logind_spec.start(&t.worker);
}

static int tear_down(void **state)
{
    static const char *const files[] = {"t.conf", "credentials.db", "attempts.db"};

    for (size_t i = 0; i < countof(files); i++)
        (void)unlink(files[i]);
    return chdir("/") < 0 || rmdir(t.folder) < 0 ? -1 : 0;
}

static int meet(void **state)
{
    t.answer_count = t.router_asked = t.pam_asked = 0;
    t.down = false;
    connect_pair(SMTPD, &t.logind, &t.smtpd, &smtpd_events);
    connect_pair(ROUTER, &t.to_router, &t.router, &router_events);
    connect_pair(PAM, &t.to_pam, &t.pam, &pam_events);
    return 0;
}

static int part(void **state)
{
    channel_free(&t.smtpd);
    channel_free(&t.router);
    channel_free(&t.pam);
    while (t.logind || t.to_router || t.to_pam)
        loop_turn(t.worker.loop, true);
    return 0;
}

/* ---- what smtpd says ---- */

static void begin(uint64_t ticket, const char *mechanism, bool has_response, struct str response)
{
    channel_send(t.smtpd, &(struct msg_login_begin){.kind = MSG_LOGIN_BEGIN,
                                                    .ticket = ticket,
                                                    .mechanism = str_c(mechanism),
                                                    .has_response = has_response,
                                                    .response = response,
                                                    .client = STR("127.0.0.1")});
}

static void step(uint64_t ticket, struct str response)
{
    channel_send(t.smtpd, &(struct msg_login_step){
                              .kind = MSG_LOGIN_STEP, .ticket = ticket, .response = response});
}

static struct answer *answers(size_t count)
{
    while (t.answer_count < count && !t.down)
        loop_turn(t.worker.loop, true);
    assert_int_equal(t.answer_count, count);
    return &t.answers[count - 1];
}

static void check_answer(const struct answer *a, uint64_t ticket, unsigned code, const char *login)
{
    assert_true(a->done && a->ticket == ticket);
    assert_int_equal(a->code, code);
    assert_string_equal(a->login, login);
}

/* ---- cases ---- */

static void right_and_wrong(void **state)
{
    begin(1, "PLAIN", true, STR("\0bob\0a good secret"));
    check_answer(answers(1), 1, 235, "bob@example.test");
    begin(2, "PLAIN", true, STR("\0bob\0another secret"));
    check_answer(answers(2), 2, 535, "bob@example.test");
    assert_string_equal(t.answers[1].why, "wrong password");
    begin(3, "PLAIN", true, STR("\0bob@gone.test\0a good secret"));
    check_answer(answers(3), 3, 535, "bob@gone.test");
    begin(4, "LOGIN", false, STR_NONE);
    assert_string_equal(answers(4)->challenge, "Username:");
    step(4, STR("bob"));
    assert_string_equal(answers(5)->challenge, "Password:");
    step(4, STR("a good secret"));
    check_answer(answers(6), 4, 235, "bob@example.test");
    begin(4, "NONE", false, STR_NONE); /* its number is free again */
    check_answer(answers(7), 4, 504, "");
}

static void a_further_address(void **state)
{
    begin(1, "PLAIN", true, STR("\0robert\0a good secret"));
    check_answer(answers(1), 1, 235, "bob@example.test");
    begin(2, "LOGIN", true, STR("robert@example.test"));
    assert_string_equal(answers(2)->challenge, "Password:");
    step(2, STR("a good secret"));
    check_answer(answers(3), 2, 235, "bob@example.test");
    begin(3, "PLAIN", true, STR("\0robert\0another secret"));
    check_answer(answers(4), 3, 535, "bob@example.test");
    assert_int_equal(t.router_asked, 3);
    assert_int_equal(t.pam_asked, 0);
}

/* What a refusal costs does not tell why: it comes a whole second after the question. */
static void refusals_take_the_same_time(void **state)
{
    static const struct str wrong[] = {
        {"\0bob\0wrong", 10}, {"\0nobody\0wrong", 13}, {"\0carl\0wrong", 11}};

    for (size_t i = 0; i < countof(wrong); i++) {
        uint64_t before_us = clock_monotonic_us(t.worker.clock);

        begin(i, "PLAIN", true, wrong[i]);
        assert_int_equal(answers(i + 1)->code, 535);
        assert_true(clock_monotonic_us(t.worker.clock) - before_us >= US_PER_S);
    }
}

static void users_of_this_machine(void **state)
{
    begin(1, "PLAIN", true, STR("\0carl\0right"));
    check_answer(answers(1), 1, 235, "carl@example.test");
    assert_string_equal(t.pam_client, "127.0.0.1");
    begin(2, "LOGIN", false, STR_NONE);
    (void)answers(2);
    step(2, STR("carl@example.test"));
    (void)answers(3);
    step(2, STR("right"));
    check_answer(answers(4), 2, 235, "carl@example.test");
    begin(3, "PLAIN", true, STR("\0carl\0wrong"));
    check_answer(answers(5), 3, 535, "carl@example.test");
    assert_string_equal(t.answers[4].why, "the password has expired");
    begin(4, "PLAIN", true, STR("\0carl\0later"));
    check_answer(answers(6), 4, 454, "carl@example.test");
    begin(5, "PLAIN", true, STR("bob@example.test\0carl\0right")); /* as somebody else */
    check_answer(answers(7), 5, 535, "carl@example.test");
    assert_string_equal(t.answers[6].why, "wants to act as another account");
    assert_int_equal(t.pam_asked, 5);
    assert_int_equal(t.router_asked, 5);
}

/* They have a password and nothing else: that is never told from a login that is not there. */
static void users_have_no_keys(void **state)
{
    begin(1, "SCRAM-SHA-256", true, STR("n,,n=carl,r=abc"));
    assert_false(answers(1)->done);
    step(1, STR("c=biws,r=abc,p=AAAA"));
    assert_true(answers(2)->done);
    assert_true(t.answers[1].code >= 501);
    begin(2, "CRAM-MD5", false, STR_NONE);
    assert_false(answers(3)->done);
    step(2, STR("carl 00112233445566778899aabbccddeeff"));
    check_answer(answers(4), 2, 534, "carl@example.test");
    assert_int_equal(t.pam_asked, 0);
}

/* While others are waited for everybody else goes on, and their end is an answer too. */
static void nobody_is_waited_for(void **state)
{
    begin(1, "PLAIN", true, STR("\0carl\0silent"));
    begin(2, "PLAIN", true, STR("\0silent\0right"));
    begin(3, "PLAIN", true, STR("\0slow\0right"));
    check_answer(answers(1), 3, 454, "slow@example.test");
    begin(4, "PLAIN", true, STR("\0bob\0a good secret"));
    check_answer(answers(2), 4, 235, "bob@example.test");
    while (t.pam_asked < 1)
        loop_turn(t.worker.loop, true);
    channel_free(&t.pam);
    check_answer(answers(3), 1, 454, "carl@example.test");
    assert_string_equal(t.answers[2].why, "the process that asks PAM has ended");
    begin(5, "PLAIN", true, STR("\0carl\0right")); /* there is none now */
    check_answer(answers(4), 5, 454, "carl@example.test");
    channel_free(&t.router);
    check_answer(answers(5), 2, 454, "silent@example.test");
    begin(6, "PLAIN", true, STR("\0bob\0a good secret"));
    check_answer(answers(6), 6, 454, "bob@example.test");
}

static void who_waits_may_be_cancelled(void **state)
{
    begin(1, "PLAIN", true, STR("\0carl\0silent"));
    begin(2, "PLAIN", true, STR("\0silent\0right"));
    begin(3, "PLAIN", true, STR("\0nobody\0wrong")); /* rests */
    while (t.pam_asked < 1 || t.router_asked < 3)
        loop_turn(t.worker.loop, true);
    for (uint64_t i = 1; i <= 3; i++)
        channel_send(t.smtpd, &(struct msg_login_cancel){.kind = MSG_LOGIN_CANCEL, .ticket = i});
    begin(1, "PLAIN", true, STR("\0bob\0a good secret"));
    check_answer(answers(1), 1, 235, "bob@example.test");
}

static void a_cancelled_one_is_forgotten(void **state)
{
    begin(1, "LOGIN", false, STR_NONE);
    (void)answers(1);
    channel_send(t.smtpd, &(struct msg_login_cancel){.kind = MSG_LOGIN_CANCEL, .ticket = 1});
    channel_send(t.smtpd, &(struct msg_login_cancel){.kind = MSG_LOGIN_CANCEL, .ticket = 9});
    begin(1, "LOGIN", false, STR_NONE);
    assert_false(answers(2)->done);
}

/* While one password is hashed the others wait, and not too many of them. */
static void a_long_line_is_refused(void **state)
{
    size_t later = 0, wrong = 0, count = (size_t)2 * WAITING_MAX;

    for (size_t i = 0; i < count; i++)
        begin(i, "LOGIN", true, STR("bob"));
    (void)answers(count);
    for (size_t i = 0; i < count; i++) {
        later += t.answers[i].done && t.answers[i].code == 454;
        wrong += !t.answers[i].done;
    }
    assert_int_equal(later + wrong, count);
    assert_true(later > 0 && wrong >= WAITING_MAX);
}

static void exchanges_have_a_limit(void **state)
{
    for (uint64_t i = 0; i < EXCHANGES_MAX; i++) {
        begin(i, "LOGIN", false, STR_NONE);
        assert_false(answers(i + 1)->done);
    }
    begin(EXCHANGES_MAX, "LOGIN", false, STR_NONE);
    check_answer(answers(EXCHANGES_MAX + 1), EXCHANGES_MAX, 454, "");
}

static void expect_break(void)
{
    while (!t.down)
        loop_turn(t.worker.loop, true);
}

static void out_of_turn(void **state)
{
    step(5, STR("x")); /* nobody has begun that */
    expect_break();
    part(state);
    meet(state);
    begin(1, "LOGIN", false, STR_NONE);
    begin(1, "LOGIN", false, STR_NONE); /* twice */
    expect_break();
    part(state);
    meet(state);
    begin(1, "LOGIN", false, STR_NONE);
    step(1, STR("x")); /* before it was answered */
    expect_break();
}

/* What a peer that is gone had begun is gone too: the same number means nothing to the next. */
static void a_peer_that_dies_leaves_nothing(void **state)
{
    begin(1, "LOGIN", false, STR_NONE);
    (void)answers(1);
    part(state);
    meet(state);
    begin(1, "LOGIN", false, STR_NONE);
    assert_string_equal(answers(1)->challenge, "Username:");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, meet, part)
    const struct CMUnitTest tests[] = {
        CASE(right_and_wrong),
        CASE(a_further_address),
        CASE(refusals_take_the_same_time),
        CASE(users_of_this_machine),
        CASE(users_have_no_keys),
        CASE(nobody_is_waited_for),
        CASE(who_waits_may_be_cancelled),
        CASE(a_cancelled_one_is_forgotten),
        CASE(a_long_line_is_refused),
        CASE(exchanges_have_a_limit),
        CASE(out_of_turn),
        CASE(a_peer_that_dies_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
