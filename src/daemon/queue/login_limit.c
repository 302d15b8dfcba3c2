/* daemon/queue/login_limit.c - see login_limit.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/login_limit.h"

#include <stdlib.h>

#include "daemon/queue/queue.h"
#include "mail/reply.h"
#include "mail/usage.h"

enum {
    ACCOUNT_BYTES_MAX = 320,
    HOLDS_PER_PEER_MAX = 16384,
    USES_KEPT = 4096,
    SWEPT_PER_SECOND = 20,
};
static const uint64_t HOUR_US = 3600 * US_PER_S, DAY_US = UINT64_C(24) * 3600 * US_PER_S;

struct login_use {
    struct str account; /* in lower case, owned */
    struct usage usage;
    uint32_t held[USAGE_WHAT_COUNT];
    size_t hold_count;
    bool changed; /* perhaps not committed yet */
};

struct hold {
    uint64_t number;
    struct login_use *use;
    uint32_t recipients;
};

/* ---- what is in memory ---- */

void login_limits_init(struct login_limits *l)
{
    *l = (struct login_limits){.by_account = map_new(),
                               .evict_at = USES_KEPT,
                               .swept = buf_init(sizeof LOGIN_USE_PREFIX + ACCOUNT_BYTES_MAX)};
}

static void use_free(struct login_use *u)
{
    free((char *)(uintptr_t)u->account.p);
    free(u);
}

void login_limits_done(struct queue *q)
{
    struct login_limits *l = &q->login_limits;
    size_t at = 0;

    for (struct login_use *u = map_next(l->by_account, &at); u; u = map_next(l->by_account, &at))
        use_free(u);
    map_free(&l->by_account);
    buf_free(&l->swept);
}

/* What the spool answers is not yet true while a change waits for its commit. */
static void evict(struct queue *q)
{
    struct login_limits *l = &q->login_limits;
    bool dirty = spool_dirty(q->spool);
    size_t at = 0;

    for (struct login_use *u = map_next(l->by_account, &at); u; u = map_next(l->by_account, &at)) {
        if (u->hold_count > 0 || (u->changed && dirty))
            continue;
        map_remove(l->by_account, u->account);
        use_free(u);
    }
    l->evict_at = MAX_OF((size_t)USES_KEPT, 2 * map_count(l->by_account));
}

static struct str account_key(struct arena *a, struct str account)
{
    struct str cut = str_sub(account, 0, ACCOUNT_BYTES_MAX);
    char *to = arena_alloc(a, cut.n + 1);

    for (size_t i = 0; i < cut.n; i++)
        to[i] = cut.p[i] > ' ' && cut.p[i] <= '~' ? char_lower(cut.p[i]) : '?';
    return str_n(to, cut.n);
}

static void load(struct queue *q, struct login_use *u)
{
    struct arena a = ARENA_INIT;
    struct buf fact = buf_init(USAGE_BYTES_MAX);
    struct str name = arena_printf(&a, LOGIN_USE_PREFIX "%.*s", STR_ARG(u->account));

    if (spool_fact(q->spool, name.p, &fact) && !usage_decode(buf_str(&fact), &u->usage))
        log_event(LEVEL_ERROR, "login-use-unreadable", "fact", name.p, NULL);
    buf_free(&fact);
    arena_free(&a);
}

static struct login_use *use_of(struct queue *q, struct str account)
{
    struct login_limits *l = &q->login_limits;
    struct arena a = ARENA_INIT;
    struct str key = account_key(&a, account);
    struct login_use *u = map_get(l->by_account, key);

    if (!u) {
        if (map_count(l->by_account) >= l->evict_at)
            evict(q);
        u = mem_new(sizeof *u);
        *u = (struct login_use){.account = str_n(mem_copy(key.p, key.n), key.n)};
        load(q, u);
        map_put(l->by_account, u->account, u);
    }
    arena_free(&a);
    return u;
}

static void store(struct queue *q, struct login_use *u)
{
    struct arena a = ARENA_INIT;
    struct buf fact = buf_init(USAGE_BYTES_MAX);

    usage_encode(&fact, &u->usage);
    u->changed = true;
    queue_must(q, spool_fact_set(q->spool,
                                 arena_printf(&a, LOGIN_USE_PREFIX "%.*s", STR_ARG(u->account)).p,
                                 buf_str(&fact)));
    queue_touch(q);
    buf_free(&fact);
    arena_free(&a);
}

/* ---- limits ---- */

static const char *const things[] = {
    [USAGE_MESSAGES] = "messages", [USAGE_RECIPIENTS] = "recipients"};

struct limit_met {
    const struct rate *rate;
    enum usage_what what;
    uint64_t wait_us; /* 0: none is met */
};

static enum usage_span span_of(const struct rate *r)
{
    return r->in_us <= HOUR_US ? USAGE_HOUR : USAGE_DAY;
}

