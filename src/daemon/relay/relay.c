// SPDX-License-Identifier: ISC
#include "daemon/relay/relay.h"

#include <string.h>

#include "base/check.h"

static void say_result(const struct relay *r, const struct job *j, size_t i)
{
    struct msg_result m = {
        .kind = MSG_RESULT,
        .job = j->number,
        .key = j->key,
        .number = j->recipients[i].number,
        .status = j->results[i],
        .next_hop_failed = j->next_hop_failed && !status_done(&j->results[i]),
        .host = j->host,
        .tls = j->tls,
        .detail = j->detail,
    };

    channel_send(r->queue, &m);
}

static void say_results(const struct relay *r, const struct job *j)
{
    struct msg_job_end end = {.kind = MSG_JOB_END, .job = j->number};

    if (!r->queue)
        return;
    for (size_t i = 0; i < j->recipient_count; i++)
        say_result(r, j, i);
    channel_send(r->queue, &end);
}

static void say_held(const struct relay *r, const struct job *j)
{
    struct buf recipients = buf_init(PACKET_BYTES_MAX);
    job_recipients_encode(&recipients, j->recipients, j->recipient_count);

    struct msg_held m = {.kind = MSG_HELD,
                         .job = j->number,
                         .key = j->key,
                         .next_hop = j->next_hop,
                         .recipients = buf_str(&recipients)};
    channel_send(r->queue, &m);
    buf_free(&recipients);
}

static void offer_slots(void *arg)
{
    struct relay *r = arg;
    struct msg_slots m = {.kind = MSG_SLOTS, .count = r->slots_owed};

    if (r->queue && r->slots_owed > 0 && !r->stopping)
        channel_send(r->queue, &m);
    r->slots_owed = 0;
}

static void on_done(void *arg, struct job *j)
{
    struct relay *r = arg;

    job_content_drop(j);
    j->ended = true;
    say_results(r, j);
}

static void on_stopped(void *arg)
{
    struct relay *r = arg;

    r->on_stopped(r->arg);
}

void relay_init(struct relay *r, struct loop *l, struct dns *dns, void (*stopped)(void *arg),
                void *arg)
{
    static const struct pool_events events = {on_done, on_stopped};

    *r = (struct relay){.loop = l, .on_stopped = stopped, .arg = arg};
    r->offer = (struct turn_work){.fn = offer_slots, .arg = r};
    list_init(&r->jobs);
    own_learn_before_jail(&r->own);
    r->pool = pool_new(l, dns, &r->own, &events, r);
}

void relay_done(struct relay *r)
{
    pool_free(&r->pool);
    turn_forget(r->loop, &r->offer);
    list_each (at, &r->jobs) {
        struct job *j = list_of(at, struct job, link);
        job_free(&j);
    }
}

void relay_queue_up(struct relay *r, struct channel *queue)
{
    struct msg_held_end end = {.kind = MSG_HELD_END};

    r->queue = queue;
    list_each (at, &r->jobs)
        say_held(r, list_of(at, struct job, link));
    channel_send(queue, &end);
    list_each (at, &r->jobs) {
        const struct job *j = list_of(at, struct job, link);
        if (j->ended)
            say_results(r, j);
    }
    r->slots_owed = (uint32_t)(RELAY_SLOTS_MAX - r->job_count);
    turn_want(r->loop, TURN_COMMIT, &r->offer);
}

void relay_queue_down(struct relay *r, struct channel *queue)
{
    if (r->queue == queue)
        r->queue = NULL;
}

/* What comes while we stop is not touched: the queue has it back when our channel ends. */
void relay_job(struct relay *r, struct channel *from, union message *m)
{
    struct job *j = job_from_message(m);

    if (!j || r->job_count == RELAY_SLOTS_MAX) {
        channel_break(from, j ? "more jobs than slots" : "malformed job");
        job_free(&j);
        return;
    }
    list_add(&r->jobs, &j->link);
    r->job_count++;
    if (!r->stopping)
        pool_deliver(r->pool, j);
}

static struct job *ended_job(struct relay *r, uint64_t number)
{
    list_each (at, &r->jobs) {
        struct job *j = list_of(at, struct job, link);
        if (j->number == number && j->ended)
            return j;
    }
    return NULL;
}

void relay_results_taken(struct relay *r, uint64_t number)
{
    struct job *j = ended_job(r, number);

    if (!j)
        return;
    job_free(&j);
    r->job_count--;
    r->slots_owed++;
    turn_want(r->loop, TURN_COMMIT, &r->offer);
}

void relay_stop(struct relay *r)
{
    r->stopping = true;
    pool_stop(r->pool);
}
