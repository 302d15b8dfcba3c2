/* daemon/queue/etrn.h - ETRN: what waits for a node is tried now. RFC 1985.
 *
 * The queue is looked through page by page, a little each turn, and for one node at a time; a few
 * more wait for that. Who asked is answered when the end is reached (251, 253) or after a moment,
 * if that is not yet (250, 252): the rest goes on without them. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "io/loop.h"
#include "ipc/message.h"

struct queue;
struct peer;

enum { ETRN_WAITING_MAX = 16 };
#define ETRN_PATIENCE_US US_PER_S

struct etrn {
    struct list questions; /* the first is being worked on */
    size_t question_count;
    struct timer step;
};

void etrn_init(struct queue *q);
void etrn_done(struct queue *q);
void etrn_ask(struct peer *peer, const struct msg_etrn_ask *m);
void etrn_peer_down(struct peer *peer);

/* Is this address, or this next hop ("mx.example.org:25", "@example.org"), of the node? Pure. */
bool etrn_matches(struct str node, struct str address, struct str next_hop);
