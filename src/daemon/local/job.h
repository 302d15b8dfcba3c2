/* daemon/local/job.h - one job of the queue: a message for some mailboxes. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/hold.h"
#include "mailbox/maildir.h"

struct job {
    struct hold_job held;
    struct list lane_link; /* of those in a lane */
    bool seen_before;      /* an earlier process may have delivered it */
};

static inline struct job *job_of(struct hold_job *held)
{
    return list_of(held, struct job, held);
}

struct job *job_from_message(union message *m); /* as hold_job_init; NULL: malformed */
void job_free(struct hold_job *held);
struct maildir_source job_source(const struct job *j); /* views into what is held */
