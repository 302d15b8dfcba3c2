/* io/disk.h - every step by which mail becomes durable, as an object that a test may replace.
 *
 * Whatever must survive a power cut goes through here: spool segments, large files, mailboxes,
 * history. disk_system makes the system calls; a crash test records them and replays every
 * prefix. All functions return 0 (or a count or descriptor) or a negative errno; short writes are
 * completed inside. A sync that failed is never tried again (fsync(2): the pages are clean
 * afterwards, a second call would lie): the caller abandons the file. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "base/str.h"

struct disk {
    int (*open)(const struct disk *d, int dir_fd, const char *name, int flags, unsigned mode);
    int (*write_at)(const struct disk *d, int fd, const struct iovec *iov, int iov_count,
                    uint64_t offset);
    int (*allocate)(const struct disk *d, int fd, uint64_t bytes);
    int (*truncate)(const struct disk *d, int fd, uint64_t bytes);
    int (*sync)(const struct disk *d, int fd);         /* fdatasync */
    int (*sync_dir)(const struct disk *d, int dir_fd); /* fsync of a directory */
    int (*link_fd)(const struct disk *d, int fd, int dir_fd,
                   const char *name); /* an O_TMPFILE appears */
    int (*rename)(const struct disk *d, int from_dir_fd, const char *from, int to_dir_fd,
                  const char *to);
    int (*unlink)(const struct disk *d, int dir_fd, const char *name);
    int (*make_dir)(const struct disk *d, int dir_fd, const char *name, unsigned mode);
    void (*close)(const struct disk *d, int fd);
};

extern const struct disk disk_system;

/* link_fd gives a name to an O_TMPFILE by linkat(AT_EMPTY_PATH), which an unprivileged process may
 * do from Linux 6.10 on, and else by way of /proc/self/fd, which a chroot hides. This keeps that
 * folder open for the whole process; jail_enter calls it where both are so. 0 or more, or a
 * negative errno. */
int disk_keep_links(void);

int disk_write_at(const struct disk *d, int fd, struct str bytes, uint64_t offset);
/* Reads exactly n bytes or fails (-EIO at the end of the file). */
int disk_read_at(int fd, void *to, size_t n, uint64_t offset);
/* Free bytes for an unprivileged user on the file system of fd. */
int disk_free_bytes(int fd, uint64_t *ret);
/* Adds a whole small regular file to ret; -EFBIG: it is longer than bytes_max. */
struct buf;
int file_read(int dir_fd, const char *name, size_t bytes_max, struct buf *ret);
/* A file that is only in memory and holds these bytes for good: sealed. Its descriptor, or -errno. */
int file_in_memory(struct str bytes);
/* Writes a whole small file so that after 0 the old or the new content exists whatever happens:
 * 1 bytes to "tmp-NAME", synced; 2 renamed over; 3 the directory synced. */
int file_replace(const struct disk *d, int dir_fd, const char *name, struct str bytes,
                 unsigned mode);
