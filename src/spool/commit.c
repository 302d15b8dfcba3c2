/* spool/commit.c - the order in which a batch becomes durable. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>

#include "spool/internal.h"

enum { EVENT_ROW_BYTES_MAX = 64 * 1024 };

void batch_init(struct batch *b)
{
    *b = (struct batch){.events = buf_init(EVENTS_BYTES_MAX)};
    b->end = &b->first;
}

void batch_done(struct spool *s)
{
    struct batch *b = &s->batch;

    for (struct operation *o = b->first; o; o = o->next)
        if (o->entry)
            entry_free(o->entry);
    arena_free(&b->arena);
    arena_free(&b->attempt);
    buf_free(&b->events);
    batch_init(b);
}

bool spool_dirty(const struct spool *s)
{
    return s->batch.first || s->batch.events.n > 0;
}

/* As many whole lines as fit in a row. */
static struct str cut_row(struct str *lines)
{
    struct str row = *lines;

    if (row.n > EVENT_ROW_BYTES_MAX) {
        row.n = EVENT_ROW_BYTES_MAX;
        row.n = str_find_last(row, '\n') + 1; /* spool_event takes no line as long as this */
    }
    *lines = str_skip(*lines, row.n);
    return row;
}

static int write_events(struct spool *s)
{
    struct str lines = buf_str(&s->batch.events);
    int r = 0;

    while (r == 0 && lines.n > 0) {
        sqlite3_stmt *st = db_use(&s->db, SQL_ADD_EVENTS);
        bind_u64(st, 1, spool_next_key(s));
        bind_str(st, 2, cut_row(&lines));
        r = db_run(st);
    }
    return r;
}

static int write_segments(struct spool *s)
{
    uint32_t number;
    uint32_t message_count;
    size_t at = 0;
    int r = 0;

    while (r == 0 && segments_changed(s->segments, &at, &number, &message_count)) {
        sqlite3_stmt *st = db_use(&s->db, SQL_SET_SEGMENT);
        bind_u64(st, 1, number);
        bind_u64(st, 2, message_count);
        r = db_run(st);
    }
    while (r == 0 && segments_surplus(s->segments, &number)) {
        sqlite3_stmt *st = db_use(&s->db, SQL_DROP_SEGMENT);
        bind_u64(st, 1, number);
        r = db_run(st);
    }
    return r;
}

static int write_tally(struct spool *s)
{
    struct tally *t = &s->batch.tally;
    sqlite3_stmt *st = db_use(&s->db, SQL_SET_TALLY);

    t->last_key = s->last_key;
    if (memcmp(t, &s->tally, sizeof(*t)) == 0)
        return 0;
    bind_u64(st, 1, t->last_key);
    bind_u64(st, 2, t->last_destination);
    bind_u64(st, 3, t->message_count);
    bind_u64(st, 4, t->recipient_count);
    bind_u64(st, 5, t->held_count);
    bind_u64(st, 6, t->destination_count);
    bind_u64(st, 7, t->content_bytes);
    return db_run(st);
}

static int write_rows(struct spool *s)
{
    int r = 0;

    for (struct operation *o = s->batch.first; r == 0 && o; o = o->next)
        r = o->apply(s, o);
    if (r == 0)
        r = write_events(s);
    if (r == 0)
        r = write_segments(s);
    return r == 0 ? write_tally(s) : r;
}

/* A COMMIT with many bytes in its rows also took the time to write them: it can only show that a
 * sync takes less than was known. Else slow commits would bring more rows, and those slow commits. */
static void learn_sync_time(struct spool *s, uint64_t took_us)
{
    int64_t more_us = (int64_t)(took_us - s->sync_us);

    if (more_us < 0 || s->batch.row_bytes <= s->o.row_bytes_max)
        s->sync_us = (uint64_t)((int64_t)s->sync_us + more_us / 8);
}

static int sync_rows(struct spool *s)
{
    uint64_t began_us = clock_monotonic_us(s->o.clock);
    int r = db_run(db_use(&s->db, SQL_COMMIT));

    learn_sync_time(s, clock_monotonic_us(s->o.clock) - began_us);
    return r;
}

/* One try, from the rows on. It can be made again after a failure: all it changed was rolled back. */
static int transaction(struct spool *s)
{
    s->batch.tally = s->tally;
    s->batch.gone = NULL;
    arena_free(&s->batch.attempt);
    segments_begin(s->segments);
    int r = spool_read_begin(s);
    if (r == 0)
        r = write_rows(s);
    if (r == 0)
        r = sync_rows(s);
    s->reading = false;
    if (r == 0)
        return 0;
    if (!sqlite3_get_autocommit(s->db.handle))
        (void)db_run(db_use(&s->db, SQL_ROLLBACK));
    destinations_cache_clear(s);
    return r;
}

/* A full disk is the one failure after which the same step may be tried once more: a write said
 * so, no sync has failed, and now there is the reserve. */
static bool try_again(struct spool *s, int error)
{
    return error == -ENOSPC && spool_release_reserve(s);
}

/* After 0 the batch survives anything. The order is the point:
 *   1 bytes of small messages are in their segments, and synced (a large file was synced before
 *     it was added), if there are too many to go with the rows
 *   2 the names of new segments and of large files are synced
 *   3 rows, bytes in rows, and the counts of the segments: one transaction, COMMIT syncs the log
 *   4 only now the caller may answer, and what no row names any more may be used again */
static int make_durable(struct spool *s)
{
    int r = segments_flush(s->segments);

    if (try_again(s, r))
        r = segments_flush(s->segments);
    if (r == 0 && s->batch.large_names_changed)
        r = s->o.disk->sync_dir(s->o.disk, s->large_fd);
    if (r < 0)
        return r;
    r = transaction(s);
    if (try_again(s, r))
        r = transaction(s);
    return r;
}

static void after_commit(struct spool *s)
{
    char name[LARGE_NAME_BYTES];

    s->tally = s->batch.tally;
    segments_committed(s->segments);
    for (struct gone_file *at = s->batch.gone; at; at = at->next) {
        large_name(name, at->key);
        (void)s->o.disk->unlink(s->o.disk, s->large_fd, name); /* else swept at the next start */
    }
}

int spool_commit(struct spool *s)
{
    if (s->broken)
        return -EIO;
    if (!spool_dirty(s))
        return 0;
    int r = make_durable(s);
    if (r < 0)
        s->broken = true;
    else
        after_commit(s);
    batch_done(s);
    if (r == 0)
        checkpoint_step(s);
    return r;
}
