// SPDX-License-Identifier: ISC
#include "history/day.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

static const char commit_mark[] = "#commit batch=";

void day_name(char to[DAY_NAME_BYTES], uint64_t day, const char *extension)
{
    struct buf name = buf_init(DAY_NAME_BYTES);

    day_print(&name, day);
    (void)snprintf(to, DAY_NAME_BYTES, "%.*s%s", STR_ARG(str_sub(buf_str(&name), 0, 10)),
                   extension);
    buf_free(&name);
}

/* ---- reading ---- */

/* The number of a whole line "#commit batch=N". */
static bool commit_line(struct str line, uint64_t *number)
{
    return str_starts(line, str_c(commit_mark)) &&
           str_u64(str_skip(line, sizeof commit_mark - 1), number);
}

/* The last commit line of `tail`; *end is the offset behind its newline. */
static bool find_last_commit(struct str tail, bool from_start, uint64_t *number, size_t *end)
{
    while (tail.n > 0) {
        size_t newline = str_find_last(tail, '\n');
        if (newline == tail.n)
            return false;
        struct str before = str_sub(tail, 0, newline);
        size_t previous = str_find_last(before, '\n');
        bool whole = previous < before.n || from_start;
        size_t line = previous < before.n ? previous + 1 : 0;

        *end = newline + 1;
        if (whole && commit_line(str_skip(before, line), number))
            return true;
        tail = str_sub(tail, 0, line);
    }
    return false;
}

int day_last_commit(int lines_fd, uint64_t bytes, uint64_t *ret_number, uint64_t *ret_end)
{
    static const size_t windows[] = {4096, DAY_TAIL_BYTES}; /* nearly always the first is enough */
    int error = 0;

    *ret_number = *ret_end = 0;
    for (size_t i = 0; i < countof(windows); i++) {
        size_t n = (size_t)MIN_OF(bytes, (uint64_t)windows[i]);
        size_t end = 0;
        char *tail = mem_new(n + 1);

        error = disk_read_at(lines_fd, tail, n, bytes - n);
        bool found = error >= 0 && find_last_commit(str_n(tail, n), n == bytes, ret_number, &end);
        free(tail);
        if (error < 0)
            return error;
        if (found) {
            *ret_end = bytes - n + end;
            return 0;
        }
    }
    return 0;
}

/* A line begins behind a newline at or after the byte before the block. */
int day_read_block(int lines_fd, uint64_t bytes, uint32_t block, struct buf *ret, uint64_t *start)
{
    uint64_t begin = (uint64_t)block * INDEX_BLOCK_BYTES;
    uint64_t from = begin > 0 ? begin - 1 : 0;
    uint64_t to = MIN_OF(begin + INDEX_BLOCK_BYTES + HISTORY_LINE_BYTES_MAX, bytes);
    size_t n = to > from ? (size_t)(to - from) : 0;

    buf_reset(ret);
    *start = begin;
    if (n == 0)
        return 0;
    char *room = buf_room(ret, n);
    if (!room)
        return -ENOBUFS;
    int error = disk_read_at(lines_fd, room, n, from);
    if (error < 0)
        return error;
    buf_added(ret, n);
    size_t skip = begin > 0 ? MIN_OF(str_find(buf_str(ret), '\n') + 1, n) : 0;
    buf_drop_front(ret, skip);
    *start = from + skip;

    /* Lines that begin behind the block are the next one's. */
    size_t own =
        begin + INDEX_BLOCK_BYTES > *start ? (size_t)(begin + INDEX_BLOCK_BYTES - *start) : 0;
    if (own == 0)
        buf_reset(ret);
    else if (own < ret->n)
        buf_cut(ret, MIN_OF(own - 1 + str_find(str_skip(buf_str(ret), own - 1), '\n') + 1, ret->n));
    return 0;
}

/* ---- the index ---- */

static int write_record(struct day *d, uint32_t covered)
{
    struct buf record = buf_init(INDEX_RECORD_BYTES);

    index_record_print(&record, d->day, d->block, covered, &d->filter);
    int error = disk_write_at(d->disk, d->index_fd, buf_str(&record),
                              (uint64_t)d->block * INDEX_RECORD_BYTES);
    buf_free(&record);
    return error;
}

