/* daemon/queue/bounce.h - the report to the sender of what could not be delivered (RFC 3464).
 *
 *   bounce_add --> the router is asked where the sender is --> report and end of the recipients
 *                                                              join one batch
 *
 * Until then the recipients stay in the spool, active, so a crash loses nothing: they are tried
 * again. Recipients of one message that fail in the meantime join its report. A message from <>
 * is never reported on: it is held, counted, and told to postmaster (notice.h). So is one whose
 * sender cannot be reached. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "mail/id.h"
#include "mail/status.h"

struct queue;

enum { REPORTS_MAX = 4096 }; /* open ones; above, no new jobs start */

struct bounces {
    struct map *by_key;
    struct list waiting; /* reports to try again: router or disk said later */
};

struct failure { /* of one recipient, borrowed */
    uint32_t number;
    struct str address, original, remote, tls, detail;
    struct status status;
    uint32_t attempts;
    bool expired;
};

void bounces_init(struct bounces *b);
void bounces_done(struct queue *q);
void bounce_add(struct queue *q, struct id id, struct str sender, uint64_t received_us,
                const struct failure *f);
bool bounces_full(const struct queue *q);
void bounces_tick(struct queue *q); /* each second */
