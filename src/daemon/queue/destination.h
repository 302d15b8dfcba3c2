/* daemon/queue/destination.h - the next hops that are being worked on, in memory: how many jobs
 * each may have at once, and until when it is left alone.
 *
 * The window starts small, grows by one with each good job and falls to one when the next hop as a
 * whole fails; then the destination backs off by the retry schedule (its own count of failures,
 * kept in its row), while its recipients' rows are not touched. A mailbox has no window: what the
 * local workers take at once is limit enough. Idle ones are kept for a while for their window. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "mail/envelope.h"
#include "spool/spool.h"

struct queue;
struct peer;
struct config;

enum { WINDOW_FIRST = 5, DESTINATIONS_IDLE_MAX = 1024, NEXT_HOP_BYTES_MAX = 1024 };

struct destination {
    struct list link; /* in the scheduler's ring, or among the idle ones */
    struct str name;  /* its key in by_name: transport and next hop */
    uint64_t id;
    enum transport transport;
    struct str next_hop;
    uint32_t window, job_count;
    bool more, in_ring, idle;   /* more: rows after the cursor may be due */
    struct spool_cursor cursor; /* rows up to here are being worked on, or not due */
    uint64_t back_off_until_us, failed_at_us;
    uint32_t failures;
    struct peer *last_peer; /* has, perhaps, a connection open */

    /* After a failed attempt: those whose time was over when it began are given up, and the
     * senders of those that had become late are warned. */
    struct list age_link;
    bool ageing;
    uint64_t ageing_at_us;
    struct spool_cursor age_cursor;
    struct status age_status;
};

struct destinations {
    struct map *by_name;
    struct list idle; /* the longest idle first */
    size_t idle_count;
};

void destinations_init(struct destinations *d);
void destinations_done(struct destinations *d);

/* The one in memory, or as its committed row says; NULL: there is no such row. */
struct destination *destination_get(struct queue *q, enum transport t, struct str next_hop);
struct destination *destination_of_row(struct queue *q, const struct spool_destination *row);
/* Nothing may be left that points at it unless it is busy. */
void destination_rest(struct queue *q, struct destination *d);
/* Every cursor back to the start: rows may have become due in the past. */
void destinations_rewind(struct queue *q);
/* After the clock went back: nobody is left alone longer than this. */
void destinations_back_off_at_most(struct queue *q, uint64_t until_us);
void destinations_forget_peer(struct queue *q, const struct peer *peer);

bool destination_backs_off(const struct destination *d, uint64_t now_us);
bool destination_has_room(const struct queue *q, const struct destination *d);
void destination_succeeded(struct queue *q, struct destination *d);
/* An attempt that began at started_us failed as a whole. Those that began before the last failure
 * tell nothing new. */
void destination_failed(struct queue *q, struct destination *d, uint64_t started_us,
                        const struct status *st);

/* The wait after failure number `failures` (from 1), ±10 %: the same for the same seed, so that
 * recipients of one message stay together. */
uint64_t retry_delay_us(const struct config *c, uint32_t failures, uint64_t seed);
