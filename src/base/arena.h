/* base/arena.h - memory that is given back all at once.
 *
 * Everything of one mail transaction, one job or one answer lives in one arena and ends with it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t bytes; /* handed out so far */
};

#define ARENA_INIT ((struct arena){0})

void *arena_alloc(struct arena *a, size_t bytes);     /* zeroed, aligned for anything */
struct str arena_copy(struct arena *a, struct str s); /* also NUL-terminated behind the end */
char *arena_c(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));
void arena_free(struct arena *a); /* empty and usable again */
