/* daemon/relay/job.h - one job of the queue: a message for some recipients behind one next hop.
 *
 * A job lives until the queue has confirmed its results. Its content is given up as soon as the
 * last result is known: what waits for a queue that is away is small. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "client/session.h"
#include "ipc/job.h"
#include "ipc/message.h"

struct job {
    struct list link;
    struct arena arena; /* owns the strings but the content */
    uint64_t number, key;
    struct str next_hop;
    size_t recipient_count;
    struct job_recipient *recipients;
    struct client_message message;
    char *content; /* or NULL */

    uint64_t started_us;    /* monotonic */
    struct status *results; /* class 0: none yet */
    size_t open_count;      /* recipients without a result */
    bool next_hop_failed;
    bool ended; /* all results are known and were said to the queue, if it was there */
    struct str host, tls, detail;
    struct attempt *attempt; /* of the pool, while it looks for a server; or NULL */
};

/* Copies all it needs; takes the descriptor of a JOB_FILE. NULL: malformed. */
struct job *job_from_message(union message *m);
void job_free(struct job **j);

void job_result(struct job *j, size_t i, const struct status *st);
void job_results_forget(struct job *j); /* to be tried again from the start */
/* st for every recipient without a result. */
void job_fail(struct job *j, const struct status *st, bool next_hop_failed);
void job_content_drop(struct job *j);
