/* history/search.c - reads the blocks that may tell of a topic, oldest first.
 *
 * A search keeps its place as an offset in a day's file, so lines may be added and days dropped
 * while somebody reads slowly. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "history/internal.h"
#include "history/line.h"

/* Work for one call: so many blocks read, or so many index records. */
enum { WORK_MAX = 64, WORK_READ = 4, WORK_SKIP = 1 };

struct history_search {
    struct history *history;
    struct buf text;
    bool indexed; /* the index knows this kind of topic */
    uint64_t hash;
    struct days days;
    size_t next_day;

    bool open;
    uint64_t day, bytes; /* of the open one */
    int lines_fd, index_fd;
    uint32_t block;
    uint64_t at; /* lines that begin before this have been looked at */
    struct buf lines, scratch;
};

int history_search_new(struct history *h, struct str text, struct history_search **ret)
{
    struct days days;
    struct str topic;
    int error = days_read(h->dir_fd, &days);

    if (error < 0)
        return error;
    struct history_search *s = mem_new(sizeof *s);
    enum topic_kind kind = topic_of(text, &topic);
    *s = (struct history_search){
        .history = h,
        .text = buf_init(HISTORY_LINE_BYTES_MAX),
        .indexed = kind != TOPIC_OTHER,
        .hash = topic_hash(topic),
        .days = days,
        .lines_fd = -1,
        .index_fd = -1,
        .scratch = buf_init(LINE_BYTES_MAX),
        .lines = buf_init(INDEX_BLOCK_BYTES + HISTORY_LINE_BYTES_MAX + 1),
    };
    (void)buf_add(&s->text, str_sub(text, 0, HISTORY_LINE_BYTES_MAX));
    *ret = s;
    return 0;
}

static void close_day(struct history_search *s)
{
    const struct disk *disk = s->history->options.disk;

    if (s->lines_fd >= 0)
        disk->close(disk, s->lines_fd);
    if (s->index_fd >= 0)
        disk->close(disk, s->index_fd);
    s->lines_fd = s->index_fd = -1;
    s->open = false;
}

void history_search_free(struct history_search **s)
{
    struct history_search *gone = *s;

    *s = NULL;
    if (!gone)
        return;
    close_day(gone);
    days_free(&gone->days);
    buf_free(&gone->text);
    buf_free(&gone->lines);
    buf_free(&gone->scratch);
    free(gone);
}

/* A day that is gone meanwhile is passed over. */
static int open_next_day(struct history_search *s)
{
    const struct history *h = s->history;
    char name[DAY_NAME_BYTES];
    struct stat st;

    s->day = s->days.list[s->next_day++];
    day_name(name, s->day, ".log");
    s->lines_fd = openat(h->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (s->lines_fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(s->lines_fd, &st) < 0)
        return -errno;
    day_name(name, s->day, ".idx");
    s->index_fd = openat(h->dir_fd, name, O_RDONLY | O_CLOEXEC); /* none: all blocks are read */
    s->bytes = s->day == h->day.day ? h->day.bytes : (uint64_t)st.st_size;
    s->block = 0;
    s->at = 0;
    s->open = true;
    return 0;
}

static bool block_may_hold(const struct history_search *s)
{
    uint64_t begin = (uint64_t)s->block * INDEX_BLOCK_BYTES;
    uint32_t bytes = (uint32_t)MIN_OF(s->bytes - begin, (uint64_t)INDEX_BLOCK_BYTES);
    char record[INDEX_RECORD_BYTES];
    struct filter filter;

    if (!s->indexed || s->index_fd < 0 ||
        disk_read_at(s->index_fd, record, sizeof record, (uint64_t)s->block * INDEX_RECORD_BYTES) <
            0 ||
        !index_record_parse(str_n(record, sizeof record), s->day, s->block, bytes, &filter))
        return true;
    return filter_has(&filter, s->hash);
}

/* Appends the matching lines of the block from s->at on. False: `to` is full, come back. */
static bool take_lines(struct history_search *s, uint64_t start, struct buf *to, size_t end)
{
    struct str lines = buf_str(&s->lines);

    while (lines.n > 0) {
        size_t before = lines.n;
        struct str line = str_cut(&lines, '\n');
        bool wanted = start >= s->at && line.n > 0 && line.p[0] != '#' &&
                      line_tells_of(line, buf_str(&s->text), &s->scratch);

        if (wanted && to->n + line.n + 1 > end) {
            s->at = start;
            return false;
        }
        if (wanted) {
            (void)buf_add(to, line);
            (void)buf_add_char(to, '\n');
        }
        start += before - lines.n;
    }
    s->at = start;
    return true;
}

/* 1: go on, 0: `to` is full, or negative errno. */
static int look_at_block(struct history_search *s, struct buf *to, size_t end, unsigned *work)
{
    uint64_t start;

    *work += WORK_SKIP;
    if (block_may_hold(s)) {
        *work += WORK_READ;
        int error = day_read_block(s->lines_fd, s->bytes, s->block, &s->lines, &start);
        if (error < 0)
            return error;
        if (!take_lines(s, start, to, end))
            return 0;
    }
    s->block++;
    return 1;
}

static int step(struct history_search *s, struct buf *to, size_t end, unsigned *work)
{
    if (!s->open) {
        *work += WORK_SKIP;
        int error = open_next_day(s);
        return error < 0 ? error : 1;
    }
    if ((uint64_t)s->block * INDEX_BLOCK_BYTES < s->bytes)
        return look_at_block(s, to, end, work);
    close_day(s);
    return 1;
}

int history_search_next(struct history_search *s, struct buf *to, size_t bytes)
{
    size_t end = to->n + bytes;
    unsigned work = 0;
    int more = 1;

    check(bytes >= HISTORY_SEARCH_BYTES_MIN);
    while (more == 1 && work < WORK_MAX * WORK_READ) {
        if (!s->open && s->next_day == s->days.count)
            return 0;
        more = step(s, to, end, &work);
    }
    return more < 0 ? more : 1;
}
