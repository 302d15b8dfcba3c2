/* daemon/queue/destination.c - see destination.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/destination.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "daemon/queue/queue.h"

void destinations_init(struct destinations *d)
{
    *d = (struct destinations){.by_name = map_new()};
    list_init(&d->idle);
}

static void destination_free(struct queue *q, struct destination *d)
{
    map_remove(q->destinations.by_name, d->name);
    free(d);
}

void destinations_done(struct destinations *d)
{
    size_t at = 0;
    for (struct destination *x = map_next(d->by_name, &at); x != NULL;
         x = map_next(d->by_name, &at)) {
        map_remove(d->by_name, x->name);
        free(x);
    }
    map_free(&d->by_name);
}

/* One letter and the next hop; the caller owns the memory. */
static struct str name_make(enum transport t, struct str next_hop, char *room)
{
    room[0] = (char)('0' + t);
    memcpy(room + 1, next_hop.p, next_hop.n);
    return str_n(room, next_hop.n + 1);
}

static void idle_leave(struct queue *q, struct destination *d)
{
    if (!d->idle)
        return;
    d->idle = false;
    list_remove(&d->link);
    q->destinations.idle_count--;
}

static struct destination *destination_add(struct queue *q, const struct spool_destination *row)
{
    struct destination *d = mem_new(sizeof(*d) + row->next_hop.n + 1);
    d->name = name_make(row->transport, row->next_hop, (char *)(d + 1));
    d->next_hop = str_skip(d->name, 1);
    d->transport = row->transport;
    d->id = row->id;
    d->back_off_until_us = row->back_off_until_us;
    d->failures = row->failures;
    d->window = row->failures > 0 ? 1 : WINDOW_FIRST;
    list_init(&d->link);
    list_init(&d->age_link);
    map_put(q->destinations.by_name, d->name, d);
    return d;
}

static struct destination *known(struct queue *q, enum transport t, struct str next_hop)
{
    char room[1 + NEXT_HOP_BYTES_MAX];
    if (next_hop.n > NEXT_HOP_BYTES_MAX)
        return NULL;
    return map_get(q->destinations.by_name, name_make(t, next_hop, room));
}

/* An idle one may have lost its row meanwhile (the spool forgets those without recipients) and got
 * a new one: what the row says counts. */
struct destination *destination_of_row(struct queue *q, const struct spool_destination *row)
{
    struct destination *d = known(q, row->transport, row->next_hop);
    if (d == NULL)
        return destination_add(q, row);
    idle_leave(q, d);
    if (d->id == row->id)
        return d;
    d->id = row->id;
    d->cursor = (struct spool_cursor){0};
    d->back_off_until_us = row->back_off_until_us;
    d->failures = row->failures;
    return d;
}

struct destination *destination_get(struct queue *q, enum transport t, struct str next_hop)
{
    struct destination *d = known(q, t, next_hop);
    if (d != NULL && !d->idle)
        return d;
    struct arena a = ARENA_INIT;
    struct spool_destination row;
    int r = spool_destination_find(q->spool, t, next_hop, &a, &row);
    queue_must(q, r);
    d = r == 0 ? destination_of_row(q, &row) : NULL;
    arena_free(&a);
    return d;
}

void destination_rest(struct queue *q, struct destination *d)
{
    if (d->job_count > 0 || d->more || d->in_ring || d->ageing || d->idle)
        return;
    d->cursor = (struct spool_cursor){0};
    d->idle = true;
    list_add(&q->destinations.idle, &d->link);
    if (++q->destinations.idle_count <= DESTINATIONS_IDLE_MAX)
        return;
    struct destination *oldest = list_of(q->destinations.idle.next, struct destination, link);
    idle_leave(q, oldest);
    destination_free(q, oldest);
}

void destinations_rewind(struct queue *q)
{
    size_t at = 0;
    for (struct destination *d = map_next(q->destinations.by_name, &at); d != NULL;
         d = map_next(q->destinations.by_name, &at))
        d->cursor = (struct spool_cursor){0};
    schedule_rescan(q);
}

void destinations_back_off_at_most(struct queue *q, uint64_t until_us)
{
    size_t at = 0;
    for (struct destination *d = map_next(q->destinations.by_name, &at); d != NULL;
         d = map_next(q->destinations.by_name, &at)) {
        d->back_off_until_us = MIN_OF(d->back_off_until_us, until_us);
        d->failed_at_us = 0;
    }
}

void destinations_forget_peer(struct queue *q, const struct peer *peer)
{
    size_t at = 0;
    for (struct destination *d = map_next(q->destinations.by_name, &at); d != NULL;
         d = map_next(q->destinations.by_name, &at))
        if (d->last_peer == peer)
            d->last_peer = NULL;
}

bool destination_backs_off(const struct destination *d, uint64_t now_us)
{
    return d->back_off_until_us > now_us;
}

bool destination_has_room(const struct queue *q, const struct destination *d)
{
    if (!send_limit_has_room(q, d))
        return false;
    if (d->transport == TRANSPORT_LOCAL && d->failures == 0)
        return true;
    return d->job_count < MIN_OF(d->window, q->config->destination_concurrency_max);
}

void destination_succeeded(struct queue *q, struct destination *d)
{
    if (d->window < q->config->destination_concurrency_max)
        d->window++;
    if (d->failures == 0)
        return;
    d->failures = 0;
    d->back_off_until_us = 0;
    queue_must(q, spool_destination_back_off(q->spool, d->id, 0, 0, NULL));
}

void destination_failed(struct queue *q, struct destination *d, uint64_t started_us,
                        const struct status *st)
{
    uint64_t now = clock_now_us(q->clock);
    if (d->failures > 0 && started_us <= d->failed_at_us)
        return;
    d->failed_at_us = now;
    d->failures++;
    d->window = 1;
    d->back_off_until_us = now + retry_delay_us(q->config, d->failures, d->id + now);
    queue_must(q,
               spool_destination_back_off(q->spool, d->id, d->back_off_until_us, d->failures, st));
    schedule_age(q, d, started_us, st);
}

uint64_t retry_delay_us(const struct config *c, uint32_t failures, uint64_t seed)
{
    size_t index = MIN_OF(failures > 0 ? failures - 1U : 0U, c->retry_count - 1);
    uint64_t delay = c->retry_us[index];
    uint64_t tenth = delay / 10;
    uint64_t spread = hash_bytes(failures, str_n((const char *)&seed, sizeof(seed)));
    return delay - tenth + spread % (2 * tenth + 1);
}
