// SPDX-License-Identifier: ISC
#include "daemon/queue/fake.h"

static void envelope_bytes(struct buf *to, const char *recipient)
{
    struct arena a = ARENA_INIT;
    struct str address = str_c(recipient);
    struct recipient one = {.address = address, .target = fake_route(address, &a)};
    struct envelope e = {.sender = STR("a@b.test"), .recipients = &one, .recipient_count = 1};
    *to = buf_init(64 * KIB);
    envelope_encode(to, &e);
    arena_free(&a);
}

static const struct msg_put_done *done(struct world *w)
{
    union message *m = told(w->smtpd, MSG_PUT_DONE);
    return m != NULL ? &m->put_done : NULL;
}

/* A message in packets of `step` bytes: envelope first, then content, the prefix at the end. */
static void put_in_pieces(struct world *w, uint64_t ticket, struct str envelope, struct str content,
                          size_t step)
{
    uint8_t flags = PUT_BEGIN;
    for (size_t at = 0; at < envelope.n; at += step, flags = 0)
        intake_put(w->smtpd->data, &(struct msg_put){.ticket = ticket,
                                                     .flags = flags,
                                                     .envelope = str_sub(envelope, at, at + step)});
    for (size_t at = 0; at < content.n; at += step)
        intake_put(w->smtpd->data,
                   &(struct msg_put){.ticket = ticket, .content = str_sub(content, at, at + step)});
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = ticket,
                                                 .flags = PUT_END,
                                                 .prefix = STR("Received: by test\r\n")});
}

static void put_in_pieces_of_any_size(void **state)
{
    struct world *w = *state;
    static const size_t steps[] = {1, 7, 64, 4096};
    struct buf envelope;
    envelope_bytes(&envelope, "bill@x.test");
    for (size_t i = 0; i < countof(steps); i++) {
        put_in_pieces(w, 1, buf_str(&envelope), CONTENT, steps[i]);
        assert_null(done(w)); /* not before the commit */
        turn(w);
        assert_int_equal(done(w)->status.class, 2);
        struct msg_job *job = next_job(w->relay);
        assert_non_null(job);
        assert_true(str_eq(job->content, CONTENT));
        assert_true(str_eq_c(job->prefix, "Received: by test\r\n"));
        finish_job(w, w->relay, job, ST_OK, false);
    }
    buf_free(&envelope);
}

static void answers_come_after_the_commit(void **state)
{
    struct world *w = *state;
    put_named(w, "a@b.test", "bill@x.test", CONTENT);
    put_named(w, "a@b.test", "carl@x.test", CONTENT);
    assert_int_equal(w->smtpd->count, 1); /* QUEUE_STATE */
    turn(w);
    assert_int_equal(told_count(w->smtpd, MSG_PUT_DONE), 2);
    const struct msg_put_done *first = done(w);
    const struct msg_put_done *second = done(w);
    assert_int_equal(first->ticket, 1);
    assert_int_equal(second->ticket, 2);
    assert_true(first->key < second->key);
}

/* A commit that took 16 ms and answered three has just ended. */
static void slow_commit_has_ended(struct world *w)
{
    w->q->commit_took_us = 16 * 1000;
    w->q->committed_us = w->clock.monotonic_us;
    w->q->answered_count = 3;
}

static void a_slow_disk_waits_for_those_who_come_again(void **state)
{
    struct world *w = *state;

    slow_commit_has_ended(w);
    put_named(w, "a@b.test", "bill@x.test", CONTENT);
    put_named(w, "a@b.test", "carl@x.test", CONTENT);
    turn(w);
    assert_null(done(w));
    put_named(w, "a@b.test", "dora@x.test", CONTENT); /* as many as before */
    turn(w);
    assert_int_equal(told_count(w->smtpd, MSG_PUT_DONE), 3);
}

static void a_slow_disk_does_not_wait_long(void **state)
{
    struct world *w = *state;

    slow_commit_has_ended(w);
    put_named(w, "a@b.test", "bill@x.test", CONTENT);
    turn(w);
    assert_null(done(w));
    pass(w, 8 * 1000);
    turn(w);
    assert_null(done(w));
    pass(w, 8 * 1000); /* as long as that commit took */
    turn(w);
    assert_int_equal(done(w)->status.class, 2);
}

/* A real thread syncs: the loop waits for it. The test runner bounds how long. */
static const struct msg_put_done *wait_done(struct world *w)
{
    const struct msg_put_done *m = NULL;
    for (turn(w), m = done(w); m == NULL; turn(w), m = done(w))
        loop_turn(w->worker.loop, true);
    return m;
}

static void goes_as_a_descriptor(struct world *w, size_t bytes_min)
{
    struct buf envelope;
    struct buf content = buf_init(MIB);
    envelope_bytes(&envelope, "bill@x.test");
    while (content.n < bytes_min)
        buf_add(&content, CONTENT);
    put_in_pieces(w, 1, buf_str(&envelope), buf_str(&content), PUT_CHUNK_BYTES);
    uint64_t credit = 0;
    size_t first = w->smtpd->first;
    for (union message *m = told(w->smtpd, MSG_PUT_CREDIT); m != NULL;
         m = told(w->smtpd, MSG_PUT_CREDIT))
        credit += m->put_credit.bytes;
    w->smtpd->first = first;
    assert_int_equal(credit, content.n);
    assert_int_equal(wait_done(w)->status.class, 2);

    union message *m = told(w->relay, MSG_JOB_FILE);
    assert_non_null(m);
    assert_int_equal(m->job_file.size, content.n);
    char bytes[40];
    assert_int_equal(disk_read_at(m->job_file.file, bytes, sizeof(bytes), m->job_file.offset), 0);
    assert_memory_equal(bytes, content.p, sizeof(bytes));
    uint64_t last = content.n - sizeof(bytes);
    assert_int_equal(
        disk_read_at(m->job_file.file, bytes, sizeof(bytes), m->job_file.offset + last), 0);
    assert_memory_equal(bytes, content.p + last, sizeof(bytes));
    buf_free(&content);
    buf_free(&envelope);
}

