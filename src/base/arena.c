// SPDX-License-Identifier: ISC
#include "base/arena.h"

#include "base/check.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK_BYTES = 1024, BLOCK_BYTES_MAX = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t room, used;
    alignas(max_align_t) char bytes[];
};

/* Blocks double, so that a small transaction stays small and a large one takes few blocks. */
static struct arena_block *add_block(struct arena *a, size_t needed)
{
    size_t room = a->blocks ? MIN_OF(a->blocks->room * 2, (size_t)BLOCK_BYTES_MAX)
                            : (size_t)FIRST_BLOCK_BYTES;

    room = MAX_OF(room, needed);
    struct arena_block *block = mem_resize(NULL, sizeof(*block) + room);

    *block = (struct arena_block){.next = a->blocks, .room = room};
    a->blocks = block;
    return block;
}

static void *take_bytes(struct arena *a, size_t bytes, size_t alignment)
{
    check(bytes < SIZE_MAX / 4);
    struct arena_block *block = a->blocks;
    size_t at = block ? (block->used + alignment - 1) & ~(alignment - 1) : 0;

    if (!block || at > block->room || bytes > block->room - at) {
        block = add_block(a, bytes);
        at = 0;
    }
    block->used = at + bytes;
    a->bytes += bytes;
    return block->bytes + at;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    void *p = take_bytes(a, bytes, alignof(max_align_t));

    memset(p, 0, bytes);
    return p;
}

char *arena_c(struct arena *a, struct str s)
{
    char *p = take_bytes(a, s.n + 1, 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct str arena_copy(struct arena *a, struct str s)
{
    return (struct str){arena_c(a, s), s.n};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(n >= 0);

    char *p = take_bytes(a, (size_t)n + 1, 1);
    va_start(args, format);
    (void)vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    return (struct str){p, (size_t)n};
}

void arena_free(struct arena *a)
{
    struct arena_block *block = a->blocks;

    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *a = ARENA_INIT;
}
