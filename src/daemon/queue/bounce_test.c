// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

static const uint64_t HOUR = 3600 * US_PER_S;

static bool content_has(const struct msg_job *job, const char *text)
{
    struct arena a = ARENA_INIT;
    struct buf all = buf_init(MIB);
    buf_add(&all, job->prefix);
    buf_add(&all, job->content);
    bool has = str_find_str(buf_str(&all), str_c(text)) < all.n;
    buf_free(&all);
    arena_free(&a);
    return has;
}

static void never_makes_a_report(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "alice@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    struct msg_job *job = next_job(w->local);
    assert_non_null(job);
    assert_true(str_eq_c(job->sender, ""));
    assert_true(str_eq_c(job->next_hop, "example.test/alice"));
    assert_true(content_has(job, "Final-Recipient: rfc822; bill@x.test") ||
                content_has(job, "Final-Recipient: rfc822;bill@x.test"));
    assert_true(content_has(job, "5.1.1"));
    assert_true(content_has(job, "Subject: hello"));
    assert_true(content_has(job, "Received: by test"));
    assert_false(content_has(job, "\x1a"));
    assert_true(content_has(job, id_print((struct id){.key = job->key, .node = job->node}).p));
    assert_int_equal(row_count(w, id), 0);

    struct arena a = ARENA_INIT;
    struct id made = {.key = job->key, .node = job->node};
    assert_int_equal(events_with(w, arena_printf(&a, "report=%s", id_print(made).p).p), 1);
    assert_int_equal(events_with(w, arena_printf(&a, "about=%s", id_print(id).p).p), 1);
    arena_free(&a);
}

static void recipients_that_fail_together_share_a_report(void **state)
{
    struct world *w = *state;
    w->router_silent = true;
    struct id id = put(w, "alice@example.test", "a@x.test b@x.test c@y.test d@y.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(row_count(w, id), 4); /* nothing ends before its report is durable */
    assert_int_equal(told_count(w->router, MSG_ROUTE_ASK), 1);
    assert_int_equal(told_count(w->relay, MSG_JOB), 0); /* and nobody is tried again meanwhile */
    w->router_silent = false;
    turn(w);
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(told_count(w->local, MSG_JOB), 1);
    struct msg_job *job = next_job(w->local);
    assert_true(content_has(job, "a@x.test"));
    assert_true(content_has(job, "d@y.test"));
    assert_int_equal(events_with(w, "event=bounced"), 4);
    assert_int_equal(events_with(w, "event=bounce-made"), 1);
}

static void many_recipients_take_several_reports(void **state)
{
    struct world *w = *state;
    struct buf list = buf_init(16 * KIB);
    struct buf text = buf_init(KIB);
    for (int i = 0; i < 150; i++)
        buf_printf(&list, "u%d@x.test ", i);
    for (int i = 0; i < 500; i++)
        buf_add_char(&text, 'z');
    struct id id = put(w, "alice@example.test", buf_c(&list));
    struct msg_job *job;
    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, status_make(550, 5, 1, 1, buf_str(&text)), false);
    assert_int_equal(row_count(w, id), 0);
    assert_in_range(events_with(w, "event=bounce-made"), 2, 20);
    assert_int_equal(events_with(w, "event=bounced"), 150);
    buf_free(&text);
    buf_free(&list);
}

