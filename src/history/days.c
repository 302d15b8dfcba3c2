// SPDX-License-Identifier: ISC
#include "history/days.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "history/day.h"

static const char *const extensions[] = {".log", ".idx"};

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void add_name(struct days *d, struct str name)
{
    uint64_t day;

    if (!str_ends(name, STR(".log")) || !day_parse(str_sub(name, 0, name.n - 4), &day) ||
        d->count == DAYS_MAX)
        return;
    if ((d->count & (d->count - 1)) == 0) /* doubles at each power of two */
        d->list = mem_resize(d->list, (d->count > 0 ? 2 * d->count : 1) * sizeof *d->list);
    d->list[d->count++] = day;
}

int days_read(int dir_fd, struct days *ret)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        int error = -errno;
        if (fd >= 0)
            (void)close(fd); /* nothing was written */
        return error;
    }
    *ret = (struct days){0};
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        add_name(ret, str_c(e->d_name));
    (void)closedir(dir); /* nothing was written */
    if (ret->count > 1)
        qsort(ret->list, ret->count, sizeof *ret->list, compare);
    return 0;
}

void days_free(struct days *d)
{
    free(d->list);
    *d = (struct days){0};
}

uint64_t day_disk_bytes(int dir_fd, uint64_t day)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < countof(extensions); i++) {
        char name[DAY_NAME_BYTES];
        struct stat st;

        day_name(name, day, extensions[i]);
        if (fstatat(dir_fd, name, &st, 0) == 0)
            bytes += (uint64_t)st.st_size;
    }
    return bytes;
}

void day_unlink(const struct disk *disk, int dir_fd, uint64_t day)
{
    for (size_t i = 0; i < countof(extensions); i++) {
        char name[DAY_NAME_BYTES];

        day_name(name, day, extensions[i]);
        (void)disk->unlink(disk, dir_fd, name); /* tried again at the next limit check */
    }
}
