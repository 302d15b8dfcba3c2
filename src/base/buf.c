// SPDX-License-Identifier: ISC
#include "base/buf.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 };

struct buf buf_init(size_t bytes_max)
{
    check(bytes_max < SIZE_MAX / 2);
    return (struct buf){.bytes_max = bytes_max};
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = buf_init(b->bytes_max);
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->full = false;
}

/* Always one byte more than `room` is allocated: for the NUL of buf_c. */
static void grow(struct buf *b, size_t needed)
{
    size_t room = MAX_OF(b->room * 2, (size_t)FIRST_BYTES);

    room = MIN_OF(MAX_OF(room, needed), b->bytes_max);
    b->p = mem_resize(b->p, room + 1);
    b->room = room;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->full || n > b->bytes_max - b->n) {
        b->full = true;
        return NULL;
    }
    if (n > b->room - b->n || !b->p)
        grow(b, b->n + n);
    return b->p + b->n;
}

void buf_added(struct buf *b, size_t n)
{
    check(n <= b->room - b->n);
    b->n += n;
}

bool buf_add(struct buf *b, struct str s)
{
    char *to = buf_room(b, s.n);

    if (!to)
        return false;
    if (s.n)
        memcpy(to, s.p, s.n);
    b->n += s.n;
    return true;
}

bool buf_add_c(struct buf *b, const char *terminated)
{
    return buf_add(b, str_c(terminated));
}

bool buf_add_char(struct buf *b, char c)
{
    char *to = buf_room(b, 1);

    if (!to)
        return false;
    *to = c;
    b->n++;
    return true;
}

bool buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return buf_add(b, str_n(digits + at, sizeof(digits) - at));
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(n >= 0);

    char *to = buf_room(b, (size_t)n);
    if (!to)
        return false;
    va_start(args, format);
    (void)vsnprintf(to, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
    return true;
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

void buf_wipe_front(struct buf *b, size_t n)
{
    size_t before = b->n;

    buf_drop_front(b, n);
    if (before > b->n)
        explicit_bzero(b->p + b->n, before - b->n);
}

void buf_wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->room);
    buf_free(b);
}

void buf_cut(struct buf *b, size_t n)
{
    if (n < b->n)
        b->n = n;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

const char *buf_c(struct buf *b)
{
    if (!b->p)
        grow(b, 0);
    b->p[b->n] = '\0';
    return b->p;
}

char *buf_take(struct buf *b)
{
    (void)buf_c(b);
    char *p = b->p;

    *b = buf_init(b->bytes_max);
    return p;
}
