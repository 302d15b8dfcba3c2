// SPDX-License-Identifier: ISC
#include "mail/usage.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#define MINUTE_US (60 * US_PER_S)
enum { FORMAT = 1 };

static const struct span {
    uint64_t slot_us;
    size_t slot_count;
} spans[USAGE_SPAN_COUNT] = {
    [USAGE_HOUR] = {5 * MINUTE_US, 12 + 1},
    [USAGE_DAY] = {60 * MINUTE_US, 24 + 1},
};

/* The window as it is at this time. A clock that went back a little counts on in the newest slot;
 * after a leap of the whole window nothing in it means anything. */
static void advance(struct usage_window *w, const struct span *s, uint64_t now_us)
{
    uint64_t now = now_us / s->slot_us;
    uint64_t old = w->last;

    if (now + s->slot_count <= old || old + s->slot_count <= now) {
        *w = (struct usage_window){.last = now};
        return;
    }
    for (; w->last < now; w->last++)
        for (size_t what = 0; what < USAGE_WHAT_COUNT; what++)
            w->slots[what][(w->last + 1) % s->slot_count] = 0;
}

static uint32_t add_bounded(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void usage_add(struct usage *u, uint64_t now_us, const uint32_t amount[USAGE_WHAT_COUNT])
{
    for (size_t i = 0; i < USAGE_SPAN_COUNT; i++) {
        struct usage_window *w = &u->windows[i];

        advance(w, &spans[i], now_us);
        for (size_t what = 0; what < USAGE_WHAT_COUNT; what++) {
            uint32_t *slot = &w->slots[what][w->last % spans[i].slot_count];
            *slot = add_bounded(*slot, amount[what]);
        }
    }
}

void usage_take_back(struct usage *u, uint64_t at_us, uint64_t now_us,
                     const uint32_t amount[USAGE_WHAT_COUNT])
{
    for (size_t i = 0; i < USAGE_SPAN_COUNT; i++) {
        struct usage_window *w = &u->windows[i];
        uint64_t slot = at_us / spans[i].slot_us;

        advance(w, &spans[i], now_us);
        if (slot > w->last || slot + spans[i].slot_count <= w->last)
            continue; /* it has been forgotten */
        for (size_t what = 0; what < USAGE_WHAT_COUNT; what++) {
            uint32_t *n = &w->slots[what][slot % spans[i].slot_count];
            *n -= amount[what] < *n ? amount[what] : *n;
        }
    }
}

static uint64_t sum(const struct usage_window *w, const struct span *s, enum usage_what what)
{
    uint64_t all = 0;

    for (size_t i = 0; i < s->slot_count; i++)
        all += w->slots[what][i];
    return all;
}

uint64_t usage_sum(const struct usage *u, enum usage_span span, enum usage_what what,
                   uint64_t now_us)
{
    struct usage_window w = u->windows[span];

    advance(&w, &spans[span], now_us);
    return sum(&w, &spans[span], what);
}

uint64_t usage_wait_us(const struct usage *u, enum usage_span span, enum usage_what what,
                       uint64_t now_us, uint64_t limit, uint64_t wanted)
{
    const struct span *s = &spans[span];
    struct usage_window w = u->windows[span];

    advance(&w, s, now_us);

    uint64_t all = sum(&w, s, what);

    if (all + wanted <= limit)
        return 0;
    for (uint64_t n = w.last + 1; n <= w.last + s->slot_count; n++) { /* the oldest first */
        all -= w.slots[what][n % s->slot_count];
        if (all + wanted <= limit)
            return n * s->slot_us - now_us;
    }
    return (s->slot_count - 1) * s->slot_us;
}

void usage_encode(struct buf *to, const struct usage *u)
{
    put_u8(to, FORMAT);
    put_u64(to, u->told_us);
    for (size_t i = 0; i < USAGE_SPAN_COUNT; i++) {
        put_u64(to, u->windows[i].last);
        for (size_t what = 0; what < USAGE_WHAT_COUNT; what++)
            for (size_t n = 0; n < spans[i].slot_count; n++)
                put_u32(to, u->windows[i].slots[what][n]);
    }
}

bool usage_decode(struct str bytes, struct usage *ret)
{
    struct reader r = reader_init(bytes);
    struct usage u = {0};

    if (get_u8(&r) != FORMAT)
        return false;
    u.told_us = get_u64(&r);
    for (size_t i = 0; i < USAGE_SPAN_COUNT; i++) {
        u.windows[i].last = get_u64(&r);
        if (u.windows[i].last > UINT64_MAX / spans[i].slot_us - USAGE_SLOTS_MAX)
            return false;
        for (size_t what = 0; what < USAGE_WHAT_COUNT; what++)
            for (size_t n = 0; n < spans[i].slot_count; n++)
                u.windows[i].slots[what][n] = get_u32(&r);
    }
    if (!reader_ended(&r))
        return false;
    *ret = u;
    return true;
}
