/* daemon/queue/limit.c - see limit.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/limit.h"

#include "daemon/queue/queue.h"

static const uint64_t HOUR_US = 3600 * US_PER_S;

struct counted {
    struct str sender;
    uint64_t count;
};

void limit_init(struct limit *l)
{
    *l = (struct limit){.by_sender = map_new()};
}

void limit_done(struct limit *l)
{
    map_free(&l->by_sender);
    arena_free(&l->arena);
}

static void begin_hour(struct limit *l, uint64_t now_us)
{
    if (l->began_us != 0 && now_us - l->began_us < HOUR_US)
        return;
    limit_done(l);
    limit_init(l);
    l->began_us = now_us;
}

static struct str lower(struct arena *a, struct str s)
{
    char *to = arena_alloc(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        to[i] = char_lower(s.p[i]);
    return str_n(to, s.n);
}

static struct counted *counted_of(struct limit *l, struct str sender)
{
    struct arena scratch = ARENA_INIT;
    bool full = map_count(l->by_sender) >= LIMIT_SENDERS_MAX;
    struct counted *c = map_get(l->by_sender, lower(&scratch, sender));

    if (c == NULL && full)
        c = map_get(l->by_sender, STR(""));
    if (c == NULL) {
        c = arena_alloc(&l->arena, sizeof(*c));
        *c = (struct counted){.sender = full ? STR("") : lower(&l->arena, sender)};
        map_put(l->by_sender, c->sender, c);
    }
    arena_free(&scratch);
    return c;
}

static void log_limited(struct str sender, uint64_t limit)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "bounces-limited");
    line_address(&line, "sender", sender);
    line_u64(&line, "limit", limit);
    line_c(&line, "then", "no more reports to this sender for up to an hour; trace tells of each");
    log_line(LEVEL_WARNING, buf_str(&line));
    buf_free(&line);
}

bool limit_allows(struct queue *q, struct str sender)
{
    uint64_t limit = q->config->bounces_per_sender_max;

    if (limit == 0)
        return true;
    begin_hour(&q->limit, clock_monotonic_us(q->clock));
    struct counted *c = counted_of(&q->limit, sender);
    if (++c->count == limit + 1)
        log_limited(sender, limit);
    return c->count <= limit;
}
