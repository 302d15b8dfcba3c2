/* history/history.h - the life of messages, for trace and reports.
 *
 * One file of lines a day (history/2026-11-20.log, in order of arrival, see base/log.h), and next
 * to it one small index (2026-11-20.idx): for each block of 64 KiB a Bloom filter of the ids and
 * addresses in it, so that a question reads only the blocks that can answer it. The index can
 * always be made again from the lines. Days are dropped by age and size. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"
#include "io/disk.h"

struct history;

struct history_options {
    const struct disk *disk;
    const struct clock *clock;
    uint64_t days_max, bytes_max;
};

/* Mends an index that is behind and a last line that is torn. */
int history_open(int dir_fd, const struct history_options *o, struct history **ret);
void history_close(struct history **h);
/* Lines separated by '\n'. number: of the queue's batch, remembered so that a batch told twice is
 * written once; 0 for notes. Durable only after history_commit. A note is refused with -ENOSPC
 * when today alone has more than bytes_max already; other errors are those of history_commit,
 * which happens early when much has gathered. */
int history_add(struct history *h, uint64_t number, struct str lines);
/* After an error nothing more is durable than before; the same may be tried again. */
int history_commit(struct history *h);
uint64_t history_taken(const struct history *h); /* the last batch number that is durable */
void history_limits(struct history *h, uint64_t days_max, uint64_t bytes_max);

/* Walks the lines that tell of `text`: a message id, an address, or "@domain"; oldest first. */
struct history_search;
int history_search_new(struct history *h, struct str text, struct history_search **ret);
/* Appends up to `bytes` of matching lines. 1: there is more, 0: the end, or negative errno. */
/* bytes: at least HISTORY_SEARCH_BYTES_MIN. Does a bounded piece of work, so 1 may come with nothing. */
enum { HISTORY_SEARCH_BYTES_MIN = 16 * 1024 + 1 };
int history_search_next(struct history_search *s, struct buf *to, size_t bytes);
void history_search_free(struct history_search **s);
/* Does a line tell of text? Exact id, exact address or domain in any key's value. Shared with queue. */
bool history_line_matches(struct str line, struct str text);
