/* listen/save.c - see save.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 40, TRIES_MAX = 1000000 };

int save_open(struct save *s, const char *folder)
{
    s->last = 0;
    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return -errno;
    s->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->dir_fd < 0 ? -errno : 0;
}

void save_close(struct save *s)
{
    if (s->dir_fd >= 0)
        (void)close(s->dir_fd);
    s->dir_fd = -1;
}

static void name_of(uint64_t number, const char *kind, char ret[NAME_BYTES])
{
    (void)snprintf(ret, NAME_BYTES, "%06llu.%s", (unsigned long long)number, kind);
}

static bool is_there(const struct save *s, const char *name)
{
    struct stat st;

    return fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void saved_begin(struct save *s, struct saved *ret)
{
    char name[NAME_BYTES];

    *ret = (struct saved){.fd = -1};
    if (s->dir_fd < 0)
        return;
    for (int i = 0; i < TRIES_MAX && ret->fd < 0; i++) {
        ret->number = ++s->last;
        name_of(ret->number, "eml", name);
        if (is_there(s, name))
            continue;
        name_of(ret->number, "part", name);
        ret->fd = openat(s->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (ret->fd < 0 && errno != EEXIST) {
            ret->error = -errno;
            return;
        }
    }
}

void saved_add(struct saved *f, struct str bytes)
{
    while (f->fd >= 0 && f->error == 0 && bytes.n > 0) {
        ssize_t n = write(f->fd, bytes.p, bytes.n);

        if (n < 0 && errno != EINTR)
            f->error = -errno;
        bytes = str_skip(bytes, n > 0 ? (size_t)n : 0);
    }
}

int saved_end(struct save *s, struct saved *f, bool keep, struct buf *name)
{
    char part[NAME_BYTES], final[NAME_BYTES];

    if (f->fd < 0)
        return f->error;
    name_of(f->number, "part", part);
    name_of(f->number, "eml", final);
    if (close(f->fd) < 0 && f->error == 0)
        f->error = -errno;
    f->fd = -1;
    keep = keep && f->error == 0;
    /* Neither link nor rename: somebody else may have put a file there in the meantime. */
    if (keep && linkat(s->dir_fd, part, s->dir_fd, final, 0) < 0)
        f->error = -errno;
    else if (keep)
        buf_add_c(name, final);
    (void)unlinkat(s->dir_fd, part, 0);
    return f->error;
}
