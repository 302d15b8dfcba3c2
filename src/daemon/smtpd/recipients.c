/* smtpd/recipients.c - see recipients.h. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/recipients.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/map.h"

enum {
    ROWS_BYTES_MAX = 32 * 1024 * 1024, /* the worker is tight long before */
    ROW_BYTES_MAX = 16,                /* of one row, without its strings */
    PLACES_FIRST = 16,
};

/* Two hashes with seeds of their own: that two places of 100,000 are taken for one is less likely
 * than one in 10^28. All zero: an empty slot. */
struct place {
    uint64_t a, b;
};

void recipients_init(struct recipients *r)
{
    *r = (struct recipients){.rows = buf_init(ROWS_BYTES_MAX),
                             .next_hop = buf_init(ROWS_BYTES_MAX),
                             .why = buf_init(ROWS_BYTES_MAX),
                             .seed = hash_seed()};
}

void recipients_free(struct recipients *r)
{
    buf_free(&r->rows);
    buf_free(&r->next_hop);
    buf_free(&r->why);
    free(r->places);
    *r = (struct recipients){0};
}

size_t recipients_bytes(const struct recipients *r)
{
    return r->rows.n + r->place_room * sizeof *r->places;
}

/* ---- places ---- */

static uint64_t place_hash(uint64_t seed, const struct target *t)
{
    return hash_bytes(hash_bytes(seed + t->transport, t->next_hop), t->address);
}

static struct place place_of(const struct recipients *r, const struct target *t)
{
    return (struct place){place_hash(r->seed, t) | 1, place_hash(~r->seed, t)};
}

/* Where it is, or where it could go. There is always an empty slot. */
static struct place *place_find(struct place *table, size_t room, struct place p)
{
    size_t i = (size_t)p.b & (room - 1);

    while (table[i].a != 0 && (table[i].a != p.a || table[i].b != p.b))
        i = (i + 1) & (room - 1);
    return &table[i];
}

static void places_grow(struct recipients *r)
{
    size_t room = MAX_OF(2 * r->place_room, (size_t)PLACES_FIRST);
    struct place *table = mem_new(room * sizeof *table);

    for (size_t i = 0; i < r->place_room; i++)
        if (r->places[i].a != 0)
            *place_find(table, room, r->places[i]) = r->places[i];
    free(r->places);
    r->places = table;
    r->place_room = room;
}

/* Who says the same recipient twice, or two names of one mailbox, wants one copy there. */
static bool place_is_new(struct recipients *r, const struct target *t)
{
    if ((r->place_count + 1) * 4 > r->place_room * 3)
        places_grow(r);

    struct place p = place_of(r, t);
    struct place *at = place_find(r->places, r->place_room, p);

    if (at->a != 0)
        return false;
    *at = p;
    r->place_count++;
    return true;
}

/* ---- rows ---- */

/* RFC 3461 5.2.7.3: who asked to hear of success hears that the alias was expanded, and not of
 * each member. One of them tells it at its end, a mailbox here if there is one. */
static void expand_wishes(struct recipient *list, size_t count, const struct notify *wish)
{
    size_t teller = 0;

    if (count < 2 || !notify_wants(wish->when, NOTIFY_SUCCESS))
        return;
    for (size_t i = 0; i < count; i++) {
        struct recipient *r = &list[i];

        r->notify.when &= ~(unsigned)NOTIFY_SUCCESS;
        if (r->notify.when == 0)
            r->notify.when = NOTIFY_NEVER;
        if (list[teller].target.transport != TRANSPORT_LOCAL &&
            r->target.transport == TRANSPORT_LOCAL)
            teller = i;
    }
    list[teller].notify.when |= NOTIFY_EXPANDED;
}

static void keep(struct buf *to, struct str s)
{
    if (str_eq(buf_str(to), s))
        return;
    buf_reset(to);
    (void)buf_add(to, s);
}

static void row_add(struct recipients *r, const struct recipient *row)
{
    struct target before = {
        .transport = r->transport, .next_hop = buf_str(&r->next_hop), .why = buf_str(&r->why)};

    recipient_encode(&r->rows, r->count > 0 ? &before : NULL, row);
    r->transport = row->target.transport;
    keep(&r->next_hop, row->target.next_hop);
    keep(&r->why, row->target.why);
    r->count++;
}

/* 0: what the router says makes no sense. */
static size_t count_targets(struct str targets)
{
    struct reader in = reader_init(targets);
    struct target t;
    size_t count = 0;

    for (; in.rest.n > 0; count++)
        if (!target_decode(&in, &t))
            return 0;
    return count;
}

bool recipients_add(struct recipients *r, struct str address, const struct notify *wish,
                    struct str targets)
{
    struct arena scratch = ARENA_INIT;
    struct reader in = reader_init(targets);
    struct target t;
    size_t count = count_targets(targets);
    size_t fresh = 0;

    if (count == 0 || count * (ROW_BYTES_MAX + address.n + wish->orcpt.n) + targets.n >
                          ROWS_BYTES_MAX - r->rows.n)
        return false;
    struct recipient *list = arena_alloc(&scratch, count * sizeof *list);
    while (in.rest.n > 0 && target_decode(&in, &t))
        if (place_is_new(r, &t))
            list[fresh++] = (struct recipient){.address = address, .notify = *wish, .target = t};
    expand_wishes(list, fresh, wish);
    for (size_t i = 0; i < fresh; i++)
        row_add(r, &list[i]);
    arena_free(&scratch);
    return true;
}
