/* daemon/relay/job.h - one job of the queue: a message for some recipients behind one next hop. */
// SPDX-License-Identifier: ISC
#pragma once

#include "client/session.h"
#include "ipc/hold.h"

struct job {
    struct hold_job held;
    struct client_message message; /* views into what is held, until it has ended */
    uint64_t started_us;           /* monotonic */
    size_t open_count;             /* recipients without a result */
    struct attempt *attempt;       /* of the pool, while it looks for a server; or NULL */
};

static inline struct job *job_of(struct hold_job *held)
{
    return list_of(held, struct job, held);
}

struct job *job_from_message(union message *m); /* as hold_job_init; NULL: malformed */
void job_free(struct hold_job *held);

void job_result(struct job *j, size_t i, const struct status *st);
void job_results_forget(struct job *j); /* to be tried again from the start */
/* st for every recipient without a result. */
void job_fail(struct job *j, const struct status *st, bool next_hop_failed);
