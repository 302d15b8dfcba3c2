/* io/disk.c - the system calls behind struct disk, and small files on top of them. */
// SPDX-License-Identifier: ISC
#include "io/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"

static int result(int r)
{
    return r < 0 ? -errno : r;
}

static int system_open(const struct disk *d, int dir_fd, const char *name, int flags, unsigned mode)
{
    return result(openat(dir_fd, name, flags | O_CLOEXEC, mode));
}

/* Drops the first n bytes of the list. */
static void iov_skip(struct iovec **iov, int *count, size_t n)
{
    while (*count > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

static int write_group(int fd, struct iovec *iov, int count, uint64_t *offset)
{
    iov_skip(&iov, &count, 0);
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, count, (off_t)*offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        *offset += (uint64_t)n;
        iov_skip(&iov, &count, (size_t)n);
    }
    return 0;
}

static int system_write_at(const struct disk *d, int fd, const struct iovec *iov, int iov_count,
                           uint64_t offset)
{
    struct iovec group[64]; /* a copy, because short writes change it */
    int r = 0;

    for (int done = 0; done < iov_count && r == 0;) {
        int n = 0;

        while (n < (int)countof(group) && done < iov_count)
            group[n++] = iov[done++];
        r = write_group(fd, group, n, &offset);
    }
    return r;
}

static int system_allocate(const struct disk *d, int fd, uint64_t bytes)
{
    int r = result(fallocate(fd, 0, 0, (off_t)bytes));

    /* A file system without fallocate: no promise of room, but nothing is wrong either. */
    return r == -EOPNOTSUPP ? result(ftruncate(fd, (off_t)bytes)) : r;
}

static int system_truncate(const struct disk *d, int fd, uint64_t bytes)
{
    return result(ftruncate(fd, (off_t)bytes));
}

static int system_sync(const struct disk *d, int fd)
{
    return result(fdatasync(fd));
}

static int system_sync_dir(const struct disk *d, int dir_fd)
{
    return result(fsync(dir_fd));
}

static int links_fd = -1; /* see disk_keep_links */

int disk_keep_links(void)
{
    if (links_fd < 0)
        links_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return result(links_fd);
}

static int system_link_fd(const struct disk *d, int fd, int dir_fd, const char *name)
{
    int r = result(linkat(fd, "", dir_fd, name, AT_EMPTY_PATH));
    char path[32];

    if (r != -ENOENT && r != -EPERM)
        return r;
    (void)snprintf(path, sizeof(path), "%s%d", links_fd < 0 ? "/proc/self/fd/" : "", fd);
    return result(
        linkat(links_fd < 0 ? AT_FDCWD : links_fd, path, dir_fd, name, AT_SYMLINK_FOLLOW));
}

static int system_rename(const struct disk *d, int from_dir_fd, const char *from, int to_dir_fd,
                         const char *to)
{
    return result(renameat(from_dir_fd, from, to_dir_fd, to));
}

static int system_unlink(const struct disk *d, int dir_fd, const char *name)
{
    return result(unlinkat(dir_fd, name, 0));
}

static int system_make_dir(const struct disk *d, int dir_fd, const char *name, unsigned mode)
{
    return result(mkdirat(dir_fd, name, mode));
}

static void system_close(const struct disk *d, int fd)
{
    if (fd >= 0)
        (void)close(fd); /* what must survive has been synced; an error here says nothing new */
}

const struct disk disk_system = {
    .open = system_open,
    .write_at = system_write_at,
    .allocate = system_allocate,
    .truncate = system_truncate,
    .sync = system_sync,
    .sync_dir = system_sync_dir,
    .link_fd = system_link_fd,
    .rename = system_rename,
    .unlink = system_unlink,
    .make_dir = system_make_dir,
    .close = system_close,
};

int disk_write_at(const struct disk *d, int fd, struct str bytes, uint64_t offset)
{
    union { /* writev takes const bytes through a pointer that is not */
        const char *from;
        void *base;
    } p = {.from = bytes.p};
    struct iovec iov = {.iov_base = p.base, .iov_len = bytes.n};

    return d->write_at(d, fd, &iov, 1, offset);
}

int disk_read_at(int fd, void *to, size_t n, uint64_t offset)
{
    char *p = to;

    while (n > 0) {
        ssize_t got = pread(fd, p, n, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        p += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

int disk_free_bytes(int fd, uint64_t *ret)
{
    struct statvfs v;

    if (fstatvfs(fd, &v) < 0)
        return -errno;
    *ret = (uint64_t)v.f_bavail * v.f_frsize;
    return 0;
}

int file_in_memory(struct str bytes)
{
    int fd = memfd_create("content", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    int r = disk_write_at(&disk_system, fd, bytes, 0);
    if (r == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    (void)close(fd); /* nobody has seen it */
    return r;
}

static int read_all(int fd, size_t bytes_max, struct buf *ret)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    for (size_t held = 0;;) {
        char piece[4096];
        ssize_t n = read(fd, piece, sizeof(piece));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return result((int)n);
        held += (size_t)n;
        if (held > bytes_max || !buf_add(ret, str_n(piece, (size_t)n)))
            return -EFBIG;
    }
}

int file_read(int dir_fd, const char *name, size_t bytes_max, struct buf *ret)
{
    /* Not blocking: a fifo put in place of the file must not stop us. */
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    int r = read_all(fd, bytes_max, ret);
    (void)close(fd);
    return r;
}

static int file_write_new(const struct disk *d, int dir_fd, const char *name, struct str bytes,
                          unsigned mode)
{
    int fd = d->open(d, dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);

    if (fd < 0)
        return fd;
    int r = disk_write_at(d, fd, bytes, 0);
    if (r == 0)
        r = d->sync(d, fd);
    d->close(d, fd);
    return r;
}

int file_replace(const struct disk *d, int dir_fd, const char *name, struct str bytes,
                 unsigned mode)
{
    char tmp[256];
    int length = snprintf(tmp, sizeof(tmp), "tmp-%s", name);

    if (length < 0 || (size_t)length >= sizeof(tmp))
        return -ENAMETOOLONG;
    int r = file_write_new(d, dir_fd, tmp, bytes, mode);
    if (r == 0)
        r = d->rename(d, dir_fd, tmp, dir_fd, name);
    if (r < 0) {
        (void)d->unlink(d, dir_fd, tmp); /* the error that counts is the first one */
        return r;
    }
    return d->sync_dir(d, dir_fd);
}
