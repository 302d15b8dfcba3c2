// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

static void ask(struct world *w, uint64_t ticket, const char *node)
{
    etrn_ask(w->smtpd->data, &(struct msg_etrn_ask){.ticket = ticket, .node = str_c(node)});
}

static unsigned answer(struct world *w, uint64_t ticket)
{
    union message *m = NULL;

    for (int i = 0; i < 100 && !m; i++) {
        turn(w);
        m = told(w->smtpd, MSG_ETRN_ANSWER);
    }
    assert_non_null(m);
    assert_true(m->etrn_answer.ticket == ticket);
    return m->etrn_answer.status.code;
}

/* Every recipient of a message failed, and its next hop with it. */
static struct id put_deferred(struct world *w, const char *recipients)
{
    struct id id = put(w, "a@b.test", recipients);
    struct msg_job *job;

    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, ST_DEAD, true);
    return id;
}

static void nodes(void **state)
{
    static const struct {
        const char *node, *address, *next_hop;
        bool matches;
    } cases[] = {
        {"far.test", "a@far.test", "x:25", true},
        {"FAR.test", "a@far.TEST", "x:25", true},
        {"far.test", "a@sub.far.test", "x:25", false},
        {"far.test", "far.test@near.test", "far.test:25", false},
        {"@far.test", "a@far.test", "x:25", true},
        {"@far.test", "a@sub.far.test", "x:25", true},
        {"@far.test", "a@notfar.test", "x:25", false},
        {"@far.test", "a@test", "x:25", false},
        {"#mx.far.test", "a@b.test", "mx.far.test:25", true},
        {"#mx.far.test:25", "a@b.test", "MX.far.test:25", true},
        {"#mx.far.test:26", "a@b.test", "mx.far.test:25", false},
        {"#far.test", "a@b.test", "@far.test", true},
        {"#far.test", "a@far.test", "mx.far.test:25", false},
        {"#[::1]", "a@b.test", "[::1]:25", true},
        {"#unix:/run/x", "a@b.test", "unix:/run/x", true},
    };

    for (size_t i = 0; i < countof(cases); i++)
        if (etrn_matches(str_c(cases[i].node), str_c(cases[i].address), str_c(cases[i].next_hop)) !=
            cases[i].matches)
            fail_msg("%s %s %s", cases[i].node, cases[i].address, cases[i].next_hop);
}

static void waiting_mail_is_tried(void **state)
{
    struct world *w = *state;
    struct id id = put_deferred(w, "bill@far.test carl@far.test");

    put_deferred(w, "dan@other.test");
    assert_null(next_job(w->relay));
    ask(w, 1, "none.test");
    assert_int_equal(answer(w, 1), 251);
    assert_null(next_job(w->relay));
    ask(w, 2, "far.test");
    assert_int_equal(answer(w, 2), 253); /* one message, of two recipients */
    turn(w);
    struct msg_job *job = next_job(w->relay);
    assert_non_null(job);
    assert_true(job->key == id.key);
    assert_int_equal(events_with(w, "by=etrn"), 2);
    finish_job(w, w->relay, job, ST_OK, false);
    assert_null(next_job(w->relay)); /* the other one goes on waiting */
}

static void the_count_is_of_messages(void **state)
{
    struct world *w = *state;
    union message *m;

    for (int i = 0; i < 3; i++)
        put_deferred(w, "bill@far.test carl@far.test");
    ask(w, 1, "@test");
    for (int i = 0; i < 100 && !(m = told(w->smtpd, MSG_ETRN_ANSWER)); i++)
        turn(w);
    assert_non_null(m);
    assert_string_equal(m->etrn_answer.status.text,
                        "ok, 3 pending messages for node @test started");
}

/* Mailboxes are nobody's node, and what an operator holds stays held. */
static void some_stay(void **state)
{
    struct world *w = *state;
    struct id id = put_deferred(w, "bill@far.test");

    put(w, "a@b.test", "local@example.test");
    assert_int_equal(spool_hold_recipient(w->q->spool, id.key, 1, true, NULL), 0);
    queue_touch(w->q);
    turn(w);
    ask(w, 1, "@test");
    assert_int_equal(answer(w, 1), 251);
}

/* Who asks hears of a large queue what is known after a second; the rest is done all the same. */
static void a_large_queue(void **state)
{
    struct world *w = *state;

    ((struct peer *)w->relay->data)->slots = 0;
    for (int i = 0; i < 5 * PAGE_ROWS_MAX; i++)
        put_named(w, "a@b.test", i < PAGE_ROWS_MAX ? "x@near.test" : "bill@far.test", CONTENT);
    turn(w);
    channel_forget(w->smtpd);
    ask(w, 1, "far.test");
    ask(w, 2, "near.test");
    w->clock.now_us += ETRN_PATIENCE_US;
    w->clock.monotonic_us += ETRN_PATIENCE_US;
    size_t answered[2] = {0};
    for (int i = 0; i < 30; i++) {
        union message *m;
        turn(w);
        while ((m = told(w->smtpd, MSG_ETRN_ANSWER)) != NULL) {
            unsigned code = m->etrn_answer.status.code;
            answered[m->etrn_answer.ticket - 1]++;
            assert_true(code == 250 || code == 252);
        }
    }
    assert_true(answered[0] == 1 && answered[1] == 1);
    assert_int_equal(w->q->etrn.question_count, 0);
    assert_int_equal(events_with(w, "by=etrn"), 5 * PAGE_ROWS_MAX);
}

static void too_many_at_once(void **state)
{
    struct world *w = *state;
    size_t unable = 0;
    union message *m;

    for (uint64_t i = 0; i < ETRN_WAITING_MAX + 2; i++)
        ask(w, i, "far.test");
    for (int i = 0; i < 50; i++)
        turn(w);
    while ((m = told(w->smtpd, MSG_ETRN_ANSWER)) != NULL)
        unable += m->etrn_answer.status.code == 458;
    assert_int_equal(unable, 2);
}

static void who_leaves_is_not_answered(void **state)
{
    struct world *w = *state;

    put_deferred(w, "bill@far.test");
    ask(w, 1, "far.test");
    peer_down(w, &w->smtpd);
    for (int i = 0; i < 10; i++)
        turn(w);
    assert_non_null(next_job(w->relay)); /* it was asked for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes),
        IN_A_WORLD(waiting_mail_is_tried),
        IN_A_WORLD(the_count_is_of_messages),
        IN_A_WORLD(some_stay),
        IN_A_WORLD(a_large_queue),
        IN_A_WORLD(too_many_at_once),
        IN_A_WORLD(who_leaves_is_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
