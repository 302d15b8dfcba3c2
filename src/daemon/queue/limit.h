/* daemon/queue/limit.h - how many reports one address gets in an hour, against backscatter: who
 * sends in another's name must not have us flood that one. What is over it is counted. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"

struct queue;

enum { LIMIT_SENDERS_MAX = 65536 }; /* remembered; all further ones share one count */

struct limit {
    struct map *by_sender; /* in lower case */
    struct arena arena;    /* of this hour */
    uint64_t began_us;     /* monotonic */
};

void limit_init(struct limit *l);
void limit_done(struct limit *l);
/* One more report to this address: may it be sent? The first that may not is logged. */
bool limit_allows(struct queue *q, struct str sender);
