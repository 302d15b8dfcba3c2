/* daemon/local/users.h - jobs for users of this machine, by way of their helpers.
 *
 *   jobs wait --DELIVER to the parent, USER_JOB… to the helper it begins--> USER_RESULT… --> on_done
 *   session: WAITING --> RUNNING --idle for USERS_LINGER_US, too slow, broken--> ENDING
 *                ^                                                                  |
 *                +------------------------------ DELIVER_ENDED ----------------------+
 *
 * A user has at most one helper at a time. Whoever is slow is broken off after `timeout`, and
 * hinders nobody else: helpers are many (USERS_SESSIONS_MAX), one that only rests makes room for
 * another user, and jobs that would fill all slots are put off at once. What a helper says is said
 * with the rights of its user: it is believed about the mail of that user only. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "daemon/local/job.h"
#include "io/loop.h"
#include "ipc/channel.h"

enum { USERS_SESSIONS_MAX = 32, USERS_JOBS_MAX = 192 };
#define USERS_LINGER_US US_PER_S

struct users {
    struct loop *loop;
    struct channel *parent;
    uint64_t timeout_us;
    bool full_returns; /* mail for a full mailbox goes back at once */
    struct list sessions;
    size_t running_count, job_count;
    uint64_t last_ticket;
    void (*on_done)(void *arg, struct job *j);
    void *arg;
};

bool users_has(struct str next_hop); /* "~alice" */
void users_init(struct users *u, struct loop *l, void (*on_done)(void *arg, struct job *j),
                void *arg);
void users_done(struct users *u); /* jobs are only unlinked */
void users_config(struct users *u, const struct config *c);
void users_add(struct users *u, struct job *j); /* on_done may come before it returns */
void users_begun(struct users *u, const struct msg_deliver_begun *m); /* takes the socket */
void users_ended(struct users *u, const struct msg_deliver_ended *m);
