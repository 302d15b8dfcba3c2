// SPDX-License-Identifier: ISC
#include "daemon/deliver/deliver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "daemon/deliver/place.h"

static char root[128];

struct fixture {
    struct deliver deliver;
    struct channel *local; /* local's end */
    struct buf said;
    bool broken;
};

static uint64_t now_us = 1800000000 * US_PER_S;

static uint64_t fake_now(const struct clock *c)
{
    return now_us;
}

static const struct clock wall = {.now_us = fake_now, .monotonic_us = fake_now};
static struct disk disk;

static int quick_sync(const struct disk *d, int fd)
{
    return 0;
}

static int no_quota(const struct disk *d, int fd, const struct iovec *iov, int count,
                    uint64_t offset)
{
    return -EDQUOT;
}

static void local_hears(void *arg, struct channel *c, union message *m)
{
    struct fixture *f = arg;
    struct buf line = buf_init(2000);

    message_print(&line, m);
    buf_add(&f->said, buf_str(&line));
    buf_add_char(&f->said, '\n');
    buf_free(&line);
}

static void helper_hears(void *arg, struct channel *c, union message *m)
{
    struct fixture *f = arg;

    deliver_job(&f->deliver, c, m);
}

static void local_down(void *arg, struct channel *c, const char *why) {}

static void helper_down(void *arg, struct channel *c, const char *why)
{
    ((struct fixture *)arg)->broken = true;
}

static const struct channel_events local_events = {.on_message = local_hears,
                                                   .on_down = local_down};
