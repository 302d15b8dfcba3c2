/* daemon/relay/relay.h - jobs from the queue out to next hops, results back.
 *
 * The queue owns every message; we hold a job until it has confirmed our results, and tell a new
 * queue what we hold before it may schedule anything: HELD…, HELD_END, the results it has not
 * confirmed, then SLOTS. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/relay/pool.h"
#include "ipc/channel.h"

enum { RELAY_SLOTS_MAX = 100 };

struct relay {
    struct loop *loop;
    struct own own;
    struct pool *pool;
    struct channel *queue; /* NULL: away */
    struct list jobs;
    size_t job_count;
    uint32_t slots_owed; /* to be offered at the end of the turn */
    struct turn_work offer;
    bool stopping;
    void (*on_stopped)(void *arg);
    void *arg;
};

void relay_init(struct relay *r, struct loop *l, struct dns *dns, void (*on_stopped)(void *arg),
                void *arg);
void relay_done(struct relay *r);
void relay_queue_up(struct relay *r, struct channel *queue);
void relay_queue_down(struct relay *r, struct channel *queue);
void relay_job(struct relay *r, struct channel *from, union message *m); /* JOB, JOB_FILE */
void relay_results_taken(struct relay *r, uint64_t job);
void relay_stop(struct relay *r);
