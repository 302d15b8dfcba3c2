// SPDX-License-Identifier: ISC
#include "daemon/relay/relay.h"

#include <errno.h>

static void on_done(void *arg, struct job *j)
{
    struct relay *r = arg;

    hold_ended(&r->hold, &j->held);
}

static void on_stopped(void *arg)
{
    struct relay *r = arg;

    r->on_stopped(r->arg);
}

static void unix_connect(void *arg, uint64_t ticket, struct str next_hop)
{
    struct relay *r = arg;

    if (r->parent)
        channel_send(r->parent, &(struct msg_unix_hop){
                                    .kind = MSG_UNIX_HOP, .ticket = ticket, .next_hop = next_hop});
    else
        pool_unix_failed(r->pool, ticket, EACCES);
}

void relay_init(struct relay *r, struct loop *l, struct dns *dns, void (*stopped)(void *arg),
                void *arg)
{
    static const struct pool_events events = {on_done, on_stopped, unix_connect};

    *r = (struct relay){.on_stopped = stopped, .arg = arg};
    hold_init(&r->hold, l, RELAY_SLOTS_MAX, job_free);
    own_learn_before_jail(&r->own);
    r->pool = pool_new(l, dns, &r->own, &events, r);
}

void relay_done(struct relay *r)
{
    pool_free(&r->pool);
    hold_done(&r->hold);
}

void relay_job(struct relay *r, struct channel *from, union message *m)
{
    struct job *j = job_from_message(m);

    if (hold_add(&r->hold, from, j ? &j->held : NULL))
        pool_deliver(r->pool, j);
}

void relay_stop(struct relay *r)
{
    hold_stop(&r->hold);
    pool_stop(r->pool);
}
