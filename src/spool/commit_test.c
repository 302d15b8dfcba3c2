/* spool/commit_test.c - every durable step fails once, or from then on: what was promised is there
 * when the spool is opened again, what was refused is not, and nothing is there by half. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdatomic.h>

#include "spool/test_spool.h"

/* A disk whose fail_at'th step goes wrong. It belongs to one test at a time. */
static struct {
    atomic_uint calls;
    unsigned fail_at; /* from 1; 0: never */
    bool from_then_on;
    int error;
    sqlite3 *grows; /* its page limit goes when room is given back */
} fault;

static bool fails(void)
{
    unsigned n = atomic_fetch_add(&fault.calls, 1) + 1;

    return fault.fail_at && (n == fault.fail_at || (fault.from_then_on && n > fault.fail_at));
}

static int fault_open(const struct disk *d, int dir_fd, const char *name, int flags, unsigned mode)
{
    return fails() ? fault.error : disk_system.open(&disk_system, dir_fd, name, flags, mode);
}

/* Half of it arrives. */
static int fault_write_at(const struct disk *d, int fd, const struct iovec *iov, int iov_count,
                          uint64_t offset)
{
    if (!fails())
        return disk_system.write_at(&disk_system, fd, iov, iov_count, offset);
    struct iovec half = {.iov_base = iov[0].iov_base, .iov_len = iov[0].iov_len / 2};
    (void)disk_system.write_at(&disk_system, fd, &half, 1, offset);
    return fault.error;
}

static int fault_allocate(const struct disk *d, int fd, uint64_t bytes)
{
    return fails() ? fault.error : disk_system.allocate(&disk_system, fd, bytes);
}

static int fault_truncate(const struct disk *d, int fd, uint64_t bytes)
{
    if (fault.grows)
        (void)sqlite3_exec(fault.grows, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL);
    return fails() ? fault.error : disk_system.truncate(&disk_system, fd, bytes);
}

static int fault_sync(const struct disk *d, int fd)
{
    return fails() ? fault.error : disk_system.sync(&disk_system, fd);
}

static int fault_sync_dir(const struct disk *d, int dir_fd)
{
    return fails() ? fault.error : disk_system.sync_dir(&disk_system, dir_fd);
}

static int fault_rename(const struct disk *d, int from_dir_fd, const char *from, int to_dir_fd,
                        const char *to)
{
    return fails() ? fault.error
                   : disk_system.rename(&disk_system, from_dir_fd, from, to_dir_fd, to);
}

static int fault_unlink(const struct disk *d, int dir_fd, const char *name)
{
    return fails() ? fault.error : disk_system.unlink(&disk_system, dir_fd, name);
}

static int fault_make_dir(const struct disk *d, int dir_fd, const char *name, unsigned mode)
{
    return fails() ? fault.error : disk_system.make_dir(&disk_system, dir_fd, name, mode);
}

static void fault_close(const struct disk *d, int fd)
{
    disk_system.close(&disk_system, fd);
}

static const struct disk fault_disk = {
    .open = fault_open,
    .write_at = fault_write_at,
    .allocate = fault_allocate,
    .truncate = fault_truncate,
    .sync = fault_sync,
    .sync_dir = fault_sync_dir,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .make_dir = fault_make_dir,
    .close = fault_close,
};

/* ---- the story ---- */

enum fate { REFUSED, UNKNOWN, PROMISED, ENDING, ENDED };
enum { SMALL_COUNT = 3, LARGE = SMALL_COUNT, MESSAGE_COUNT, LARGE_BYTES = 300000 };

struct story {
    struct test_spool t;
    struct loop *loop;
    struct id ids[MESSAGE_COUNT];
    enum fate fates[MESSAGE_COUNT];
};

static char large_bytes[LARGE_BYTES];
static const char *const texts[] = {"first", "second", "third"};

static struct str text_of(int which)
{
    return which == LARGE ? str_n(large_bytes, sizeof(large_bytes)) : str_c(texts[which]);
}

static void on_synced(void *arg, int error)
{
    *(int *)arg = -error;
}

static int sync_entry(struct story *y, struct spool_entry *m)
{
    int result = 1;
    int r = spool_sync(m, y->loop, on_synced, &result);

    if (r != -EAGAIN)
        return r;
    while (result == 1)
        loop_turn(y->loop, true);
    return result;
}

static int put_large(struct story *y)
{
    struct recipient to = test_recipient("bill@example.org", "mx:25");
    struct envelope e = {.recipient_count = 1, .recipients = &to};
    struct spool_terms terms = {0};
    struct spool_entry *m;
    int r = spool_begin(y->t.s, &e, 0, &m);

    if (r < 0)
        return r;
    r = spool_write(m, text_of(LARGE));
    if (r == 0)
        r = sync_entry(y, m);
    if (r == 0)
        return spool_add(&m, STR(""), &terms, &y->ids[LARGE]);
    spool_abort(&m);
    return r;
}

