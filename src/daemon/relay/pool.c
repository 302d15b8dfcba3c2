// SPDX-License-Identifier: ISC
#include "daemon/relay/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/map.h"
#include "mail/reply.h"

struct hop { /* exists while it has sessions */
    struct str name;
    char *name_memory;
    struct sock_address addresses[2];
    size_t address_count;
    struct list idle; /* sessions that wait for a job, the last used at the end */
    size_t session_count;
};

struct session {
    struct list link; /* in pool.sessions */
    struct list idle; /* in hop.idle, or alone */
    struct pool *pool;
    struct hop *hop;
    struct client *client;
    size_t address_index;
    struct job *job; /* under way, or NULL */
    bool reused;     /* the job is not the first one of this session */
    bool quitting;
    struct timer idle_timer;
};

struct pool {
    struct loop *loop;
    const struct own *own;
    struct pool_events events;
    void *arg;
    struct config *config;
    struct map *hops;
    struct list sessions;
    size_t busy_count; /* sessions with a job */
    bool stopping, stopped;
    struct timer stop_timer;
};

/* ---- next hops ---- */

/* Names cannot be looked up here; the configuration lets only localhost pass. */
static size_t hop_addresses(struct str name, struct sock_address ret[2])
{
    struct str localhost = STR("localhost:");
    struct sock_address one[2];
    struct buf text = buf_init(32);
    size_t count = 0;

    if (!str_starts_nocase(name, localhost))
        return sock_address_parse(name, ret);
    static const char *const loopbacks[] = {"127.0.0.1:", "[::1]:"};
    for (size_t i = 0; i < countof(loopbacks); i++) {
        buf_reset(&text);
        buf_add_c(&text, loopbacks[i]);
        buf_add(&text, str_skip(name, localhost.n));
        if (!text.full && sock_address_parse(buf_str(&text), one) == 1)
            ret[count++] = one[0];
    }
    buf_free(&text);
    return count;
}

static struct hop *hop_get(struct pool *p, struct str name)
{
    struct hop *h = map_get(p->hops, name);

    if (h)
        return h;
    h = mem_new(sizeof *h);
    h->name_memory = mem_copy(name.p, name.n);
    h->name = str_n(h->name_memory, name.n);
    h->address_count = hop_addresses(name, h->addresses);
    list_init(&h->idle);
    (void)map_put(p->hops, h->name, h);
    return h;
}

static void hop_free_if_unused(struct pool *p, struct hop *h)
{
    if (h->session_count > 0)
        return;
    (void)map_remove(p->hops, h->name);
    free(h->name_memory);
    free(h);
}

/* ---- the end of a job ---- */

static void note_host(struct job *j, const struct session *s)
{
    uint64_t us = clock_monotonic_us(loop_clock(s->pool->loop)) - j->started_us;
    struct buf detail = buf_init(1024);

    j->host = arena_copy(&j->arena, client_peer(s->client));
    line_u64(&detail, "reused", s->reused);
    line_u64(&detail, "ms", us / 1000);
    line_u64(&detail, "size", j->message.size);
    if (client_greeting_host(s->client).n > 0)
        line_str(&detail, "greeted", client_greeting_host(s->client));
    j->detail = arena_copy(&j->arena, buf_str(&detail));
    buf_free(&detail);
}

static void check_stopped(struct pool *p)
{
    if (!p->stopping || p->stopped || p->busy_count > 0)
        return;
    p->stopped = true;
    timer_stop(&p->stop_timer);
    p->events.on_stopped(p->arg);
}

static void job_done(struct pool *p, struct job *j)
{
    check(j->open_count == 0);
    p->events.on_done(p->arg, j);
}

static struct job *session_job_take(struct session *s)
{
    struct job *j = s->job;

    s->job = NULL;
    if (j)
        s->pool->busy_count--;
    return j;
}

/* ---- sessions ---- */

static void session_free(struct session *s)
{
    struct hop *h = s->hop;

    timer_stop(&s->idle_timer);
    list_remove(&s->idle);
    list_remove(&s->link);
    client_free(&s->client);
    h->session_count--;
    hop_free_if_unused(s->pool, h);
    free(s);
}

static void session_quit(void *arg)
{
    struct session *s = arg;

    timer_stop(&s->idle_timer);
    list_remove(&s->idle);
    s->quitting = true;
    client_quit(s->client); /* may end it at once */
}

static void session_rest(struct session *s)
{
    if (s->pool->stopping || client_message_count(s->client) >= POOL_MESSAGES_MAX) {
        session_quit(s);
        return;
    }
    list_add(&s->hop->idle, &s->idle);
    timer_set(s->pool->loop, &s->idle_timer, POOL_IDLE_S * US_PER_S, session_quit, s);
}

/* Something that answers with our own name and words, on an address of this host: mail sent there
 * would come back, whatever port was redirected where. */
static bool greeted_by_ourselves(const struct session *s)
{
    const struct pool *p = s->pool;
    struct status own = reply_status(REPLY_GREETING, p->config->hostname);

    return own_has(p->own, &s->hop->addresses[s->address_index]) &&
           str_eq_c(client_greeting(s->client), own.text);
}

static void fail_as_loop(struct pool *p, struct job *j)
{
    struct status st = reply_status(REPLY_LOOP_OWN_LISTENER, j->next_hop);

    job_fail(j, &st, true);
    job_done(p, j);
}

