/* daemon/queue/outcome.h - what a result makes of its recipient.
 *
 *   2xx                            the row goes
 *   5xx                            bounced at once
 *   4xx of the recipient           its own next attempt; or given up, when this attempt began
 *                                  after its time was over
 *   4xx of the next hop as a whole the destination backs off, the row stays as it is */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/queue/job.h"

void outcome(struct queue *q, struct job *j, const struct job_recipient_state *s,
             const struct msg_result *m);
/* Holds one recipient and tells: event "held" or another name for why. */
void outcome_hold(struct queue *q, const char *event, struct id id, uint32_t number,
                  struct str address, const struct status *why);
/* The disk gave other bytes than were written: everything of the message is held. */
void outcome_damaged(struct queue *q, struct id id);
