/* daemon/local/job.h - one job of the queue: a message for some mailboxes.
 *
 * A job lives until the queue has confirmed its results. Its content is given up as soon as they
 * are known: what waits for a queue that is away is small. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "ipc/job.h"
#include "ipc/message.h"
#include "mailbox/maildir.h"

struct job {
    struct list link;      /* of all jobs we hold */
    struct list lane_link; /* of those in a lane */
    struct arena arena;    /* owns the strings but the content */
    uint64_t number;
    struct str next_hop;
    struct maildir_source message;
    char *content; /* or NULL */
    size_t recipient_count;
    struct job_recipient *recipients;
    struct status *results;
    bool ended; /* all results are known and were said to the queue, if it was there */
};

/* Copies all it needs of a JOB or JOB_FILE; takes the descriptor. NULL: malformed. */
struct job *job_from_message(union message *m);
void job_free(struct job **j); /* NULL is fine */
void job_content_drop(struct job *j);