static void on_ready(void *arg)
{
    struct session *s = arg;
    struct pool *p = s->pool;
    struct job *j = s->job;

    if (j && j->open_count > 0 && !greeted_by_ourselves(s)) {
        client_send(s->client, &j->message);
        return;
    }
    if (j && j->open_count == 0)
        note_host(j, s);
    (void)session_job_take(s);
    s->reused = true;
    if (j && j->open_count > 0) {
        session_quit(s);
        fail_as_loop(p, j);
    } else {
        session_rest(s);
        if (j)
            job_done(p, j);
    }
    check_stopped(p);
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    struct session *s = arg;

    job_result(s->job, i, st);
}

static void on_message_end(void *arg)
{
    /* on_ready or on_end comes next and knows what becomes of the session. */
}

static void connect_for(struct pool *p, struct hop *h, struct job *j, size_t address_index);

/* The job of a session that is over. */
static void job_after_end(struct pool *p, struct hop *h, struct job *j, const struct status *st,
                          bool next_hop_failed, bool ran_out, size_t next_address)
{
    if (ran_out) {
        job_results_forget(j);
        connect_for(p, h, j, 0);
    } else if (j->open_count > 0 && next_address < h->address_count) {
        connect_for(p, h, j, next_address);
    } else {
        job_fail(j, st, next_hop_failed);
        job_done(p, j);
    }
}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct session *s = arg;
    struct pool *p = s->pool;
    struct hop *h = s->hop;
    size_t next_address = s->address_index + 1;
    bool ran_out = s->reused && !client_message_touched(s->client);

    if (s->job)
        note_host(s->job, s);
    struct job *j = session_job_take(s);
    h->session_count++; /* stays while the job may go on */
    session_free(s);
    if (j)
        job_after_end(p, h, j, st, next_hop_failed, ran_out && !p->stopping, next_address);
    h->session_count--;
    hop_free_if_unused(p, h);
    check_stopped(p);
}

static const struct client_events client_events = {on_ready, on_result, on_message_end, on_end,
                                                   NULL};

static int session_connect(struct pool *p, struct hop *h, struct job *j, size_t address_index)
{
    struct client_options options = {.hostname = p->config->hostname, .timeout_scale_percent = 100};
    struct session *s = mem_new(sizeof *s);
    int error =
        client_new(p->loop, &h->addresses[address_index], &options, &client_events, s, &s->client);

    if (error < 0) {
        free(s);
        return error;
    }
    list_init(&s->idle);
    list_add(&p->sessions, &s->link);
    s->pool = p;
    s->hop = h;
    s->address_index = address_index;
    s->job = j;
    h->session_count++;
    p->busy_count++;
    return 0;
}

static void connect_for(struct pool *p, struct hop *h, struct job *j, size_t address_index)
{
    int error = 0;

    for (size_t i = address_index; i < h->address_count; i++) {
        if (own_listens(p->own, p->config, &h->addresses[i])) {
            fail_as_loop(p, j);
            return;
        }
        error = session_connect(p, h, j, i);
        if (error == 0)
            return;
    }
    struct status st = reply_status(
        REPLY_NO_CONNECTION,
        str_c(error < 0 ? strerror(-error) : "the next hop is no IP address and port"));
    job_fail(j, &st, true);
    job_done(p, j);
}

static void session_use(struct session *s, struct job *j)
{
    timer_stop(&s->idle_timer);
    list_remove(&s->idle);
    s->job = j;
    s->pool->busy_count++;
    client_send(s->client, &j->message);
}

/* ---- the doors ---- */

void pool_deliver(struct pool *p, struct job *j)
{
    struct hop *h = hop_get(p, j->next_hop);

    check(p->config);
    j->started_us = clock_monotonic_us(loop_clock(p->loop));
    h->session_count++; /* stays for this function */
    if (list_empty(&h->idle))
        connect_for(p, h, j, 0);
    else
        session_use(list_of(h->idle.prev, struct session, idle), j);
    h->session_count--;
    hop_free_if_unused(p, h);
}

struct pool *pool_new(struct loop *l, const struct own *own, const struct pool_events *events,
                      void *arg)
{
    struct pool *p = mem_new(sizeof *p);

    *p = (struct pool){.loop = l, .own = own, .events = *events, .arg = arg, .hops = map_new()};
    list_init(&p->sessions);
    return p;
}

void pool_free(struct pool **p)
{
    struct pool *gone = *p;

    *p = NULL;
    if (!gone)
        return;
    timer_stop(&gone->stop_timer);
    list_each (at, &gone->sessions)
        session_free(list_of(at, struct session, link));
    map_free(&gone->hops);
    config_drop(&gone->config);
    free(gone);
}

void pool_config(struct pool *p, struct config *c)
{
    struct config *old = p->config;

    p->config = config_hold(c);
    config_drop(&old);
}

static void stop_now(void *arg)
{
    struct pool *p = arg;

    if (p->stopped)
        return;
    p->stopped = true;
    p->events.on_stopped(p->arg);
}

void pool_stop(struct pool *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    list_each (at, &p->sessions) {
        struct session *s = list_of(at, struct session, link);
        if (!s->job && !s->quitting)
            session_quit(s);
    }
    timer_set(p->loop, &p->stop_timer, POOL_STOP_S * US_PER_S, stop_now, p);
    check_stopped(p);
}
