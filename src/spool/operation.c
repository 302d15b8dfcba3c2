/* spool/operation.c - what became of messages: each call joins the batch as an operation; its
 * apply function turns it into rows inside the commit's transaction. */
// SPDX-License-Identifier: ISC
#include <errno.h>

#include "spool/internal.h"

enum {
    PULL_BACK_ROWS = 1000,
    PULL_BACK_DESTINATIONS = 5000,
};

struct operation *operation_add(struct spool *s,
                                int (*apply)(struct spool *, const struct operation *))
{
    struct operation *o = arena_alloc(&s->batch.arena, sizeof(*o));

    o->apply = apply;
    *s->batch.end = o;
    s->batch.end = &o->next;
    return o;
}

/* ---- recipients ---- */

static int recipient_exists(struct spool *s, uint64_t key, uint32_t number)
{
    int r = spool_read_begin(s);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_RECIPIENT_EXISTS);
    bind_u64(st, 1, key);
    bind_u64(st, 2, number);
    r = db_row(st);
    db_end(st);
    return r < 0 ? r : r == 1 ? 0 : -ENOENT;
}

static int recipient_operation(struct spool *s, uint64_t key, uint32_t number,
                               int (*apply)(struct spool *, const struct operation *),
                               struct operation **ret)
{
    int r = recipient_exists(s, key, number);

    if (r < 0)
        return r;
    *ret = operation_add(s, apply);
    (*ret)->key = key;
    (*ret)->number = number;
    return 0;
}

struct recipient_state {
    uint64_t destination, due_us, attempts;
    bool held;
    struct str last; /* packed */
};

static int load_state(struct spool *s, const struct operation *o, struct recipient_state *ret)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_RECIPIENT_STATE);

    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->number);
    int r = db_row(st);
    if (r != 1)
        return r;
    *ret = (struct recipient_state){
        .destination = column_u64(st, 0),
        .due_us = column_u64(st, 1),
        .held = column_u64(st, 2) != 0,
        .attempts = column_u64(st, 3),
        .last = column_str(st, 4, &s->batch.attempt),
    };
    db_end(st);
    return 1;
}

static int store_state(struct spool *s, const struct operation *o,
                       const struct recipient_state *state)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_RECIPIENT_STATE);

    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->number);
    bind_u64(st, 3, state->destination);
    bind_u64(st, 4, state->due_us);
    bind_u64(st, 5, state->held);
    bind_u64(st, 6, state->attempts);
    bind_status(st, 7, state->last);
    int r = db_run(st);
    return r < 0 || state->held ? r : destination_lower(s, state->destination, state->due_us);
}

/* edit changes what was loaded. A row that is gone was ended earlier in this batch. */
static int change_state(struct spool *s, const struct operation *o,
                        int (*edit)(struct spool *s, const struct operation *o,
                                    struct recipient_state *state))
{
    struct recipient_state state;
    int r = load_state(s, o, &state);

    if (r != 1)
        return r;
    bool was_held = state.held;
    r = edit(s, o, &state);
    if (r < 0)
        return r;
    s->batch.tally.held_count += (uint64_t)state.held - (uint64_t)was_held;
    return store_state(s, o, &state);
}

static void drop_file(struct spool *s, uint64_t key)
{
    struct gone_file *gone = arena_alloc(&s->batch.attempt, sizeof(*gone));

    *gone = (struct gone_file){.next = s->batch.gone, .key = key};
    s->batch.gone = gone;
}

static int drop_row(struct spool *s, uint64_t key, uint64_t size)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_DROP_CONTENT);

    s->batch.tally.content_bytes -= size;
    bind_u64(st, 1, key);
    return db_run(st);
}

static int drop_content(struct spool *s, uint64_t key, struct place place, uint64_t size)
{
    if (place.kind == IN_ROW)
        return drop_row(s, key, size);
    if (place.kind == IN_SEGMENT)
        segments_message_ended(s->segments, place.segment.number);
    else
        drop_file(s, key);
    return 0;
}

static int drop_message(struct spool *s, uint64_t key)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_EMPTY_MESSAGE);

    bind_u64(st, 1, key);
    int r = db_row(st);
    if (r != 1)
        return r;
    struct place place = column_place(st, 0);
    uint64_t size = column_u64(st, 1);
    db_end(st);
    r = drop_content(s, key, place, size);
    if (r < 0)
        return r;
    s->batch.tally.message_count--;
    st = db_use(&s->db, SQL_DROP_MESSAGE);
    bind_u64(st, 1, key);
    return db_run(st);
}

