/* base/clock.h - time as an argument.
 *
 * Wall time is microseconds since 1970 UTC; monotonic time only measures. A test passes its own
 * clock; a program passes &clock_system. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

#define US_PER_S UINT64_C(1000000)

struct clock {
    uint64_t (*now_us)(const struct clock *c);       /* wall time */
    uint64_t (*monotonic_us)(const struct clock *c); /* never goes back */
};

extern const struct clock clock_system;

static inline uint64_t clock_now_us(const struct clock *c)
{
    return c->now_us(c);
}
static inline uint64_t clock_monotonic_us(const struct clock *c)
{
    return c->monotonic_us(c);
}

/* 2026-11-20T18:04:10.123456Z, always 27 bytes; the form of logs and history. */
void time_print(struct buf *to, uint64_t us);
bool time_parse(struct str s, uint64_t *ret_us);
/* Days since 1970 and back, "2026-11-20" (10 bytes). */
void day_print(struct buf *to, uint64_t day);
bool day_parse(struct str s, uint64_t *ret_day);

/* A day of the (proleptic Gregorian) calendar and its number of days since 1970. */
struct date {
    unsigned year, month, day; /* month and day count from 1 */
};
struct date civil_date(uint64_t day);
bool civil_day(struct date d, uint64_t *ret_day); /* false: no such day, or before 1970 */

/* "90s", "5m", "2h", "5d" for people: the largest unit that is exact, else seconds. */
void duration_print(struct buf *to, uint64_t us);