static void what_fits_no_packet_is_a_descriptor(void **state)
{
    goes_as_a_descriptor(*state, JOB_CONTENT_BYTES_MAX + 1); /* from a segment */
    goes_as_a_descriptor(*state, SPOOL_SEGMENT_BYTES_MAX + 1);
}

static void aborted_puts_leave_nothing(void **state)
{
    struct world *w = *state;
    struct buf envelope;
    envelope_bytes(&envelope, "bill@x.test");
    for (uint64_t ticket = 1; ticket < 4; ticket++)
        intake_put(w->smtpd->data, &(struct msg_put){.ticket = ticket,
                                                     .flags = PUT_BEGIN,
                                                     .envelope = buf_str(&envelope),
                                                     .content = STR("half a mess")});
    intake_put_abort(w->smtpd->data, 1);
    intake_put_abort(w->smtpd->data, 99);
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = 1, .flags = PUT_END});
    peer_down(w, &w->smtpd); /* with two open */
    turn(w);
    struct spool_counts counts;
    assert_int_equal(spool_counts(w->q->spool, &counts), 0);
    assert_int_equal(counts.message_count, 0);
    buf_free(&envelope);
}

static void broken_envelopes_are_refused(void **state)
{
    struct world *w = *state;
    struct buf good;
    envelope_bytes(&good, "bill@x.test");
    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_ERROR + 1, "test");
    for (size_t n = 0; n < good.n; n++) {
        intake_put(w->smtpd->data, &(struct msg_put){.ticket = n,
                                                     .flags = PUT_BEGIN | PUT_END,
                                                     .envelope = str_sub(buf_str(&good), 0, n),
                                                     .content = CONTENT});
        turn(w);
        assert_int_equal(done(w)->status.class, 4);
    }
    put_in_pieces(w, 1, STR("nonsense"), CONTENT, 3);
    turn(w);
    assert_int_equal(done(w)->status.class, 4);
    buf_free(&good);
}

static void hold_accepts_and_keeps(void **state)
{
    struct world *w = *state;
    w->q->config->hold = true;
    struct id id = put(w, "a@b.test", "bill@x.test");
    assert_null(next_job(w->relay));
    pass(w, 3600 * US_PER_S);
    assert_null(next_job(w->relay));
    assert_int_equal(row_count(w, id), 1);
}

static int failing_sync(const struct disk *d, int fd)
{
    return -EIO;
}

static void failed_commit_answers_451(void **state)
{
    struct world *w = *state;
    w->disk.sync = failing_sync;
    put_named(w, "a@b.test", "bill@x.test", CONTENT);
    put_named(w, "a@b.test", "carl@x.test", CONTENT);
    loop_turn(w->worker.loop, false);
    assert_int_equal(w->given_up, -EIO);
    for (int i = 0; i < 2; i++) {
        const struct msg_put_done *m = done(w);
        assert_non_null(m);
        assert_int_equal(m->status.code, 451);
    }
    assert_null(next_job(w->relay));
    assert_int_equal(events_with(w, "event="), 0);
    w->disk.sync = fast_sync;
}

static void client_line_cannot_forge_another(void **state)
{
    struct world *w = *state;
    struct arena a = ARENA_INIT;
    struct buf bytes = buf_init(KIB);
    struct str to = STR("bill@x.test");
    struct recipient one = {.address = to, .target = fake_route(to, &a)};
    struct envelope e = {.sender = STR("a@b.test"),
                         .client = STR("helo=x\ntime=1 event=bounced msg=0"),
                         .recipients = &one,
                         .recipient_count = 1};
    envelope_encode(&bytes, &e);
    intake_put(w->smtpd->data, &(struct msg_put){.ticket = 1,
                                                 .flags = PUT_BEGIN | PUT_END,
                                                 .envelope = buf_str(&bytes),
                                                 .content = CONTENT});
    turn(w);
    assert_int_equal(events_with(w, "event="), 1);
    assert_int_equal(events_with(w, "event=accepted"), 1);
    buf_free(&bytes);
    arena_free(&a);
}

static void many_recipients_take_several_lines(void **state)
{
    struct world *w = *state;
    struct buf list = buf_init(16 * KIB);
    for (int i = 0; i < 2 * EVENT_RECIPIENTS_MAX + 1; i++)
        buf_printf(&list, "u%d@x.test ", i);
    put(w, "a@b.test", buf_c(&list));
    assert_int_equal(events_with(w, "event=recipients"), 2);
    assert_int_equal(events_with(w, "to=<u40@x.test>"), 1);
    buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(put_in_pieces_of_any_size),
        IN_A_WORLD(answers_come_after_the_commit),
        IN_A_WORLD(a_slow_disk_waits_for_those_who_come_again),
        IN_A_WORLD(a_slow_disk_does_not_wait_long),
        IN_A_WORLD(what_fits_no_packet_is_a_descriptor),
        IN_A_WORLD(aborted_puts_leave_nothing),
        IN_A_WORLD(broken_envelopes_are_refused),
        IN_A_WORLD(hold_accepts_and_keeps),
        IN_A_WORLD(failed_commit_answers_451),
        IN_A_WORLD(client_line_cannot_forge_another),
        IN_A_WORLD(many_recipients_take_several_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
