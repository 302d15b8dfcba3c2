/* base/buf.h - growing bytes with a limit that is part of the object.
 *
 * Once something does not fit, nothing more is added and `full` stays true until buf_reset:
 * so a caller may add a dozen pieces and ask once. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

struct buf {
    char *p;
    size_t n;    /* bytes held */
    size_t room; /* bytes allocated */
    size_t bytes_max;
    bool full; /* something did not fit */
};

struct buf buf_init(size_t bytes_max); /* allocates nothing yet */
void buf_free(struct buf *b);          /* releases the memory; usable again after */
void buf_reset(struct buf *b);         /* empties, keeps the memory */

bool buf_add(struct buf *b, struct str s);
bool buf_add_c(struct buf *b, const char *terminated);
bool buf_add_char(struct buf *b, char c);
bool buf_add_u64(struct buf *b, uint64_t v); /* decimal */
bool buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));

/* Makes room for n more bytes and returns where they go (NULL: they do not fit); the caller
 * fills them and calls buf_added(). */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);

void buf_drop_front(struct buf *b, size_t n); /* forgets the first n bytes */
/* The same for secrets: what is freed by it is overwritten. */
void buf_wipe_front(struct buf *b, size_t n);
void buf_wipe(struct buf *b);            /* overwrites all of it, then as buf_free */
void buf_cut(struct buf *b, size_t n);   /* keeps only the first n bytes */
struct str buf_str(const struct buf *b); /* a view; dies with the next buf_ call */
const char *buf_c(struct buf *b);        /* the same, NUL-terminated */
char *buf_take(struct buf *b);           /* NUL-terminated; the caller frees; b is empty */
