/* daemon/queue/queue.c - see queue.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const uint64_t RESERVE_BYTES = UINT64_C(16) * 1024 * 1024;
static const uint64_t SLOTS_MAX = 65536;
static const uint64_t SLOW_COMMIT_US = 4 * 1000;
static const uint64_t STEP_US = 20 * 1000; /* more than clocks are slewed by in a second */

/* ---- the turn ---- */

static void queue_turn(void *arg);

static int commit(struct queue *q)
{
    events_join(q);
    if (q->broken < 0 || !spool_dirty(q->spool))
        return q->broken;
    uint64_t began_us = clock_monotonic_us(q->clock);
    int error = spool_commit(q->spool);
    q->committed_us = clock_monotonic_us(q->clock);
    q->commit_took_us = q->committed_us - began_us;
    return error;
}

/* On a slow disk those whom the last commit answered are about to come with their next message, and
 * who misses a commit by a millisecond waits for two. So the turn goes on until as many have come,
 * but no longer than a commit takes. A single sender, and a quick disk, wait for nothing. */
static bool gathers(struct queue *q)
{
    uint64_t now = clock_monotonic_us(q->clock);
    uint64_t until = q->committed_us + q->commit_took_us;

    if (q->commit_took_us < SLOW_COMMIT_US || q->intake.count >= q->answered_count ||
        now >= until || q->broken < 0 || q->stopping || !q->running)
        return false;
    timer_set(q->loop, &q->gather, until - now, queue_turn, q);
    return true;
}

static void queue_turn(void *arg)
{
    struct queue *q = arg;

    if (gathers(q))
        return;
    int error = commit(q);
    if (error < 0) {
        intake_answer(q, false);
        q->give_up(q, error);
        return;
    }
    q->answered_count = intake_answer(q, true);
    jobs_taken(q);
    events_committed(q);
    send_limit_committed(q);
    schedule_run(q);
    reroute_step(q);
    intake_forget(q);
    q->damaged = NULL;
    arena_free(&q->turn_arena);
}

void queue_touch(struct queue *q)
{
    turn_want(q->loop, TURN_COMMIT, &q->turn);
}

static void again_fired(void *arg)
{
    queue_touch(arg);
}

void queue_again(struct queue *q)
{
    timer_set(q->loop, &q->again, 0, again_fired, q);
}

void queue_must(struct queue *q, int r)
{
    if (r >= 0 || r == -ENOENT)
        return;
    if (q->broken == 0)
        q->broken = r;
    queue_touch(q);
}

void queue_give_up(struct queue *q, int error)
{
    log_event(LEVEL_ERROR, "spool-broken", "error", strerror(-error), "then",
              "nothing more is accepted; the parent starts a new queue", NULL);
    list_each (link, &q->peers)
        channel_flush(list_of(link, struct peer, link)->channel);
    exit(EX_TEMPFAIL);
}

struct id queue_id(const struct queue *q, uint64_t key)
{
    return (struct id){.key = key, .node = spool_node(q->spool)};
}

/* ---- each second ---- */

static void pull_back(struct queue *q)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < q->config->retry_count; i++)
        longest = MAX_OF(longest, q->config->retry_us[i]);
    int r = spool_pull_back(q->spool, clock_now_us(q->clock), longest + longest / 10);
    queue_must(q, r);
    q->pulling_back = r > 0;
    q->schedule.due_us = UINT64_MAX;
    destinations_back_off_at_most(q, clock_now_us(q->clock) + longest);
    destinations_rewind(q);
}

/* Wall time that went back leaves `due` far away: the spool pulls it near again; even a little,
 * and new mail sorts before what was served last. Forward: more is due than the timer thinks. */
static void watch_clock(struct queue *q)
{
    uint64_t now = clock_now_us(q->clock);
    uint64_t elapsed = clock_monotonic_us(q->clock) - q->last_monotonic_us;
    uint64_t expected = q->last_now_us + elapsed;
    bool back = now + US_PER_S < q->last_now_us;
    bool stepped = now + STEP_US < expected || now > expected + STEP_US;
    q->last_now_us = now;
    q->last_monotonic_us += elapsed;
    if (back) {
        log_event(LEVEL_WARNING, "clock-went-back", NULL);
        q->pulling_back = true;
    }
    if (q->pulling_back)
        pull_back(q); /* a piece each second */
    if (stepped)
        destinations_rewind(q);
}

static void tick_fired(void *arg)
{
    struct queue *q = arg;
    timer_set(q->loop, &q->tick, US_PER_S, tick_fired, q);
    intake_state(q);
    watch_clock(q);
    events_tick(q);
    bounces_tick(q);
    login_limits_tick(q);
    notice_tick(q);
    spool_checkpoint(q->spool);
    queue_must(q, spool_health(q->spool));
    if (spool_dirty(q->spool)) /* its own housekeeping */
        queue_touch(q);
}

/* ---- peers ---- */

struct peer *queue_peer(struct queue *q, enum role role)
{
    list_each (link, &q->peers) {
        struct peer *peer = list_of(link, struct peer, link);
        if (peer->role == role)
            return peer;
    }
    return NULL;
}

