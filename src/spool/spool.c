/* spool/spool.c - opening, closing, ids, room, counts. */
// SPDX-License-Identifier: ISC
#include "spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "spool/internal.h"

static const char reserve_name[] = "reserve";
enum { NODE_MASK = 0xffffff };
#define KEY_MAX ((UINT64_C(1) << 51) - 1)

int spool_read_begin(struct spool *s)
{
    if (s->broken)
        return -EIO;
    if (s->reading)
        return 0;
    int r = db_run(db_use(&s->db, SQL_BEGIN));
    s->reading = r == 0;
    return r;
}

/* Ids never go back: the last one is in every commit that adds a message. A clock beyond the last
 * possible id only stops being followed. */
uint64_t spool_next_key(struct spool *s)
{
    uint64_t now_us = clock_now_us(s->o.clock);
    uint64_t key = now_us > ID_EPOCH_US ? now_us - ID_EPOCH_US : 0;

    s->last_key = key > KEY_MAX ? s->last_key + 1 : MAX_OF(s->last_key + 1, key);
    return s->last_key;
}

uint32_t spool_node(const struct spool *s)
{
    return s->node;
}

int spool_health(const struct spool *s)
{
    return s->broken ? -EIO : 0;
}

/* ---- room ---- */

/* It need not be durable: after a crash it is simply made again. */
static void make_reserve(struct spool *s)
{
    const struct disk *d = s->o.disk;

    s->reserved = s->o.reserve_bytes == 0;
    if (s->reserved)
        return;
    int fd = d->open(d, s->dir_fd, reserve_name, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return;
    s->reserved = d->allocate(d, fd, s->o.reserve_bytes) == 0;
    if (!s->reserved)
        (void)d->truncate(d, fd, 0); /* half a reserve is given back; asked again in a second */
    d->close(d, fd);
}

static bool empty_reserve(struct spool *s)
{
    const struct disk *d = s->o.disk;
    int fd = d->open(d, s->dir_fd, reserve_name, O_RDWR, 0);

    if (fd < 0)
        return false;
    int r = d->truncate(d, fd, 0);
    d->close(d, fd);
    return r == 0;
}

bool spool_release_reserve(struct spool *s)
{
    if (!s->reserved || s->o.reserve_bytes == 0)
        return false;
    s->reserved = false;
    s->has_room = false;
    s->room_asked_us = MAX_OF(clock_monotonic_us(s->o.clock), UINT64_C(1));
    return empty_reserve(s);
}

/* What the log holds will need as much room again in the database. */
static bool has_free(struct spool *s, uint64_t needed)
{
    uint64_t free_bytes = 0;

    return disk_free_bytes(s->dir_fd, &free_bytes) == 0 &&
           free_bytes >= needed + checkpoint_bytes(s);
}

/* Many large messages that began while there was room must not use what results need. */
bool spool_above_floor(struct spool *s)
{
    return has_free(s, s->o.free_floor_bytes);
}

static void look_for_room(struct spool *s)
{
    s->has_room = has_free(s, s->o.free_floor_bytes + (s->reserved ? 0 : s->o.reserve_bytes));
    s->short_of_room = !s->has_room;
    if (s->has_room && !s->reserved)
        make_reserve(s);
    s->has_room = s->has_room && s->reserved;
}

bool spool_accepts(struct spool *s)
{
    uint64_t now_us = clock_monotonic_us(s->o.clock);

    if (!s->room_asked_us || now_us - s->room_asked_us >= US_PER_S) {
        s->room_asked_us = MAX_OF(now_us, UINT64_C(1));
        look_for_room(s);
    }
    return s->has_room && !s->broken;
}

int spool_counts(struct spool *s, struct spool_counts *ret)
{
    uint64_t free_bytes;
    int r = disk_free_bytes(s->dir_fd, &free_bytes);

    if (r < 0)
        return r;
    *ret = (struct spool_counts){
        .message_count = s->tally.message_count,
        .recipient_count = s->tally.recipient_count,
        .held_count = s->tally.held_count,
        .destination_count = s->tally.destination_count,
        .segment_count = segments_in_use(s->segments),
        .free_bytes = free_bytes,
    };
    return 0;
}

/* ---- opening ---- */

static int open_folder(struct spool *s, const char *name, int *ret)
{
    const struct disk *d = s->o.disk;
    int r = d->make_dir(d, s->dir_fd, name, 0700);

    if (r < 0 && r != -EEXIST)
        return r;
    *ret = d->open(d, s->dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
    return *ret < 0 ? *ret : 0;
}

/* SQLite would make it readable for everybody. Only before it is open: closing another descriptor
 * of it would drop SQLite's locks. */
static int make_database_file(struct spool *s)
{
    const struct disk *d = s->o.disk;
    int fd = d->open(d, s->dir_fd, "queue.db", O_RDWR | O_CREAT, 0600);

    if (fd < 0)
        return fd;
    d->close(d, fd);
    return 0;
}

/* The log of an earlier process goes into the database, which may grow: on a full disk into what
 * that process had reserved. */
static int open_database(struct spool *s)
{
    int r = db_open(s->dir_fd, s->o.sqlite_vfs, &s->db);

    if (r == -ENOSPC && empty_reserve(s))
        r = db_open(s->dir_fd, s->o.sqlite_vfs, &s->db);
    return r;
}

static int load_tally(struct spool *s)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_TALLY);
    int r = db_row(st);

    if (r != 1)
        return r < 0 ? r : -EIO;
    s->tally = (struct tally){
        .last_key = column_u64(st, 0),
        .last_destination = column_u64(st, 1),
        .message_count = column_u64(st, 2),
        .recipient_count = column_u64(st, 3),
        .held_count = column_u64(st, 4),
        .destination_count = column_u64(st, 5),
        .content_bytes = column_u64(st, 6),
    };
    s->last_key = s->tally.last_key;
    db_end(st);
    return 0;
}

