// SPDX-License-Identifier: ISC
#include "daemon/deliver/place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { WORDS_BYTES = 100 };

static int fail(struct status *why, int error, uint8_t subject, uint8_t detail, struct str path)
{
    char bytes[WORDS_BYTES];
    struct buf text = buf_init(sizeof why->text);
    const char *words = strerror_r(-error, bytes, sizeof bytes);

    buf_printf(&text, "%.*s: %s", STR_ARG(path), words);
    *why = status_make(0, 4, subject, detail, buf_str(&text));
    buf_free(&text);
    return error;
}

static int open_folder(const struct disk *d, int at_fd, const char *name)
{
    return d->open(d, at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* The folder part in *fd, made when it is missing; it takes the place of *fd. */
static int step(const struct disk *d, int *fd, const char *part)
{
    int inner = open_folder(d, *fd, part);

    if (inner == -ENOENT) {
        int r = d->make_dir(d, *fd, part, 0700);
        if (r == 0)
            r = d->sync_dir(d, *fd);
        if (r < 0 && r != -EEXIST)
            return r;
        inner = open_folder(d, *fd, part);
    }
    if (inner < 0)
        return inner;
    d->close(d, *fd);
    *fd = inner;
    return 0;
}

int place_open(const struct disk *d, struct str base, struct str path, int *ret_fd,
               struct status *why)
{
    struct arena a = ARENA_INIT;
    struct str rest = str_skip(path, base.n);
    int fd = open_folder(d, AT_FDCWD, base.n ? arena_c(&a, base) : "/");
    int r = fd < 0 ? fail(why, fd, 2, 1, base) : 0;

    while (r == 0 && rest.n > 0) {
        struct str part = str_cut(&rest, '/');

        if (part.n == 0)
            continue;
        r = step(d, &fd, arena_c(&a, part));
        if (r < 0)
            (void)fail(why, r, 2, r == -ENOSPC || r == -EDQUOT ? 2 : 0, path);
    }
    if (r == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        d->close(d, fd);
    arena_free(&a);
    return r;
}
