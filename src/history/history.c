/* history/history.c - see history.h. Days are files; history/day.h has the order of the bytes. */
// SPDX-License-Identifier: ISC
#include "history/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"

enum {
    GATHERED_BYTES_MAX = DAY_COMMIT_BYTES_MAX / 2, /* then a commit comes early */
    COMMIT_LINE_BYTES = 64,
    LIMIT_STEP_BYTES = 4 * 1024 * 1024, /* written between two looks at the limits */
};
#define DAY_US (24 * 3600 * US_PER_S)

/* ---- limits ---- */

static uint64_t today(const struct history *h)
{
    return clock_now_us(h->options.clock) / DAY_US;
}

static bool too_old(const struct history *h, uint64_t day)
{
    return h->options.days_max > 0 && day + h->options.days_max <= today(h);
}

static void drop_days(struct history *h)
{
    struct days days;
    uint64_t bytes = 0;

    h->bytes_since_limits = 0;
    if (days_read(h->dir_fd, &days) < 0)
        return; /* looked at again after the next step */
    for (size_t i = 0; i < days.count; i++)
        bytes += day_disk_bytes(h->dir_fd, days.list[i]);
    for (size_t i = 0; i < days.count; i++) {
        uint64_t day = days.list[i];
        bool too_much = h->options.bytes_max > 0 && bytes > h->options.bytes_max;

        if (day == h->day.day || (!too_much && !too_old(h, day)))
            continue;
        bytes -= day_disk_bytes(h->dir_fd, day);
        day_unlink(h->options.disk, h->dir_fd, day);
    }
    days_free(&days);
}

void history_limits(struct history *h, uint64_t days_max, uint64_t bytes_max)
{
    h->options.days_max = days_max;
    h->options.bytes_max = bytes_max;
    drop_days(h);
}

/* ---- days ---- */

static int day_go_to(struct history *h, uint64_t day)
{
    if (h->day.lines_fd >= 0 && h->day.day == day)
        return 0;
    day_close(&h->day);
    int error = day_open(&h->day, h->options.disk, h->dir_fd, day);
    if (error >= 0)
        drop_days(h);
    return error;
}

static bool index_whole(const struct history *h, uint64_t day, uint64_t lines_bytes)
{
    char name[DAY_NAME_BYTES];
    struct stat st;
    uint64_t blocks = (lines_bytes + INDEX_BLOCK_BYTES - 1) / INDEX_BLOCK_BYTES;

    day_name(name, day, ".idx");
    return fstatat(h->dir_fd, name, &st, 0) == 0 &&
           (uint64_t)st.st_size >= blocks * INDEX_RECORD_BYTES;
}

/* Learns the last batch number of a day; mends the day if a crash left it torn. */
static int day_learn(struct history *h, uint64_t day)
{
    char name[DAY_NAME_BYTES];
    struct stat st;
    uint64_t number = 0;
    uint64_t end = 0;

    day_name(name, day, ".log");
    int fd = openat(h->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno; /* dropped by a limit meanwhile */
    int error = fstat(fd, &st) < 0 ? -errno : 0;
    if (error >= 0)
        error = day_last_commit(fd, (uint64_t)st.st_size, &number, &end);
    h->options.disk->close(h->options.disk, fd);
    if (error < 0)
        return error;
    h->taken = MAX_OF(h->taken, number);
    if (end == (uint64_t)st.st_size && index_whole(h, day, end))
        return 0;
    return day_go_to(h, day);
}

static int days_learn(struct history *h)
{
    struct days days;
    int error = days_read(h->dir_fd, &days);

    if (error < 0)
        return error;
    for (size_t i = 0; error >= 0 && i < days.count; i++)
        error = day_learn(h, days.list[i]);
    days_free(&days);
    return error;
}

/* ---- the doors ---- */

int history_open(int dir_fd, const struct history_options *o, struct history **ret)
{
    struct history *h = mem_new(sizeof *h);

    *h = (struct history){.dir_fd = dir_fd,
                          .options = *o,
                          .day = {.disk = o->disk, .lines_fd = -1, .index_fd = -1},
                          .gathered = buf_init(DAY_COMMIT_BYTES_MAX)};
    int error = days_learn(h);
    if (error >= 0)
        error = day_go_to(h, today(h));
    if (error < 0) {
        history_close(&h);
        return error;
    }
    h->added = h->taken;
    *ret = h;
    return 0;
}

void history_close(struct history **h)
{
    struct history *gone = *h;

    *h = NULL;
    if (!gone)
        return;
    day_close(&gone->day);
    buf_free(&gone->gathered);
    free(gone);
}

/* A line that could be taken for a commit is none of ours. */
static void gather(struct history *h, struct str lines)
{
    while (lines.n > 0) {
        struct str line = str_sub(str_cut(&lines, '\n'), 0, HISTORY_LINE_BYTES_MAX - 1);

        if (line.n == 0 || line.p[0] == '#')
            continue;
        (void)buf_add(&h->gathered, line);
        (void)buf_add_char(&h->gathered, '\n');
    }
}

static bool today_is_full(const struct history *h)
{
    return h->options.bytes_max > 0 && h->day.bytes + h->gathered.n > h->options.bytes_max;
}

int history_add(struct history *h, uint64_t number, struct str lines)
{
    if (number > 0 && number <= h->added)
        return 0;
    if (number == 0 && today_is_full(h))
        return -ENOSPC;
    if (lines.n > GATHERED_BYTES_MAX - COMMIT_LINE_BYTES)
        return -EMSGSIZE;
    if (h->gathered.n + lines.n > GATHERED_BYTES_MAX) {
        int error = history_commit(h);
        if (error < 0)
            return error;
    }
    gather(h, lines);
    h->added = MAX_OF(h->added, number);
    return 0;
}

int history_commit(struct history *h)
{
    size_t lines = h->gathered.n;

    if (lines == 0 && h->added == h->taken)
        return 0;
    int error = day_go_to(h, today(h));
    if (error < 0)
        return error;
    (void)buf_printf(&h->gathered, "#commit batch=%llu\n", (unsigned long long)h->added);
    check(!h->gathered.full);
    error = day_commit(&h->day, buf_str(&h->gathered));
    if (error < 0) {
        buf_cut(&h->gathered, lines);
        return error;
    }
    h->bytes_since_limits += h->gathered.n;
    buf_reset(&h->gathered);
    h->taken = h->added;
    if (h->bytes_since_limits > LIMIT_STEP_BYTES)
        drop_days(h);
    return 0;
}

uint64_t history_taken(const struct history *h)
{
    return h->taken;
}