static int load_segments(struct spool *s)
{
    sqlite3_stmt *st = db_use(&s->db, SQL_SEGMENTS);
    int r = db_row(st);

    for (; r == 1; r = db_row(st)) {
        uint64_t number = column_u64(st, 0);
        if (number > 0 && number < UINT32_MAX / 2)
            segments_load(s->segments, (uint32_t)number, (uint32_t)column_u64(st, 1));
    }
    return r < 0 ? r : segments_sweep(s->segments);
}

static bool is_named(struct spool *s, const char *name)
{
    uint64_t key;

    if (!str_u64(str_c(name), &key))
        return false;
    sqlite3_stmt *st = db_use(&s->db, SQL_MESSAGE_PLACE);
    bind_u64(st, 1, key);
    int r = db_row(st);
    bool in_file = r == 1 && column_place(st, 0).kind == IN_FILE;
    db_end(st);
    return in_file || r < 0; /* what cannot be asked is kept */
}

static int sweep_large(struct spool *s)
{
    int fd = openat(s->large_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return -errno;
    for (struct dirent *at = readdir(dir); at; at = readdir(dir))
        if (at->d_name[0] != '.' && !is_named(s, at->d_name))
            (void)s->o.disk->unlink(s->o.disk, s->large_fd, at->d_name); /* only costs room */
    (void)closedir(dir);
    return 0;
}

static uint32_t node_from(struct str bytes)
{
    struct reader r = reader_init(bytes);

    return get_u32(&r) & NODE_MASK;
}

/* Which of all spools in the world this is: chosen once. */
static int load_node(struct spool *s)
{
    struct buf value = buf_init(16);
    uint32_t node = 0;
    int r = 0;

    if (spool_fact(s, "node", &value)) {
        s->node = node_from(buf_str(&value));
    } else if (getrandom(&node, sizeof(node), 0) != sizeof(node)) {
        r = -errno;
    } else {
        s->node = node & NODE_MASK;
        put_u32(&value, s->node);
        r = spool_fact_set(s, "node", buf_str(&value));
        if (r == 0)
            r = spool_commit(s);
    }
    buf_free(&value);
    return r;
}

/* 1 folders and database exist, the log is in the database   2 rows that are kept in memory
 * 3 files that no row names go   4 room to end things on a full disk   5 all names are durable */
static int open_all(struct spool *s)
{
    int r = open_folder(s, "segments", &s->segments_fd);

    if (r == 0)
        r = open_folder(s, "large", &s->large_fd);
    if (r == 0)
        r = make_database_file(s);
    if (r == 0)
        r = open_database(s);
    if (r == 0)
        r = checkpoint_open(s);
    if (r < 0)
        return r;
    s->segments = segments_new(s->o.disk, s->segments_fd, s->o.segment_bytes);
    r = load_tally(s);
    if (r == 0)
        r = load_segments(s);
    if (r == 0)
        r = sweep_large(s);
    if (r == 0)
        r = load_node(s);
    if (r < 0)
        return r;
    make_reserve(s);
    return s->o.disk->sync_dir(s->o.disk, s->dir_fd);
}

int spool_open(int dir_fd, const struct spool_options *o, struct spool **ret)
{
    struct spool *s = mem_new(sizeof(*s));

    s->o = *o;
    s->o.segment_bytes = o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES;
    s->o.checkpoint_pages = o->checkpoint_pages ? o->checkpoint_pages : CHECKPOINT_PAGES;
    s->o.row_bytes_max = o->row_bytes_max ? o->row_bytes_max : ROW_BYTES_MAX;
    s->dir_fd = dir_fd;
    s->segments_fd = s->large_fd = -1;
    s->destinations = mem_new((DESTINATION_CACHE_COUNT + 1) * sizeof(*s->destinations));
    s->syncs = background_new();
    batch_init(&s->batch);
    int r = open_all(s);
    if (r < 0) {
        spool_close(&s);
        return r;
    }
    *ret = s;
    return 0;
}

void spool_close(struct spool **p)
{
    struct spool *s = *p;

    if (!s)
        return;
    *p = NULL;
    s->closing = true;
    background_free(&s->syncs);
    checkpoint_close(s);
    batch_done(s);
    segments_free(&s->segments);
    db_close(&s->db);
    if (s->large_fd >= 0)
        s->o.disk->close(s->o.disk, s->large_fd);
    if (s->segments_fd >= 0)
        s->o.disk->close(s->o.disk, s->segments_fd);
    free(s->destinations);
    free(s);
}
