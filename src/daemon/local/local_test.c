// SPDX-License-Identifier: ISC
#include "daemon/local/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static char root[128];

struct fixture {
    struct loop *loop;
    int mail_fd;
    struct local local;
    struct channel *queue; /* the queue's end */
    struct channel *ours;
    struct buf said; /* what local said to the queue */
    bool stopped, broken;
};

/* ---- the queue ---- */

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

    if (m->kind == MSG_RESULTS_TAKEN)
        hold_results_taken(&f->local.hold, m->results_taken.job);
    else
        local_job(&f->local, c, m);
}

static void ours_down(void *arg, struct channel *c, const char *why)
{
    struct fixture *f = arg;

    f->broken = true;
    hold_queue_down(&f->local.hold, c);
}

static const struct channel_events queue_events = {.on_message = queue_hears,
                                                   .on_down = queue_down};
static const struct channel_events our_events = {.on_message = ours_hears, .on_down = ours_down};

static void connect_queue(struct fixture *f)
{
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    f->queue = channel_new(f->loop, pair[0], QUEUE, LOCAL, &queue_events, f);
    f->ours = channel_new(f->loop, pair[1], LOCAL, QUEUE, &our_events, f);
    hold_queue_up(&f->local.hold, f->ours);
}

static void lose_queue(struct fixture *f)
{
    hold_queue_down(&f->local.hold, f->ours);
    channel_free(&f->queue);
    channel_free(&f->ours);
}

static void stopped(void *arg)
{
    ((struct fixture *)arg)->stopped = true;
}

static uint64_t now_us = 1800000000 * US_PER_S;

static uint64_t fake_now(const struct clock *c)
{
    return now_us;
}

static const struct clock wall = {.now_us = fake_now, .monotonic_us = fake_now};

/* Real syncs are slow, and their order is maildir_test's subject. */
static int no_sync(const struct disk *d, int fd)
{
    return 0;
}

static int full_write_at(const struct disk *d, int fd, const struct iovec *iov, int count,
                         uint64_t offset)
{
    return -ENOSPC;
}

static struct disk disk;

