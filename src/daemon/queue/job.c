/* daemon/queue/job.c - see job.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/job.h"

#include <stdlib.h>

#include "daemon/queue/queue.h"
#include "ipc/job.h"

struct taken {
    struct list link;
    struct peer *peer;
    uint64_t number;
};

void jobs_init(struct queue *q)
{
    /* Numbers of an earlier queue, which a worker may still hold, are smaller. */
    q->jobs = (struct jobs){
        .by_number = map_new(), .active = map_new(), .last_number = clock_now_us(q->clock)};
    list_init(&q->jobs.taken);
}

/* ---- what is active ---- */

static struct str active_key(const struct active *a)
{
    return str_n((const char *)&a->name, ACTIVE_KEY_BYTES);
}

bool active_has(const struct queue *q, uint64_t key, uint32_t number)
{
    struct active a = {.name = {.key = key, .number = number}};
    return map_get(q->jobs.active, active_key(&a)) != NULL;
}

void active_add(struct queue *q, struct active *a)
{
    map_put(q->jobs.active, active_key(a), a);
}

void active_remove(struct queue *q, struct active *a)
{
    if (map_get(q->jobs.active, active_key(a)) == a)
        map_remove(q->jobs.active, active_key(a));
}

/* ---- life of a job ---- */

static struct job *job_new(struct peer *peer, uint64_t number, struct id id, size_t count)
{
    struct queue *q = peer->queue;
    struct job *j = mem_new(sizeof(*j));
    j->number = number;
    j->peer = peer;
    j->id = id;
    j->started_us = clock_now_us(q->clock);
    j->recipients = arena_alloc(&j->arena, (count + 1) * sizeof(*j->recipients));
    map_put(q->jobs.by_number, map_key_u64(&j->number), j);
    list_add(&peer->jobs, &j->link);
    return j;
}

static void job_free(struct job *j)
{
    struct queue *q = j->peer->queue;
    for (size_t i = 0; i < j->recipient_count; i++)
        if (!j->recipients[i].settled)
            active_remove(q, &j->recipients[i].active);
    if (j->destination != NULL) {
        j->destination->job_count--;
        schedule_job_ended(q, j->destination);
    }
    map_remove(q->jobs.by_number, map_key_u64(&j->number));
    list_remove(&j->link);
    arena_free(&j->arena);
    free(j);
}

void jobs_done(struct queue *q)
{
    list_each (link, &q->jobs.taken)
        free(list_of(link, struct taken, link));
    map_free(&q->jobs.by_number);
    map_free(&q->jobs.active);
}

static void recipient_add(struct queue *q, struct job *j, const struct spool_recipient *r)
{
    struct job_recipient_state *s = &j->recipients[j->recipient_count++];
    *s = (struct job_recipient_state){.active = {.name = {.key = j->id.key, .number = r->number}},
                                      .address = arena_copy(&j->arena, r->address),
                                      .original = arena_copy(&j->arena, r->original),
                                      .attempts = r->attempts,
                                      .notify = r->notify.when,
                                      .orcpt = arena_copy(&j->arena, r->notify.orcpt),
                                      .expires_us = r->expires_us,
                                      .age_us = r->age_us};
    active_add(q, &s->active);
}

static void send_job(struct job *j, const struct job_message *m)
{
    struct job_recipient list[JOB_RECIPIENTS_MAX];
    struct buf recipients = buf_init(PACKET_BYTES_MAX);
    struct str next_hop = j->destination->next_hop;

    for (size_t i = 0; i < j->recipient_count; i++) {
        const struct job_recipient_state *s = &j->recipients[i];

        list[i] = (struct job_recipient){
            .number = s->active.name.number, .address = s->address, .next_hop = next_hop};
        if (j->destination->transport == TRANSPORT_RELAY) /* nobody else passes them on */
            list[i].notify = (struct notify){.when = s->notify & NOTIFY_ASKED, .orcpt = s->orcpt};
    }
    job_recipients_encode(&recipients, list, j->recipient_count);
    if (m->file >= 0) {
        struct msg_job_file f = {.kind = MSG_JOB_FILE,
                                 .job = j->number,
                                 .key = j->id.key,
                                 .node = j->id.node,
                                 .received_us = m->received_us,
                                 .sender = m->sender,
                                 .next_hop = next_hop,
                                 .recipients = buf_str(&recipients),
                                 .body = (uint8_t)m->body,
                                 .utf8 = (uint8_t)m->utf8,
                                 .ret = (uint8_t)m->ret,
                                 .envid = m->envid,
                                 .prefix = m->prefix,
                                 .size = m->size,
                                 .file = m->file};
        channel_send(j->peer->channel, &f);
    } else {
        struct msg_job c = {.kind = MSG_JOB,
                            .job = j->number,
                            .key = j->id.key,
                            .node = j->id.node,
                            .received_us = m->received_us,
                            .sender = m->sender,
                            .next_hop = next_hop,
                            .recipients = buf_str(&recipients),
                            .body = (uint8_t)m->body,
                            .utf8 = (uint8_t)m->utf8,
                            .ret = (uint8_t)m->ret,
                            .envid = m->envid,
                            .prefix = m->prefix,
                            .size = m->content.n,
                            .content = m->content};
        channel_send(j->peer->channel, &c);
    }
    buf_free(&recipients);
}

