// SPDX-License-Identifier: ISC
#include "daemon/queue/send_limit.h"

#include "base/bytes.h"
#include "daemon/queue/queue.h"
#include "mail/reply.h"

enum { FORMAT = 1, FACT_BYTES_MAX = USAGE_BYTES_MAX + 32 };
static const uint64_t HOUR_US = 3600 * US_PER_S, STALE_US = 60 * US_PER_S;

void send_limit_init(struct send_limit *l)
{
    *l = (struct send_limit){.via = buf_init(NEXT_HOP_BYTES_MAX)};
}

void send_limit_done(struct send_limit *l)
{
    buf_free(&l->via);
}

/* ---- the fact ---- */

static void load(struct queue *q)
{
    struct send_limit *l = &q->send_limit;
    struct arena a = ARENA_INIT;
    struct buf fact = buf_init(FACT_BYTES_MAX);
    struct str name = arena_printf(&a, SEND_USE_PREFIX "%.*s", STR_ARG(buf_str(&l->via)));

    if (spool_fact(q->spool, name.p, &fact)) {
        struct reader r = reader_init(buf_str(&fact));
        bool good = get_u8(&r) == FORMAT;

        for (size_t i = 0; i < USAGE_WHAT_COUNT; i++)
            l->paced_until_us[i] = get_u64(&r);
        if (!good || r.bad || !usage_decode(r.rest, &l->usage))
            log_event(LEVEL_ERROR, "send-use-unreadable", "fact", name.p, NULL);
    }
    buf_free(&fact);
    arena_free(&a);
}

static void store(struct queue *q)
{
    struct send_limit *l = &q->send_limit;
    struct arena a = ARENA_INIT;
    struct buf fact = buf_init(FACT_BYTES_MAX);

    put_u8(&fact, FORMAT);
    for (size_t i = 0; i < USAGE_WHAT_COUNT; i++)
        put_u64(&fact, l->paced_until_us[i]);
    usage_encode(&fact, &l->usage);
    queue_must(q,
               spool_fact_set(q->spool,
                              arena_printf(&a, SEND_USE_PREFIX "%.*s", STR_ARG(buf_str(&l->via))).p,
                              buf_str(&fact)));
    queue_touch(q);
    buf_free(&fact);
    arena_free(&a);
}

/* ---- which limits ---- */

static const struct config_smarthost *smarthost(const struct queue *q)
{
    return &q->config->smarthost;
}

static bool is_smarthost(const struct queue *q, const struct destination *d)
{
    return d->transport == TRANSPORT_RELAY && str_eq(d->next_hop, smarthost(q)->via);
}

bool send_limited(const struct queue *q, const struct destination *d)
{
    return smarthost(q)->limit_count + smarthost(q)->recipient_limit_count > 0 &&
           is_smarthost(q, d);
}

static const struct rate *rates_of(const struct queue *q, enum usage_what what, size_t *count)
{
    *count =
        what == USAGE_MESSAGES ? smarthost(q)->limit_count : smarthost(q)->recipient_limit_count;
    return what == USAGE_MESSAGES ? smarthost(q)->limits : smarthost(q)->recipient_limits;
}

static bool is_paced(const struct rate *r)
{
    return r->in_us < HOUR_US;
}

static enum usage_span span_of(const struct rate *r)
{
    return r->in_us == HOUR_US ? USAGE_HOUR : USAGE_DAY;
}

size_t send_limit_recipients(const struct queue *q, const struct destination *d)
{
    uint64_t most = JOB_RECIPIENTS_MAX;

    if (!is_smarthost(q, d))
        return JOB_RECIPIENTS_MAX;
    if (smarthost(q)->recipients_max > 0)
        most = MIN_OF(most, smarthost(q)->recipients_max);
    for (size_t i = 0; i < smarthost(q)->recipient_limit_count; i++)
        most = MIN_OF(most, smarthost(q)->recipient_limits[i].count);
    return (size_t)most;
}

