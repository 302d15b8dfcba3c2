/* spool/spool.h - mail we have promised to deliver: segments of bytes and rows of state.
 *
 * One process (queue) owns the directory. Nothing said here is true for the world until
 * spool_commit() returned 0: all spool_add, spool_result… since the last commit become durable
 * together (segment bytes written and synced; BEGIN; rows; COMMIT), or none of them does.
 * SQLite (queue.db) is the source of truth; a file that no row names is swept by spool_open.
 * On-disk states and who moves them: docs/formats/spool.md.
 *
 * Errors are negative errno. After spool_commit failed the spool is broken: every further call
 * gives -EIO, the caller answers 451 and the process restarts (a failed sync is never retried).
 * -ENOSPC from spool_write/spool_add concerns that message alone; a large one meets it at the floor. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/disk.h"
#include "io/loop.h"
#include "mail/envelope.h"
#include "mail/id.h"
#include "mail/status.h"

struct spool;
struct spool_entry; /* a message being taken in, not yet committed */

struct spool_options {
    const struct disk *disk;
    const struct clock *clock;
    uint64_t free_floor_bytes; /* below it nothing is taken in (spool_accepts) */
    uint64_t reserve_bytes;    /* preallocated, given up so that results can still be committed */
    const char *sqlite_vfs;    /* whose files queue.db is made of; NULL: the system's */
    uint32_t segment_bytes;    /* a multiple of 4 KiB, from 68 KiB on; 0: SEGMENT_BYTES */
    uint32_t checkpoint_pages; /* the log is copied when it is longer; 0: CHECKPOINT_PAGES */
    uint32_t row_bytes_max;    /* see docs/design/0025-one-sync.md; 0: ROW_BYTES_MAX */
};

/* Where a content is kept: up to the first always in a segment or a row, above the second always in
 * a file of its own; between them in a segment or a row as long as not too much memory is taken by
 * those that arrive (and it fits into a segment). */
enum { SPOOL_SMALL_BYTES_MAX = 64 * 1024, SPOOL_SEGMENT_BYTES_MAX = 256 * 1024 };

/* dir_fd must stay open as long as the spool. Afterwards the process may make dir_fd its root and
 * lock itself up: nothing outside dir_fd is needed. Threads start when they are first wanted. */
int spool_open(int dir_fd, const struct spool_options *o, struct spool **ret);
/* What was not committed is lost. All entries must have been added or aborted. */
void spool_close(struct spool **s);
uint32_t spool_node(const struct spool *s);
/* -EIO once the spool is broken, which may happen beside the loop (a large file's sync, a
 * checkpoint): look now and then, and after each `done` of spool_sync. */
int spool_health(const struct spool *s);
/* Is there room for new mail? False below the free-space floor (asks the disk at most once a second). */
bool spool_accepts(struct spool *s);

/* ---- taking in ---- */
/* The entry copies the envelope. size: of the content if known, else 0. */
int spool_begin(struct spool *s, const struct envelope *e, uint64_t size, struct spool_entry **ret);
int spool_write(struct spool_entry *m, struct str content);
/* A large entry must be synced before it is added: -EAGAIN means "wait for `done`", which is called
 * from the loop when a thread has synced the file (0 or an errno). Small entries give 0 at once. */
int spool_sync(struct spool_entry *m, struct loop *l, void (*done)(void *arg, int error),
               void *arg);
struct spool_terms {
    uint64_t due_us, expires_us;
    uint64_t warn_us; /* of those who want to hear of a delay; 0: nobody is warned */
    bool hold;
};
/* When the age of a recipient with such wishes matters first: a warning, or its expiry. */
uint64_t spool_age_us(const struct spool_terms *t, const struct notify *n);
/* Joins the current batch, consumes *m, also on failure; gives the message its id and replaces
 * PREFIX_ID_MARK in prefix (our header fields, CRLF). Durable with the next spool_commit. */
int spool_add(struct spool_entry **m, struct str prefix, const struct spool_terms *t,
              struct id *ret);
void spool_abort(struct spool_entry **m); /* NULL is fine; also while a sync runs */

/* ---- what became of it; each joins the current batch ----
 * -ENOENT: no such row has been committed. Two changes of a row in one batch are made in order; a
 * change of what an earlier one has ended does nothing. */
/* The recipient is done with (delivered, bounced, discarded, removed): its row goes, and with the
 * last one the message and, when nothing else is in it, the segment. */
int spool_end_recipient(struct spool *s, uint64_t key, uint32_t number);
/* Not now: another try at due_us; st is kept for people to see. */
int spool_defer_recipient(struct spool *s, uint64_t key, uint32_t number, uint64_t due_us,
                          const struct status *st);
int spool_hold_recipient(struct spool *s, uint64_t key, uint32_t number, bool hold,
                         const struct status *why); /* why may be NULL */
/* Its sender knows that it is late: only its expiry matters from now on. */
int spool_warned(struct spool *s, uint64_t key, uint32_t number);
int spool_retry_now(struct spool *s, uint64_t key, uint32_t number); /* due := now, hold stays */
int spool_move_recipient(struct spool *s, uint64_t key, uint32_t number,
                         const struct target *t); /* re-routed */
/* Destinations: back-off lives in their row, never in the recipients'. until_us 0: none. */
int spool_destination_back_off(struct spool *s, uint64_t destination, uint64_t until_us,
                               uint32_t failures, const struct status *st);
/* After the clock went back: due and back-off times later than now + longest become that. Works
 * through a bounded piece: 1 means "once more after the next commit", 0: all done. */
