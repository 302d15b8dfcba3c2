/* spool/entry.c - a message being taken in.
 *
 *   spool_begin -> HELD (bytes in memory) --more than may_hold--> FILED (bytes in large/new-N)
 *   FILED --spool_sync--> the thread syncs the file --> SYNCED --spool_write--> FILED
 *   HELD or SYNCED --spool_add--> in the batch: bytes in memory that will be a row, or in a
 *   segment, or in a file that has got its name, large/KEY
 *
 * A file that loses its entry (spool_abort, a crash) is unlinked, or swept at the next start. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "mail/trace.h"
#include "spool/internal.h"

enum {
    /* Of a large file, as it arrives: then the sync is short. Also, how often room is looked at. */
    WRITE_BACK_BYTES = 1024 * 1024,
    PREFIX_BYTES_MAX = 256 * 1024,
    ROW_SYNC_US_MIN = 4 * 1000,
    ROW_SYNC_US_MAX = 15 * 1000,
    HELD_BYTES_MAX = 16 * 1024 * 1024, /* in memory; beyond it a medium message is a file */
};

enum sync_state { NOT_SYNCED, SYNCING, SYNCED };

struct spool_entry {
    struct spool *spool;
    struct arena arena;
    struct envelope envelope;
    int error; /* of a write: the entry is good for nothing but spool_abort */
    uint64_t size;
    struct buf held;

    int fd;                /* of the file; -1: held */
    uint64_t file_number;  /* in its temporary name */
    uint64_t written_back; /* bytes the kernel was asked to write */
    struct background_job job;
    enum sync_state sync_state;
    int sync_error;
    bool abandoned; /* freed when the sync is over */
    void (*done)(void *arg, int error);
    void *arg;

    struct spool_terms terms; /* from spool_add on */
    struct str prefix;
    uint64_t key, received_us;
    struct place place;
};

static void new_name(char name[LARGE_NAME_BYTES], uint64_t number)
{
    (void)snprintf(name, LARGE_NAME_BYTES, "new-%llu", (unsigned long long)number);
}

void large_name(char name[LARGE_NAME_BYTES], uint64_t key)
{
    (void)snprintf(name, LARGE_NAME_BYTES, "%llu", (unsigned long long)key);
}

static void drop_file(struct spool_entry *e)
{
    const struct disk *d = e->spool->o.disk;
    char name[LARGE_NAME_BYTES];

    if (e->fd < 0)
        return;
    d->close(d, e->fd);
    e->fd = -1;
    new_name(name, e->file_number);
    (void)d->unlink(d, e->spool->large_fd, name); /* else swept at the next start */
}

static void drop_held(struct spool_entry *e)
{
    e->spool->held_bytes -= e->held.n;
    buf_free(&e->held);
}

void entry_free(struct spool_entry *e)
{
    drop_file(e);
    drop_held(e);
    arena_free(&e->arena);
    free(e);
}

static void copy_envelope(struct spool_entry *e, const struct envelope *from)
{
    struct arena *a = &e->arena;
    struct recipient *list = arena_alloc(a, from->recipient_count * sizeof(*list));

    for (size_t i = 0; i < from->recipient_count; i++) {
        const struct recipient *r = &from->recipients[i];
        list[i] = (struct recipient){
            .address = arena_copy(a, r->address),
            .notify = {.when = r->notify.when, .orcpt = arena_copy(a, r->notify.orcpt)},
            .target = {.transport = r->target.transport,
                       .next_hop = arena_copy(a, r->target.next_hop),
                       .address = arena_copy(a, r->target.address),
                       .why = arena_copy(a, r->target.why)},
        };
    }
    e->envelope = (struct envelope){
        .sender = arena_copy(a, from->sender),
        .client = arena_copy(a, from->client),
        .body = from->body,
        .utf8 = from->utf8,
        .ret = from->ret,
        .envid = arena_copy(a, from->envid),
        .recipient_count = from->recipient_count,
        .recipients = list,
    };
}

/* A temporary name and a rename, not O_TMPFILE and a link: a link to a nameless file needs /proc,
 * and our root directory is the spool. */
