/* spool/segment.h - the bytes of small messages: preallocated files written from front to back.
 *
 *   segments/000001    records, one behind the other:
 *     magic u32, version u32, key u64, length u64, crc32c u32 (of all before it and the content),
 *     zero u32, content, zeros up to a multiple of 16
 *
 * Appending only gathers; segments_flush writes and syncs. Each flush starts on a page of its own,
 * so a page that holds promised bytes is never written again. A segment in which no message is
 * left is used again from its front, but only after the commit that ended its last message.
 * The counts live in rows of the same transaction; this module says which changed. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "io/disk.h"

enum {
    SEGMENT_BYTES = 16 * 1024 * 1024,
    SEGMENT_SPARE_MAX = 4 /* free ones that are kept; more are deleted */
};

struct segments;

struct segment_place {
    uint32_t number; /* from 1 */
    uint64_t offset; /* of the record */
};

/* dir_fd stays the caller's. bytes: of a segment, at most SEGMENT_BYTES. */
struct segments *segments_new(const struct disk *d, int dir_fd, uint32_t bytes);
void segments_free(struct segments **g);
void segments_load(struct segments *g, uint32_t number, uint32_t message_count); /* a row */
/* Unlinks the files that no row names. */
int segments_sweep(struct segments *g);
size_t segments_in_use(const struct segments *g); /* that hold messages */

/* Does one content of so many bytes fit into a segment? */
bool segments_fit(const struct segments *g, size_t content_bytes);
/* -ENOSPC when a new segment is needed and does not fit. */
int segments_append(struct segments *g, uint64_t key, struct str content,
                    struct segment_place *ret);
/* 1 bytes written, 2 synced, 3 new names synced. After -ENOSPC it may be called again (nothing
 * was synced); after any other failure the segments must not be used any more. */
int segments_flush(struct segments *g);
/* -EBADMSG: not the bytes that were written. */
int segments_read(struct segments *g, struct segment_place place, uint64_t key, uint64_t size,
                  struct arena *a, struct str *ret);

/* What one transaction changes; starting again forgets what an attempt before it said. */
void segments_begin(struct segments *g);
void segments_message_ended(struct segments *g, uint32_t number);
/* Walks the changed counts (start with *at = 0): false at the end. */
bool segments_changed(struct segments *g, size_t *at, uint32_t *number, uint32_t *message_count);
/* Walks the free segments that are too many, once: their rows go with this transaction. */
bool segments_surplus(struct segments *g, uint32_t *number);
void segments_committed(struct segments *g); /* the counts hold now; surplus files are unlinked */
