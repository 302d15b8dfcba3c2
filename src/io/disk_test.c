// SPDX-License-Identifier: ISC
#include "io/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"

static char folder[256];
static int dir_fd;
static const struct disk *const d = &disk_system;

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(folder, sizeof(folder), "%s/troika-disk-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"a", "b", "large", "small", "link"};

    for (size_t i = 0; i < countof(names); i++)
        (void)unlinkat(dir_fd, names[i], 0);
    (void)unlinkat(dir_fd, "dir", AT_REMOVEDIR);
    (void)close(dir_fd);
    return rmdir(folder);
}

static void test_write_at(void **state)
{
    char in[200];
    char out[201];
    struct iovec iov[200];
    int fd = d->open(d, dir_fd, "a", O_RDWR | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (char)i;
        iov[i] = (struct iovec){.iov_base = in + i, .iov_len = 1};
    }
    iov[7].iov_len = 0; /* one empty piece, among more than one group */
    assert_int_equal(d->write_at(d, fd, iov, countof(iov), 10), 0);
    assert_int_equal(disk_read_at(fd, out, 199, 10), 0);
    assert_memory_equal(out, in, 7);
    assert_memory_equal(out + 7, in + 8, 192);
    assert_int_equal(disk_read_at(fd, out, 200, 10), -EIO);
    assert_int_equal(d->write_at(d, fd, iov, 0, 0), 0);
    assert_int_equal(d->sync(d, fd), 0);
    assert_int_equal(d->sync_dir(d, dir_fd), 0);
    d->close(d, fd);
    assert_int_equal(d->open(d, dir_fd, "a", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    assert_int_equal(d->rename(d, dir_fd, "a", dir_fd, "b"), 0);
    assert_int_equal(d->unlink(d, dir_fd, "b"), 0);
    assert_int_equal(d->unlink(d, dir_fd, "b"), -ENOENT);
    assert_int_equal(d->make_dir(d, dir_fd, "dir", 0700), 0);
    assert_int_equal(d->make_dir(d, dir_fd, "dir", 0700), -EEXIST);
    d->close(d, -1);
}

static void test_sizes(void **state)
{
    struct stat st;
    uint64_t free_bytes = 0;
    int fd = d->open(d, dir_fd, "a", O_RDWR | O_CREAT, 0600);

    assert_int_equal(d->allocate(d, fd, 100000), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 100000);
    assert_int_equal(d->truncate(d, fd, 10), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(disk_free_bytes(fd, &free_bytes), 0);
    assert_true(free_bytes > 0);
    d->close(d, fd);
    assert_int_equal(d->sync(d, fd), -EBADF);
    assert_int_equal(disk_free_bytes(-1, &free_bytes), -EBADF);
}

static void test_in_memory(void **state)
{
    char bytes[6] = {0};
    int fd = file_in_memory(STR("hello"));

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(disk_read_at(fd, bytes, 5, 0), 0);
    assert_string_equal(bytes, "hello");
    assert_int_equal(disk_read_at(fd, bytes, 6, 0), -EIO);
    assert_int_equal(d->write_at(d, fd, &(struct iovec){bytes, 1}, 1, 0), -EPERM);
    assert_int_equal(d->truncate(d, fd, 1), -EPERM);
    d->close(d, fd);
}

static void test_link_fd(void **state)
{
    struct buf b = buf_init(100);
    int fd = d->open(d, dir_fd, ".", O_RDWR | O_TMPFILE, 0600);

    assert_true(fd >= 0);
    assert_int_equal(disk_write_at(d, fd, STR("content"), 0), 0);
    assert_int_equal(d->link_fd(d, fd, dir_fd, "link"), 0);
    assert_int_equal(d->link_fd(d, fd, dir_fd, "link"), -EEXIST);
    d->close(d, fd);
    assert_int_equal(file_read(dir_fd, "link", 100, &b), 0);
    assert_string_equal(buf_c(&b), "content");
    buf_free(&b);
}

static void test_file_read(void **state)
{
    struct buf b = buf_init(10000);

    assert_int_equal(file_read(dir_fd, "small", 10000, &b), -ENOENT);
    assert_int_equal(file_read(dir_fd, ".", 10000, &b), -EINVAL);
    for (size_t n = 4094; n < 4099; n++) {
        char *text = mem_new(n + 1);

        memset(text, 'x', n);
        buf_reset(&b);
        assert_int_equal(file_replace(d, dir_fd, "small", str_n(text, n), 0600), 0);
        assert_int_equal(file_read(dir_fd, "small", n, &b), 0);
        assert_int_equal(b.n, n);
        buf_reset(&b);
        assert_int_equal(file_read(dir_fd, "small", n - 1, &b), -EFBIG);
        free(text);
    }
    buf_free(&b);
}

/* A disk that is full after so many bytes, and counts what it was asked to do. */
static struct buf steps;
static size_t room;

static int full_write_at(const struct disk *self, int fd, const struct iovec *iov, int iov_count,
                         uint64_t offset)
{
    buf_add_c(&steps, "write ");
    return iov[0].iov_len > room ? -ENOSPC : d->write_at(d, fd, iov, iov_count, offset);
}

static int noted_sync(const struct disk *self, int fd)
{
    buf_add_c(&steps, "sync ");
    return d->sync(d, fd);
}

static int noted_rename(const struct disk *self, int from_fd, const char *from, int to_fd,
                        const char *to)
{
    buf_add_c(&steps, "rename ");
    return d->rename(d, from_fd, from, to_fd, to);
}

static int noted_sync_dir(const struct disk *self, int fd)
{
    buf_add_c(&steps, "sync-dir ");
    return d->sync_dir(d, fd);
}

static void test_file_replace(void **state)
{
    struct disk fake = disk_system;
    struct buf b = buf_init(100);

    steps = buf_init(1000);
    fake.write_at = full_write_at;
    fake.sync = noted_sync;
    fake.rename = noted_rename;
    fake.sync_dir = noted_sync_dir;
    room = 3;
    assert_int_equal(file_replace(&fake, dir_fd, "small", STR("old"), 0600), 0);
    assert_string_equal(buf_c(&steps), "write sync rename sync-dir ");
    assert_int_equal(file_replace(&fake, dir_fd, "small", STR("newer"), 0600), -ENOSPC);
    assert_int_equal(file_read(dir_fd, "small", 100, &b), 0);
    assert_string_equal(buf_c(&b), "old");
    assert_int_equal(faccessat(dir_fd, "tmp-small", F_OK, 0), -1);
    buf_free(&b);
    buf_free(&steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_at, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_link_fd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_replace, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