static void crash_before_the_answer_loses_nothing(void **state)
{
    struct world *w = *state;
    w->router_silent = true;
    struct id id = put(w, "alice@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    queue_end(w);
    queue_begin(w);
    peers_begin(w);
    workers_say_held_end(w, 5);
    w->router_silent = false;
    turn(w);
    assert_int_equal(row_count(w, id), 1);
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(told_count(w->local, MSG_JOB), 1);
}

static void router_that_restarts_is_asked_again(void **state)
{
    struct world *w = *state;
    w->router_silent = true;
    struct id id = put(w, "alice@example.test", "bill@x.test");
    peer_down(w, &w->router);
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(row_count(w, id), 1);
    w->router_silent = false;
    w->router = peer_up(w, ROUTER);
    turn(w);
    assert_int_equal(row_count(w, id), 0);
}

static void router_that_says_later_is_asked_later(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "later@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(row_count(w, id), 1);
    size_t asked = w->router->count;
    for (int i = 0; i < 40; i++)
        pass(w, US_PER_S);
    assert_int_equal(w->router->count, asked + 1);
    assert_int_equal(row_count(w, id), 1);
    assert_null(next_job(w->relay));
}

static void mail_that_came_while_reports_waited_is_delivered(void **state)
{
    struct world *w = *state;
    peer_down(w, &w->router);
    for (int i = 0; i < REPORTS_MAX; i++) {
        struct channel *busy[] = {w->smtpd, w->relay, w->history};
        put(w, "alice@example.test", "bill@x.test");
        finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
        for (size_t c = 0; i % 256 == 0 && c < countof(busy); c++)
            channel_forget(busy[c]);
    }
    struct id id = put(w, "a@b.test", "carol@y.test");
    assert_null(next_job(w->relay));
    w->router = peer_up(w, ROUTER);
    turn(w);
    turn(w);
    struct msg_job *job = next_job(w->relay);
    assert_non_null(job);
    assert_true(job->key == id.key);
}

static void assert_held(struct world *w, struct id id, const char *why)
{
    struct arena a = ARENA_INIT;
    struct spool_recipient row;
    assert_int_equal(rows_of(w, id, &a, &row, 1), 1);
    assert_true(row.held);
    assert_non_null(strstr(row.last.text, why));
    arena_free(&a);
}

static void double_bounce_is_held_and_told(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_held(w, id, "notification");
    assert_int_equal(events_with(w, "event=double-bounce"), 1);
    assert_null(next_job(w->local));
    pass(w, 61 * US_PER_S);
    struct msg_job *job = next_job(w->local);
    assert_non_null(job);
    assert_true(str_eq_c(job->next_hop, "mail.example.test/postmaster"));
    assert_true(content_has(job, id_print(id).p));
    finish_job(w, w->local, job, ST_OK, false);
    /* The next one waits for its day. */
    put(w, "", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    pass(w, 2 * HOUR);
    assert_null(next_job(w->local));
    pass(w, 23 * HOUR);
    assert_non_null(next_job(w->local));
}

static void double_bounces_of_one_batch_all_count(void **state)
{
    struct world *w = *state;
    struct id ids[3];
    const struct msg_job *jobs[countof(ids)];
    for (size_t i = 0; i < countof(ids); i++)
        ids[i] = put(w, "", "bill@x.test");
    for (size_t i = 0; i < countof(ids); i++) {
        jobs[i] = next_job(w->relay);
        result(w->relay, jobs[i], 1, ST_NEVER, false);
        job_end(w->relay->data, jobs[i]->job);
    }
    turn(w);
    pass(w, 61 * US_PER_S);
    struct msg_job *job = next_job(w->local);
    assert_non_null(job);
    assert_true(content_has(job, "the last notice: 3\r"));
    for (size_t i = 0; i < countof(ids); i++)
        assert_true(content_has(job, id_print(ids[i]).p));
}

static void sender_that_does_not_exist(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "nobody@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_held(w, id, "sender cannot be reached");
}

static void expired_backlog_is_given_up_after_an_attempt(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->relay->data)->slots = 0;
    for (int i = 0; i < 100; i++)
        put(w, "alice@example.test", "bill@dead.test");
    pass(w, 121 * HOUR);
    assert_int_equal(events_with(w, "event=expired"), 0);
    queue_slots(w->relay->data, 1);
    turn(w);
    finish_job(w, w->relay, next_job(w->relay), ST_DEAD, true);
    for (int i = 0; i < 10; i++)
        turn(w);
    struct spool_counts counts;
    assert_int_equal(events_with(w, "event=expired"), 100);
    assert_int_equal(spool_counts(w->q->spool, &counts), 0);
    assert_int_equal(counts.recipient_count, 100); /* the reports */
}

/* ---- warnings ---- */

/* A first failure, five hours, and another one; *job is its. */
static void become_late(struct world *w, struct status st, bool next_hop_failed)
{
    finish_job(w, w->relay, next_job(w->relay), st, next_hop_failed);
    pass(w, 5 * HOUR);
    struct msg_job *job = next_job(w->relay);
    assert_non_null(job);
    finish_job(w, w->relay, job, st, next_hop_failed);
    turn(w);
}

static void late_recipients_share_one_warning(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "alice@example.test", "a@dead.test b@dead.test");
    become_late(w, ST_DEAD, true);
    assert_int_equal(events_with(w, "event=warned"), 2);
    assert_int_equal(events_with(w, "event=warning-made"), 1);
    assert_int_equal(row_count(w, id), 2);
    struct msg_job *job = next_job(w->local);
    assert_true(content_has(job, "Action: delayed") && content_has(job, "Will-Retry-Until: "));
    assert_true(content_has(job, "a@dead.test") && content_has(job, "b@dead.test"));
    assert_true(content_has(job, "connection refused"));
    /* Once, also over a restart: it is a fact of the rows. */
    queue_end(w);
    queue_begin(w);
    peers_begin(w);
    workers_say_held_end(w, 5);
    pass(w, 3 * HOUR);
    finish_job(w, w->relay, next_job(w->relay), ST_DEAD, true);
    turn(w);
    assert_int_equal(events_with(w, "event=deferred"), 6);
    assert_int_equal(events_with(w, "event=warned"), 2); /* said again by the new queue */
    assert_int_equal(events_with(w, "event=warning-made"), 1);
}

