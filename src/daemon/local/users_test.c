/* Users' jobs with a parent and helpers in the same loop. */
// SPDX-License-Identifier: ISC
#include "daemon/local/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

enum { HELPERS_MAX = USERS_SESSIONS_MAX + 8 };

struct helper {
    struct world *world;
    uint64_t ticket;
    char login[64];
    struct channel *channel;
    uint64_t jobs[8];
    size_t job_count;
    bool down;
};

struct world {
    struct loop *loop;
    struct users users;
    struct channel *parent, *parent_end;
    struct helper helpers[HELPERS_MAX];
    size_t helper_count, end_count;
    bool silent;   /* helpers answer nothing */
    bool no_begin; /* nor begin */
    struct status st;
    struct buf done; /* "1:2.0.0 text\n" */
};

static uint64_t now_us = US_PER_S;

static uint64_t fake_now(const struct clock *c)
{
    return now_us;
}

static const struct clock fake_clock = {.now_us = fake_now, .monotonic_us = fake_now};

static void helper_answers(struct helper *h, uint64_t job)
{
    struct msg_user_result m = {.kind = MSG_USER_RESULT,
                                .job = job,
                                .number = 3,
                                .status = h->world->st,
                                .detail = STR("mailbox=/x")};
    struct msg_user_job_end end = {.kind = MSG_USER_JOB_END, .job = job};

    channel_send(h->channel, &m);
    channel_send(h->channel, &end);
}

static void helper_hears(void *arg, struct channel *c, union message *m)
{
    struct helper *h = arg;
    int *fd = message_fd(m);

    if (fd)
        close(*fd);
    h->jobs[h->job_count++] = m->user_job.job;
    if (!h->world->silent)
        helper_answers(h, m->user_job.job);
}

static void helper_down(void *arg, struct channel *c, const char *why)
{
    struct helper *h = arg;

    h->down = true;
}

static void parent_hears(void *arg, struct channel *c, union message *m)
{
    static const struct channel_events events = {.on_message = helper_hears,
                                                 .on_down = helper_down};
    struct world *w = arg;

    if (m->kind == MSG_DELIVER_END) {
        w->end_count++;
        return;
    }
    assert_int_equal(m->kind, MSG_DELIVER);
    assert_true(w->helper_count < HELPERS_MAX);
    struct helper *h = &w->helpers[w->helper_count++];
    *h = (struct helper){.world = w, .ticket = m->deliver.ticket};
    memcpy(h->login, m->deliver.login.p, m->deliver.login.n);
    if (w->no_begin)
        return;
    struct msg_deliver_begun begun = {.kind = MSG_DELIVER_BEGUN, .ticket = h->ticket};
    int pair[2];
    assert_int_equal(channel_pair(pair), 0);
    h->channel = channel_new(w->loop, pair[0], DELIVER, LOCAL, &events, h);
    begun.socket = pair[1];
    channel_send(c, &begun);
}

static void local_hears(void *arg, struct channel *c, union message *m)
{
    struct world *w = arg;

    if (m->kind == MSG_DELIVER_BEGUN)
        users_begun(&w->users, &m->deliver_begun);
    else
        users_ended(&w->users, &m->deliver_ended);
}

static void some_down(void *arg, struct channel *c, const char *why) {}

static void on_done(void *arg, struct job *j)
{
    struct world *w = arg;

    buf_printf(&w->done, "%llu:", (unsigned long long)j->held.number);
    status_print_enhanced(&w->done, &j->held.results[0]);
    buf_printf(&w->done, " %s\n", j->held.results[0].text);
    job_free(&j->held);
}

static int setup(void **state)
{
    static const struct channel_events parent_events = {.on_message = parent_hears,
                                                        .on_down = some_down};
    static const struct channel_events local_events = {.on_message = local_hears,
                                                       .on_down = some_down};
    struct world *w = mem_new(sizeof *w);
    int pair[2];

    if (loop_new(&fake_clock, &w->loop) < 0 || channel_pair(pair) < 0)
        return -1;
    w->parent_end = channel_new(w->loop, pair[0], PARENT, LOCAL, &parent_events, w);
    w->parent = channel_new(w->loop, pair[1], LOCAL, PARENT, &local_events, w);
    w->st = status_make(0, 2, 0, 0, STR("there"));
    w->done = buf_init(100 * KIB);
    users_init(&w->users, w->loop, on_done, w);
    w->users.parent = w->parent;
    w->users.timeout_us = 60 * US_PER_S;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    users_done(&w->users);
    for (size_t i = 0; i < w->helper_count; i++)
        channel_free(&w->helpers[i].channel);
    channel_free(&w->parent);
    channel_free(&w->parent_end);
    loop_free(&w->loop);
    buf_free(&w->done);
    free(w);
    return 0;
}

