// SPDX-License-Identifier: ISC
#include "ipc/hold.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/check.h"

enum { SLOTS = 3 };

struct fixture {
    struct loop *loop;
    struct hold hold;
    struct channel *queue; /* the queue's end */
    struct channel *ours;
    struct buf said; /* what the queue heard */
    struct hold_job *last;
    const char *broken;
};

static size_t freed;

static void job_free(struct hold_job *j)
{
    hold_job_done(j);
    free(j);
    freed++;
}

static void queue_hears(void *arg, struct channel *c, union message *m)
{
    struct fixture *f = arg;
    struct buf line = buf_init(2000);

    message_print(&line, m);
    buf_add(&f->said, buf_str(&line));
    buf_add_char(&f->said, '\n');
    buf_free(&line);
}

static void queue_down(void *arg, struct channel *c, const char *why) {}

static void ours_hears(void *arg, struct channel *c, union message *m)
{
    struct fixture *f = arg;

    if (m->kind == MSG_RESULTS_TAKEN) {
        hold_results_taken(&f->hold, m->results_taken.job);
        return;
    }
    struct hold_job *j = mem_new(sizeof *j);
    if (!hold_job_init(j, m)) {
        free(j);
        j = NULL;
    }
    f->last = hold_add(&f->hold, c, j) ? j : NULL;
}

static void ours_down(void *arg, struct channel *c, const char *why)
{
    struct fixture *f = arg;

    f->broken = why;
    hold_queue_down(&f->hold, c);
}

static void queue_begins(struct fixture *f)
{
    static const struct channel_events queue_events = {.on_message = queue_hears,
                                                       .on_down = queue_down};
    static const struct channel_events our_events = {.on_message = ours_hears,
                                                     .on_down = ours_down};
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    f->queue = channel_new(f->loop, pair[0], QUEUE, RELAY, &queue_events, f);
    f->ours = channel_new(f->loop, pair[1], RELAY, QUEUE, &our_events, f);
    hold_queue_up(&f->hold, f->ours);
}

static void queue_ends(struct fixture *f)
{
    hold_queue_down(&f->hold, f->ours);
    channel_free(&f->queue);
    channel_free(&f->ours);
}

static void turns(struct fixture *f)
{
    for (int i = 0; i < 6; i++)
        loop_turn(f->loop, false);
}

static void expect_said(struct fixture *f, const char *what)
{
    turns(f);
    assert_string_equal(buf_c(&f->said), what);
    buf_reset(&f->said);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof *f);

    freed = 0;
    f->said = buf_init(100 * KIB);
    *state = f;
    if (loop_new(&clock_system, &f->loop) < 0)
        return -1;
    hold_init(&f->hold, f->loop, SLOTS, job_free);
    queue_begins(f);
    expect_said(f, "held_end\nslots count=3\n");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    queue_ends(f);
    hold_done(&f->hold);
    loop_free(&f->loop);
    buf_free(&f->said);
    free(f);
    return 0;
}

static const struct job_recipient list[] = {{3, {"a@example.net", 13}, {"hop", 3}},
                                            {4, {"b@example.net", 13}, {"hop", 3}}};

static void give(struct fixture *f, uint64_t number)
{
    struct buf recipients = buf_init(KIB);
    struct msg_job m = {.kind = MSG_JOB,
                        .job = number,
                        .key = 7,
                        .node = 9,
                        .sender = STR("s@example.net"),
                        .next_hop = STR("hop"),
                        .prefix = STR("Received: x\r\n"),
                        .body = BODY_BINARY,
                        .content = STR("Subject: y\r\n\r\nz\r\n")};

    job_recipients_encode(&recipients, list, countof(list));
    m.recipients = buf_str(&recipients);
    channel_send(f->queue, &m);
    buf_free(&recipients);
    turns(f);
}

static void taken(struct fixture *f, uint64_t number)
{
    channel_send(f->queue, &(struct msg_results_taken){.kind = MSG_RESULTS_TAKEN, .job = number});
    turns(f);
}

static void end(struct fixture *f, struct hold_job *j)
{
    j->results[0] = status_make(250, 2, 0, 0, STR("taken"));
    j->results[1] = status_make(450, 4, 2, 0, STR("later"));
    j->next_hop_failed = true;
    j->host = arena_copy(&j->arena, STR("mx"));
    j->reports = true;
    j->tls = STR("plain");
    hold_ended(&f->hold, j);
}

/* ---- tests ---- */