static void put(struct story *y, int which)
{
    struct test_spool *t = &y->t;
    int r = which == LARGE ? put_large(y)
                           : test_put(t, "mx:25", text_of(which), t->clock.now_us, &y->ids[which]);

    y->fates[which] = r == 0 ? UNKNOWN : REFUSED;
}

static void end(struct story *y, int which)
{
    if (y->fates[which] == PROMISED && spool_end_recipient(y->t.s, y->ids[which].key, 1) == 0)
        y->fates[which] = ENDING;
}

static void commit(struct story *y)
{
    int r = spool_commit(y->t.s);
    struct spool_entry *m;
    struct envelope none = {0};

    for (int i = 0; i < MESSAGE_COUNT; i++)
        if (r == 0 && y->fates[i] == UNKNOWN)
            y->fates[i] = PROMISED;
        else if (r == 0 && y->fates[i] == ENDING)
            y->fates[i] = ENDED;
    if (r == 0)
        return;
    assert_int_equal(spool_begin(y->t.s, &none, 0, &m), -EIO); /* broken for good */
    assert_int_equal(spool_commit(y->t.s), -EIO);
    assert_false(spool_accepts(y->t.s));
}

static void tell(struct story *y)
{
    put(y, 0);
    commit(y);
    put(y, 1);
    put(y, LARGE);
    commit(y);
    end(y, 0);
    put(y, 2);
    commit(y);
    end(y, LARGE);
    commit(y);
}

static bool is_whole(struct test_spool *t, struct id id, struct str want)
{
    struct str found = {0};
    int fd = -1;

    if (want.n != LARGE_BYTES)
        return spool_content(t->s, id.key, &t->arena, &found) == 0 && str_eq(found, want);
    if (spool_content_fd(t->s, id.key, &fd) < 0)
        return false;
    char *p = arena_alloc(&t->arena, want.n);
    bool whole = disk_read_at(fd, p, want.n, 0) == 0 && str_eq(str_n(p, want.n), want);
    (void)close(fd);
    return whole;
}

static void expect_fate(struct story *y, int which)
{
    struct test_spool *t = &y->t;
    struct spool_message m;
    int r = spool_message(t->s, y->ids[which].key, &t->arena, &m);
    enum fate fate = y->fates[which];

    assert_true(r == 0 || r == -ENOENT);
    if (fate == PROMISED)
        assert_int_equal(r, 0);
    if (fate == REFUSED || fate == ENDED)
        assert_int_equal(r, -ENOENT);
    if (r == 0)
        assert_true(is_whole(t, y->ids[which], text_of(which)));
}

static void expect_all(struct story *y)
{
    struct test_spool *t = &y->t;
    struct spool_counts counts;
    struct spool_message m;
    size_t message_count = 0;

    for (int i = 0; i < MESSAGE_COUNT; i++) {
        expect_fate(y, i);
        message_count +=
            y->ids[i].key != 0 && spool_message(t->s, y->ids[i].key, &t->arena, &m) == 0;
    }
    bool large = spool_message(t->s, y->ids[LARGE].key, &t->arena, &m) == 0;
    assert_int_equal(test_count_files(t, "large"), large);
    assert_int_equal(spool_counts(t->s, &counts), 0);
    assert_int_equal(counts.message_count, message_count);
    assert_int_equal(counts.recipient_count, message_count);
}

/* True: the fault came. */
static bool tell_with_fault(unsigned fail_at, bool from_then_on, int error, uint32_t row_bytes_max)
{
    struct story y = {0};
    struct test_spool *t = &y.t;

    test_setup(t);
    t->options.row_bytes_max = row_bytes_max;
    assert_int_equal(loop_new(&clock_system, &y.loop), 0);
    t->options.disk = &fault_disk;
    fault.calls = 0;
    fault.fail_at = fail_at;
    fault.from_then_on = from_then_on;
    fault.error = error;
    if (spool_open(t->dir_fd, &t->options, &t->s) == 0)
        tell(&y);
    bool came = fault.calls >= fail_at;
    fault.fail_at = 0;
    spool_close(&t->s);
    t->options.disk = &disk_system;
    test_reopen(t);
    expect_all(&y);
    struct id after = test_put_now(t, "mx:25", "after");
    test_commit(t);
    test_reopen(t);
    assert_true(test_has(t, after, "after"));
    loop_free(&y.loop);
    test_stop(t);
    return came;
}

static void every_step(uint32_t row_bytes_max)
{
    static const int errors[] = {-EIO, -ENOSPC};
    unsigned n;

    for (size_t i = 0; i < countof(large_bytes); i++)
        large_bytes[i] = (char)(i * 7 >> 2);
    for (size_t e = 0; e < countof(errors); e++)
        for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
            for (n = 1; tell_with_fault(n, from_then_on, errors[e], row_bytes_max); n++)
                assert_true(n < 1000);
            assert_true(n > (row_bytes_max == 1 ? 20 : 10));
        }
}

static void test_every_step(void **state)
{
    every_step(1);
}

/* All content is in rows, or that of some batches. */
static void test_every_step_with_rows(void **state)
{
    every_step(0);
    every_step(12);
}

