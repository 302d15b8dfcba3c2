/* daemon/queue/main.c - the role queue: which message goes to which part. */
// SPDX-License-Identifier: ISC

#include "daemon/queue/queue.h"

static struct queue *queue_of(struct worker *w)
{
    if (w->role == NULL)
        w->role = queue_new(w);
    return w->role;
}

static void on_put(struct worker *w, struct channel *from, union message *m)
{
    intake_put(channel_data(from), &m->put);
}

static void on_put_abort(struct worker *w, struct channel *from, union message *m)
{
    intake_put_abort(channel_data(from), m->put_abort.ticket);
}

static void on_limit_ask(struct worker *w, struct channel *from, union message *m)
{
    login_limit_ask(channel_data(from), &m->limit_ask);
}

static void on_limit_end(struct worker *w, struct channel *from, union message *m)
{
    login_limit_end(channel_data(from), m->limit_end.hold);
}

static void on_etrn_ask(struct worker *w, struct channel *from, union message *m)
{
    etrn_ask(channel_data(from), &m->etrn_ask);
}

static void on_slots(struct worker *w, struct channel *from, union message *m)
{
    queue_slots(channel_data(from), m->slots.count);
}

static void on_result(struct worker *w, struct channel *from, union message *m)
{
    job_result(channel_data(from), &m->result);
}

static void on_job_end(struct worker *w, struct channel *from, union message *m)
{
    job_end(channel_data(from), m->job_end.job);
}

static void on_held(struct worker *w, struct channel *from, union message *m)
{
    job_held(channel_data(from), &m->held);
}

static void on_held_end(struct worker *w, struct channel *from, union message *m)
{
    queue_held_end(channel_data(from));
}

static void on_route_answer(struct worker *w, struct channel *from, union message *m)
{
    asks_answer(queue_of(w), &m->route_answer);
}

static void on_events_taken(struct worker *w, struct channel *from, union message *m)
{
    events_taken(queue_of(w), m->events_taken.number);
}

static void on_list(struct worker *w, struct channel *from, union message *m)
{
    control_ask(channel_data(from), ASK_LIST, ACT_COUNT, m->queue_list.text);
}

static void on_show(struct worker *w, struct channel *from, union message *m)
{
    control_ask(channel_data(from), ASK_SHOW, ACT_COUNT, m->queue_show.text);
}

static void on_act(struct worker *w, struct channel *from, union message *m)
{
    if (m->queue_act.act < ACT_COUNT)
        control_ask(channel_data(from), ASK_ACT, m->queue_act.act, m->queue_act.text);
}

static void on_limits(struct worker *w, struct channel *from, union message *m)
{
    control_ask(channel_data(from), ASK_LIMITS, ACT_COUNT, m->queue_limits.text);
}

static void on_events_pending(struct worker *w, struct channel *from, union message *m)
{
    control_ask(channel_data(from), ASK_EVENTS, ACT_COUNT, m->events_pending.text);
}

static const struct role_handler handlers[] = {
    {MSG_PUT, on_put},
    {MSG_PUT_ABORT, on_put_abort},
    {MSG_LIMIT_ASK, on_limit_ask},
    {MSG_LIMIT_END, on_limit_end},
    {MSG_ETRN_ASK, on_etrn_ask},
    {MSG_SLOTS, on_slots},
    {MSG_RESULT, on_result},
    {MSG_JOB_END, on_job_end},
    {MSG_HELD, on_held},
    {MSG_HELD_END, on_held_end},
    {MSG_ROUTE_ANSWER, on_route_answer},
    {MSG_EVENTS_TAKEN, on_events_taken},
    {MSG_QUEUE_LIST, on_list},
    {MSG_QUEUE_SHOW, on_show},
    {MSG_QUEUE_ACT, on_act},
    {MSG_QUEUE_LIMITS, on_limits},
    {MSG_EVENTS_PENDING, on_events_pending},
};

static int start(struct worker *w)
{
    return queue_open(queue_of(w));
}

static void run(struct worker *w)
{
    queue_run(queue_of(w));
}

static int config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    if (error < 0)
        return error;
    queue_config(queue_of(w), c);
    return 0;
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    queue_peer_up(queue_of(w), peer);
}

static void peer_down(struct worker *w, struct channel *peer)
{
    queue_peer_down(queue_of(w), peer);
}

static void peer_room(struct worker *w, struct channel *peer)
{
    queue_peer_room(queue_of(w), peer);
}

static void stop(struct worker *w)
{
    queue_stop(queue_of(w));
}

static const struct role_spec spec = {
    .role = QUEUE,
    .user = "_troika-queue",
    .jail_may = JAIL_FILES_READ | JAIL_FILES_WRITE | JAIL_THREADS | JAIL_LOCK,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .run = run,
    .config = config,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .peer_room = peer_room,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &spec);
}
