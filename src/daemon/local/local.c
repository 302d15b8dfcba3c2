// SPDX-License-Identifier: ISC
#include "daemon/local/local.h"

#include "base/codec.h"
#include "base/log.h"

/* ---- jobs ---- */

static void log_result(const struct hold_job *j, size_t i)
{
    struct buf line = buf_init(LINE_BYTES_MAX);
    struct buf code = buf_init(16);

    status_print_enhanced(&code, &j->results[i]);
    line_c(&line, "event", "written");
    line_c(&line, "msg", id_print(j->id).p);
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
    if (o->hold.stopping && o->hold.open_count == 0)
        o->on_stopped(o->arg);
}

static void on_done(void *arg, struct job *j)
{
    struct local *o = arg;

    for (size_t i = 0; i < j->held.recipient_count; i++)
        log_result(&j->held, i);
    hold_ended(&o->hold, &j->held);
    stopped_if_empty(o);
}

static struct lane *lane_of(const struct local *o, const struct job *j)
{
    if (j->held.content_fd >= 0)
        return o->large;
    return o->small[hash_bytes(0, j->held.next_hop) % LOCAL_LANES];
}

void local_job(struct local *o, struct channel *from, union message *m)
{
    struct job *j = job_from_message(m);

    if (!hold_add(&o->hold, from, j ? &j->held : NULL))
        return;
    j->seen_before = id_time_us(j->held.id) <= o->started_us;
    if (users_has(j->held.next_hop)) {
        users_add(&o->users, j);
        return;
    }
    lane_add(lane_of(o, j), j);
}

/* ---- life ---- */

int local_init(struct local *o, struct loop *l, int mail_fd, const struct disk *d,
               const struct clock *wall, void (*on_stopped)(void *arg), void *arg)
{
    struct lane_options lane = {.mail_fd = mail_fd, .disk = d, .on_done = on_done, .arg = o};

    *o = (struct local){.started_us = clock_now_us(wall), .on_stopped = on_stopped, .arg = arg};
    hold_init(&o->hold, l, LOCAL_SLOTS_MAX, job_free);
    users_init(&o->users, l, on_done, o);
    int r = lane_new(l, &lane, &o->large);
    for (size_t i = 0; r == 0 && i < LOCAL_LANES; i++)
        r = lane_new(l, &lane, &o->small[i]);
    return r;
}

void local_done(struct local *o)
{
    for (size_t i = 0; i < LOCAL_LANES; i++)
        lane_free(&o->small[i]);
    lane_free(&o->large);
    users_done(&o->users);
    hold_done(&o->hold);
}

void local_config(struct local *o, const struct config *c)
{
    for (size_t i = 0; i < LOCAL_LANES; i++)
        lane_hostname(o->small[i], c->hostname);
    lane_hostname(o->large, c->hostname);
    users_config(&o->users, c);
}

void local_stop(struct local *o)
{
    if (o->hold.stopping)
        return;
    hold_stop(&o->hold);
    stopped_if_empty(o);
}