static void turns(struct world *w)
{
    for (int i = 0; i < 8; i++)
        loop_turn(w->loop, false);
}

static void pass(struct world *w, uint64_t us)
{
    now_us += us;
    turns(w);
}

static void add(struct world *w, uint64_t number, const char *login, bool file)
{
    struct buf recipients = buf_init(KIB);
    char next_hop[64];
    (void)snprintf(next_hop, sizeof next_hop, "~%s", login);
    struct job_recipient to = {3, {"al@example.net", 14}, str_c(next_hop)};
    union message m = {
        .job = {
            .kind = MSG_JOB, .job = number, .next_hop = str_c(next_hop), .content = STR("x\r\n")}};

    job_recipients_encode(&recipients, &to, 1);
    m.job.recipients = buf_str(&recipients);
    if (file)
        m.job_file = (struct msg_job_file){.kind = MSG_JOB_FILE,
                                           .job = number,
                                           .next_hop = str_c(next_hop),
                                           .recipients = buf_str(&recipients),
                                           .size = 3,
                                           .file = memfd_create("content", MFD_CLOEXEC)};
    users_add(&w->users, job_from_message(&m));
    buf_free(&recipients);
}

static void ended(struct world *w, size_t helper, enum deliver_outcome outcome, const char *why)
{
    struct msg_deliver_ended m = {.kind = MSG_DELIVER_ENDED,
                                  .ticket = w->helpers[helper].ticket,
                                  .outcome = (uint8_t)outcome,
                                  .why = str_c(why)};

    channel_send(w->parent_end, &m);
    turns(w);
}

static void expect_done(struct world *w, const char *what)
{
    assert_string_equal(buf_c(&w->done), what);
    buf_reset(&w->done);
}

/* ---- tests ---- */

static void test_one_helper_for_all_of_a_user(void **state)
{
    struct world *w = *state;

    add(w, 1, "alice", false);
    add(w, 2, "alice", true);
    add(w, 3, "bob", false);
    turns(w);
    expect_done(w, "1:2.0.0 there\n2:2.0.0 there\n3:2.0.0 there\n");
    assert_int_equal(w->helper_count, 2);
    assert_string_equal(w->helpers[0].login, "alice");
    add(w, 4, "alice", false);
    turns(w);
    expect_done(w, "4:2.0.0 there\n");
    assert_int_equal(w->helper_count, 2); /* it rested for the next */
    assert_false(w->helpers[0].down);
    pass(w, USERS_LINGER_US);
    assert_true(w->helpers[0].down && w->helpers[1].down);
    assert_int_equal(w->end_count, 0);
    add(w, 5, "alice", false); /* it has not ended yet: the next one waits for that */
    turns(w);
    expect_done(w, "");
    ended(w, 0, DELIVER_DONE, "");
    turns(w);
    expect_done(w, "5:2.0.0 there\n");
    assert_int_equal(w->helper_count, 3);
    ended(w, 1, DELIVER_DONE, "");
    assert_int_equal(w->users.running_count, 1);
    assert_int_equal(w->users.job_count, 0);
}