static int open_file(struct spool_entry *e)
{
    struct spool *s = e->spool;
    char name[LARGE_NAME_BYTES];

    e->file_number = ++s->large_last;
    new_name(name, e->file_number);
    int fd = s->o.disk->open(s->o.disk, s->large_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    e->fd = fd;
    return 0;
}

static int write_file(struct spool_entry *e, struct str content)
{
    int r = disk_write_at(e->spool->o.disk, e->fd, content, e->size);

    if (r < 0)
        return r;
    e->size += content.n;
    e->sync_state = NOT_SYNCED;
    if (e->size - e->written_back < WRITE_BACK_BYTES)
        return 0;
    /* Only a hint: what counts is the sync. */
    (void)sync_file_range(e->fd, (off_t)e->written_back, (off_t)(e->size - e->written_back),
                          SYNC_FILE_RANGE_WRITE);
    e->written_back = e->size;
    return spool_above_floor(e->spool) ? 0 : -ENOSPC;
}

/* May the entry stay in memory once it has so many bytes in all? */
static bool may_hold(const struct spool_entry *e, uint64_t bytes)
{
    const struct spool *s = e->spool;

    if (bytes <= SPOOL_SMALL_BYTES_MAX)
        return true;
    return bytes <= SPOOL_SEGMENT_BYTES_MAX && segments_fit(s->segments, (size_t)bytes) &&
           s->held_bytes - e->held.n + bytes <= HELD_BYTES_MAX;
}

static int hold_or_file(struct spool_entry *e, struct str content)
{
    if (e->fd < 0 && may_hold(e, e->size + content.n)) {
        check(buf_add(&e->held, content));
        e->spool->held_bytes += content.n;
        e->size += content.n;
        return 0;
    }
    if (e->fd < 0) {
        int r = open_file(e);
        if (r < 0)
            return r;
        e->size = 0;
        r = write_file(e, str_n(e->held.p, e->held.n));
        if (r < 0)
            return r;
        drop_held(e);
    }
    return write_file(e, content);
}

int spool_begin(struct spool *s, const struct envelope *from, uint64_t size,
                struct spool_entry **ret)
{
    if (s->broken)
        return -EIO;
    if (from->recipient_count == 0 || from->recipient_count >= UINT32_MAX)
        return -EINVAL;
    struct spool_entry *e = mem_new(sizeof(*e));

    e->spool = s;
    e->fd = -1;
    e->held = buf_init(SPOOL_SEGMENT_BYTES_MAX);
    int r = may_hold(e, size) ? 0 : open_file(e);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    if (size > 0 && e->fd < 0)
        (void)buf_room(&e->held, (size_t)size);
    copy_envelope(e, from);
    *ret = e;
    return 0;
}

int spool_write(struct spool_entry *e, struct str content)
{
    check(e->sync_state != SYNCING);
    if (e->spool->broken)
        return -EIO;
    if (e->error == 0)
        e->error = hold_or_file(e, content);
    return e->error;
}

static void sync_work(struct background_job *job)
{
    struct spool_entry *e = list_of(job, struct spool_entry, job);
    const struct disk *d = e->spool->o.disk;

    e->sync_error = d->sync(d, e->fd);
}

/* A full disk is this message's trouble. After any other failure nobody knows what else the disk
 * has lost. */
static void sync_finished(struct background_job *job)
{
    struct spool_entry *e = list_of(job, struct spool_entry, job);

    e->sync_state = e->sync_error == 0 ? SYNCED : NOT_SYNCED;
    e->error = e->sync_error;
    if (e->error < 0 && e->error != -ENOSPC && e->error != -EDQUOT)
        e->spool->broken = true;
    if (e->abandoned)
        entry_free(e);
    else if (!e->spool->closing)
        e->done(e->arg, -e->error);
}

int spool_sync(struct spool_entry *e, struct loop *l, void (*done)(void *arg, int error), void *arg)
{
    check(e->sync_state != SYNCING);
    if (e->spool->broken)
        return -EIO;
    if (e->error < 0 || e->fd < 0 || e->sync_state == SYNCED)
        return e->error;
    e->sync_state = SYNCING;
    e->done = done;
    e->arg = arg;
    e->job.work = sync_work;
    e->job.finished = sync_finished;
    background_start(e->spool->syncs, l, &e->job);
    return -EAGAIN;
}

void spool_abort(struct spool_entry **m)
{
    struct spool_entry *e = *m;

    *m = NULL;
    if (!e)
        return;
    if (e->sync_state == SYNCING)
        e->abandoned = true;
    else
        entry_free(e);
}

static int name_file(struct spool_entry *e)
{
    struct spool *s = e->spool;
    char from[LARGE_NAME_BYTES];
    char to[LARGE_NAME_BYTES];

    check(e->sync_state == SYNCED);
    new_name(from, e->file_number);
    large_name(to, e->key);
    int r = s->o.disk->rename(s->o.disk, s->large_fd, from, s->large_fd, to);
    if (r < 0)
        return r;
    s->batch.large_names_changed = true;
    s->o.disk->close(s->o.disk, e->fd);
    e->fd = -1;
    e->place = (struct place){.kind = IN_FILE};
    return 0;
}

static int put_prefix(struct spool_entry *e, struct str prefix)
{
    struct buf b = buf_init(PREFIX_BYTES_MAX);

    prefix_print(&b, prefix, (struct id){.key = e->key, .node = e->spool->node});
    if (!b.full)
        e->prefix = arena_copy(&e->arena, buf_str(&b));
    int r = b.full ? -EMSGSIZE : 0;
    buf_free(&b);
    return r;
}

/* ---- the bytes of small messages: with the rows, or in a segment ---- */

/* Bytes in the transaction need no sync of their own, but are written twice, into the log and into
 * the database. So a few of them; more where syncs take so long that the processor has nothing else
 * to do, as many each ms; and no heap of them that stays. */
static bool fits_into_rows(const struct spool *s, uint64_t bytes)
{
    uint64_t few = s->o.row_bytes_max;
    uint64_t slow_us = s->sync_us < ROW_SYNC_US_MIN ? 0 : MIN_OF(s->sync_us, ROW_SYNC_US_MAX);
    uint64_t more = few * slow_us / 1000;

    bytes += s->batch.row_bytes;
    return bytes <= few + more && s->tally.content_bytes + bytes <= ROW_BYTES_KEPT;
}

static int move_to_segment(struct spool_entry *e)
{
    int r = segments_append(e->spool->segments, e->key, buf_str(&e->held), &e->place.segment);

    if (r < 0)
        return r;
    e->place.kind = IN_SEGMENT;
    drop_held(e);
    return 0;
}

/* What has joined the batch before. On a disk without room for another segment it stays a row. */
static void empty_rows(struct spool *s)
{
    for (const struct operation *o = s->batch.first; o; o = o->next)
        if (o->entry && o->entry->place.kind == IN_ROW)
            (void)move_to_segment(o->entry);
    s->batch.to_segments = true;
}

static int place_bytes(struct spool_entry *e)
{
    struct batch *b = &e->spool->batch;

    e->place.kind = IN_ROW;
    if (!b->to_segments && fits_into_rows(e->spool, e->held.n)) {
        b->row_bytes += e->held.n;
        return 0;
    }
    if (!b->to_segments)
        empty_rows(e->spool);
    return move_to_segment(e);
}

static int entry_place(struct spool_entry *e, struct str prefix)
{
    struct spool *s = e->spool;

    if (s->broken)
        return -EIO;
    if (e->error < 0)
        return e->error;
    e->key = spool_next_key(s);
    e->received_us = clock_now_us(s->o.clock);
    int r = put_prefix(e, prefix);
    if (r < 0)
        return r;
    if (e->fd >= 0)
        return name_file(e);
    return place_bytes(e);
}

int spool_add(struct spool_entry **m, struct str prefix, const struct spool_terms *t,
              struct id *ret)
{
    struct spool_entry *e = *m;

    *m = NULL;
    check(e->sync_state != SYNCING);
    int r = entry_place(e, prefix);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    e->terms = *t;
    struct operation *o = operation_add(e->spool, entry_apply);
    o->entry = e;
    *ret = (struct id){.key = e->key, .node = e->spool->node};
    return 0;
}

static void bind_if_any(sqlite3_stmt *st, int at, struct str s)
{
    if (s.n > 0)
        bind_str(st, at, s);
    else
        bind_null(st, at);
}

static int add_message(struct spool *s, const struct spool_entry *e)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_ADD_MESSAGE);

    bind_u64(st, 1, e->key);
    if (e->place.kind == IN_FILE) {
        bind_null(st, 2);
        bind_null(st, 3);
    } else { /* a row is in segment 0 */
        bind_u64(st, 2, e->place.segment.number);
        bind_u64(st, 3, e->place.segment.offset);
    }
    bind_u64(st, 4, e->size);
    bind_u64(st, 5, e->received_us);
    bind_u64(st, 6, e->terms.expires_us);
    bind_u64(st, 7, e->envelope.body);
    bind_str(st, 8, e->envelope.sender);
    bind_str(st, 9, e->envelope.client);
    bind_str(st, 10, e->prefix);
    bind_u64(st, 11, e->envelope.ret);
    bind_if_any(st, 12, e->envelope.envid);
    bind_u64(st, 13, e->envelope.utf8);
    return db_run(st);
}

