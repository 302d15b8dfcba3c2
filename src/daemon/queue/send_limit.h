/* daemon/queue/send_limit.h - how much the smarthost takes: `limit` and `recipient-limit`.
 *
 * A message that may go is counted before it goes, in a commit of its own; so no crash can let it
 * go uncounted:
 *
 *   NONE --send_limit_take: room--> ASKED --committed--> GRANTED --send_limit_take--> TAKEN
 *    ^       no room: the destination backs off until there is               send_limit_started |
 *    +-------------------------------------------------------------------------------------------+
 *   job ends: the count moves to that time, for that is when the other side may have counted it;
 *             or back, when the next hop was not even reached
 *
 * Of an hour and of a day there are windows (mail/usage.h); of less, messages are spaced evenly and
 * go one at a time. The counts are a fact of the spool, "send-use:HOST:PORT". */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "mail/usage.h"

struct queue;
struct destination;
struct job;

#define SEND_USE_PREFIX "send-use:"

enum send_limit_state { SEND_NONE, SEND_ASKED, SEND_GRANTED, SEND_TAKEN };

struct send_limit {
    struct buf via; /* the smarthost that this is about */
    struct usage usage;
    uint64_t paced_until_us[USAGE_WHAT_COUNT]; /* nothing goes before */
    enum send_limit_state state;
    uint64_t counted_at_us; /* of what is asked, granted or taken */
    uint32_t counted[USAGE_WHAT_COUNT];
};

void send_limit_init(struct send_limit *l);
void send_limit_done(struct send_limit *l);
/* After the start, and when the configuration is new: what waits for an old limit waits no more. */
void send_limit_config(struct queue *q);
void send_limit_committed(struct queue *q);

/* To how many recipients at most may one job go there? */
size_t send_limit_recipients(const struct queue *q, const struct destination *d);
bool send_limited(const struct queue *q, const struct destination *d);
/* Is it the commit that is waited for? */
bool send_limit_asks(const struct queue *q, const struct destination *d);
/* May another job run beside those that do? */
bool send_limit_has_room(const struct queue *q, const struct destination *d);
/* May a job to so many recipients start now? False: after the commit, or the destination backs off. */
bool send_limit_take(struct queue *q, struct destination *d, size_t recipients);
void send_limit_started(struct queue *q, struct job *j); /* with what was taken */
void send_limit_not_started(struct queue *q, struct destination *d);
void send_limit_ended(struct queue *q, struct job *j);
