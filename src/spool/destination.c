/* spool/destination.c - destination rows.
 *
 * due_us in the row is a lower bound: adding a recipient lowers it, nothing raises it but
 * spool_due_destinations, which looks at the index of recipients and, when the bound was too low,
 * joins a correction to the batch. So a message to a busy destination writes no destination row.
 * The cache knows for each id a time that the row's bound is not later than. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>

#include "base/codec.h"
#include "spool/internal.h"

enum { FORGET_COUNT = 64, BACK_OFF_KEPT_S = 3600 };

static struct cached_destination *cache_slot(struct spool *s, enum transport t, struct str next_hop)
{
    if (next_hop.n > DESTINATION_CACHED_BYTES_MAX)
        return &s->destinations[DESTINATION_CACHE_COUNT];
    return &s->destinations[hash_bytes((uint64_t)t, next_hop) % DESTINATION_CACHE_COUNT];
}

static bool slot_is(const struct cached_destination *c, enum transport t, struct str next_hop)
{
    return c->id && c->transport == t && str_eq(str_n(c->next_hop, c->next_hop_bytes), next_hop);
}

static void slot_fill(struct cached_destination *c, enum transport t, struct str next_hop,
                      uint64_t id, uint64_t due_us)
{
    *c = (struct cached_destination){.id = id, .due_us = due_us, .transport = (uint16_t)t};
    if (next_hop.n > sizeof(c->next_hop))
        return; /* matches no name: the next one is looked up again */
    c->next_hop_bytes = (uint16_t)next_hop.n;
    memcpy(c->next_hop, next_hop.p ? next_hop.p : "", next_hop.n);
}

void destinations_cache_clear(struct spool *s)
{
    memset(s->destinations, 0, (DESTINATION_CACHE_COUNT + 1) * sizeof(*s->destinations));
}

static int add_row(struct spool *s, const struct target *t, uint64_t *ret)
{
    uint64_t id = s->batch.tally.last_destination + 1;
    sqlite3_stmt *st = db_use(&s->db, SQL_ADD_DESTINATION);

    bind_u64(st, 1, id);
    bind_u64(st, 2, t->transport);
    bind_str(st, 3, t->next_hop);
    int r = db_run(st);
    if (r < 0)
        return r;
    s->batch.tally.last_destination = id;
    s->batch.tally.destination_count++;
    *ret = id;
    return 0;
}

static int load_slot(struct spool *s, const struct target *t, struct cached_destination *c)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_FIND_DESTINATION);
    uint64_t id = 0;
    uint64_t due_us = UINT64_MAX;

    bind_str(st, 1, t->next_hop);
    bind_u64(st, 2, t->transport);
    int r = db_row(st);
    if (r == 1) {
        id = column_u64(st, 0);
        due_us = column_u64_or(st, 5, UINT64_MAX);
        db_end(st);
    } else if (r == 0) {
        r = add_row(s, t, &id);
    }
    if (r < 0)
        return r;
    slot_fill(c, t->transport, t->next_hop, id, due_us);
    return 0;
}

int destination_take(struct spool *s, const struct target *t, uint64_t due_us, uint64_t *ret)
{
    struct cached_destination *c = cache_slot(s, t->transport, t->next_hop);
    int r = slot_is(c, t->transport, t->next_hop) ? 0 : load_slot(s, t, c);

    if (r == 0 && due_us < c->due_us) {
        r = destination_lower(s, c->id, due_us);
        c->due_us = due_us;
    }
    if (r == 0)
        *ret = c->id;
    return r;
}

int destination_lower(struct spool *s, uint64_t id, uint64_t due_us)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_LOWER_DUE);

    bind_u64(st, 1, id);
    bind_u64(st, 2, due_us);
    return db_run(st);
}

int destination_earliest(struct spool *s, uint64_t id, uint64_t *ret)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_EARLIEST_DUE);

    bind_u64(st, 1, id);
    int r = db_row(st);
    if (r < 0)
        return r;
    *ret = r == 1 ? column_u64_or(st, 0, UINT64_MAX) : UINT64_MAX;
    db_end(st);
    return 0;
}

static int apply_correct(struct spool *s, const struct operation *o)
{
    struct cached_destination *c = cache_slot(s, o->target.transport, o->target.next_hop);
    uint64_t due_us;
    int r = destination_earliest(s, o->key, &due_us);

    if (r < 0)
        return r;
    if (c->id == o->key)
        c->due_us = due_us;
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_DUE);
    bind_u64(st, 1, o->key);
    if (due_us == UINT64_MAX)
        bind_null(st, 2);
    else
        bind_u64(st, 2, due_us);
    return db_run(st);
}

static struct operation *add_with_name(struct spool *s, uint64_t id, enum transport t,
                                       struct str next_hop,
                                       int (*apply)(struct spool *, const struct operation *))
{
    struct operation *o = operation_add(s, apply);

    o->key = id;
    o->target = (struct target){
        .transport = t,
        .next_hop = arena_copy(&s->batch.arena, next_hop),
    };
    return o;
}

void destination_correct(struct spool *s, uint64_t id, enum transport t, struct str next_hop)
{
    (void)add_with_name(s, id, t, next_hop, apply_correct);
}

/* The row goes only if nothing came for it meanwhile, in this batch or before. */
static int apply_forget(struct spool *s, const struct operation *o)
{
    struct cached_destination *c = cache_slot(s, o->target.transport, o->target.next_hop);
    sqlite3_stmt *st = db_use(&s->db, SQL_DROP_DESTINATION);

    if (c->id == o->key)
        *c = (struct cached_destination){0};
    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->at_us);
    int r = db_run(st);
    if (r == 0 && sqlite3_changes(s->db.handle) > 0)
        s->batch.tally.destination_count--;
    return r;
}

static void forget_row(struct spool *s, sqlite3_stmt *st, uint64_t before_us, struct arena *a)
{
    uint64_t id = column_u64(st, 0);
    enum transport t = (enum transport)column_u64(st, 1);
    struct operation *o = add_with_name(s, id, t, column_str(st, 2, a), apply_forget);

    o->at_us = before_us;
    s->idle_after = id;
}

void destinations_forget_idle(struct spool *s)
{
    uint64_t now_us = clock_now_us(s->o.clock);
    struct arena a = ARENA_INIT;
    int count = 0;

    if (s->tally.destination_count <= DESTINATIONS_KEPT || spool_read_begin(s) < 0)
        return;
    sqlite3_stmt *st = db_use(&s->db, SQL_IDLE_DESTINATIONS);
    bind_u64(st, 1, s->idle_after);
    bind_u64(st, 2, FORGET_COUNT);
    for (; db_row(st) == 1; count++)
        forget_row(s, st, now_us - MIN_OF(now_us, BACK_OFF_KEPT_S * US_PER_S), &a);
    if (count < FORGET_COUNT)
        s->idle_after = 0;
    arena_free(&a);
}
