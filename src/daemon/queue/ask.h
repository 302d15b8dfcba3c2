/* daemon/queue/ask.h - questions to the router: where does this go?
 *
 * The question lives in its asker, which may end it at any time (route_ask_cancel): then no answer
 * can arrive any more. While the router is being restarted questions wait and are asked again. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/map.h"
#include "ipc/message.h"

struct queue;

struct route_ask {
    uint64_t ticket;              /* 0: nothing asked */
    struct str sender, recipient; /* the asker's, until the answer */
    void (*fn)(void *arg, const struct msg_route_answer *answer);
    void *arg;
};

struct asks {
    struct map *by_ticket;
    uint64_t last_ticket;
};

void asks_init(struct asks *a);
void asks_done(struct asks *a);

void route_ask(struct queue *q, struct route_ask *a, struct str sender, struct str recipient,
               void (*fn)(void *arg, const struct msg_route_answer *answer), void *arg);
void route_ask_cancel(struct queue *q, struct route_ask *a); /* harmless when nothing is asked */
void asks_answer(struct queue *q, const struct msg_route_answer *answer);
void asks_router_up(struct queue *q);