static void look(const struct usage *u, enum usage_what what, uint64_t now_us, uint64_t wanted,
                 const struct rate *rates, size_t count, struct limit_met *met)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t wait = usage_wait_us(u, span_of(&rates[i]), what, now_us, rates[i].count, wanted);

        if (wait > met->wait_us)
            *met = (struct limit_met){&rates[i], what, wait};
    }
}

/* The limit that is met for the longest. */
static struct limit_met limit_met(struct queue *q, const struct usage *u, uint64_t messages,
                                  uint64_t recipients)
{
    const struct config *c = q->config;
    uint64_t now = clock_now_us(q->clock);
    struct limit_met met = {0};

    look(u, USAGE_MESSAGES, now, messages, c->login_messages, c->login_message_count, &met);
    look(u, USAGE_RECIPIENTS, now, recipients, c->login_recipients, c->login_recipient_count, &met);
    return met;
}

static struct str limit_name(struct arena *a, const struct limit_met *met)
{
    return arena_printf(a, "%llu %s %s", (unsigned long long)met->rate->count, things[met->what],
                        span_of(met->rate) == USAGE_HOUR ? "an hour" : "a day");
}

static struct str in_words(struct arena *a, uint64_t us)
{
    uint64_t minutes = (us + 60 * US_PER_S - 1) / (60 * US_PER_S);
    uint64_t hours = (us + HOUR_US - 1) / HOUR_US;

    if (minutes >= 90)
        return arena_printf(a, "%llu hours", (unsigned long long)hours);
    return arena_printf(a, "%llu minute%s", (unsigned long long)minutes, minutes == 1 ? "" : "s");
}

/* The postmaster hears of an account once a day; each refusal is in the log of smtpd anyway. */
static void tell(struct queue *q, struct login_use *u, const struct limit_met *met)
{
    uint64_t now = clock_now_us(q->clock);
    struct arena a = ARENA_INIT;
    struct buf line = buf_init(LINE_BYTES_MAX);

    if (u->usage.told_us == 0 || now >= u->usage.told_us + DAY_US || now < u->usage.told_us) {
        line_c(&line, "event", "login-limited");
        line_str(&line, "login", u->account);
        line_str(&line, "limit", limit_name(&a, met));
        line_c(&line, "hint",
               "if that is not its owner, the password is stolen; troika queue limits tells more");
        log_line(LEVEL_WARNING, buf_str(&line));
        u->usage.told_us = now;
        store(q, u);
    }
    buf_free(&line);
    arena_free(&a);
}

static void answer(struct peer *peer, uint64_t ticket, enum reply_name r, struct str about)
{
    channel_send(peer->channel, &(struct msg_limit_answer){.kind = MSG_LIMIT_ANSWER,
                                                           .ticket = ticket,
                                                           .status = reply_status(r, about)});
}

static void refuse(struct peer *peer, uint64_t ticket, struct login_use *u,
                   const struct limit_met *met)
{
    struct arena a = ARENA_INIT;
    struct str name = limit_name(&a, met);
    struct str wait = in_words(&a, met->wait_us);

    tell(peer->queue, u, met);
    answer(peer, ticket, REPLY_LOGIN_LIMIT,
           arena_printf(&a, "limit of %.*s for %.*s reached; come back in %.*s", STR_ARG(name),
                        STR_ARG(u->account), STR_ARG(wait)));
    arena_free(&a);
}

/* ---- holds ---- */

static void hold_set(struct peer *peer, struct hold *h, uint64_t number, struct login_use *u,
                     uint32_t recipients)
{
    if (!h) {
        h = mem_new(sizeof *h);
        *h = (struct hold){.number = number, .use = u};
        map_put(peer->holds, map_key_u64(&h->number), h);
        u->held[USAGE_MESSAGES]++;
        u->hold_count++;
    }
    u->held[USAGE_RECIPIENTS] += recipients - h->recipients;
    h->recipients = recipients;
}

static void hold_end(struct peer *peer, struct hold *h)
{
    map_remove(peer->holds, map_key_u64(&h->number));
    h->use->held[USAGE_MESSAGES]--;
    h->use->held[USAGE_RECIPIENTS] -= h->recipients;
    h->use->hold_count--;
    free(h);
}

void login_limit_ask(struct peer *peer, const struct msg_limit_ask *m)
{
    struct queue *q = peer->queue;
    struct hold *h = map_get(peer->holds, map_key_u64(&m->hold));
    struct login_use *u = h ? h->use : use_of(q, m->account);
    uint32_t messages = u->held[USAGE_MESSAGES] - (h ? 1 : 0);
    uint32_t recipients = u->held[USAGE_RECIPIENTS] - (h ? h->recipients : 0);

    if ((!h && map_count(peer->holds) >= HOLDS_PER_PEER_MAX) ||
        m->recipients > UINT32_MAX / HOLDS_PER_PEER_MAX / 4) {
        answer(peer, m->ticket, REPLY_BUSY, STR_NONE);
        return;
    }

    struct limit_met met =
        limit_met(q, &u->usage, (uint64_t)messages + 1, (uint64_t)recipients + m->recipients);

    if (met.wait_us > 0) {
        refuse(peer, m->ticket, u, &met);
        return;
    }
    hold_set(peer, h, m->hold, u, m->recipients);
    answer(peer, m->ticket, REPLY_OK, STR_NONE);
}

