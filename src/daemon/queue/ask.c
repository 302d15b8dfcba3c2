/* daemon/queue/ask.c - see ask.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/ask.h"

#include "daemon/queue/queue.h"

void asks_init(struct asks *a)
{
    *a = (struct asks){.by_ticket = map_new()};
}

void asks_done(struct asks *a)
{
    map_free(&a->by_ticket);
}

static void send_ask(struct queue *q, const struct route_ask *a)
{
    struct peer *router = queue_peer(q, ROUTER);
    if (router == NULL)
        return; /* asks_router_up comes */
    channel_send(router->channel, &(struct msg_route_ask){.kind = MSG_ROUTE_ASK,
                                                          .ticket = a->ticket,
                                                          .may_relay = 1,
                                                          .sender = a->sender,
                                                          .recipient = a->recipient});
}

void route_ask(struct queue *q, struct route_ask *a, struct str sender, struct str recipient,
               void (*fn)(void *arg, const struct msg_route_answer *answer), void *arg)
{
    route_ask_cancel(q, a);
    *a = (struct route_ask){.ticket = ++q->asks.last_ticket,
                            .sender = sender,
                            .recipient = recipient,
                            .fn = fn,
                            .arg = arg};
    map_put(q->asks.by_ticket, map_key_u64(&a->ticket), a);
    send_ask(q, a);
}

void route_ask_cancel(struct queue *q, struct route_ask *a)
{
    if (a->ticket == 0)
        return;
    map_remove(q->asks.by_ticket, map_key_u64(&a->ticket));
    a->ticket = 0;
}

void asks_answer(struct queue *q, const struct msg_route_answer *answer)
{
    struct route_ask *a = map_get(q->asks.by_ticket, map_key_u64(&answer->ticket));
    if (a == NULL)
        return; /* cancelled meanwhile */
    route_ask_cancel(q, a);
    a->fn(a->arg, answer);
    queue_touch(q);
}

void asks_router_up(struct queue *q)
{
    size_t at = 0;
    for (struct route_ask *a = map_next(q->asks.by_ticket, &at); a != NULL;
         a = map_next(q->asks.by_ticket, &at))
        send_ask(q, a);
}
