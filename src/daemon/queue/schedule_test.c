// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

static const uint64_t MINUTE = 60 * US_PER_S, HOUR = 3600 * US_PER_S;

static void delivers_at_once_from_memory(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "a@b.test", "bill@example.test");
    struct msg_job *job = next_job(w->local);

    assert_non_null(job);
    assert_int_equal(job->key, id.key);
    assert_true(str_eq(job->content, CONTENT));
    assert_true(str_eq_c(job->next_hop, "example.test/bill"));
    assert_true(str_eq_c(job->sender, "a@b.test"));
    finish_job(w, w->local, job, ST_OK, false);
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(told_count(w->local, MSG_RESULTS_TAKEN), 1);
    assert_int_equal(events_with(w, "event=accepted"), 1);
    assert_int_equal(events_with(w, "event=delivered"), 1);
}

static void one_job_for_one_next_hop(void **state)
{
    struct world *w = *state;
    put(w, "a@b.test", "a@x.test b@y.test c@x.test d@example.test");
    assert_int_equal(told_count(w->relay, MSG_JOB), 2);
    assert_int_equal(told_count(w->local, MSG_JOB), 1);
    struct msg_job *job = next_job(w->relay);
    assert_true(str_eq_c(job->next_hop, "x.test:25"));
    assert_int_equal(job_recipient_count(job), 2);
}

static void more_than_a_job_of_recipients(void **state)
{
    struct world *w = *state;
    struct buf list = buf_init(16 * KIB);
    for (int i = 0; i < 150; i++)
        buf_printf(&list, "u%d@x.test ", i);
    struct id id = put(w, "a@b.test", buf_c(&list));
    struct msg_job *first = next_job(w->relay);
    struct msg_job *second = next_job(w->relay);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal(job_recipient_count(first), JOB_RECIPIENTS_MAX);
    assert_int_equal(job_recipient_count(second), 50);
    finish_job(w, w->relay, first, ST_OK, false);
    finish_job(w, w->relay, second, ST_OK, false);
    assert_int_equal(row_count(w, id), 0);
    assert_null(next_job(w->relay));
    buf_free(&list);
}

/* Moves to the next attempt of the only message and returns the wait before it. */
static uint64_t wait_for_job(struct world *w, struct channel *worker, struct msg_job **job)
{
    uint64_t began = w->clock.now_us;
    *job = next_job(worker);
    for (int i = 0; *job == NULL && i < 300; i++) {
        pass(w, MINUTE / 2);
        *job = next_job(worker);
    }
    return w->clock.now_us - began;
}

static void five_days_of_a_dead_destination(void **state)
{
    struct world *w = *state;
    static const uint64_t minutes[] = {1, 5, 15, 30, 60, 120};
    struct id id = put(w, "alice@example.test", "bill@dead.test");
    uint64_t accepted = w->clock.now_us;
    struct msg_job *job = next_job(w->relay);
    size_t attempts = 1;
    size_t warned_after = 0;

    for (; w->clock.now_us < accepted + 200 * HOUR; attempts++) {
        bool after_expiry = w->clock.now_us >= accepted + 120 * HOUR;
        bool late = w->clock.now_us >= accepted + 4 * HOUR;
        assert_non_null(job);
        finish_job(w, w->relay, job, ST_DEAD, true);
        assert_int_equal(row_count(w, id), after_expiry ? 0 : 1);
        assert_int_equal(events_with(w, "event=warned"), late ? 1 : 0);
        if (late && warned_after == 0)
            warned_after = attempts;
        if (after_expiry)
            break;
        uint64_t wanted = minutes[MIN_OF(attempts - 1, countof(minutes) - 1)] * MINUTE;
        uint64_t waited = wait_for_job(w, w->relay, &job);
        assert_in_range(waited, wanted * 9 / 10, wanted * 11 / 10 + MINUTE);
    }
    assert_in_range(attempts, 55, 75);
    assert_int_equal(warned_after, 8); /* 1m 5m 15m 30m 1h 2h 2h are less, so the next */
    assert_int_equal(events_with(w, "event=expired"), 1);
    assert_int_equal(events_with(w, "event=deferred"), attempts - 1);
    assert_int_equal(events_with(w, "event=bounce-made"), 1);
    job = next_job(w->local);
    assert_non_null(job);
    assert_true(str_find_str(job->content, STR("Action: delayed")) < job->content.n);
    job = next_job(w->local);
    assert_non_null(job);
    assert_true(str_eq_c(job->sender, ""));
    assert_true(str_find_str(job->content, STR("5.4.7")) < job->content.n);
}