bool send_limit_has_room(const struct queue *q, const struct destination *d)
{
    bool paced = false;

    if (!send_limited(q, d))
        return true;
    for (enum usage_what what = 0; what < USAGE_WHAT_COUNT; what++) {
        size_t count;
        const struct rate *rates = rates_of(q, what, &count);

        for (size_t i = 0; i < count; i++)
            paced = paced || is_paced(&rates[i]);
    }
    return !paced || d->job_count == 0;
}

/* ---- counting ---- */

static uint64_t gap_us(const struct rate *r)
{
    return r->in_us / r->count + 1;
}

/* Spaced so that no span of that length ever sees more. */
static void pace(struct queue *q, uint64_t from_us, const uint32_t amount[USAGE_WHAT_COUNT])
{
    struct send_limit *l = &q->send_limit;

    for (enum usage_what what = 0; what < USAGE_WHAT_COUNT; what++) {
        size_t count;
        const struct rate *rates = rates_of(q, what, &count);

        for (size_t i = 0; i < count; i++) {
            if (is_paced(&rates[i]))
                l->paced_until_us[what] =
                    MAX_OF(l->paced_until_us[what], from_us + gap_us(&rates[i]) * amount[what]);
        }
    }
}

struct met { /* the limit that is met for the longest */
    const struct rate *rate;
    enum usage_what what;
    uint64_t wait_us; /* 0: none is */
};

static uint64_t wait_us(const struct send_limit *l, const struct rate *r, enum usage_what what,
                        uint64_t now_us, uint64_t wanted)
{
    uint64_t until = l->paced_until_us[what];

    if (!is_paced(r))
        return usage_wait_us(&l->usage, span_of(r), what, now_us, r->count, wanted);
    until += gap_us(r) * (wanted - 1);            /* all of it may be the last that a span sees */
    until = MIN_OF(until, now_us + 2 * r->in_us); /* the clock went back */
    return until > now_us ? until - now_us : 0;
}

static struct met limit_met(const struct queue *q, const uint32_t wanted[USAGE_WHAT_COUNT])
{
    uint64_t now = clock_now_us(q->clock);
    struct met met = {0};

    for (enum usage_what what = 0; what < USAGE_WHAT_COUNT; what++) {
        size_t count;
        const struct rate *rates = rates_of(q, what, &count);

        for (size_t i = 0; i < count; i++) {
            uint64_t wait = wait_us(&q->send_limit, &rates[i], what, now, wanted[what]);

            if (wait > met.wait_us)
                met = (struct met){&rates[i], what, wait};
        }
    }
    return met;
}

static void ask(struct queue *q, const uint32_t wanted[USAGE_WHAT_COUNT])
{
    struct send_limit *l = &q->send_limit;

    l->state = SEND_ASKED;
    l->counted_at_us = clock_now_us(q->clock);
    for (size_t i = 0; i < USAGE_WHAT_COUNT; i++)
        l->counted[i] = wanted[i];
    usage_add(&l->usage, l->counted_at_us, wanted);
    pace(q, l->counted_at_us, wanted);
    store(q);
}

static void give_back(struct queue *q)
{
    struct send_limit *l = &q->send_limit;

    usage_take_back(&l->usage, l->counted_at_us, clock_now_us(q->clock), l->counted);
    l->state = SEND_NONE;
    store(q);
}

/* ---- waiting ---- */

static struct status limit_status(const struct queue *q, const struct met *met)
{
    struct buf text = buf_init(STATUS_TEXT_BYTES_MAX);
    struct buf rate = buf_init(64);

    duration_print(&rate, met->rate->in_us);
    buf_printf(&text, "%llu %s in %.*s", (unsigned long long)met->rate->count,
               met->what == USAGE_MESSAGES ? "messages" : "recipients", STR_ARG(buf_str(&rate)));
    struct status st = reply_status(REPLY_SEND_LIMIT, buf_str(&text));
    buf_free(&text);
    buf_free(&rate);
    return st;
}

static void log_limited(const struct queue *q, const struct status *st, uint64_t until_us)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "send-limited");
    line_str(&line, "next-hop", smarthost(q)->via);
    line_c(&line, "reason", st->text);
    buf_add_c(&line, " until=");
    time_print(&line, until_us);
    log_line(LEVEL_INFO, buf_str(&line));
    buf_free(&line);
}