/* A record that cannot be written is missing: its block is read when somebody asks. */
static void advance_to(struct day *d, uint32_t block)
{
    while (d->block < block) {
        (void)write_record(d, INDEX_BLOCK_BYTES);
        d->block++;
        memset(&d->filter, 0, sizeof d->filter);
    }
}

static void index_lines(struct day *d, struct str lines, uint64_t start)
{
    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');

        advance_to(d, (uint32_t)(start / INDEX_BLOCK_BYTES));
        if (line.n > 0 && line.p[0] != '#')
            filter_add_line(&d->filter, line, &d->scratch);
        start += line.n + 1;
    }
}

static bool record_stands(const struct day *d, uint32_t block)
{
    char bytes[INDEX_RECORD_BYTES];
    struct filter filter;

    return disk_read_at(d->index_fd, bytes, sizeof bytes, (uint64_t)block * sizeof bytes) >= 0 &&
           index_record_parse(str_n(bytes, sizeof bytes), d->day, block, INDEX_BLOCK_BYTES,
                              &filter);
}

/* From the first block without a good record on, everything is made from the lines. */
static int index_mend(struct day *d)
{
    uint32_t full = (uint32_t)(d->bytes / INDEX_BLOCK_BYTES);
    struct buf lines = buf_init(INDEX_BLOCK_BYTES + HISTORY_LINE_BYTES_MAX + 1);
    int error = 0;

    while (d->block < full && record_stands(d, d->block))
        d->block++;
    for (uint32_t block = d->block; error >= 0 && block <= full; block++) {
        uint64_t start;

        error = day_read_block(d->lines_fd, d->bytes, block, &lines, &start);
        advance_to(d, block);
        if (error >= 0)
            index_lines(d, buf_str(&lines), start);
    }
    buf_free(&lines);
    return error;
}

/* ---- the doors ---- */

/* Cuts off what was never acknowledged: at the least a torn line. */
static int lines_mend(struct day *d)
{
    struct stat st;
    uint64_t number;
    uint64_t end;

    if (fstat(d->lines_fd, &st) < 0)
        return -errno;
    uint64_t bytes = (uint64_t)st.st_size;
    int error = day_last_commit(d->lines_fd, bytes, &number, &end);
    if (error < 0)
        return error;
    bool foreign = end == 0 && bytes > DAY_TAIL_BYTES; /* nothing of ours in sight: keep it all */
    d->bytes = foreign ? bytes : end;
    return d->bytes < bytes ? d->disk->truncate(d->disk, d->lines_fd, d->bytes) : 0;
}

static void close_files(struct day *d)
{
    if (d->index_fd >= 0)
        d->disk->close(d->disk, d->index_fd);
    if (d->lines_fd >= 0)
        d->disk->close(d->disk, d->lines_fd);
    d->lines_fd = d->index_fd = -1;
    buf_free(&d->scratch);
}

int day_open(struct day *d, const struct disk *disk, int dir_fd, uint64_t day)
{
    char name[DAY_NAME_BYTES];

    *d = (struct day){.disk = disk,
                      .day = day,
                      .lines_fd = -1,
                      .index_fd = -1,
                      .scratch = buf_init(LINE_BYTES_MAX)};
    day_name(name, day, ".log");
    d->lines_fd = disk->open(disk, dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int error = d->lines_fd < 0 ? d->lines_fd : disk->sync_dir(disk, dir_fd);
    if (error >= 0)
        error = lines_mend(d);
    if (error >= 0) {
        day_name(name, day, ".idx");
        d->index_fd = disk->open(disk, dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        error = d->index_fd < 0 ? d->index_fd : index_mend(d);
    }
    if (error < 0)
        close_files(d);
    return error;
}

void day_close(struct day *d)
{
    if (d->index_fd >= 0) {
        advance_to(d, (uint32_t)(d->bytes / INDEX_BLOCK_BYTES));
        (void)write_record(d, (uint32_t)(d->bytes % INDEX_BLOCK_BYTES));
    }
    close_files(d);
}

int day_commit(struct day *d, struct str lines)
{
    int error = disk_write_at(d->disk, d->lines_fd, lines, d->bytes);

    if (error >= 0)
        error = d->disk->sync(d->disk, d->lines_fd);
    if (error < 0) {
        /* Written again it will be new bytes, so the next sync is not one that lies. */
        (void)d->disk->truncate(d->disk, d->lines_fd, d->bytes);
        return error;
    }
    index_lines(d, lines, d->bytes);
    d->bytes += lines.n;
    return 0;
}