static int drop_recipient(struct spool *s, const struct operation *o, enum sql which)
{
    sqlite3_stmt *st = db_use(&s->db, which);

    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->number);
    int r = db_run(st);
    return r < 0 ? r : sqlite3_changes(s->db.handle);
}

static int apply_end(struct spool *s, const struct operation *o)
{
    int dropped = drop_recipient(s, o, SQL_DROP_QUEUED_RECIPIENT);

    if (dropped == 0) {
        dropped = drop_recipient(s, o, SQL_DROP_HELD_RECIPIENT);
        s->batch.tally.held_count -= dropped == 1;
    }
    if (dropped <= 0)
        return dropped;
    s->batch.tally.recipient_count--;
    return drop_message(s, o->key);
}

int spool_end_recipient(struct spool *s, uint64_t key, uint32_t number)
{
    struct operation *o;

    return recipient_operation(s, key, number, apply_end, &o);
}

static int edit_defer(struct spool *s, const struct operation *o, struct recipient_state *state)
{
    state->due_us = o->at_us;
    state->attempts++;
    state->last = o->last;
    return 0;
}

static int apply_defer(struct spool *s, const struct operation *o)
{
    return change_state(s, o, edit_defer);
}

int spool_defer_recipient(struct spool *s, uint64_t key, uint32_t number, uint64_t due_us,
                          const struct status *st)
{
    struct operation *o;
    int r = recipient_operation(s, key, number, apply_defer, &o);

    if (r < 0)
        return r;
    o->at_us = due_us;
    o->last = status_pack(&s->batch.arena, st);
    return 0;
}

static int edit_hold(struct spool *s, const struct operation *o, struct recipient_state *state)
{
    state->held = o->hold;
    if (o->last.n)
        state->last = o->last;
    return 0;
}

static int apply_hold(struct spool *s, const struct operation *o)
{
    return change_state(s, o, edit_hold);
}

int spool_hold_recipient(struct spool *s, uint64_t key, uint32_t number, bool hold,
                         const struct status *why)
{
    struct operation *o;
    int r = recipient_operation(s, key, number, apply_hold, &o);

    if (r < 0)
        return r;
    o->hold = hold;
    o->last = status_pack(&s->batch.arena, why);
    return 0;
}

static int apply_warned(struct spool *s, const struct operation *o)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_WARNED);

    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->number);
    return db_run(st);
}

int spool_warned(struct spool *s, uint64_t key, uint32_t number)
{
    struct operation *o;

    return recipient_operation(s, key, number, apply_warned, &o);
}

static int edit_due(struct spool *s, const struct operation *o, struct recipient_state *state)
{
    state->due_us = o->at_us;
    return 0;
}

static int apply_due(struct spool *s, const struct operation *o)
{
    return change_state(s, o, edit_due);
}

int spool_retry_now(struct spool *s, uint64_t key, uint32_t number)
{
    struct operation *o;
    int r = recipient_operation(s, key, number, apply_due, &o);

    if (r < 0)
        return r;
    o->at_us = clock_now_us(s->o.clock);
    return 0;
}

static int edit_target(struct spool *s, const struct operation *o, struct recipient_state *state)
{
    uint64_t bound_us = state->held ? UINT64_MAX : state->due_us;
    int r = destination_take(s, &o->target, bound_us, &state->destination);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_RECIPIENT_TARGET);
    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->number);
    bind_str(st, 3, o->target.address);
    bind_str(st, 4, o->target.why);
    return db_run(st);
}

static int apply_move(struct spool *s, const struct operation *o)
{
    return change_state(s, o, edit_target);
}

int spool_move_recipient(struct spool *s, uint64_t key, uint32_t number, const struct target *t)
{
    struct operation *o;
    struct arena *a = &s->batch.arena;
    int r = recipient_operation(s, key, number, apply_move, &o);

    if (r < 0)
        return r;
    o->target = (struct target){
        .transport = t->transport,
        .next_hop = arena_copy(a, t->next_hop),
        .address = arena_copy(a, t->address),
        .why = arena_copy(a, t->why),
    };
    return 0;
}

/* ---- destinations ---- */

static int apply_back_off(struct spool *s, const struct operation *o)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_BACK_OFF);

    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->at_us);
    bind_u64(st, 3, o->failures);
    bind_status(st, 4, o->last);
    return db_run(st);
}