static void test_full_mailboxes(void **state)
{
    static const struct {
        uint8_t class, subject, detail;
        bool returns;
        const char *done;
    } cases[] = {
        {4, 3, 1, false, "1:4.2.2 words\n"}, {4, 2, 2, false, "1:4.2.2 words\n"},
        {4, 3, 1, true, "1:5.2.2 words\n"},  {4, 2, 2, true, "1:5.2.2 words\n"},
        {4, 3, 0, true, "1:4.3.0 words\n"},  {4, 2, 1, true, "1:4.2.1 words\n"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < countof(cases); i++) {
        w->st = status_make(0, cases[i].class, cases[i].subject, cases[i].detail, STR("words"));
        w->users.full_returns = cases[i].returns;
        add(w, 1, "alice", false);
        turns(w);
        expect_done(w, cases[i].done);
    }
}

static void test_whoever_is_stuck_is_broken_off(void **state)
{
    struct world *w = *state;

    w->silent = true;
    add(w, 1, "alice", false);
    turns(w);
    w->silent = false;
    add(w, 2, "bob", false);
    turns(w);
    expect_done(w, "2:2.0.0 there\n");
    pass(w, w->users.timeout_us);
    expect_done(w, "1:4.3.0 the mailbox did not answer in time\n");
    assert_int_equal(w->end_count, 1);
    assert_true(w->helpers[0].down);
    add(w, 3, "alice", false); /* the parent cannot end it: nothing waits for ever */
    pass(w, w->users.timeout_us);
    expect_done(w, "3:4.3.0 the mailbox did not answer in time\n");
    ended(w, 0, DELIVER_DIED, "SIGKILL");
    add(w, 4, "alice", false);
    turns(w);
    expect_done(w, "4:2.0.0 there\n");
}

static void test_no_helper(void **state)
{
    static const struct {
        enum deliver_outcome outcome;
        const char *done;
    } cases[] = {
        {DELIVER_NO_USER, "1:4.3.0 because\n"}, {DELIVER_REFUSED, "1:5.1.1 because\n"},
        {DELIVER_LATER, "1:4.3.0 because\n"},   {DELIVER_DIED, "1:4.3.0 because\n"},
        {DELIVER_DONE, "1:4.3.0 because\n"},
    };
    struct world *w = *state;

    w->silent = true;
    for (size_t i = 0; i < countof(cases); i++) {
        add(w, 1, "alice", false);
        turns(w);
        channel_free(&w->helpers[i].channel);
        turns(w);
        expect_done(w, ""); /* why, the parent knows */
        ended(w, i, cases[i].outcome, "because");
        expect_done(w, cases[i].done);
        assert_int_equal(w->users.running_count, 0);
    }
    ended(w, 0, DELIVER_DIED, "again"); /* means nothing */
}

static void test_a_helper_that_never_begins(void **state)
{
    struct world *w = *state;

    w->no_begin = true;
    add(w, 1, "alice", false);
    turns(w);
    ended(w, 0, DELIVER_REFUSED, "uid 0");
    expect_done(w, "1:5.1.1 uid 0\n");
    add(w, 2, "alice", false);
    turns(w);
    pass(w, w->users.timeout_us);
    expect_done(w, "2:4.3.0 the mailbox did not answer in time\n");
    assert_int_equal(w->end_count, 1);
    ended(w, 1, DELIVER_DIED, "SIGKILL");
    assert_true(list_empty(&w->users.sessions));
}

static void test_a_helper_that_lies(void **state)
{
    struct world *w = *state;
    struct msg_user_result m = {.kind = MSG_USER_RESULT, .job = 1, .number = 3};
    struct msg_user_job_end end = {.kind = MSG_USER_JOB_END, .job = 1};
    void *const lies[] = {&m, &end};

    w->silent = true;
    for (size_t i = 0; i < countof(lies); i++) {
        add(w, 1, "alice", false);
        turns(w);
        channel_send(w->helpers[i].channel, lies[i]); /* no status; an end without a result */
        turns(w);
        assert_true(w->helpers[i].down);
        assert_int_equal(w->end_count, i + 1);
        ended(w, i, DELIVER_DIED, "killed");
        expect_done(w, "1:4.3.0 killed\n");
    }
}

static void test_many_users(void **state)
{
    struct world *w = *state;
    char login[16];

    for (unsigned i = 0; i < USERS_SESSIONS_MAX + 2; i++) {
        (void)snprintf(login, sizeof login, "u%u", i);
        add(w, i, login, false);
    }
    turns(w);
    assert_int_equal(w->helper_count, USERS_SESSIONS_MAX);
    assert_int_equal(w->users.job_count, 2);
    turns(w); /* one that rests has made room */
    assert_true(w->helpers[0].down);
    ended(w, 0, DELIVER_DONE, "");
    ended(w, 1, DELIVER_DONE, "");
    assert_int_equal(w->users.job_count, 0);
    assert_true(str_ends(buf_str(&w->done), STR("32:2.0.0 there\n33:2.0.0 there\n")));
}

static void test_stuck_users_leave_slots(void **state)
{
    struct world *w = *state;
    char login[16];

    w->silent = true;
    for (unsigned i = 0; i <= USERS_JOBS_MAX; i++) {
        (void)snprintf(login, sizeof login, "u%u", i);
        add(w, i, login, false);
    }
    turns(w);
    expect_done(w, "192:4.3.2 too many deliveries to users wait\n");
    pass(w, w->users.timeout_us);
    assert_int_equal(w->users.job_count, 0);
    assert_int_equal(w->end_count, USERS_SESSIONS_MAX);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_one_helper_for_all_of_a_user),
        STORY(test_full_mailboxes),
        STORY(test_whoever_is_stuck_is_broken_off),
        STORY(test_no_helper),
        STORY(test_a_helper_that_never_begins),
        STORY(test_a_helper_that_lies),
        STORY(test_many_users),
        STORY(test_stuck_users_leave_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
