/* spool/internal.h - what the files of this folder share: the spool, its batch, its operations.
 *
 *   spool.c        open, close, room, counts, facts, housekeeping
 *   entry.c        a message being taken in
 *   operation.c    what became of it: the public calls join the batch, apply_… makes them rows
 *   commit.c       the order in which a batch becomes durable
 *   destination.c  destination rows and their lower bounds
 *   query.c        reading
 *   checkpoint.c   the log into the database
 *   db.c segment.c background.c  what they stand on; these know nothing of the rest */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/check.h"
#include "spool/background.h"
#include "spool/db.h"
#include "spool/segment.h"
#include "spool/spool.h"

enum {
    LARGE_NAME_BYTES = 24,
    DESTINATION_CACHE_COUNT = 2048,
    DESTINATION_CACHED_BYTES_MAX = 64,
    DESTINATIONS_KEPT = 10000,           /* more, and the idle ones are forgotten */
    CHECKPOINT_PAGES = 4096,             /* 16 MiB of log */
    ROW_BYTES_MAX = 64 * 1024,           /* of content in the transaction of a quick commit */
    ROW_BYTES_KEPT = 256 * 1024 * 1024,  /* of all rows: the database never shrinks */
    EVENTS_BYTES_MAX = 16 * 1024 * 1024, /* of one batch */
};

/* Rows of `tally`; one row, in every commit that changes it. */
struct tally {
    uint64_t last_key, last_destination;
    uint64_t message_count, recipient_count, held_count, destination_count;
    uint64_t content_bytes; /* of all rows of `content` */
};

/* Where the bytes of a message are. */
struct place {
    enum { IN_FILE, IN_ROW, IN_SEGMENT } kind;
    struct segment_place segment;
};

/* One call of the public interface, kept until the commit: so an attempt that found the disk
 * full can be made again, and nobody reads what is not committed. All it points to lives in the
 * batch's arena or in its entry. Each apply function uses what it needs. */
struct operation {
    struct operation *next;
    int (*apply)(struct spool *s, const struct operation *o);
    uint64_t key; /* or destination, or event number */
    uint32_t number;
    bool hold;
    uint32_t failures;
    uint64_t at_us;
    struct str last; /* packed status */
    struct str name, value;
    struct target target;
    struct spool_entry *entry;
};

struct gone_file {
    struct gone_file *next;
    uint64_t key;
};

struct batch {
    struct arena arena;
    struct operation *first, **end;
    struct buf events;
    bool large_names_changed;
    uint64_t row_bytes; /* of content that goes with the rows */
    bool to_segments;   /* there is too much of it */
    /* made anew by each attempt */
    struct tally tally;
    struct arena attempt;
    struct gone_file *gone; /* large files to unlink after the commit */
};

struct cached_destination {
    uint64_t id;     /* 0: empty */
    uint64_t due_us; /* the row's is not later */
    uint16_t transport, next_hop_bytes;
    char next_hop[DESTINATION_CACHED_BYTES_MAX];
};

struct checkpoint;

struct spool {
    struct spool_options o;
    int dir_fd, segments_fd, large_fd;
    uint32_t node;
    bool broken, closing;
    bool reading; /* the snapshot transaction is open */
    struct db db;
    struct segments *segments;
    struct tally tally; /* as committed */
    uint64_t last_key;  /* the last given out */
    uint64_t sync_us;   /* how long a COMMIT takes that has little to write: an average */
    struct batch batch;
    struct cached_destination *destinations; /* DESTINATION_CACHE_COUNT, then one for long names */
    uint64_t idle_after, pull_back_after;    /* destinations: how far the walks have come */
    uint64_t large_last;                     /* number in the last temporary name */
    struct background *syncs;
    uint64_t held_bytes; /* of contents in memory, arriving or in the batch */
    struct checkpoint *checkpoint;
    bool has_room, reserved;
    bool short_of_room;     /* looked, and there was too little */
    uint64_t room_asked_us; /* monotonic; 0: never */
};

/* spool.c */
uint64_t spool_next_key(struct spool *s);
bool spool_release_reserve(struct spool *s); /* true: there is room now that was not there */
bool spool_above_floor(struct spool *s);
int spool_read_begin(struct spool *s); /* before each query: the snapshot, or an error */

/* query.c */
struct place column_place(sqlite3_stmt *st, int at); /* of message.segment; without the offset */

/* entry.c */
int entry_apply(struct spool *s, const struct operation *o);
void entry_free(struct spool_entry *e);
void large_name(char name[LARGE_NAME_BYTES], uint64_t key);

/* operation.c */
struct operation *operation_add(struct spool *s,
                                int (*apply)(struct spool *, const struct operation *));

/* destination.c */
/* The destination's id, made when new; its lower bound is at most due_us afterwards. */
int destination_take(struct spool *s, const struct target *t, uint64_t due_us, uint64_t *ret);
int destination_lower(struct spool *s, uint64_t id, uint64_t due_us);
int destination_earliest(struct spool *s, uint64_t id, uint64_t *ret); /* UINT64_MAX: none */
/* The bound was found too low: joins the batch. */
void destination_correct(struct spool *s, uint64_t id, enum transport t, struct str next_hop);
void destinations_forget_idle(struct spool *s);
void destinations_cache_clear(struct spool *s);

/* commit.c */
void batch_init(struct batch *b);
void batch_done(struct spool *s); /* frees what it holds */

/* checkpoint.c */
int checkpoint_open(struct spool *s);
void checkpoint_close(struct spool *s);
uint64_t checkpoint_bytes(const struct spool *s); /* in the log, and not in the database yet */
/* Looks whether the thread is done, and whether it is wanted. */
void checkpoint_step(struct spool *s);