static void recipient_that_is_late_by_itself_is_warned_of(void **state)
{
    struct world *w = *state;
    put(w, "alice@example.test", "bill@x.test");
    become_late(w, ST_LATER, false);
    assert_int_equal(events_with(w, "event=warned"), 1);
    struct msg_job *job = next_job(w->local);
    assert_true(content_has(job, "451 4.2.0 mailbox busy"));
    assert_true(content_has(job, "Remote-MTA: dns; mx.test"));
}

static void nobody_is_warned_who_does_not_want_it(void **state)
{
    static const struct {
        const char *sender;
        unsigned notify;
        uint64_t warn_us;
        size_t warned;
    } table[] = {
        {"alice@example.test", 0, 4 * 3600, 1},
        {"alice@example.test", NOTIFY_DELAY, 4 * 3600, 1},
        {"alice@example.test", NOTIFY_FAILURE, 4 * 3600, 0},
        {"alice@example.test", NOTIFY_NEVER, 4 * 3600, 0},
        {"", 0, 4 * 3600, 0},
        {"alice@example.test", 0, 0, 0},
        {"alice@example.test", NOTIFY_DELAY, 6 * 24 * 3600, 0},
    };
    struct world *w = *state;
    for (size_t i = 0; i < countof(table); i++) {
        char to[32];
        size_t before = events_with(w, "event=warned");
        (void)snprintf(to, sizeof(to), "bill@d%zu.test", i);
        w->notify = table[i].notify;
        w->q->config->warn_us = table[i].warn_us * US_PER_S;
        put(w, table[i].sender, to);
        become_late(w, ST_DEAD, true);
        assert_int_equal(events_with(w, "event=warned") - before, table[i].warned);
        assert_int_equal(events_with(w, "event=bounced"), 0);
    }
}

static void delivered_meanwhile_needs_no_warning(void **state)
{
    struct world *w = *state;
    w->router_silent = true;
    struct id id = put(w, "alice@example.test", "bill@x.test");
    become_late(w, ST_LATER, false);
    pass(w, HOUR); /* the report waits, the mail does not */
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    assert_int_equal(row_count(w, id), 0);
    w->router_silent = false;
    turn(w);
    assert_int_equal(events_with(w, "warned") + events_with(w, "warning-made"), 0);
}

