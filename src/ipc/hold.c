// SPDX-License-Identifier: ISC
#include "ipc/hold.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

/* ---- a job ---- */

static void content_drop(struct hold_job *j)
{
    free(j->memory);
    j->memory = NULL;
    j->content = STR_NONE;
    if (j->content_fd >= 0)
        (void)close(j->content_fd); /* only read */
    j->content_fd = -1;
}

static void copy_strings(struct hold_job *j, struct str sender, struct str prefix,
                         struct str next_hop)
{
    j->sender = arena_copy(&j->arena, sender);
    j->prefix = arena_copy(&j->arena, prefix);
    j->next_hop = arena_copy(&j->arena, next_hop);
}

static void take_wishes(struct hold_job *j, uint8_t body, uint8_t ret, struct str envid)
{
    j->body = body < BODY_COUNT ? (enum body)body : BODY_BINARY;
    j->ret = ret < RETURN_COUNT ? (enum notify_return)ret : RETURN_UNSAID;
    j->envid = arena_copy(&j->arena, envid);
}

static void init_job(struct hold_job *j, const struct msg_job *m)
{
    j->number = m->job;
    j->id = (struct id){.key = m->key, .node = m->node};
    j->utf8 = (enum message_utf8)MIN_OF(m->utf8, UTF8_HEADER);
    take_wishes(j, m->body, m->ret, m->envid);
    copy_strings(j, m->sender, m->prefix, m->next_hop);
    j->memory = mem_copy(m->content.p, m->content.n);
    j->content = str_n(j->memory, m->content.n);
}

static void init_job_file(struct hold_job *j, const struct msg_job_file *m)
{
    j->number = m->job;
    j->id = (struct id){.key = m->key, .node = m->node};
    j->utf8 = (enum message_utf8)MIN_OF(m->utf8, UTF8_HEADER);
    take_wishes(j, m->body, m->ret, m->envid);
    copy_strings(j, m->sender, m->prefix, m->next_hop);
    j->content_fd = m->file;
    j->content_offset = m->offset;
    j->content_bytes = m->size;
}

static bool take_recipients(struct hold_job *j, struct str encoded)
{
    encoded = arena_copy(&j->arena, encoded);
    if (!job_recipients_decode(encoded, &j->arena, &j->recipients, &j->recipient_count) ||
        j->recipient_count == 0)
        return false;
    j->results = arena_alloc(&j->arena, j->recipient_count * sizeof *j->results);
    return true;
}

bool hold_job_init(struct hold_job *j, union message *m)
{
    *j = (struct hold_job){.content_fd = -1};
    list_init(&j->link);
    bool whole = m->kind == MSG_JOB || m->kind == MSG_USER_JOB; /* the same fields */
    if (whole)
        init_job(j, &m->job);
    else
        init_job_file(j, &m->job_file);
    if (take_recipients(j, whole ? m->job.recipients : m->job_file.recipients))
        return true;
    hold_job_done(j);
    return false;
}

void hold_job_done(struct hold_job *j)
{
    content_drop(j);
    list_remove(&j->link);
    arena_free(&j->arena);
}

/* ---- what we say to the queue ---- */

static void say_results(const struct hold *h, const struct hold_job *j)
{
    struct msg_job_end end = {.kind = MSG_JOB_END, .job = j->number};

    if (!h->queue)
        return;
    for (size_t i = 0; i < j->recipient_count; i++) {
        struct msg_result m = {
            .kind = MSG_RESULT,
            .job = j->number,
            .key = j->id.key,
            .number = j->recipients[i].number,
            .status = j->results[i],
            .next_hop_failed = j->next_hop_failed && !status_done(&j->results[i]),
            .reports = j->reports,
            .host = j->host,
            .tls = j->tls,
            .detail = j->detail,
        };
        channel_send(h->queue, &m);
    }
    channel_send(h->queue, &end);
}

static void say_held(const struct hold *h, const struct hold_job *j)
{
    struct buf recipients = buf_init(PACKET_BYTES_MAX);
    job_recipients_encode(&recipients, j->recipients, j->recipient_count);

    struct msg_held m = {.kind = MSG_HELD,
                         .job = j->number,
                         .key = j->id.key,
                         .next_hop = j->next_hop,
                         .recipients = buf_str(&recipients)};
    channel_send(h->queue, &m);
    buf_free(&recipients);
}

static void offer_slots(void *arg)
{
    struct hold *h = arg;
    struct msg_slots m = {.kind = MSG_SLOTS, .count = h->slots_owed};

    if (h->queue && h->slots_owed > 0 && !h->stopping)
        channel_send(h->queue, &m);
    h->slots_owed = 0;
}

/* ---- jobs come and go ---- */

bool hold_add(struct hold *h, struct channel *from, struct hold_job *j)
{
    if (!j) {
        channel_break(from, "malformed job");
        return false;
    }
    if (h->job_count == h->slots_max)
        channel_break(from, "more jobs than slots");
    if (h->job_count == h->slots_max || h->stopping) {
        h->job_free(j);
        return false;
    }
    list_add(&h->jobs, &j->link);
    h->job_count++;
    h->open_count++;
    return true;
}

void hold_ended(struct hold *h, struct hold_job *j)
{
    check(!j->ended && h->open_count > 0);
    content_drop(j);
    j->ended = true;
    h->open_count--;
    say_results(h, j);
}

static struct hold_job *ended_job(struct hold *h, uint64_t number)
{
    list_each (at, &h->jobs) {
        struct hold_job *j = list_of(at, struct hold_job, link);

        if (j->number == number && j->ended)
            return j;
    }
    return NULL;
}

void hold_results_taken(struct hold *h, uint64_t number)
{
    struct hold_job *j = ended_job(h, number);

    if (!j)
        return;
    h->job_free(j);
    h->job_count--;
    h->slots_owed++;
    turn_want(h->loop, TURN_COMMIT, &h->offer);
}

/* ---- the queue comes and goes ---- */

void hold_queue_up(struct hold *h, struct channel *queue)
{
    struct msg_held_end end = {.kind = MSG_HELD_END};

    h->queue = queue;
    list_each (at, &h->jobs)
        say_held(h, list_of(at, struct hold_job, link));
    channel_send(queue, &end);
    list_each (at, &h->jobs) {
        const struct hold_job *j = list_of(at, struct hold_job, link);

        if (j->ended)
            say_results(h, j);
    }
    h->slots_owed = h->slots_max - (uint32_t)h->job_count;
    turn_want(h->loop, TURN_COMMIT, &h->offer);
}

void hold_queue_down(struct hold *h, const struct channel *queue)
{
    if (h->queue == queue)
        h->queue = NULL;
}

/* ---- life ---- */

void hold_init(struct hold *h, struct loop *l, uint32_t slots_max,
               void (*job_free)(struct hold_job *j))
{
    *h = (struct hold){.loop = l, .slots_max = slots_max, .job_free = job_free};
    h->offer = (struct turn_work){.fn = offer_slots, .arg = h};
    list_init(&h->jobs);
}

void hold_done(struct hold *h)
{
    turn_forget(h->loop, &h->offer);
    list_each (at, &h->jobs)
        h->job_free(list_of(at, struct hold_job, link));
}

void hold_stop(struct hold *h)
{
    h->stopping = true;
}