/* ---- a full disk ---- */

static void start_faulty(struct test_spool *t)
{
    fault.fail_at = 0;
    fault.grows = NULL;
    test_setup(t);
    t->options.disk = &fault_disk;
    test_reopen(t);
}

static void limit_database(struct test_spool *t)
{
    /* The limit cannot be below what there is: this means "not one page more". */
    assert_int_equal(sqlite3_exec(t->s->db.handle, "PRAGMA max_page_count = 1", NULL, NULL, NULL),
                     SQLITE_OK);
}

static struct str long_content(void)
{
    static char bytes[3000];

    memset(bytes, 'x', sizeof(bytes));
    return str_n(bytes, sizeof(bytes));
}

/* Rows do not fit; the reserve is given back; the same batch is made durable after all. */
static void test_reserve_saves(void **state)
{
    struct test_spool t;
    struct id ids[200];

    start_faulty(&t);
    struct id before = test_put_now(&t, "mx:25", "before");
    test_commit(&t);
    limit_database(&t);
    fault.grows = t.s->db.handle;
    for (size_t i = 0; i < countof(ids); i++)
        assert_int_equal(
            test_put(&t, i % 3 ? "new:25" : "mx:25", long_content(), t.clock.now_us, &ids[i]), 0);
    assert_int_equal(spool_end_recipient(t.s, before.key, 1), 0);
    assert_int_equal(spool_event(t.s, STR("event=x")), 0);
    test_commit(&t);
    assert_false(spool_accepts(t.s)); /* until there is a reserve again */
    t.options.disk = &disk_system;
    test_reopen(&t);
    struct spool_counts counts;
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.message_count, countof(ids));
    assert_int_equal(counts.recipient_count, countof(ids));
    assert_int_equal(counts.destination_count, 2);
    for (size_t i = 0; i < countof(ids); i++)
        assert_true(is_whole(&t, ids[i], long_content()));
    test_stop(&t);
}

static void test_full_for_good(void **state)
{
    struct test_spool t;
    struct id id;

    start_faulty(&t);
    struct id before = test_put_now(&t, "mx:25", "before");
    test_commit(&t);
    limit_database(&t);
    for (int i = 0; i < 200; i++)
        assert_int_equal(test_put(&t, "mx:25", long_content(), t.clock.now_us, &id), 0);
    assert_int_equal(spool_commit(t.s), -ENOSPC);
    assert_int_equal(spool_commit(t.s), -EIO);
    t.options.disk = &disk_system;
    test_reopen(&t);
    struct spool_counts counts;
    assert_int_equal(spool_counts(t.s, &counts), 0);
    assert_int_equal(counts.message_count, 1);
    assert_true(test_has(&t, before, "before"));
    test_stop(&t);
}

/* No room for another segment: that message is refused, the batch and the spool go on. */
static void test_no_segment(void **state)
{
    struct test_spool t;
    struct id id;

    start_faulty(&t);
    fault.calls = 0;
    fault.fail_at = 2; /* 1: the file is made; 2: its room */
    fault.error = -ENOSPC;
    fault.from_then_on = false;
    assert_int_equal(test_put(&t, "mx:25", STR("refused"), t.clock.now_us, &id), -ENOSPC);
    struct id taken = test_put_now(&t, "mx:25", "taken");
    test_commit(&t);
    assert_true(test_has(&t, taken, "taken"));
    assert_int_equal(test_count_files(&t, "segments"), 1);
    test_stop(&t);
}

/* A large file whose sync meets a full disk is that message's trouble; another failure is ours. */
static void test_sync_failures(void **state)
{
    static const struct {
        int error;
        bool broken;
    } table[] = {{-ENOSPC, false}, {-EIO, true}};

    for (size_t i = 0; i < countof(table); i++) {
        struct recipient to = test_recipient("bill@example.org", "mx:25");
        struct envelope e = {.recipient_count = 1, .recipients = &to};
        struct spool_terms terms = {0};
        struct spool_entry *m;
        struct story y = {0};

        start_faulty(&y.t);
        assert_int_equal(loop_new(&clock_system, &y.loop), 0);
        assert_int_equal(spool_begin(y.t.s, &e, 0, &m), 0);
        assert_int_equal(spool_write(m, text_of(LARGE)), 0);
        fault.calls = 0;
        fault.fail_at = 1;
        fault.error = table[i].error;
        assert_int_equal(sync_entry(&y, m), table[i].error);
        int wanted = table[i].broken ? -EIO : table[i].error;
        assert_int_equal(spool_add(&m, STR(""), &terms, &y.ids[0]), wanted);
        assert_null(m);
        assert_int_equal(spool_accepts(y.t.s), !table[i].broken);
        spool_close(&y.t.s);
        loop_free(&y.loop);
        test_stop(&y.t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step),    cmocka_unit_test(test_every_step_with_rows),
        cmocka_unit_test(test_reserve_saves), cmocka_unit_test(test_full_for_good),
        cmocka_unit_test(test_no_segment),    cmocka_unit_test(test_sync_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