void queue_peer_up(struct queue *q, struct channel *c)
{
    struct peer *peer = mem_new(sizeof(*peer));
    peer->queue = q;
    peer->channel = c;
    peer->role = channel_peer(c);
    list_init(&peer->jobs);
    list_add(&q->peers, &peer->link);
    channel_set_data(c, peer);
    if (peer->role == SMTPD)
        intake_peer_up(peer);
    if (peer->role == ROUTER)
        asks_router_up(q);
    if (peer->role == HISTORY)
        events_history_up(q);
}

static void peer_free(void *p)
{
    free(p);
}

void queue_peer_down(struct queue *q, struct channel *c)
{
    struct peer *peer = channel_data(c);
    if (peer == NULL)
        return;
    channel_set_data(c, NULL);
    list_remove(&peer->link);
    if (peer->role == SMTPD)
        intake_peer_down(peer);
    if (peer->role == RELAY || peer->role == LOCAL)
        jobs_peer_down(peer);
    control_peer_down(peer);
    etrn_peer_down(peer);
    loop_bury(q->loop, peer_free, peer);
    queue_touch(q);
}

void queue_peer_room(struct queue *q, struct channel *c)
{
    struct peer *peer = channel_data(c);
    if (peer == NULL)
        return;
    if (peer->role == CONTROL)
        control_peer_room(peer);
    if (peer->role == HISTORY)
        events_send(q);
    queue_touch(q);
}

void queue_slots(struct peer *peer, uint32_t count)
{
    peer->slots = (uint32_t)MIN_OF(peer->slots + (uint64_t)count, SLOTS_MAX);
    queue_touch(peer->queue);
}

void queue_held_end(struct peer *peer)
{
    peer->held_ended = true;
    schedule_held_end(peer->queue);
    queue_touch(peer->queue);
}

/* ---- life ---- */

struct queue *queue_new(struct worker *w)
{
    struct queue *q = mem_new(sizeof(*q));
    q->worker = w;
    q->loop = w->loop;
    q->clock = w->clock;
    q->give_up = queue_give_up;
    q->spool_options = (struct spool_options){
        .disk = &disk_system, .clock = q->clock, .reserve_bytes = RESERVE_BYTES};
    q->turn.fn = queue_turn;
    q->turn.arg = q;
    list_init(&q->peers);
    events_init(&q->events);
    asks_init(&q->asks);
    intake_init(&q->intake);
    jobs_init(q);
    destinations_init(&q->destinations);
    bounces_init(&q->bounces);
    limit_init(&q->limit);
    login_limits_init(&q->login_limits);
    send_limit_init(&q->send_limit);
    notice_init(q);
    etrn_init(q);
    schedule_init(q);
    return q;
}

int queue_open(struct queue *q)
{
    q->spool_options.free_floor_bytes = q->config->free_floor_bytes;
    int r = spool_open(q->worker->folder_fd, &q->spool_options, &q->spool);
    if (r < 0)
        return r;
    notice_load(q);
    q->accepts = spool_accepts(q->spool);
    q->last_now_us = clock_now_us(q->clock);
    q->last_monotonic_us = clock_monotonic_us(q->clock);
    return 0;
}

void queue_run(struct queue *q)
{
    q->running = true;
    q->accepts = spool_accepts(q->spool);
    schedule_begin(q);
    send_limit_config(q);
    reroute_check(q);
    timer_set(q->loop, &q->tick, US_PER_S, tick_fired, q);
    queue_touch(q);
}

void queue_config(struct queue *q, struct config *config)
{
    config_drop(&q->config);
    q->config = config;
    if (!q->running)
        return;
    send_limit_config(q);
    reroute_check(q);
}

static void stop_fired(void *arg)
{
    struct queue *q = arg;
    worker_done(q->worker);
}

static void stop_waits(void *arg)
{
    struct queue *q = arg;
    static const uint64_t LOOK_US = 50 * 1000;
    bool late = clock_monotonic_us(q->clock) >= q->stop_at_us;
    /* One more turn after the last result, so that its commit has been made. */
    if (late || jobs_running(q) == 0)
        timer_set(q->loop, &q->stop_timer, 0, stop_fired, q);
    else
        timer_set(q->loop, &q->stop_timer, LOOK_US, stop_waits, q);
    queue_touch(q);
}

void queue_stop(struct queue *q)
{
    if (q->stopping)
        return;
    q->stopping = true;
    q->stop_at_us = clock_monotonic_us(q->clock) + STOP_WAIT_US;
    stop_waits(q);
}

void queue_free(struct queue **at)
{
    struct queue *q = *at;
    if (q == NULL)
        return;
    *at = NULL;
    while (!list_empty(&q->peers))
        queue_peer_down(q, list_of(q->peers.next, struct peer, link)->channel);
    turn_forget(q->loop, &q->turn);
    timer_stop(&q->again);
    timer_stop(&q->gather);
    timer_stop(&q->tick);
    timer_stop(&q->stop_timer);
    reroute_done(q);
    notice_done(q);
    etrn_done(q);
    bounces_done(q);
    limit_done(&q->limit);
    login_limits_done(q);
    send_limit_done(&q->send_limit);
    schedule_done(q);
    destinations_done(&q->destinations);
    jobs_done(q);
    asks_done(&q->asks);
    events_done(&q->events);
    arena_free(&q->turn_arena);
    spool_close(&q->spool);
    config_drop(&q->config);
    free(q);
}
