/* daemon/relay/relay.h - jobs from the queue out to next hops, results back. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/relay/pool.h"
#include "ipc/channel.h"

enum { RELAY_SLOTS_MAX = 100 };

struct relay {
    struct hold hold;
    struct own own;
    struct pool *pool;
    void (*on_stopped)(void *arg);
    void *arg;
    struct channel *parent; /* opens Unix sockets; NULL: they cannot be had */
};

void relay_init(struct relay *r, struct loop *l, struct dns *dns, void (*on_stopped)(void *arg),
                void *arg);
void relay_done(struct relay *r);
void relay_job(struct relay *r, struct channel *from, union message *m); /* JOB, JOB_FILE */
void relay_stop(struct relay *r);