/* ---- what senders wish ---- */

static void successes_are_confirmed_on_request(void **state)
{
    struct world *w = *state;
    w->notify = NOTIFY_SUCCESS;
    w->envid = STR("QQ1");
    struct id id = put(w, "alice@example.test", "bob@example.test carol@x.test");
    struct msg_job *local = next_job(w->local);
    finish_job(w, w->local, local, ST_OK, false);
    struct msg_job *relay = next_job(w->relay);
    assert_true(str_eq_c(relay->envid, "QQ1"));
    finish_job(w, w->relay, relay, ST_OK, false);
    struct msg_job *job = next_job(w->local);
    assert_true(content_has(job, "Action: delivered"));
    assert_true(content_has(job, "Original-Envelope-Id: QQ1"));
    job = next_job(w->local);
    assert_true(content_has(job, "Action: relayed"));
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(events_with(w, "event=delivered"), 2);
    assert_int_equal(events_with(w, "event=confirmed"), 2);
}

static void next_hop_that_reports_is_left_to_it(void **state)
{
    struct world *w = *state;
    w->notify = NOTIFY_SUCCESS;
    struct id id = put(w, "alice@example.test", "carol@x.test");
    struct msg_job *job = next_job(w->relay);
    job_result(w->relay->data,
               &(struct msg_result){
                   .job = job->job, .key = job->key, .number = 1, .status = ST_OK, .reports = 1});
    job_end(w->relay->data, job->job);
    turn(w);
    assert_int_equal(row_count(w, id), 0);
    assert_null(next_job(w->local));
}

static void expansion_is_told_also_when_its_teller_fails(void **state)
{
    static const unsigned wishes[] = {NOTIFY_NEVER, NOTIFY_FAILURE};
    struct world *w = *state;
    for (size_t i = 0; i < countof(wishes); i++) {
        w->notify = wishes[i] | NOTIFY_EXPANDED;
        struct id id = put(w, "alice@example.test", "carol@x.test");
        finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
        turn(w);
        assert_int_equal(row_count(w, id), 0);
        struct msg_job *job = next_job(w->local);
        assert_non_null(job);
        assert_true(content_has(job, "Action: expanded"));
        assert_int_equal(content_has(job, "Action: failed"), wishes[i] == NOTIFY_FAILURE);
        assert_null(next_job(w->local));
    }
    assert_int_equal(events_with(w, "unreported="), 1);
}