static void recipient_retries_by_its_own_schedule(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "alice@example.test", "bill@x.test");
    struct msg_job *job = next_job(w->relay);
    finish_job(w, w->relay, job, ST_LATER, false);
    assert_in_range(wait_for_job(w, w->relay, &job), MINUTE / 2, 2 * MINUTE);
    finish_job(w, w->relay, job, ST_LATER, false);
    assert_in_range(wait_for_job(w, w->relay, &job), 4 * MINUTE, 6 * MINUTE);
    assert_int_equal(row_count(w, id), 1);
    /* Its time is over, but no attempt has been made since: it is tried, then given up. */
    pass(w, 121 * HOUR);
    finish_job(w, w->relay, job, ST_LATER, false);
    assert_int_equal(row_count(w, id), 1);
    (void)wait_for_job(w, w->relay, &job);
    assert_non_null(job);
    finish_job(w, w->relay, job, ST_LATER, false);
    assert_int_equal(row_count(w, id), 0);
    assert_int_equal(events_with(w, "event=expired"), 1);
}

static void recipients_of_one_job_stay_together(void **state)
{
    struct world *w = *state;
    struct arena a = ARENA_INIT;
    struct spool_recipient rows[2];
    struct id id = put(w, "alice@example.test", "bill@x.test carl@x.test");
    const struct msg_job *job = next_job(w->relay);

    result(w->relay, job, 1, ST_LATER, false);
    w->clock.now_us += 30;
    result(w->relay, job, 2, ST_LATER, false);
    job_end(w->relay->data, job->job);
    turn(w);
    assert_int_equal(rows_of(w, id, &a, rows, countof(rows)), 2);
    assert_int_equal(rows[0].due_us, rows[1].due_us);
    arena_free(&a);
}

/* One destination, nothing else going on: the later one has nobody to wake it but the clock. */
static void each_row_of_a_destination_has_its_hour(void **state)
{
    struct world *w = *state;
    struct msg_job *job;
    for (int i = 0; i < 3; i++) {
        put(w, "alice@example.test", "bill@x.test");
        finish_job(w, w->relay, next_job(w->relay), ST_LATER, false);
        pass(w, 15 * US_PER_S);
    }
    for (int i = 0; i < 3; i++) {
        job = NULL;
        for (int s = 0; job == NULL && s < 120; s++) {
            pass(w, US_PER_S);
            job = next_job(w->relay);
        }
        assert_non_null(job);
        finish_job(w, w->relay, job, ST_OK, false);
    }
    assert_int_equal(events_with(w, "event=delivered"), 3);
}

static void window_grows_and_falls(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 40; i++)
        put(w, "a@b.test", "bill@x.test");
    assert_int_equal(told_count(w->relay, MSG_JOB), WINDOW_FIRST);
    struct msg_job *job = next_job(w->relay);
    finish_job(w, w->relay, job, ST_OK, false);
    assert_int_equal(told_count(w->relay, MSG_JOB), WINDOW_FIRST + 1); /* 4 run, 2 are new */
    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, ST_OK, false);
    assert_int_equal(events_with(w, "event=delivered"), 40);
    put(w, "a@b.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_DEAD, true);
    for (int i = 0; i < 9; i++)
        put(w, "a@b.test", "bill@x.test");
    assert_int_equal(told_count(w->relay, MSG_JOB), 0);
    pass(w, 2 * MINUTE);
    assert_int_equal(told_count(w->relay, MSG_JOB), 1); /* one tries whether it is back */
    finish_job(w, w->relay, next_job(w->relay), ST_OK, false);
    assert_int_equal(told_count(w->relay, MSG_JOB), 2);
}