static void test_job(void **state)
{
    struct fixture *f = *state;

    give(f, 1);
    const struct hold_job *j = f->last;
    assert_non_null(j);
    assert_int_equal(j->number, 1);
    assert_int_equal(j->id.key, 7);
    assert_int_equal(j->id.node, 9);
    assert_true(str_eq_c(j->sender, "s@example.net"));
    assert_true(str_eq_c(j->prefix, "Received: x\r\n"));
    assert_true(str_eq_c(j->next_hop, "hop"));
    assert_true(str_eq_c(j->content, "Subject: y\r\n\r\nz\r\n"));
    assert_int_equal(j->body, BODY_BINARY);
    assert_int_equal(j->content_fd, -1);
    assert_int_equal(j->recipient_count, 2);
    assert_true(str_eq_c(j->recipients[1].address, "b@example.net"));
    assert_int_equal(j->results[0].class, 0);
}

static void test_job_file(void **state)
{
    struct fixture *f = *state;
    struct buf recipients = buf_init(KIB);
    struct msg_job_file m = {.kind = MSG_JOB_FILE,
                             .job = 2,
                             .offset = 5,
                             .size = 6,
                             .file = memfd_create("content", MFD_CLOEXEC)};

    job_recipients_encode(&recipients, list, 1);
    m.recipients = buf_str(&recipients);
    channel_send(f->queue, &m);
    turns(f);
    struct hold_job *j = f->last;
    int fd = j->content_fd;
    assert_true(fcntl(fd, F_GETFD) >= 0);
    assert_int_equal(j->content_offset, 5);
    assert_int_equal(j->content_bytes, 6);
    assert_int_equal(j->content.n, 0);
    hold_ended(&f->hold, j); /* the content is given up, the job is not */
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(f->hold.job_count, 1);
    buf_free(&recipients);
}

static const char results[] = "result job=1 key=7 number=3 status=\"250 2.0.0 taken\" "
                              "next_hop_failed=0 reports=1 host=mx tls=plain detail=\"\"\n"
                              "result job=1 key=7 number=4 status=\"450 4.2.0 later\" "
                              "next_hop_failed=1 reports=1 host=mx tls=plain detail=\"\"\n"
                              "job_end job=1\n";

static void test_results_are_kept_until_taken(void **state)
{
    struct fixture *f = *state;

    give(f, 1);
    taken(f, 1); /* too early: means nothing */
    assert_int_equal(f->hold.job_count, 1);
    assert_int_equal(f->hold.open_count, 1);
    end(f, f->last);
    assert_int_equal(f->hold.open_count, 0);
    expect_said(f, results);
    taken(f, 77);
    expect_said(f, "");
    taken(f, 1);
    expect_said(f, "slots count=1\n");
    taken(f, 1);
    expect_said(f, "");
    assert_int_equal(freed, 1);
}

static void test_new_queue(void **state)
{
    struct fixture *f = *state;

    give(f, 1);
    struct hold_job *first = f->last;
    give(f, 2);
    queue_ends(f);
    end(f, first); /* nobody hears it */
    queue_begins(f);
    turns(f);
    struct str said = buf_str(&f->said);
    size_t held_1 = str_find_str(said, STR("held job=1 key=7 next_hop=hop recipients="));
    size_t held_2 = str_find_str(said, STR("held job=2"));
    size_t held_end = str_find_str(said, STR("held_end"));
    size_t at = str_find_str(said, str_c(results));
    assert_true(held_1 < held_2 && held_2 < held_end && held_end < at && at < said.n);
    assert_true(str_ends(said, STR("job_end job=1\nslots count=1\n")));
    assert_true(str_find_str(said, STR("job_end job=2")) == said.n);
}

static void test_more_than_slots(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= SLOTS; i++)
        give(f, i);
    assert_null(f->broken);
    give(f, SLOTS + 1);
    assert_string_equal(f->broken, "more jobs than slots");
    assert_int_equal(f->hold.job_count, SLOTS);
    assert_int_equal(freed, 1);
}

static void test_malformed(void **state)
{
    static const char *const cases[] = {"\xff\xff", ""};

    struct fixture *f = *state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct msg_job m = {.kind = MSG_JOB, .job = 1, .recipients = str_c(cases[i])};

        f->broken = NULL;
        channel_send(f->queue, &m);
        turns(f);
        assert_string_equal(f->broken, "malformed job");
        assert_int_equal(f->hold.job_count, 0);
        queue_ends(f);
        queue_begins(f);
    }
}

static void test_stopping(void **state)
{
    struct fixture *f = *state;

    give(f, 1);
    struct hold_job *j = f->last;
    hold_stop(&f->hold);
    give(f, 2); /* too late: stays with the queue */
    assert_null(f->last);
    assert_null(f->broken);
    assert_int_equal(f->hold.job_count, 1);
    end(f, j);
    expect_said(f, results);
    taken(f, 1);
    expect_said(f, ""); /* no slots */
    assert_int_equal(f->hold.job_count, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_job),
        STORY(test_job_file),
        STORY(test_results_are_kept_until_taken),
        STORY(test_new_queue),
        STORY(test_more_than_slots),
        STORY(test_malformed),
        STORY(test_stopping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
