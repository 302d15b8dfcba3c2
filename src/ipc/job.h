/* ipc/job.h - the recipients of a job, as they travel in JOB, JOB_FILE and HELD. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "mail/notify.h"

struct job_recipient {
    uint32_t number;     /* in its message */
    struct str address;  /* final address, printed: RCPT TO, Delivered-To */
    struct str next_hop; /* mailbox folder for local; equal to the job's next hop for relay */
    struct notify notify;
};

void job_recipients_encode(struct buf *to, const struct job_recipient *list, size_t count);
/* Views into bytes; the array is in the arena. */
bool job_recipients_decode(struct str bytes, struct arena *a, struct job_recipient **ret,
                           size_t *ret_count);