int spool_destination_back_off(struct spool *s, uint64_t destination, uint64_t until_us,
                               uint32_t failures, const struct status *st)
{
    if (s->broken)
        return -EIO;
    struct operation *o = operation_add(s, apply_back_off);

    o->key = destination;
    o->at_us = until_us;
    o->failures = failures;
    o->last = status_pack(&s->batch.arena, st);
    return 0;
}

static int apply_pull_back_off(struct spool *s, const struct operation *o)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_PULL_BACK_OFF);

    bind_u64(st, 1, o->key);
    bind_u64(st, 2, o->at_us);
    return db_run(st);
}

/* Up to `count` recipients of one destination. */
static int pull_back_rows(struct spool *s, uint64_t destination, uint64_t limit_us, int count)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_FAR_RECIPIENTS);
    int found = 0;
    int r;

    bind_u64(st, 1, destination);
    bind_u64(st, 2, limit_us);
    bind_u64(st, 3, (uint64_t)count);
    for (r = db_row(st); r == 1; r = db_row(st), found++) {
        struct operation *o = operation_add(s, apply_due);
        o->key = column_u64(st, 0);
        o->number = (uint32_t)column_u64(st, 1);
        o->at_us = limit_us;
    }
    return r < 0 ? r : found;
}

/* Returns how many recipients were found; *more: the walk is not at its end. */
static int pull_back_walk(struct spool *s, uint64_t limit_us, bool *more)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_NEXT_DESTINATION);
    int left = PULL_BACK_ROWS;
    int r;

    bind_u64(st, 1, s->pull_back_after);
    for (int walked = 0; left > 0 && walked < PULL_BACK_DESTINATIONS; walked++) {
        r = db_row(st);
        if (r <= 0) {
            *more = false;
            return r;
        }
        uint64_t id = column_u64(st, 0);
        if (column_u64(st, 1) > limit_us) {
            struct operation *o = operation_add(s, apply_pull_back_off);
            o->key = id;
            o->at_us = limit_us;
        }
        int found = pull_back_rows(s, id, limit_us, left);
        if (found < 0) {
            db_end(st);
            return found;
        }
        left -= found;
        if (left > 0)
            s->pull_back_after = id;
    }
    db_end(st);
    *more = true;
    return 0;
}

int spool_pull_back(struct spool *s, uint64_t now_us, uint64_t longest_us)
{
    bool more = false;
    int r = spool_read_begin(s);

    if (r == 0)
        r = pull_back_walk(s, now_us + longest_us, &more);
    if (!more)
        s->pull_back_after = 0;
    return r < 0 ? r : more;
}

/* ---- events and facts ---- */

int spool_event(struct spool *s, struct str lines)
{
    if (s->broken)
        return -EIO;
    if (lines.n >= SPOOL_EVENT_BYTES_MAX)
        return -EMSGSIZE;
    if (s->batch.events.n + lines.n + 1 > EVENTS_BYTES_MAX)
        return -ENOBUFS;
    (void)buf_add(&s->batch.events, lines);
    (void)buf_add_char(&s->batch.events, '\n');
    return 0;
}

static int apply_taken(struct spool *s, const struct operation *o)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_DROP_EVENTS);

    bind_u64(st, 1, o->key);
    return db_run(st);
}

int spool_events_taken(struct spool *s, uint64_t number)
{
    if (s->broken)
        return -EIO;
    operation_add(s, apply_taken)->key = number;
    return 0;
}

static int apply_fact(struct spool *s, const struct operation *o)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_FACT);

    bind_str(st, 1, o->name);
    bind_str(st, 2, o->value);
    return db_run(st);
}

int spool_fact_set(struct spool *s, const char *name, struct str value)
{
    if (s->broken)
        return -EIO;
    struct operation *o = operation_add(s, apply_fact);

    o->name = arena_copy(&s->batch.arena, str_c(name));
    o->value = arena_copy(&s->batch.arena, value);
    return 0;
}

static int apply_fact_drop(struct spool *s, const struct operation *o)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_DROP_FACT);

    bind_str(st, 1, o->name);
    return db_run(st);
}

int spool_fact_drop(struct spool *s, const char *name)
{
    if (s->broken)
        return -EIO;
    operation_add(s, apply_fact_drop)->name = arena_copy(&s->batch.arena, str_c(name));
    return 0;
}
