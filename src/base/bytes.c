// SPDX-License-Identifier: ISC
#include "base/bytes.h"

static void put_little(struct buf *b, uint64_t v, size_t bytes)
{
    char *to = buf_room(b, bytes);

    if (!to)
        return;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(uint8_t)(v >> (8 * i));
    b->n += bytes;
}

void put_u8(struct buf *b, uint8_t v)
{
    put_little(b, v, 1);
}

void put_u16(struct buf *b, uint16_t v)
{
    put_little(b, v, 2);
}

void put_u32(struct buf *b, uint32_t v)
{
    put_little(b, v, 4);
}

void put_u64(struct buf *b, uint64_t v)
{
    put_little(b, v, 8);
}

void put_str(struct buf *b, struct str s)
{
    if (s.n > UINT32_MAX) { /* no buf is that large, but the length must not lie */
        b->full = true;
        return;
    }
    put_u32(b, (uint32_t)s.n);
    (void)buf_add(b, s);
}

struct reader reader_init(struct str s)
{
    return (struct reader){.rest = s};
}

static struct str cut_bytes(struct reader *r, size_t n)
{
    if (r->bad || n > r->rest.n) {
        r->bad = true;
        return STR_NONE;
    }
    struct str s = str_sub(r->rest, 0, n);
    r->rest = str_skip(r->rest, n);
    return s;
}

static uint64_t get_little(struct reader *r, size_t bytes)
{
    struct str s = cut_bytes(r, bytes);
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++)
        v |= (uint64_t)(uint8_t)s.p[i] << (8 * i);
    return v;
}

uint8_t get_u8(struct reader *r)
{
    return (uint8_t)get_little(r, 1);
}

uint16_t get_u16(struct reader *r)
{
    return (uint16_t)get_little(r, 2);
}

uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get_little(r, 4);
}

uint64_t get_u64(struct reader *r)
{
    return get_little(r, 8);
}

struct str get_str(struct reader *r)
{
    return cut_bytes(r, get_u32(r));
}

bool reader_ended(const struct reader *r)
{
    return !r->bad && r->rest.n == 0;
}