static void never_means_an_event_and_nothing_else(void **state)
{
    struct world *w = *state;
    w->notify = NOTIFY_NEVER;
    struct id id = put(w, "alice@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(row_count(w, id), 0);
    assert_null(next_job(w->local));
    assert_int_equal(events_with(w, "unreported="), 1);
}

static void whole_messages_come_back_up_to_a_size(void **state)
{
    struct world *w = *state;
    struct buf content = buf_init(MIB);
    w->ret = RETURN_FULL;
    put(w, "alice@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    struct msg_job *job = next_job(w->local);
    assert_true(content_has(job, "Content-Type: message/rfc822") && content_has(job, "body\r\n"));
    buf_add(&content, CONTENT);
    while (content.n < 60 * KIB)
        buf_add_c(&content, "a line of the body\r\n");
    put_named(w, "alice@example.test", "bill@x.test", buf_str(&content));
    turn(w);
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    job = next_job(w->local);
    assert_true(content_has(job, "text/rfc822-headers") && content_has(job, "too large"));
    assert_false(content_has(job, "a line of the body"));
    buf_free(&content);
}

static void too_many_reports_to_one_sender(void **state)
{
    struct world *w = *state;
    w->q->config->bounces_per_sender_max = 2;
    for (int i = 0; i < 5; i++) {
        put(w, i % 2 == 0 ? "alice@example.test" : "ALICE@example.test", "bill@x.test");
        finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    }
    assert_int_equal(events_with(w, "event=bounced"), 5);
    assert_int_equal(events_with(w, "event=bounce-made"), 2);
    assert_int_equal(events_with(w, "unreported="), 3);
    put(w, "bob@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(events_with(w, "event=bounce-made"), 3);
    pass(w, HOUR);
    put(w, "alice@example.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_NEVER, false);
    assert_int_equal(events_with(w, "event=bounce-made"), 4);
}

/* Of one message, too: each report is one, and what is over the limit is an event. */
static void too_many_reports_on_one_message(void **state)
{
    enum { COUNT = 3000 };
    struct world *w = *state;
    struct buf list = buf_init(64 * KIB);
    w->q->config->bounces_per_sender_max = 2;
    w->router_silent = true;
    for (int i = 0; i < COUNT; i++)
        buf_printf(&list, "u%d@x.test ", i);
    struct id id = put(w, "alice@example.test", buf_c(&list));
    struct msg_job *job;
    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, ST_NEVER, false);
    assert_int_equal(row_count(w, id), COUNT);
    w->router_silent = false;
    turn(w);
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(events_with(w, "event=bounced"), COUNT);
    assert_int_equal(events_with(w, "event=bounce-made"), 2);
    assert_in_range(events_with(w, "unreported="), COUNT / 2, COUNT - 2);
    assert_int_equal(w->q->bounces.news_count, 0);
    buf_free(&list);
}

/* While the router is away no more is tried than the news that are kept. */
static void news_are_bounded(void **state)
{
    struct world *w = *state;
    struct buf list = buf_init(MIB);
    w->router_silent = true;
    for (int i = 0; i < NEWS_MAX + 5000; i++)
        buf_printf(&list, "u%d@x.test ", i);
    struct id id = put(w, "alice@example.test", buf_c(&list));
    struct msg_job *job;
    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, ST_NEVER, false);
    assert_in_range(w->q->bounces.news_count, NEWS_MAX,
                    NEWS_MAX + 2500); /* and what was under way */
    assert_int_equal(row_count(w, id), NEWS_MAX + 5000);
    w->q->config->bounces_per_sender_max = 1;
    w->router_silent = false;
    turn(w);
    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, ST_NEVER, false);
    assert_int_equal(row_count(w, id), 0);
    buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(never_makes_a_report),
        IN_A_WORLD(recipients_that_fail_together_share_a_report),
        IN_A_WORLD(many_recipients_take_several_reports),
        IN_A_WORLD(crash_before_the_answer_loses_nothing),
        IN_A_WORLD(router_that_restarts_is_asked_again),
        IN_A_WORLD(router_that_says_later_is_asked_later),
        IN_A_WORLD(mail_that_came_while_reports_waited_is_delivered),
        IN_A_WORLD(double_bounce_is_held_and_told),
        IN_A_WORLD(double_bounces_of_one_batch_all_count),
        IN_A_WORLD(sender_that_does_not_exist),
        IN_A_WORLD(expired_backlog_is_given_up_after_an_attempt),
        IN_A_WORLD(late_recipients_share_one_warning),
        IN_A_WORLD(recipient_that_is_late_by_itself_is_warned_of),
        IN_A_WORLD(nobody_is_warned_who_does_not_want_it),
        IN_A_WORLD(delivered_meanwhile_needs_no_warning),
        IN_A_WORLD(successes_are_confirmed_on_request),
        IN_A_WORLD(next_hop_that_reports_is_left_to_it),
        IN_A_WORLD(expansion_is_told_also_when_its_teller_fails),
        IN_A_WORLD(never_means_an_event_and_nothing_else),
        IN_A_WORLD(whole_messages_come_back_up_to_a_size),
        IN_A_WORLD(too_many_reports_to_one_sender),
        IN_A_WORLD(too_many_reports_on_one_message),
        IN_A_WORLD(news_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
