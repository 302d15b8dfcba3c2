// SPDX-License-Identifier: ISC
#include "mailbox/maildir.h"

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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

static char root[128];
static int mail_fd;

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(root, sizeof(root), "%s/troika-maildir-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(root))
        return -1;
    mail_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return mail_fd < 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    (void)close(mail_fd);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a disk that fails at will and notes its steps ---- */

static struct {
    struct disk disk; /* first: struct disk * is a pointer to this */
    int fail_open, fail_write, fail_sync, fail_sync_dir, fail_rename; /* errors to give */
    int calls_left; /* then the machine is gone: nothing happens any more; -1: never */
    struct buf steps;
} fake;

static bool gone(const char *step)
{
    buf_printf(&fake.steps, "%s ", step);
    if (fake.calls_left == 0)
        return true;
    if (fake.calls_left > 0)
        fake.calls_left--;
    return false;
}

static const struct disk *const real = &disk_system;

static int fake_open(const struct disk *d, int dir_fd, const char *name, int flags, unsigned mode)
{
    if (gone(flags & O_CREAT ? "create" : "open"))
        return -EIO;
    if (fake.fail_open && flags & O_CREAT)
        return fake.fail_open;
    return real->open(real, dir_fd, name, flags, mode);
}

static int fake_write_at(const struct disk *d, int fd, const struct iovec *iov, int count,
                         uint64_t offset)
{
    if (gone("write"))
        return -EIO;
    return fake.fail_write ? fake.fail_write : real->write_at(real, fd, iov, count, offset);
}

static int fake_sync(const struct disk *d, int fd)
{
    return gone("sync") ? -EIO : fake.fail_sync;
}

static int fake_sync_dir(const struct disk *d, int fd)
{
    return gone("sync-dir") ? -EIO : fake.fail_sync_dir;
}

static int fake_rename(const struct disk *d, int from_fd, const char *from, int to_fd,
                       const char *to)
{
    if (gone("rename"))
        return -EIO;
    return fake.fail_rename ? fake.fail_rename : real->rename(real, from_fd, from, to_fd, to);
}

static int fake_unlink(const struct disk *d, int dir_fd, const char *name)
{
    return gone("unlink") ? -EIO : real->unlink(real, dir_fd, name);
}

static int fake_make_dir(const struct disk *d, int dir_fd, const char *name, unsigned mode)
{
    return gone("make") ? -EIO : real->make_dir(real, dir_fd, name, mode);
}

static void fake_close(const struct disk *d, int fd)
{
    real->close(real, fd);
}

static int fake_setup(void **state)
{
    fake.fail_open = fake.fail_write = fake.fail_sync = fake.fail_sync_dir = fake.fail_rename = 0;
    fake.calls_left = -1;
    fake.steps = buf_init(1 << 20);
    fake.disk = (struct disk){.open = fake_open,
                              .write_at = fake_write_at,
                              .sync = fake_sync,
                              .sync_dir = fake_sync_dir,
                              .rename = fake_rename,
                              .unlink = fake_unlink,
                              .make_dir = fake_make_dir,
                              .close = fake_close};
    return setup(state);
}

static int fake_teardown(void **state)
{
    buf_free(&fake.steps);
    return teardown(state);
}

/* ---- looking at the result ---- */

static size_t count_files(const char *folder, char *last, size_t room)
{
    char path[300];
    size_t count = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (e->d_name[0] != '.') {
            count++;
            if (last)
                (void)snprintf(last, room, "%s/%s", folder, e->d_name);
        }
    (void)closedir(dir);
    return count;
}

static size_t count_in(const char *folder)
{
    return count_files(folder, NULL, 0);
}

/* The only file of the folder is this. */
static void expect_file(const char *folder, struct str want)
{
    struct buf b = buf_init(1 << 20);
    char name[300] = "";
    char size[40];

    assert_int_equal(count_files(folder, name, sizeof(name)), 1);
    assert_int_equal(file_read(mail_fd, name, 1 << 20, &b), 0);
    assert_int_equal(b.n, want.n);
    assert_memory_equal(b.p, want.p, want.n);
    (void)snprintf(size, sizeof(size), ",S=%zu", want.n);
    assert_non_null(strstr(name, size));
    buf_free(&b);
}

static struct maildir_source message(const char *content)
{
    return (struct maildir_source){.id = {.key = 12345, .node = 6},
                                   .sender = STR("s@example.net"),
                                   .prefix = STR("Received: by us\r\n"),
                                   .content = str_c(content),
                                   .content_fd = -1};
}

static struct status deliver(const struct disk *d, const char *mailbox, uint32_t number,
                             const struct maildir_source *m)
{
    struct maildir_batch *b = maildir_begin(mail_fd, d, STR("mx.example.org"));
    struct status st = {0};

    maildir_write(b, str_c(mailbox), STR("alice@example.org"), number, m, &st);
    maildir_commit(&b);
    assert_null(b);
    return st;
}

static void expect_status(struct status st, const char *enhanced)
{
    struct buf b = buf_init(100);

    status_print_enhanced(&b, &st);
    assert_string_equal(buf_c(&b), enhanced);
    assert_true(st.text[0] != 0);
    buf_free(&b);
}

#define HEAD "Return-Path: <s@example.net>\nDelivered-To: alice@example.org\nReceived: by us\n"

/* ---- tests ---- */

static void test_deliver(void **state)
{
    struct maildir_source m = message("Subject: x\r\n\r\ntext\r\n");
    struct stat st;
    char name[300];

    expect_status(deliver(real, "example.org/alice", 7, &m), "2.0.0");
    expect_file("example.org/alice/new", STR(HEAD "Subject: x\n\ntext\n"));
    assert_int_equal(count_in("example.org/alice/tmp"), 0);
    assert_int_equal(count_files("example.org/alice/new", name, sizeof(name)), 1);
    assert_non_null(strstr(name, ".7.mx.example.org,S="));
    assert_non_null(strstr(name, id_print(m.id).p));
    assert_int_equal(fstatat(mail_fd, name, &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fstatat(mail_fd, "example.org/alice/cur", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    expect_status(deliver(real, "postmaster", 8, &m), "2.0.0");
    assert_int_equal(count_in("postmaster/new"), 1);
}

/* A CR, an LF and a NUL mean something else in a picture than in a text. */
static void test_deliver_binary(void **state)
{
    static const char content[] = "Subject: x\r\n\r\n\0\r\n\n\r\xff\r";
    struct maildir_source m = message("");
    struct buf want = buf_init(200);

    m.binary = true;
    m.content = str_n(content, sizeof content - 1);
    buf_add_c(&want, "Return-Path: <s@example.net>\r\nDelivered-To: alice@example.org\r\n"
                     "Received: by us\r\n");
    buf_add(&want, m.content);
    expect_status(deliver(real, "example.org/binary", 7, &m), "2.0.0");
    expect_file("example.org/binary/new", buf_str(&want));
    buf_free(&want);
}

static void test_fields_are_one_line(void **state)
{
    struct maildir_source m = message("x");

    m.sender = STR("a\r\nBcc: b\x7f");
    expect_status(deliver(real, "example.org/alice", 1, &m), "2.0.0");
    expect_file("example.org/alice/new",
                STR("Return-Path: <a??Bcc: b?>\nDelivered-To: alice@example.org\n"
                    "Received: by us\nx"));
}

static void test_hostname_is_tamed(void **state)
{
    struct maildir_source m = message("x");
    struct maildir_batch *b = maildir_begin(mail_fd, real, STR("a/b:c,d e"));
    struct status st;
    char name[300];

    maildir_write(b, STR("postmaster"), STR("a@b"), 1, &m, &st);
    maildir_commit(&b);
    assert_int_equal(count_files("postmaster/new", name, sizeof(name)), 1);
    assert_non_null(strstr(name, ".1.a_b_c_d_e,S="));
}

static void test_lines(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"", ""},           {"\r\n", "\n"},       {"a\r\nb", "a\nb"}, {"a\nb\n", "a\nb\n"},
        {"\r", "\r"},       {"a\r", "a\r"},       {"\rb", "\rb"},     {"a\rb\r\n", "a\rb\n"},
        {"\r\r\n", "\r\n"}, {"\r\n\r\n", "\n\n"}, {"\n\r", "\n\r"},   {"\r\r", "\r\r"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct maildir_source m = message(rows[i].in);
        struct buf want = buf_init(1000);
        char mailbox[50];
        char folder[60];

        (void)snprintf(mailbox, sizeof(mailbox), "example.org/u%zu", i);
        (void)snprintf(folder, sizeof(folder), "%s/new", mailbox);
        expect_status(deliver(real, mailbox, 1, &m), "2.0.0");
        buf_printf(&want, "%s%s", HEAD, rows[i].want);
        expect_file(folder, buf_str(&want));
        buf_free(&want);
    }
}

/* A CRLF across every border there is: of the buffer that is written, and of the piece that is
 * read from a descriptor. */
static void test_large_file_with_split_crlf(void **state)
{
    enum { BYTES = 64 * 1024 * 2 + 200 };
    char *content = mem_new(BYTES + 20);
    struct buf want = buf_init(1 << 20);

    for (size_t border = 64 * 1024 - 120; border < 64 * 1024 + 3; border++) {
        int fd = memfd_create("content", MFD_CLOEXEC);
        struct maildir_source m = message("");
        char mailbox[50];
        char folder[60];

        memset(content, 'x', BYTES + 20);
        memcpy(content + 10 + border, "\r\n", 2);
        memcpy(content + 10 + BYTES - 2, "\r\n", 2);
        assert_int_equal(write(fd, content, BYTES + 20), BYTES + 20);
        m.content_fd = fd;
        m.content_offset = 10;
        m.content_bytes = BYTES;
        (void)snprintf(mailbox, sizeof(mailbox), "example.org/u%zu", border);
        (void)snprintf(folder, sizeof(folder), "%s/new", mailbox);
        expect_status(deliver(&fake.disk, mailbox, 1, &m), "2.0.0"); /* real syncs are slow */
        buf_reset(&want);
        buf_add(&want, STR(HEAD));
        for (size_t i = 0; i < BYTES; i++)
            if (content[10 + i] != '\r')
                buf_add_char(&want, content[10 + i]);
        expect_file(folder, buf_str(&want));
        (void)close(fd);
    }
    free(content);
    buf_free(&want);
}

static void test_content_too_short(void **state)
{
    struct maildir_source m = message("");

    m.content_fd = memfd_create("content", MFD_CLOEXEC);
    m.content_bytes = 5;
    expect_status(deliver(real, "example.org/alice", 1, &m), "4.3.0");
    assert_int_equal(count_in("example.org/alice/new"), 0);
    assert_int_equal(count_in("example.org/alice/tmp"), 0);
    (void)close(m.content_fd);
}

static void test_order(void **state)
{
    struct maildir_source m = message("x");
    struct maildir_batch *b;
    struct status st[3];

    (void)deliver(real, "example.org/alice", 99, &m);
    (void)deliver(real, "example.org/bob", 99, &m);
    b = maildir_begin(mail_fd, &fake.disk, STR("h"));
    maildir_write(b, STR("example.org/alice"), STR("a@b"), 1, &m, &st[0]);
    maildir_write(b, STR("example.org/bob"), STR("a@b"), 2, &m, &st[1]);
    maildir_write(b, STR("example.org/alice"), STR("a@b"), 3, &m, &st[2]);
    maildir_commit(&b);
    assert_string_equal(buf_c(&fake.steps), "open create write open create write create write "
                                            "sync sync sync rename rename rename "
                                            "open sync-dir open sync-dir ");
    assert_int_equal(count_in("example.org/alice/new"), 3);

    buf_reset(&fake.steps);
    (void)deliver(&fake.disk, "new.example/carol", 1, &m);
    assert_string_equal(buf_c(&fake.steps), "open make make open make make "
                                            "sync-dir open sync-dir sync-dir "
                                            "make create write sync rename open sync-dir ");
}

static void test_failures(void **state)
{
    static const struct {
        int *error;
        int value;
        const char *want;
        size_t visible;
    } rows[] = {
        {&fake.fail_open, -ENOSPC, "4.3.1", 1},   {&fake.fail_open, -EACCES, "4.3.0", 1},
        {&fake.fail_write, -ENOSPC, "4.3.1", 1},  {&fake.fail_write, -EDQUOT, "4.2.2", 1},
        {&fake.fail_sync, -EIO, "4.3.0", 1},      {&fake.fail_sync, -ENOSPC, "4.3.1", 1},
        {&fake.fail_rename, -EDQUOT, "4.2.2", 1}, {&fake.fail_sync_dir, -EIO, "4.3.0", 2},
    };
    struct maildir_source m = message("x");

    for (size_t i = 0; i < countof(rows); i++) {
        char mailbox[50];
        char folder[60];

        (void)snprintf(mailbox, sizeof(mailbox), "example.org/u%zu", i);
        expect_status(deliver(real, mailbox, 99, &m), "2.0.0");
        *rows[i].error = rows[i].value;
        expect_status(deliver(&fake.disk, mailbox, 1, &m), rows[i].want);
        *rows[i].error = 0;
        (void)snprintf(folder, sizeof(folder), "%s/new", mailbox);
        assert_int_equal(count_in(folder), rows[i].visible);
        (void)snprintf(folder, sizeof(folder), "%s/tmp", mailbox);
        assert_int_equal(count_in(folder), 0);
    }
}

/* A mailbox whose names could not be made durable gets no copy, nor tmp/, which would say that
 * they are. */
static void test_new_mailbox_not_durable(void **state)
{
    struct maildir_source m = message("x");

    fake.fail_sync_dir = -EIO;
    expect_status(deliver(&fake.disk, "example.org/dan", 1, &m), "4.3.0");
    fake.fail_sync_dir = 0;
    assert_int_equal(faccessat(mail_fd, "example.org/dan/new", F_OK, 0), 0);
    assert_int_equal(faccessat(mail_fd, "example.org/dan/tmp", F_OK, 0), -1);
    buf_reset(&fake.steps);
    expect_status(deliver(&fake.disk, "example.org/dan", 1, &m), "2.0.0");
    assert_string_equal(buf_c(&fake.steps), "open create make make make make "
                                            "sync-dir open sync-dir sync-dir make "
                                            "create write sync rename open sync-dir ");
}

/* The machine stops before every step in turn; the next attempt leaves exactly one copy. */
static void test_crash_between_all_steps(void **state)
{
    struct maildir_source again = message("Subject: x\r\n");
    struct status st = {0};
    int stop = 0;

    again.seen_before = true;
    for (; st.class != 2; stop++) {
        struct maildir_source m = message("Subject: x\r\n");
        char mailbox[50];
        char folder[60];

        (void)snprintf(mailbox, sizeof(mailbox), "d%d.example/alice", stop);
        (void)snprintf(folder, sizeof(folder), "%s/new", mailbox);
        fake.calls_left = stop;
        st = deliver(&fake.disk, mailbox, 1, &m);
        fake.calls_left = -1;
        expect_status(deliver(&fake.disk, mailbox, 1, &again), "2.0.0");
        expect_file(folder, STR(HEAD "Subject: x\n"));
        (void)snprintf(folder, sizeof(folder), "%s/tmp", mailbox);
        assert_int_equal(count_in(folder), 0);
    }
    assert_true(stop > 14);
}

static void test_seen_before_in_cur(void **state)
{
    struct maildir_source m = message("x");
    char name[300];
    char moved[300];

    (void)deliver(real, "example.org/alice", 1, &m);
    assert_int_equal(count_files("example.org/alice/new", name, sizeof(name)), 1);
    (void)snprintf(moved, sizeof(moved), "example.org/alice/cur/%s:2,S", strrchr(name, '/') + 1);
    assert_int_equal(renameat(mail_fd, name, mail_fd, moved), 0);
    m.seen_before = true;
    buf_reset(&fake.steps);
    expect_status(deliver(&fake.disk, "example.org/alice", 1, &m), "2.0.0");
    assert_string_equal(buf_c(&fake.steps), "open open sync-dir open sync-dir "); /* new, cur */
    assert_int_equal(count_in("example.org/alice/new"), 0);
    expect_status(deliver(real, "example.org/alice", 11, &m), "2.0.0"); /* another recipient */
    assert_int_equal(count_in("example.org/alice/new"), 1);
}

static void test_large_batch(void **state)
{
    enum { COUNT = 300 };
    struct maildir_batch *b = maildir_begin(mail_fd, &fake.disk, STR("h"));
    struct maildir_source m = message("x");
    struct status st[COUNT] = {0};

    for (uint32_t i = 0; i < COUNT; i++) {
        char mailbox[50];

        (void)snprintf(mailbox, sizeof(mailbox), "example.org/u%u", i % 200);
        maildir_write(b, str_c(mailbox), STR("a@b"), i, &m, &st[i]);
    }
    maildir_commit(&b);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(st[i].class, 2);
    assert_int_equal(count_in("example.org/u99/new"), 2);
    assert_int_equal(count_in("example.org/u199/new"), 1);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } rows[] = {
        {"example.org/alice", true},
        {"postmaster", true},
        {"example.org/a.b+c", true},
        {"example.org/a b", true},
        {"[192.0.2.1]/x", true},
        {"", false},
        {"/", false},
        {"alice", false},
        {"example.org/", false},
        {"/alice", false},
        {"example.org/../x", false},
        {"../x", false},
        {"example.org/..", false},
        {"example.org/.", false},
        {"example.org/.alice", false},
        {".example.org/alice", false},
        {"a/b/c", false},
        {"a//b", false},
        {"a/b\n", false},
        {"a/b\x7f", false},
        {"postmaster/new", false},
        {"postmaster/", false},
        {"Postmaster", false},
    };
    char part[300];

    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(mailbox_name_valid(str_c(rows[i].name)), rows[i].valid);
    assert_false(mailbox_name_valid(STR("a/b\0c")));
    memset(part, 'x', sizeof(part));
    part[1] = '/';
    assert_true(mailbox_name_valid(str_n(part, 257)));
    assert_false(mailbox_name_valid(str_n(part, 258)));

    struct maildir_source m = message("x");
    expect_status(deliver(real, "../outside/x", 1, &m), "4.3.5");
}

static void put_old(const char *path, time_t age)
{
    time_t now = (time_t)(clock_now_us(&clock_system) / US_PER_S);
    struct timespec times[2] = {{.tv_sec = now - age}, {.tv_sec = now - age}};
    int fd = openat(mail_fd, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
}

static void test_sweep(void **state)
{
    struct maildir_source m = message("x");

    (void)deliver(real, "example.org/alice", 1, &m);
    (void)deliver(real, "postmaster", 1, &m);
    put_old("example.org/alice/tmp/old", 37 * 3600);
    put_old("example.org/alice/tmp/young", 3600);
    put_old("example.org/alice/new/old", 37 * 3600);
    put_old("postmaster/tmp/old", 37 * 3600);
    put_old("file", 37 * 3600);
    assert_int_equal(
        maildir_sweep(mail_fd, real, clock_now_us(&clock_system) - 36 * 3600 * US_PER_S), 0);
    assert_int_equal(count_in("example.org/alice/tmp"), 1);
    assert_int_equal(count_in("example.org/alice/new"), 2);
    assert_int_equal(count_in("postmaster/tmp"), 0);
    assert_int_equal(count_in("postmaster/new"), 1);
    assert_true(maildir_sweep(-1, real, 1) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deliver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deliver_binary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_are_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostname_is_tamed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_file_with_split_crlf, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_content_too_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_failures, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_new_mailbox_not_durable, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_crash_between_all_steps, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_seen_before_in_cur, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_large_batch, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