static const struct config config = {
    .hostname = {"mx.example.org", 14}, .full_mailbox = {"retry", 5}, .user_timeout_us = US_PER_S};

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct fixture *f = mem_new(sizeof(*f));

    disk = disk_system;
    disk.sync = no_sync;
    disk.sync_dir = no_sync;
    (void)snprintf(root, sizeof(root), "%s/troika-local-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(root))
        return -1;
    f->mail_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->said = buf_init(1 << 20);
    *state = f;
    if (loop_new(&clock_system, &f->loop) < 0 ||
        local_init(&f->local, f->loop, f->mail_fd, &disk, &wall, stopped, f) < 0)
        return -1;
    local_config(&f->local, &config);
    connect_queue(f);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    lose_queue(f);
    local_done(&f->local);
    loop_free(&f->loop);
    (void)close(f->mail_fd);
    buf_free(&f->said);
    free(f);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void turns(struct fixture *f)
{
    for (int i = 0; i < 6; i++)
        loop_turn(f->loop, false);
}

/* Until all that was given has ended, and what was said about it has arrived. */
static void finish(struct fixture *f)
{
    turns(f);
    while (f->local.hold.open_count > 0)
        loop_turn(f->loop, true);
    turns(f);
}

static void expect_said(struct fixture *f, const char *what)
{
    assert_string_equal(buf_c(&f->said), what);
    buf_reset(&f->said);
}

static size_t said_count(struct fixture *f, const char *what)
{
    struct str rest = buf_str(&f->said);
    size_t count = 0;

    for (size_t at = str_find_str(rest, str_c(what)); at < rest.n;
         at = str_find_str(rest, str_c(what))) {
        count++;
        rest = str_skip(rest, at + 1);
    }
    return count;
}

static size_t files_in(const char *mailbox)
{
    char path[300];
    size_t count = 0;

    (void)snprintf(path, sizeof(path), "%s/%s/new", root, mailbox);
    DIR *dir = opendir(path);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        count += e->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return count;
}

/* Key of a message a second younger than the process. */
static uint64_t young_key(void)
{
    return now_us - ID_EPOCH_US + US_PER_S;
}

static void send_job(struct fixture *f, uint64_t number, uint64_t key,
                     const struct job_recipient *list, size_t count)
{
    struct buf recipients = buf_init(10000);
    struct msg_job m = {.kind = MSG_JOB,
                        .job = number,
                        .key = key,
                        .node = 1,
                        .sender = STR("s@example.net"),
                        .next_hop = STR("example.org/alice"),
                        .prefix = STR("Received: x\r\n"),
                        .content = STR("Subject: y\r\n\r\nz\r\n")};

    job_recipients_encode(&recipients, list, count);
    m.recipients = buf_str(&recipients);
    channel_send(f->queue, &m);
    buf_free(&recipients);
}

static const struct job_recipient alice = {
    .number = 3, .address = {"alice@example.org", 17}, .next_hop = {"example.org/alice", 17}};
static const struct job_recipient bad = {
    .number = 4, .address = {"x@example.org", 13}, .next_hop = {"../x", 4}};

static void taken(struct fixture *f, uint64_t number)
{
    channel_send(f->queue, &(struct msg_results_taken){.kind = MSG_RESULTS_TAKEN, .job = number});
    turns(f);
}

/* ---- tests ---- */

static void test_deliver(void **state)
{
    struct fixture *f = *state;
    struct job_recipient both[] = {alice, bad};

    turns(f);
    expect_said(f, "held_end\nslots count=256\n");
    send_job(f, 1, young_key(), both, 2);
    finish(f);
    assert_int_equal(files_in("example.org/alice"), 1);
    assert_int_equal(said_count(f, "result job=1"), 2);
    assert_int_equal(said_count(f, "2.0.0 delivered to the mailbox"), 1);
    assert_int_equal(said_count(f, "4.3.5 this is no name of a mailbox"), 1);
    assert_true(str_ends(buf_str(&f->said), STR("job_end job=1\n")));
    buf_reset(&f->said);
    taken(f, 1);
    expect_said(f, "slots count=1\n");
    taken(f, 1); /* again, or unknown: nothing */
    expect_said(f, "");
}

static void test_queue_restarts(void **state)
{
    struct fixture *f = *state;

    send_job(f, 5, young_key(), &alice, 1);
    finish(f);
    lose_queue(f);
    buf_reset(&f->said);
    connect_queue(f);
    turns(f);
    assert_int_equal(said_count(f, "held job=5"), 1);
    assert_int_equal(said_count(f, "result job=5"), 1);
    assert_int_equal(said_count(f, "job_end job=5"), 1);
    assert_int_equal(said_count(f, "slots count=255"), 1);
    size_t held = str_find_str(buf_str(&f->said), STR("held job"));
    size_t held_end = str_find_str(buf_str(&f->said), STR("held_end"));
    size_t result = str_find_str(buf_str(&f->said), STR("result"));
    assert_true(held < held_end && held_end < result);
    buf_reset(&f->said);
    taken(f, 5);
    expect_said(f, "slots count=1\n");
}

static void test_queue_away_while_writing(void **state)
{
    struct fixture *f = *state;

    send_job(f, 5, young_key(), &alice, 1);
    while (f->local.hold.open_count == 0)
        loop_turn(f->loop, true);
    lose_queue(f);
    finish(f);
    buf_reset(&f->said);
    connect_queue(f);
    turns(f);
    assert_int_equal(said_count(f, "result job=5"), 1);
    assert_int_equal(files_in("example.org/alice"), 1);
}

static void test_file(void **state)
{
    struct fixture *f = *state;
    struct buf recipients = buf_init(1000);
    int fd = memfd_create("content", MFD_CLOEXEC);
    struct msg_job_file m = {.kind = MSG_JOB_FILE,
                             .job = 2,
                             .key = young_key(),
                             .next_hop = STR("example.org/alice"),
                             .offset = 2,
                             .size = 6,
                             .file = fd};

    assert_int_equal(write(fd, "12x: y\r\nnever", 13), 13);
    job_recipients_encode(&recipients, &alice, 1);
    m.recipients = buf_str(&recipients);
    channel_send(f->queue, &m);
    finish(f);
    assert_int_equal(said_count(f, "2.0.0 delivered"), 1);
    assert_int_equal(files_in("example.org/alice"), 1);
    buf_free(&recipients);
}

static void test_many(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= LOCAL_SLOTS_MAX; i++)
        send_job(f, i, young_key() + i, &alice, 1);
    while (f->local.hold.job_count < LOCAL_SLOTS_MAX || f->local.hold.open_count > 0)
        loop_turn(f->loop, true);
    while (said_count(f, "job_end") < LOCAL_SLOTS_MAX)
        loop_turn(f->loop, true);
    assert_int_equal(files_in("example.org/alice"), LOCAL_SLOTS_MAX);
    assert_int_equal(said_count(f, "job_end"), LOCAL_SLOTS_MAX);
    assert_false(f->broken);
    send_job(f, 999, young_key(), &alice, 1); /* one more than slots */
    turns(f);
    assert_true(f->broken);
}

static void test_malformed(void **state)
{
    struct fixture *f = *state;
    struct msg_job m = {.kind = MSG_JOB, .job = 1, .key = 1, .recipients = STR("\xff\xff")};

    channel_send(f->queue, &m);
    turns(f);
    assert_true(f->broken);
    assert_int_equal(f->local.hold.job_count, 0);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;

    disk.write_at = full_write_at;
    send_job(f, 1, young_key(), &alice, 1);
    finish(f);
    assert_int_equal(said_count(f, "4.3.1 the disk is full"), 1);
    assert_int_equal(files_in("example.org/alice"), 0);
}

static void test_old_message_is_not_written_twice(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i < 4; i++) {
        send_job(f, i, young_key() - 2 * US_PER_S, &alice, 1);
        finish(f);
    }
    assert_int_equal(said_count(f, "2.0.0 delivered"), 3);
    assert_int_equal(files_in("example.org/alice"), 1);
}

static void test_stop(void **state)
{
    struct fixture *f = *state;

    send_job(f, 1, young_key(), &alice, 1);
    while (f->local.hold.open_count == 0)
        loop_turn(f->loop, true);
    local_stop(&f->local);
    local_stop(&f->local);
    send_job(f, 2, young_key(), &alice, 1); /* too late: stays with the queue */
    finish(f);
    assert_true(f->stopped);
    assert_int_equal(said_count(f, "job_end job=1"), 1);
    assert_int_equal(said_count(f, "job=2"), 0);
}

static void test_stop_when_idle(void **state)
{
    struct fixture *f = *state;

    local_stop(&f->local);
    assert_true(f->stopped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deliver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_away_while_writing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_message_is_not_written_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_when_idle, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