void login_limit_end(struct peer *peer, uint64_t hold)
{
    struct hold *h = map_get(peer->holds, map_key_u64(&hold));

    if (h)
        hold_end(peer, h);
}

void login_limit_peer_down(struct peer *peer)
{
    size_t at = 0;

    for (struct hold *h = map_next(peer->holds, &at); h; h = map_next(peer->holds, &at))
        hold_end(peer, h);
    map_free(&peer->holds);
}

/* RCPTs, not places: an alias of ours is one, however many it leads to. */
static uint32_t count_recipients(const struct envelope *e)
{
    uint32_t count = 0;

    for (size_t i = 0; i < e->recipient_count; i++)
        count += i == 0 || !str_eq(e->recipients[i].address, e->recipients[i - 1].address);
    return count;
}

void login_limit_count(struct peer *peer, uint64_t hold, struct str account,
                       const struct envelope *e)
{
    struct queue *q = peer->queue;

    if (account.n == 0)
        return;
    login_limit_end(peer, hold);

    struct login_use *u = use_of(q, account);

    usage_add(&u->usage, clock_now_us(q->clock), (const uint32_t[]){1, count_recipients(e)});
    store(q, u);
}

/* ---- facts ---- */

static bool is_use(const struct spool_fact *f)
{
    return str_starts(f->name, STR(LOGIN_USE_PREFIX));
}

static bool is_old(struct queue *q, const struct spool_fact *f)
{
    uint64_t now = clock_now_us(q->clock);
    struct usage u;

    return usage_decode(f->value, &u) && usage_sum(&u, USAGE_DAY, USAGE_MESSAGES, now) == 0 &&
           (now >= u.told_us + DAY_US || now < u.told_us);
}

static void sweep(struct queue *q, const struct spool_fact *f)
{
    struct arena a = ARENA_INIT;
    struct str account = str_skip(f->name, sizeof LOGIN_USE_PREFIX - 1);

    if (!map_get(q->login_limits.by_account, account) && is_old(q, f))
        queue_must(q, spool_fact_drop(q->spool, arena_printf(&a, "%.*s", STR_ARG(f->name)).p));
    arena_free(&a);
}

/* Walks round all accounts, a few each second. */
void login_limits_tick(struct queue *q)
{
    struct login_limits *l = &q->login_limits;
    struct spool_fact facts[SWEPT_PER_SECOND];
    struct arena a = ARENA_INIT;
    struct str after = l->swept.n > 0 ? buf_str(&l->swept) : STR(LOGIN_USE_PREFIX);
    int n = spool_facts(q->spool, after, &a, facts, SWEPT_PER_SECOND);
    bool more = n == SWEPT_PER_SECOND && is_use(&facts[n - 1]);

    queue_must(q, n);
    for (int i = 0; i < n && is_use(&facts[i]); i++)
        sweep(q, &facts[i]);
    buf_reset(&l->swept);
    if (more)
        buf_add(&l->swept, facts[n - 1].name);
    arena_free(&a);
    if (map_count(l->by_account) > USES_KEPT)
        evict(q);
}

static void add_rates(struct buf *line, const struct usage *u, enum usage_what what,
                      uint64_t now_us, const struct rate *rates, size_t count)
{
    static const char *const spans[] = {[USAGE_HOUR] = "hour", [USAGE_DAY] = "day"};
    struct arena a = ARENA_INIT;

    for (enum usage_span span = 0; span < USAGE_SPAN_COUNT; span++) {
        struct str key = arena_printf(&a, "%s-%s", things[what], spans[span]);
        uint64_t limit = 0;

        line_u64(line, key.p, usage_sum(u, span, what, now_us));
        for (size_t i = 0; i < count; i++)
            if (span_of(&rates[i]) == span && (limit == 0 || rates[i].count < limit))
                limit = rates[i].count;
        if (limit > 0)
            line_u64(line, arena_printf(&a, "%.*s-max", STR_ARG(key)).p, limit);
    }
    arena_free(&a);
}

bool login_limit_line(struct queue *q, const struct spool_fact *fact, struct buf *line)
{
    const struct config *c = q->config;
    uint64_t now = clock_now_us(q->clock);
    struct usage u;

    if (!is_use(fact) || !usage_decode(fact->value, &u) ||
        usage_sum(&u, USAGE_DAY, USAGE_MESSAGES, now) == 0)
        return false;
    line_str(line, "login", str_skip(fact->name, sizeof LOGIN_USE_PREFIX - 1));
    add_rates(line, &u, USAGE_MESSAGES, now, c->login_messages, c->login_message_count);
    add_rates(line, &u, USAGE_RECIPIENTS, now, c->login_recipients, c->login_recipient_count);

    struct limit_met met = limit_met(q, &u, 1, 1);

    if (met.wait_us > 0) {
        buf_add_c(line, " until=");
        time_print(line, now + met.wait_us);
    }
    return true;
}