/* Kept in the destination's row, as any back-off: its mail is looked at again then. */
static void wait_for_room(struct queue *q, struct destination *d, const struct met *met)
{
    uint64_t until = clock_now_us(q->clock) + met->wait_us;
    struct status st = limit_status(q, met);

    d->back_off_until_us = until;
    queue_must(q, spool_destination_back_off(q->spool, d->id, until, d->failures, &st));
    schedule_due_at(q, until);
    queue_touch(q);
    if (met->wait_us >= 60 * US_PER_S)
        log_limited(q, &st, until);
}

/* ---- the doors ---- */

static bool is_loaded(const struct queue *q)
{
    return str_eq(buf_str(&q->send_limit.via), smarthost(q)->via);
}

static void change_smarthost(struct queue *q)
{
    struct send_limit *l = &q->send_limit;

    send_limit_done(l);
    send_limit_init(l);
    buf_add(&l->via, smarthost(q)->via);
    if (l->via.n > 0)
        load(q);
}

void send_limit_config(struct queue *q)
{
    struct destination *d;

    if (!is_loaded(q))
        change_smarthost(q);
    if (smarthost(q)->via.n == 0)
        return;
    d = destination_get(q, TRANSPORT_RELAY, smarthost(q)->via);
    if (!d)
        return;
    if (d->failures == 0 && d->back_off_until_us > 0) { /* only a limit does that */
        d->back_off_until_us = 0;
        queue_must(q, spool_destination_back_off(q->spool, d->id, 0, 0, NULL));
        schedule_rescan(q);
    }
    destination_rest(q, d);
}

void send_limit_committed(struct queue *q)
{
    if (q->send_limit.state == SEND_ASKED)
        q->send_limit.state = SEND_GRANTED;
}

bool send_limit_asks(const struct queue *q, const struct destination *d)
{
    return q->send_limit.state == SEND_ASKED && send_limited(q, d);
}

/* What was granted is for a job as large as that one, and soon. */
static bool grant_fits(const struct queue *q, size_t recipients)
{
    const struct send_limit *l = &q->send_limit;
    uint64_t now = clock_now_us(q->clock);

    return l->counted[USAGE_RECIPIENTS] == recipients && now >= l->counted_at_us &&
           now - l->counted_at_us < STALE_US;
}

bool send_limit_take(struct queue *q, struct destination *d, size_t recipients)
{
    struct send_limit *l = &q->send_limit;
    const uint32_t wanted[USAGE_WHAT_COUNT] = {1, (uint32_t)recipients};

    if (!send_limited(q, d))
        return true;
    if (l->state == SEND_ASKED)
        return false;
    if (l->state == SEND_GRANTED && grant_fits(q, recipients)) {
        l->state = SEND_TAKEN;
        return true;
    }
    if (l->state == SEND_GRANTED)
        give_back(q);
    struct met met = limit_met(q, wanted);
    if (met.wait_us > 0)
        wait_for_room(q, d, &met);
    else
        ask(q, wanted);
    return false;
}

void send_limit_started(struct queue *q, struct job *j)
{
    struct send_limit *l = &q->send_limit;

    if (l->state != SEND_TAKEN || !j->destination || !is_smarthost(q, j->destination))
        return;
    l->state = SEND_NONE;
    j->counted_at_us = l->counted_at_us;
    j->counted = l->counted[USAGE_RECIPIENTS];
}

void send_limit_not_started(struct queue *q, struct destination *d)
{
    if (q->send_limit.state == SEND_TAKEN && is_smarthost(q, d))
        give_back(q);
}

void send_limit_ended(struct queue *q, struct job *j)
{
    uint64_t now = clock_now_us(q->clock);
    const uint32_t amount[USAGE_WHAT_COUNT] = {1, j->counted};
    struct usage *u = &q->send_limit.usage;

    if (j->counted_at_us == 0 || !j->destination || !is_smarthost(q, j->destination))
        return;
    usage_take_back(u, j->counted_at_us, now, amount);
    if (j->answered || !j->next_hop_failed) {
        usage_add(u, now, amount);
        pace(q, now, amount);
    }
    j->counted_at_us = 0;
    store(q);
}