int spool_pull_back(struct spool *s, uint64_t now_us, uint64_t longest_us);
/* A line for history (see log.h), or several with '\n' between them; the last is ended here. Kept
 * until spool_events_taken. Those of a batch become one row, or several of at most 64 KiB.
 * -EMSGSIZE: SPOOL_EVENT_BYTES_MAX or more; -ENOBUFS: too many in one batch, commit first. */
enum { SPOOL_EVENT_BYTES_MAX = 60 * 1024 };
int spool_event(struct spool *s, struct str lines);
int spool_events_taken(struct spool *s, uint64_t number); /* all up to this batch number */
/* Small facts by name that must survive (the fingerprint of the routing configuration…). */
int spool_fact_set(struct spool *s, const char *name, struct str value);
bool spool_fact(struct spool *s, const char *name, struct buf *ret);
int spool_fact_drop(struct spool *s, const char *name); /* none of that name is fine */
/* Those whose names sort behind `after`, in order; returns how many. */
struct spool_fact {
    struct str name, value;
};
int spool_facts(struct spool *s, struct str after, struct arena *a, struct spool_fact *ret,
                size_t count);

bool spool_dirty(const struct spool *s); /* is there something to commit? */
/* The order: segment bytes → their sync → rows, with the bytes of a small batch → COMMIT. */
int spool_commit(struct spool *s);
/* Starts a checkpoint in a thread of its own when the log has grown (spool_commit looks, too) and
 * forgets destinations that have long had nothing to do; call now and then. */
void spool_checkpoint(struct spool *s);

/* ---- reading: committed state only; strings live in the arena ---- */
struct spool_destination {
    uint64_t id;
    enum transport transport;
    struct str next_hop;
    uint64_t back_off_until_us; /* 0: none */
    uint32_t failures;          /* in a row */
    uint64_t due_us; /* the earliest recipient that is queued and not held; UINT64_MAX: none */
    struct status last;
};
/* Destinations with something due at or before now and not backing off, longest-waiting first;
 * at most count. Returns how many. *next_us: when the next one, or more for one of these, will be
 * due (UINT64_MAX: never; not after now: ask again after the next commit). */
int spool_due_destinations(struct spool *s, uint64_t now_us, struct arena *a,
                           struct spool_destination *ret, size_t count, uint64_t *next_us);
/* The same in pages, so that destinations which are busy already can be skipped: start with a
 * zero cursor (its key is a destination); the next page begins behind the last one returned. */
struct spool_cursor;
int spool_due_destinations_page(struct spool *s, uint64_t now_us, struct spool_cursor *cursor,
                                struct arena *a, struct spool_destination *ret, size_t count,
                                uint64_t *next_us);
int spool_destination(struct spool *s, uint64_t id, struct arena *a, struct spool_destination *ret);
int spool_destination_find(struct spool *s, enum transport t, struct str next_hop, struct arena *a,
                           struct spool_destination *ret);

struct spool_recipient {
    uint64_t key;
    uint32_t number;
    uint64_t destination;
    struct str address, original; /* final; as the sender wrote it */
    enum transport transport;
    struct str next_hop, why;
    bool held;
    uint32_t attempts;
    uint64_t due_us, expires_us;
    uint64_t age_us; /* before expires_us: when its sender is to be warned */
    struct notify notify;
    struct status last; /* class 0: never tried */
};
/* Due recipients of one destination by due time, after (after_due_us, after_key, after_number):
 * pages, so that what is active now can be skipped. */
struct spool_cursor {
    uint64_t due_us, key;
    uint32_t number;
};
int spool_due_recipients(struct spool *s, uint64_t destination, uint64_t now_us,
                         struct spool_cursor *cursor, struct arena *a, struct spool_recipient *ret,
                         size_t count);
/* Those of a destination whose age_us has come, due or not, and not held: to be given up, or
 * warned of; by age_us, which is what the cursor's due_us means here. */
int spool_aged_recipients(struct spool *s, uint64_t destination, uint64_t now_us,
                          struct spool_cursor *cursor, struct arena *a, struct spool_recipient *ret,
                          size_t count);
/* All recipients of a message, by number (from 1). */
int spool_recipients(struct spool *s, uint64_t key, uint32_t after_number, struct arena *a,
                     struct spool_recipient *ret, size_t count);

struct spool_message {
    struct id id;
    struct str sender, client, prefix;
    uint64_t received_us, expires_us, size;
    enum body body;
    enum message_utf8 utf8;
    bool in_file; /* content is a file of its own */
    enum notify_return ret;
    struct str envid;
};
int spool_message(struct spool *s, uint64_t key, struct arena *a,
                  struct spool_message *ret); /* -ENOENT */
/* The messages with keys from first to last, by key, at most `count`: how many, or an error. */
int spool_messages(struct spool *s, uint64_t first, uint64_t last, struct arena *a,
                   struct spool_message *ret, size_t count);
/* The content. Small: checked against its CRC and copied into the arena; -EBADMSG: the disk gave
 * other bytes than were written: hold and report, never send. Large: a read-only descriptor the caller closes. */
int spool_content(struct spool *s, uint64_t key, struct arena *a, struct str *ret);
int spool_content_fd(struct spool *s, uint64_t key, int *ret_fd);

/* Everything, paged by (key, number): for listings of any length. */
int spool_list(struct spool *s, struct spool_cursor *after, struct arena *a,
               struct spool_recipient *ret, size_t count);
/* Events of batches after `after_number` not yet taken, oldest first; *ret_number is their batch.
 * 1, or 0 at the end; -ENOBUFS: ret_lines is too small. */
int spool_events(struct spool *s, uint64_t after_number, struct buf *ret_lines,
                 uint64_t *ret_number);

struct spool_counts {
    uint64_t message_count, recipient_count, held_count, destination_count, segment_count,
        free_bytes;
};
int spool_counts(struct spool *s, struct spool_counts *ret);
