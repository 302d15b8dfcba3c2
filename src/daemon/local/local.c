// SPDX-License-Identifier: ISC
#include "daemon/local/local.h"

#include "base/check.h"
#include "base/log.h"

/* ---- what we say to the queue ---- */

static void say_results(const struct local *o, const struct job *j)
{
    struct msg_job_end end = {.kind = MSG_JOB_END, .job = j->number};

    if (!o->queue)
        return;
    for (size_t i = 0; i < j->recipient_count; i++) {
        struct msg_result m = {.kind = MSG_RESULT,
                               .job = j->number,
                               .key = j->message.id.key,
                               .number = j->recipients[i].number,
                               .status = j->results[i]};
        channel_send(o->queue, &m);
    }
    channel_send(o->queue, &end);
}

static void say_held(const struct local *o, const struct job *j)
{
    struct buf recipients = buf_init(PACKET_BYTES_MAX);
    job_recipients_encode(&recipients, j->recipients, j->recipient_count);

    struct msg_held m = {.kind = MSG_HELD,
                         .job = j->number,
                         .key = j->message.id.key,
                         .next_hop = j->next_hop,
                         .recipients = buf_str(&recipients)};
    channel_send(o->queue, &m);
    buf_free(&recipients);
}

static void offer_slots(void *arg)
{
    struct local *o = arg;
    struct msg_slots m = {.kind = MSG_SLOTS, .count = o->slots_owed};

    if (o->queue && o->slots_owed > 0 && !o->stopping)
        channel_send(o->queue, &m);
    o->slots_owed = 0;
}

/* ---- jobs ---- */

static void log_result(const struct job *j, size_t i)
{
    struct buf line = buf_init(LINE_BYTES_MAX);
    struct buf code = buf_init(16);

    status_print_enhanced(&code, &j->results[i]);
    line_c(&line, "event", "written");
    line_c(&line, "msg", id_print(j->message.id).p);
    line_address(&line, "to", j->recipients[i].address);
    line_str(&line, "mailbox", j->recipients[i].next_hop);
    line_str(&line, "status", buf_str(&code));
    line_c(&line, "reply", j->results[i].text);
    log_line(LEVEL_DEBUG, buf_str(&line)); /* the queue tells its life */
    buf_free(&code);
    buf_free(&line);
}

static void stopped_if_empty(const struct local *o)
{
    if (o->stopping && o->open_count == 0)
        o->on_stopped(o->arg);
}

static void on_done(void *arg, struct job *j)
{
    struct local *o = arg;

    for (size_t i = 0; i < j->recipient_count; i++)
        log_result(j, i);
    job_content_drop(j);
    j->ended = true;
    o->open_count--;
    say_results(o, j);
    stopped_if_empty(o);
}

/* What comes while we stop is not touched: the queue has it back when our channel ends. */
void local_job(struct local *o, struct channel *from, union message *m)
{
    struct job *j = job_from_message(m);

    if (!j || o->job_count == LOCAL_SLOTS_MAX) {
        channel_break(from, j ? "more jobs than slots" : "malformed job");
        job_free(&j);
        return;
    }
    if (o->stopping) {
        job_free(&j);
        return;
    }
    j->message.seen_before = id_time_us(j->message.id) <= o->started_us;
    list_add(&o->jobs, &j->link);
    o->job_count++;
    o->open_count++;
    lane_add(j->message.content_fd >= 0 ? o->large : o->small, j);
}

void local_results_taken(struct local *o, uint64_t number)
{
    list_each (at, &o->jobs) {
        struct job *j = list_of(at, struct job, link);

        if (j->number != number || !j->ended)
            continue;
        job_free(&j);
        o->job_count--;
        o->slots_owed++;
        turn_want(o->loop, TURN_COMMIT, &o->offer);
        return;
    }
}

/* ---- the queue comes and goes ---- */

void local_queue_up(struct local *o, struct channel *queue)
{
    struct msg_held_end end = {.kind = MSG_HELD_END};

    o->queue = queue;
    list_each (at, &o->jobs)
        say_held(o, list_of(at, struct job, link));
    channel_send(queue, &end);
    list_each (at, &o->jobs) {
        const struct job *j = list_of(at, struct job, link);

        if (j->ended)
            say_results(o, j);
    }
    o->slots_owed = (uint32_t)(LOCAL_SLOTS_MAX - o->job_count);
    turn_want(o->loop, TURN_COMMIT, &o->offer);
}

void local_queue_down(struct local *o, struct channel *queue)
{
    if (o->queue == queue)
        o->queue = NULL;
}

/* ---- life ---- */

int local_init(struct local *o, struct loop *l, int mail_fd, const struct disk *d,
               const struct clock *wall, void (*on_stopped)(void *arg), void *arg)
{
    struct lane_options lane = {.mail_fd = mail_fd, .disk = d, .on_done = on_done, .arg = o};

    *o = (struct local){
        .loop = l, .started_us = clock_now_us(wall), .on_stopped = on_stopped, .arg = arg};
    o->offer = (struct turn_work){.fn = offer_slots, .arg = o};
    list_init(&o->jobs);
    int r = lane_new(l, &lane, &o->small);
    return r < 0 ? r : lane_new(l, &lane, &o->large);
}

void local_done(struct local *o)
{
    lane_free(&o->small);
    lane_free(&o->large);
    turn_forget(o->loop, &o->offer);
    list_each (at, &o->jobs) {
        struct job *j = list_of(at, struct job, link);

        job_free(&j);
    }
}

void local_hostname(struct local *o, struct str hostname)
{
    lane_hostname(o->small, hostname);
    lane_hostname(o->large, hostname);
}

void local_stop(struct local *o)
{
    if (o->stopping)
        return;
    o->stopping = true;
    stopped_if_empty(o);
}