static void dead_destination_delays_nobody(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++)
        put(w, "a@b.test", "bill@dead.test");
    struct msg_job *job;
    while ((job = next_job(w->relay)) != NULL)
        finish_job(w, w->relay, job, ST_DEAD, true);
    assert_in_range(events_with(w, "event=deferred"), 1, WINDOW_FIRST);
    put(w, "a@b.test", "bill@alive.test");
    job = next_job(w->relay);
    assert_non_null(job);
    assert_true(str_eq_c(job->next_hop, "alive.test:25"));
}

static void slots_are_shared_fairly(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->relay->data)->slots = 0;
    for (int i = 0; i < 60; i++)
        put(w, "a@b.test", "bill@big.test");
    put(w, "a@b.test", "bill@one.test");
    put(w, "a@b.test", "bill@two.test");
    assert_int_equal(told_count(w->relay, MSG_JOB), 0);
    queue_slots(w->relay->data, 3);
    turn(w);
    size_t big = 0;
    for (struct msg_job *job = next_job(w->relay); job != NULL; job = next_job(w->relay))
        big += str_eq_c(job->next_hop, "big.test:25");
    assert_int_equal(big, 1);
}

static void backlog_drains_in_order_of_time(void **state)
{
    struct world *w = *state;
    struct channel *relay = w->relay;
    ((struct peer *)relay->data)->slots = 0;
    struct id ids[30];
    for (size_t i = 0; i < countof(ids); i++) {
        ids[i] = put(w, "a@b.test", "bill@x.test");
        pass(w, 1000);
    }
    queue_slots(relay->data, 1);
    turn(w);
    for (size_t i = 0; i < countof(ids); i++) {
        struct msg_job *job = next_job(relay);
        assert_non_null(job);
        assert_int_equal(job->key, ids[i].key);
        assert_true(str_eq(job->content, CONTENT));
        finish_job(w, relay, job, ST_OK, false);
    }
    assert_null(next_job(relay));
}

static void death_of_a_worker_is_no_attempt(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "a@b.test", "bill@x.test");
    assert_non_null(next_job(w->relay));
    peer_down(w, &w->relay);
    turn(w);
    w->relay = peer_up(w, RELAY);
    queue_held_end(w->relay->data);
    queue_slots(w->relay->data, 5);
    turn(w);
    struct msg_job *job = next_job(w->relay);
    assert_non_null(job);
    assert_int_equal(job->key, id.key);
    struct arena a = ARENA_INIT;
    struct spool_recipient row;
    assert_int_equal(rows_of(w, id, &a, &row, 1), 1);
    assert_int_equal(row.attempts, 0);
    arena_free(&a);
}

static void restart(struct world *w)
{
    queue_end(w);
    queue_begin(w);
    peers_begin(w);
}

static void held_jobs_are_adopted(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "a@b.test", "bill@x.test");
    struct id other = put(w, "a@b.test", "carl@x.test");
    struct msg_job job = *next_job(w->relay);
    struct buf recipients = buf_init(KIB);
    buf_add(&recipients, job.recipients);
    job.recipients = buf_str(&recipients);

    restart(w);
    turn(w);
    assert_int_equal(told_count(w->relay, MSG_JOB), 0); /* nobody has said what they hold */
    job_held(w->relay->data, &(struct msg_held){.job = job.job,
                                                .key = job.key,
                                                .next_hop = STR("x.test:25"),
                                                .recipients = job.recipients});
    workers_say_held_end(w, 5);
    turn(w);
    assert_int_equal(told_count(w->relay, MSG_JOB), 1);
    assert_int_equal(next_job(w->relay)->key, other.key);
    finish_job(w, w->relay, &job, ST_OK, false);
    assert_int_equal(told_count(w->relay, MSG_RESULTS_TAKEN), 1);
    assert_int_equal(row_count(w, id), 0);
    buf_free(&recipients);
}

