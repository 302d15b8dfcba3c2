/* history/day.h - the lines of one day and their index, open for adding.
 *
 * A commit is the lines of a turn and a line "#commit batch=N" in one write and one sync; what
 * follows the last such line was never acknowledged, and day_open cuts it off. Nothing is counted
 * in the index before it is durable. */
// SPDX-License-Identifier: ISC
#pragma once

#include "history/index.h"
#include "io/disk.h"

enum {
    HISTORY_LINE_BYTES_MAX = 16 * 1024, /* a longer one is cut */
    DAY_COMMIT_BYTES_MAX = 2 * 1024 * 1024,
    DAY_NAME_BYTES = 16, /* "2026-11-20.log" and its end */
};

struct day {
    const struct disk *disk;
    uint64_t day; /* since 1970 */
    int lines_fd, index_fd;
    uint64_t bytes; /* durable */
    uint32_t block; /* the one that is being filled */
    struct filter filter;
    struct buf scratch;
};

void day_name(char to[DAY_NAME_BYTES], uint64_t day, const char *extension);
/* Mends what a crash left, makes the index again where it is behind or wrong. */
int day_open(struct day *d, const struct disk *disk, int dir_fd, uint64_t day);
/* What the index has of the block that is being filled is written, too. */
void day_close(struct day *d);
/* lines end with '\n'. Durable after 0; after an error nothing was added. */
int day_commit(struct day *d, struct str lines);

/* The batch number of the last commit in a file of lines, and where that commit ends; 0 and 0
 * when there is none among the last DAY_TAIL_BYTES. */
enum { DAY_TAIL_BYTES = 2 * DAY_COMMIT_BYTES_MAX };
int day_last_commit(int lines_fd, uint64_t bytes, uint64_t *ret_number, uint64_t *ret_end);

/* The lines that begin in a block, each but perhaps the last ended by '\n'; *start is where the
 * first of them begins in the file. bytes: of the file. */
int day_read_block(int lines_fd, uint64_t bytes, uint32_t block, struct buf *ret, uint64_t *start);
