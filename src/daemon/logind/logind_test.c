/* logind/logind_test.c - the role as smtpd sees it: steps in, answers out, with a real database. */
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
    struct channel *logind, *smtpd;
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

static void role_down(void *arg, struct channel *c, const char *why)
{
    t.down = true;
    logind_spec.peer_down(&t.worker, c);
    channel_free(&t.logind);
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

static void connect_pair(void)
{
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    t.logind = channel_new(t.worker.loop, pair[0], LOGIND, SMTPD, &role_events, NULL);
    t.smtpd = channel_new(t.worker.loop, pair[1], SMTPD, LOGIND, &smtpd_events, NULL);
}

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
    t.answer_count = 0;
    t.down = false;
    connect_pair();
    return 0;
}

static int part(void **state)
{
    channel_free(&t.smtpd);
    while (t.logind)
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
        CASE(a_cancelled_one_is_forgotten),
        CASE(a_long_line_is_refused),
        CASE(exchanges_have_a_limit),
        CASE(out_of_turn),
        CASE(a_peer_that_dies_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