static void held_job_of_a_gone_row_is_taken(void **state)
{
    struct world *w = *state;
    struct job_recipient one = {.number = 1, .address = STR("x@y.test"), .next_hop = STR("y:25")};
    struct buf recipients = buf_init(KIB);
    job_recipients_encode(&recipients, &one, 1);
    struct msg_job job = {.job = 77, .key = 12345, .recipients = buf_str(&recipients)};
    ((struct peer *)w->relay->data)->held_ended = false;
    job_held(w->relay->data, &(struct msg_held){.job = job.job,
                                                .key = job.key,
                                                .next_hop = STR("y:25"),
                                                .recipients = job.recipients});
    finish_job(w, w->relay, &job, ST_OK, false);
    assert_int_equal(told_count(w->relay, MSG_RESULTS_TAKEN), 1);
    buf_free(&recipients);
}

static void nothing_starts_before_three_seconds_without_workers(void **state)
{
    struct world *w = *state;
    put(w, "a@b.test", "bill@x.test");
    queue_end(w);
    queue_begin(w);
    w->relay = peer_up(w, RELAY);
    queue_run(w->q);
    queue_held_end(w->relay->data);
    queue_slots(w->relay->data, 5);
    turn(w);
    assert_int_equal(told_count(w->relay, MSG_JOB), 0); /* local is not there yet */
    pass(w, HELD_WAIT_US + 1);
    assert_int_equal(told_count(w->relay, MSG_JOB), 1);
}

static void backlog_survives_a_restart(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->relay->data)->slots = 0;
    for (int i = 0; i < 300; i++) {
        char to[32];
        (void)snprintf(to, sizeof(to), "u@d%d.test", i);
        put_named(w, "a@b.test", to, CONTENT);
    }
    turn(w);
    restart(w);
    workers_say_held_end(w, 1000);
    for (int i = 0; i < 10; i++)
        pass(w, 200 * 1000);
    assert_int_equal(told_count(w->relay, MSG_JOB), 300);
}

static void clock_that_goes_back(void **state)
{
    struct world *w = *state;
    struct msg_job *job;
    put(w, "a@b.test", "bill@x.test");
    finish_job(w, w->relay, next_job(w->relay), ST_LATER, false);
    pass(w, 2 * US_PER_S);
    w->clock.now_us -= 48 * HOUR; /* the row is due in two days and a minute now */
    for (int i = 0; i < 3; i++)
        pass(w, US_PER_S);
    (void)wait_for_job(w, w->relay, &job);
    for (int i = 0; job == NULL && i < 20; i++)
        (void)wait_for_job(w, w->relay, &job);
    assert_non_null(job);
}

/* Other bytes than were written, in every segment there is. */
static int damage_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    if (type != FTW_F || strstr(path, "/segments/") == NULL)
        return 0;
    int fd = open(path, O_RDWR);
    char bytes[4096];
    ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] == 'y') /* of "body" and "by" */
            bytes[i] = 'Y';
    assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
    return close(fd);
}

/* New mail is then due before what was served last. */
static void clock_that_goes_back_a_little(void **state)
{
    struct world *w = *state;
    struct peer *relay = w->relay->data;
    relay->slots = 0;
    put(w, "a@b.test", "bill@x.test");
    queue_slots(relay, 1);
    turn(w);
    struct msg_job *job = next_job(w->relay);
    assert_non_null(job);
    w->clock.now_us -= US_PER_S / 2;
    put(w, "a@b.test", "bill@x.test");
    finish_job(w, w->relay, job, ST_OK, false);
    for (int i = 0; i < 3; i++)
        pass(w, US_PER_S);
    assert_non_null(next_job(w->relay));
}

