/* daemon/queue/notice.h - what postmaster is told once a day: notifications that could neither be
 * delivered nor bounced, and are held. Their ids are kept as a fact of the spool until told. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/queue/ask.h"
#include "mail/id.h"

enum { NOTICE_IDS_MAX = 100 };

struct notice {
    struct route_ask ask;
    struct str recipient;
    uint64_t count;         /* since the last notice */
    struct buf ids;         /* of up to NOTICE_IDS_MAX of them, one a line */
    uint64_t last_check_us; /* monotonic */
};

void notice_init(struct queue *q);
void notice_load(struct queue *q); /* the spool is open */
void notice_done(struct queue *q);
void notice_add(struct queue *q, struct id id); /* one more is held */
void notice_tick(struct queue *q);              /* each second */
