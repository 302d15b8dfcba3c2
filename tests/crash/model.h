/* crash/model.h - a disk as data: the list of what was done to it, and what a power cut may leave.
 *
 * A `log` holds every step in the order in which it was made. An `image` is what is on the disk:
 * files (bytes) and names (folder, name -> file). Applying all steps to an empty image gives the
 * disk as the running system saw it; applying some of them gives a disk as a crash may leave it.
 * What is assumed of disks is in docs/design/0009-crash-model.md. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"

enum { SECTOR_BYTES = 512, SPOOL_NODE = 1, MAIL_NODE = 2, FIRST_FREE_NODE = 3 };

enum step_kind {
    STEP_WRITE,  /* bytes at offset */
    STEP_GROW,   /* the file is at least `offset` long */
    STEP_CUT,    /* the file is `offset` long */
    STEP_NAME,   /* name in folder `node` is now file `child` */
    STEP_RENAME, /* name in folder `node` becomes `to`, in one */
    STEP_UNNAME, /* name in folder `node` goes */
    STEP_SYNC, /* all that was done to `node` before is durable: data of a file, names of a folder */
};

struct step {
    enum step_kind kind;
    uint32_t node, child;
    uint64_t offset;
    struct str bytes;
    const char *name, *to;
};

struct log {
    struct step *steps;
    size_t count, room;
    uint32_t node_count; /* numbers of nodes are never used twice */
    struct arena arena;
};

void log_init(struct log *l, uint32_t node_count);
void log_done(struct log *l);
void log_add(struct log *l, const struct step *s); /* copies its strings */
void step_print(const struct step *s, size_t number);

struct file {
    bool folder, borrowed; /* borrowed: the bytes are another image's */
    uint8_t *p;
    size_t used, room; /* bytes kept; behind them are zeros up to size */
    uint64_t size;
};

struct name {
    uint32_t folder, node;
    const char *name; /* lives in a log */
};

struct image {
    struct file *files; /* by node */
    uint32_t file_count;
    struct name *names;
    size_t name_count, name_room;
};

void image_init(struct image *m, uint32_t node_count);       /* the two folders are there */
void image_clone(struct image *ret, const struct image *of); /* borrows: `of` must not change */
void image_done(struct image *m);
/* tear_seed not 0: of a write only some sectors (at least one is missing) get onto the disk. */
void image_apply(struct image *m, const struct step *s, uint64_t tear_seed);
bool step_can_tear(const struct step *s);

uint32_t image_find(const struct image *m, uint32_t folder, const char *name); /* 0: not there */
/* The folder's content becomes real files below dir_fd, which is empty. */
void image_store(const struct image *m, uint32_t folder, int dir_fd);
bool file_is(const struct file *f, struct str bytes);

enum { SCRATCH_BYTES = 64 };
void scratch_folder(char path[SCRATCH_BYTES]); /* a new one, in memory where there is /dev/shm */

uint64_t mix(uint64_t seed); /* numbers that look like chance, the same each time */