static const struct channel_events helper_events = {.on_message = helper_hears,
                                                    .on_down = helper_down};

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct fixture *f = mem_new(sizeof *f);
    struct deliver *d = &f->deliver;
    int pair[2];

    disk = disk_system;
    disk.sync = disk.sync_dir = quick_sync;
    (void)snprintf(root, sizeof root, "%s/troika-deliver-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(root) || channel_pair(pair) < 0 || loop_new(&clock_system, &d->loop) < 0)
        return -1;
    d->wall = &wall;
    d->disk = &disk;
    d->hostname = STR("mx.example.org");
    d->detail = STR("mailbox=/x");
    d->maildir_fd = -1;
    f->local = channel_new(d->loop, pair[0], LOCAL, DELIVER, &local_events, f);
    d->channel = channel_new(d->loop, pair[1], DELIVER, LOCAL, &helper_events, f);
    f->said = buf_init(100 * KIB);
    deliver_init(d);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    deliver_done(&f->deliver);
    channel_free(&f->local);
    channel_free(&f->deliver.channel);
    loop_free(&f->deliver.loop);
    if (f->deliver.maildir_fd >= 0)
        (void)close(f->deliver.maildir_fd);
    buf_free(&f->said);
    free(f);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void give(struct fixture *f, uint64_t number, uint64_t age_us)
{
    static const struct job_recipient list[] = {{3, {"al+x@example.net", 16}, {"~al", 3}},
                                                {4, {"al@example.net", 14}, {"~al", 3}}};
    struct buf recipients = buf_init(KIB);
    struct msg_user_job m = {.kind = MSG_USER_JOB,
                             .job = number,
                             .key = now_us - ID_EPOCH_US - age_us + number,
                             .sender = STR("s@example.net"),
                             .next_hop = STR("~al"),
                             .prefix = STR("Received: x\r\n"),
                             .content = STR("Subject: y\r\n\r\nz\r\n")};

    job_recipients_encode(&recipients, list, countof(list));
    m.recipients = buf_str(&recipients);
    channel_send(f->local, &m);
    buf_free(&recipients);
}

static void turns(struct fixture *f)
{
    for (int i = 0; i < 6; i++)
        loop_turn(f->deliver.loop, false);
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

static size_t files_in(const char *folder)
{
    char path[300];
    size_t count = 0;

    (void)snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        count += e->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return count;
}

static int open_place(struct fixture *f, const char *below, struct status *why)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s%s", root, below);
    return place_open(&disk, str_c(root), str_c(path), &f->deliver.maildir_fd, why);
}

/* ---- tests ---- */

static void test_deliver(void **state)
{
    struct fixture *f = *state;
    struct status why;
    struct stat st;
    char path[300];

    assert_int_equal(open_place(f, "/mail/Maildir", &why), 0);
    give(f, 1, 0);
    give(f, 2, 0);
    turns(f);
    assert_int_equal(files_in("mail/Maildir/new"), 4);
    assert_int_equal(files_in("mail/Maildir/tmp"), 0);
    assert_int_equal(said_count(f, "2.0.0 delivered to the mailbox"), 4);
    assert_int_equal(said_count(f, "detail=\"mailbox=/x\""), 4);
    assert_true(str_ends(buf_str(&f->said), STR("user_job_end job=2\n")));
    (void)snprintf(path, sizeof path, "%s/mail/Maildir/cur", root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    (void)snprintf(path, sizeof path, "%s/mail", root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_an_old_message_is_looked_for(void **state)
{
    struct fixture *f = *state;
    struct status why;

    assert_int_equal(open_place(f, "/Maildir", &why), 0);
    for (int i = 0; i < 3; i++) {
        give(f, 1, DELIVER_SEEN_US + US_PER_S);
        turns(f);
    }
    assert_int_equal(said_count(f, "2.0.0 delivered"), 6);
    assert_int_equal(files_in("Maildir/new"), 2);
}

static void test_quota(void **state)
{
    struct fixture *f = *state;
    struct status why;

    assert_int_equal(open_place(f, "/Maildir", &why), 0);
    disk.write_at = no_quota;
    give(f, 1, 0);
    turns(f);
    assert_int_equal(said_count(f, "4.2.2 the mailbox is over its quota"), 2);
    assert_int_equal(files_in("Maildir/new") + files_in("Maildir/tmp"), 0);
}

static void test_trouble_is_told_of_each(void **state)
{
    struct fixture *f = *state;

    f->deliver.trouble = status_make(0, 4, 2, 1, STR("gone fishing"));
    give(f, 1, 0);
    turns(f);
    assert_int_equal(said_count(f, "4.2.1 gone fishing"), 2);
    assert_int_equal(said_count(f, "user_job_end job=1"), 1);
}

static void test_malformed(void **state)
{
    struct fixture *f = *state;
    struct msg_user_job m = {.kind = MSG_USER_JOB, .job = 1, .recipients = STR("\xff\xff")};

    channel_send(f->local, &m);
    turns(f);
    assert_true(f->broken);
}

static void test_places(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *below;
        int error;
        uint8_t subject, detail;
    } cases[] = {
        {"/file/Maildir", -ENOTDIR, 2, 0},
        {"/fifo", -ENOTDIR, 2, 0}, /* and nothing hangs */
        {"/loop", -ELOOP, 2, 0},
        {"/dangling", -ENOENT, 2, 0},
    };
    struct status why;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/file", root);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    (void)snprintf(path, sizeof path, "%s/fifo", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)snprintf(path, sizeof path, "%s/loop", root);
    assert_int_equal(symlink(path, path), 0);
    (void)snprintf(path, sizeof path, "%s/dangling", root);
    assert_int_equal(symlink("nowhere/at/all", path), 0);
    for (size_t i = 0; i < countof(cases); i++) {
        assert_int_equal(open_place(f, cases[i].below, &why), cases[i].error);
        assert_int_equal(why.class, 4);
        assert_int_equal(why.subject, cases[i].subject);
        assert_int_equal(why.detail, cases[i].detail);
        assert_non_null(strstr(why.text, root));
    }
    assert_int_equal(place_open(&disk, STR("/no/such/home"), STR("/no/such/home/Maildir"),
                                &f->deliver.maildir_fd, &why),
                     -ENOENT);
    assert_int_equal(why.detail, 1);
    assert_string_equal(why.text, "/no/such/home: No such file or directory");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_deliver),   STORY(test_an_old_message_is_looked_for),
        STORY(test_quota),     STORY(test_trouble_is_told_of_each),
        STORY(test_malformed), STORY(test_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
