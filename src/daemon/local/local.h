/* daemon/local/local.h - jobs from the queue into mailboxes, results back.
 *
 * Each mailbox has its lane, so its folder is synced once a batch, and the syncs of several lanes
 * run side by side: a file system writes them together. Messages that come as a file go in a lane
 * of their own, so that a large one never holds up a small one; those for users of this machine go
 * to their helpers. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/local/lane.h"
#include "daemon/local/users.h"
#include "ipc/channel.h"

enum { LOCAL_SLOTS_MAX = 256, LOCAL_LANES = 8 };
/* Files in tmp/ older than this were left by a crash: the habit of Maildir. */
#define SWEEP_AGE_US (36 * 3600 * US_PER_S)

struct local {
    struct hold hold;
    struct lane *small[LOCAL_LANES], *large;
    struct users users;
    uint64_t started_us;           /* a message older than us may have been delivered before us */
    void (*on_stopped)(void *arg); /* once, when the last job has ended after local_stop */
    void *arg;
};

/* wall: the clock that ids are made from. */
int local_init(struct local *o, struct loop *l, int mail_fd, const struct disk *d,
               const struct clock *wall, void (*on_stopped)(void *arg), void *arg);
void local_done(struct local *o);
void local_config(struct local *o, const struct config *c);
void local_job(struct local *o, struct channel *from, union message *m); /* JOB, JOB_FILE */
void local_stop(struct local *o);