void job_start(struct queue *q, struct peer *peer, struct destination *d,
               const struct job_message *m, const struct spool_recipient *recipients, size_t count)
{
    check(count > 0 && count <= JOB_RECIPIENTS_MAX && peer->slots > 0);
    struct job *j = job_new(peer, ++q->jobs.last_number, m->id, count);
    j->destination = d;
    j->sender = arena_copy(&j->arena, m->sender);
    j->received_us = m->received_us;
    for (size_t i = 0; i < count; i++)
        recipient_add(q, j, &recipients[i]);
    peer->slots--;
    d->job_count++;
    d->last_peer = peer;
    send_limit_started(q, j);
    send_job(j, m);
}

/* ---- what workers say ---- */

static struct job *job_of(struct peer *peer, uint64_t number)
{
    struct job *j = map_get(peer->queue->jobs.by_number, map_key_u64(&number));
    return j != NULL && j->peer == peer ? j : NULL;
}

static struct job_recipient_state *unsettled(struct job *j, const struct msg_result *m)
{
    for (size_t i = 0; i < j->recipient_count; i++) {
        struct job_recipient_state *s = &j->recipients[i];
        if (s->active.name.number == m->number && j->id.key == m->key && !s->settled)
            return s;
    }
    return NULL;
}

void job_result(struct peer *peer, const struct msg_result *m)
{
    struct queue *q = peer->queue;
    struct job *j = job_of(peer, m->job);
    struct job_recipient_state *s = j != NULL ? unsettled(j, m) : NULL;
    if (s == NULL)
        return; /* told twice, or removed meanwhile */
    s->settled = true;
    active_remove(q, &s->active);
    outcome(q, j, s, m);
    queue_touch(q);
}

static void want_taken(struct peer *peer, uint64_t number)
{
    struct taken *t = mem_new(sizeof(*t));
    t->peer = peer;
    t->number = number;
    list_add(&peer->queue->jobs.taken, &t->link);
    queue_touch(peer->queue);
}

void job_end(struct peer *peer, uint64_t number)
{
    struct queue *q = peer->queue;
    struct job *j = job_of(peer, number);
    if (j == NULL)
        return;
    bool unsettled_left = false;
    for (size_t i = 0; i < j->recipient_count; i++)
        unsettled_left = unsettled_left || !j->recipients[i].settled;
    if (unsettled_left && j->destination != NULL)
        j->destination->cursor = (struct spool_cursor){0};
    if (j->destination != NULL && j->answered && !j->next_hop_failed)
        destination_succeeded(q, j->destination);
    send_limit_ended(q, j);
    want_taken(peer, number);
    job_free(j);
}

void jobs_taken(struct queue *q)
{
    list_each (link, &q->jobs.taken) {
        struct taken *t = list_of(link, struct taken, link);
        channel_send(t->peer->channel,
                     &(struct msg_results_taken){.kind = MSG_RESULTS_TAKEN, .job = t->number});
        list_remove(&t->link);
        free(t);
    }
}

/* A worker can only hold what one of its kind was given. */
static bool may_hold(const struct peer *peer, const struct spool_recipient *row)
{
    return peer->role == (row->transport == TRANSPORT_LOCAL ? LOCAL : RELAY);
}

/* Recipients whose rows are gone (committed, but the worker was not told) are left out: then the
 * job is only there to be ended and taken. */
static void adopt(struct queue *q, struct job *j, const struct job_recipient *r)
{
    struct spool_recipient row;
    struct arena *a = &q->turn_arena;
    int n = spool_recipients(q->spool, j->id.key, r->number - 1, a, &row, 1);
    queue_must(q, n);
    if (n <= 0 || row.number != r->number || active_has(q, j->id.key, r->number) ||
        !may_hold(j->peer, &row))
        return;
    recipient_add(q, j, &row);
    if (j->destination == NULL) {
        j->destination = destination_get(q, row.transport, row.next_hop);
        if (j->destination != NULL)
            j->destination->job_count++;
    }
}

void job_held(struct peer *peer, const struct msg_held *m)
{
    struct queue *q = peer->queue;
    struct job_recipient *list;
    size_t count;
    struct spool_message message;

    queue_touch(q);
    if (peer->held_ended || map_get(q->jobs.by_number, map_key_u64(&m->job)) != NULL ||
        !job_recipients_decode(m->recipients, &q->turn_arena, &list, &count))
        return;
    struct job *j = job_new(peer, m->job, queue_id(q, m->key), count);
    j->started_us = 0; /* unknown: an attempt that expires nothing */
    if (q->jobs.last_number < m->job)
        q->jobs.last_number = m->job;
    int r = spool_message(q->spool, m->key, &q->turn_arena, &message);
    queue_must(q, r);
    if (r < 0)
        return;
    j->sender = arena_copy(&j->arena, message.sender);
    j->received_us = message.received_us;
    for (size_t i = 0; i < count; i++)
        adopt(q, j, &list[i]);
}

void jobs_peer_down(struct peer *peer)
{
    struct queue *q = peer->queue;
    list_each (link, &peer->jobs)
        job_free(list_of(link, struct job, link));
    list_each (link, &q->jobs.taken) {
        struct taken *t = list_of(link, struct taken, link);
        if (t->peer != peer)
            continue;
        list_remove(&t->link);
        free(t);
    }
    destinations_forget_peer(q, peer);
    destinations_rewind(q);
}

size_t jobs_running(const struct queue *q)
{
    return map_count(q->jobs.by_number);
}
