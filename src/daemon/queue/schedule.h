/* daemon/queue/schedule.h - which job starts next: the destination first, then its rows by time.
 *
 *   ring of each transport: destinations with rows that may be due and room in their window; each
 *   in turn gets its share of the free slots (nobody waits behind a large backlog)
 *      ^ a scan of the spool for due destinations, when the ring runs dry or 100 ms have passed
 *      ^ new mail, a job that ended, a back-off that is over
 *
 * Nothing here writes rows; a dead destination costs one row of its own. New mail whose content is
 * still in memory is started from there, if it may start at once. Reads committed state only. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "io/loop.h"
#include "mail/envelope.h"
#include "spool/spool.h"

struct queue;
struct destination;
struct peer;

enum { PAGE_ROWS_MAX = 256, SCAN_DESTINATIONS = 64, RING_MAX = 16384 };

struct schedule {
    struct list ring[TRANSPORT_COUNT];
    size_t ring_count[TRANSPORT_COUNT];
    struct list ageing;          /* destinations whose old rows are given up or warned of */
    bool ready;                  /* the workers have said what they hold, or had time to */
    bool rescan;                 /* there may be due destinations that are not in the ring */
    bool rescan_again;           /* asked for while a scan was half way */
    struct spool_cursor scanned; /* zero: from the start */
    uint64_t scanned_at_us;      /* monotonic */
    uint64_t due_us;             /* wall time of the due timer, UINT64_MAX: not set */
    struct timer due, held_wait;
    struct spool_recipient *page; /* PAGE_ROWS_MAX of them */
};

void schedule_init(struct queue *q);
void schedule_done(struct queue *q);
void schedule_begin(struct queue *q); /* waits for HELD_END of those that are up */
void schedule_held_end(struct queue *q);
void schedule_run(struct queue *q); /* after the commit */

bool schedule_wants_content(const struct queue *q); /* would new mail start at once? */
void schedule_rescan(struct queue *q);
void schedule_due_at(struct queue *q, uint64_t due_us); /* something will be due then */
void schedule_job_ended(struct queue *q, struct destination *d);
/* An attempt that began then has failed as a whole. */
void schedule_age(struct queue *q, struct destination *d, uint64_t attempt_us,
                  const struct status *st);