static void damaged_bytes_are_held(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->relay->data)->slots = 0;
    struct id id = put(w, "alice@example.test", "bill@x.test carl@y.test");
    assert_int_equal(nftw(w->path, damage_one, 16, FTW_PHYS), 0);
    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_ERROR + 1, "test");
    queue_slots(w->relay->data, 5);
    turn(w);
    assert_null(next_job(w->relay));
    assert_null(next_job(w->local));
    assert_int_equal(events_with(w, "event=held"), 2);
    struct arena a = ARENA_INIT;
    struct spool_recipient rows[2];
    assert_int_equal(rows_of(w, id, &a, rows, 2), 2);
    assert_true(rows[0].held && rows[1].held);
    arena_free(&a);
}

static void captured_relay_cannot_claim_what_is_local(void **state)
{
    struct world *w = *state;
    ((struct peer *)w->local->data)->slots = 0;
    struct id id = put(w, "a@b.test", "bill@example.test");
    struct job_recipient one = {
        .number = 1, .address = STR("bill@example.test"), .next_hop = STR("y:25")};
    struct buf recipients = buf_init(KIB);
    job_recipients_encode(&recipients, &one, 1);
    ((struct peer *)w->relay->data)->held_ended = false;
    job_held(w->relay->data, &(struct msg_held){.job = 77,
                                                .key = id.key,
                                                .next_hop = STR("y:25"),
                                                .recipients = buf_str(&recipients)});
    struct msg_job job = {.job = 77, .key = id.key, .recipients = buf_str(&recipients)};
    finish_job(w, w->relay, &job, ST_OK, false);
    assert_int_equal(row_count(w, id), 1);
    buf_free(&recipients);
}

static void stop_waits_for_results(void **state)
{
    struct world *w = *state;
    struct id id = put(w, "a@b.test", "bill@x.test");
    struct msg_job *job = next_job(w->relay);
    queue_stop(w->q);
    pass(w, US_PER_S);
    assert_false(w->done);
    finish_job(w, w->relay, job, ST_OK, false);
    pass(w, US_PER_S);
    pass(w, US_PER_S);
    assert_true(w->done);
    assert_int_equal(row_count(w, id), 0);
}

static void stop_does_not_wait_for_ever(void **state)
{
    struct world *w = *state;
    put(w, "a@b.test", "bill@x.test");
    queue_stop(w->q);
    pass(w, STOP_WAIT_US + 1);
    pass(w, US_PER_S);
    assert_true(w->done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(delivers_at_once_from_memory),
        IN_A_WORLD(one_job_for_one_next_hop),
        IN_A_WORLD(more_than_a_job_of_recipients),
        IN_A_WORLD(five_days_of_a_dead_destination),
        IN_A_WORLD(recipient_retries_by_its_own_schedule),
        IN_A_WORLD(recipients_of_one_job_stay_together),
        IN_A_WORLD(each_row_of_a_destination_has_its_hour),
        IN_A_WORLD(window_grows_and_falls),
        IN_A_WORLD(dead_destination_delays_nobody),
        IN_A_WORLD(slots_are_shared_fairly),
        IN_A_WORLD(backlog_drains_in_order_of_time),
        IN_A_WORLD(death_of_a_worker_is_no_attempt),
        IN_A_WORLD(held_jobs_are_adopted),
        IN_A_WORLD(held_job_of_a_gone_row_is_taken),
        IN_A_WORLD(nothing_starts_before_three_seconds_without_workers),
        IN_A_WORLD(backlog_survives_a_restart),
        IN_A_WORLD(clock_that_goes_back),
        IN_A_WORLD(clock_that_goes_back_a_little),
        IN_A_WORLD(damaged_bytes_are_held),
        IN_A_WORLD(captured_relay_cannot_claim_what_is_local),
        IN_A_WORLD(stop_waits_for_results),
        IN_A_WORLD(stop_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