static int add_content(struct spool *s, const struct spool_entry *e)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_ADD_CONTENT);

    bind_u64(st, 1, e->key);
    bind_u64(st, 2, crc32c(0, e->held.p, e->held.n));
    bind_str(st, 3, str_n(e->held.p, e->held.n));
    s->batch.tally.content_bytes += e->held.n;
    return db_run(st);
}

uint64_t spool_age_us(const struct spool_terms *t, const struct notify *n)
{
    bool warns =
        t->warn_us > 0 && t->warn_us < t->expires_us && notify_wants(n->when, NOTIFY_DELAY);

    return warns ? t->warn_us : t->expires_us;
}

static void bind_age(sqlite3_stmt *st, const struct spool_terms *t, const struct notify *n)
{
    uint64_t age_us = spool_age_us(t, n);

    bind_u64(st, 5, age_us);
    if (age_us < t->expires_us)
        bind_u64(st, 10, t->expires_us);
    else
        bind_null(st, 10);
}

static int add_recipient(struct spool *s, const struct spool_entry *e, uint32_t number)
{
    const struct recipient *to = &e->envelope.recipients[number - 1];
    uint64_t bound_us = e->terms.hold ? UINT64_MAX : e->terms.due_us;
    uint64_t destination;
    int r = destination_take(s, &to->target, bound_us, &destination);

    if (r < 0)
        return r;
    sqlite3_stmt *st = db_use(&s->db, SQL_ADD_RECIPIENT);
    bind_u64(st, 1, e->key);
    bind_u64(st, 2, number);
    bind_u64(st, 3, destination);
    bind_u64(st, 4, e->terms.due_us);
    bind_age(st, &e->terms, &to->notify);
    bind_u64(st, 6, e->terms.hold);
    bind_str(st, 7, to->target.address);
    if (str_eq(to->address, to->target.address))
        bind_null(st, 8);
    else
        bind_str(st, 8, to->address);
    bind_str(st, 9, to->target.why);
    bind_u64(st, 11, to->notify.when);
    bind_if_any(st, 12, to->notify.orcpt);
    return db_run(st);
}

int entry_apply(struct spool *s, const struct operation *o)
{
    const struct spool_entry *e = o->entry;
    uint32_t count = (uint32_t)e->envelope.recipient_count;
    int r = add_message(s, e);

    if (r == 0 && e->place.kind == IN_ROW)
        r = add_content(s, e);
    for (uint32_t number = 1; r == 0 && number <= count; number++)
        r = add_recipient(s, e, number);
    s->batch.tally.message_count++;
    s->batch.tally.recipient_count += count;
    s->batch.tally.held_count += e->terms.hold ? count : 0;
    return r;
}
