/* mail/usage.h - how much an account has sent within an hour and a day. Pure.
 *
 * Counts stand in slots of 5 minutes for the hour and of an hour for the day; a window holds one
 * slot more than it is long, so that a limit is never exceeded, and what is in a slot counts until
 * all of it is too old. Of a fixed size, whatever is sent. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum usage_what { USAGE_MESSAGES, USAGE_RECIPIENTS, USAGE_WHAT_COUNT };
enum usage_span { USAGE_HOUR, USAGE_DAY, USAGE_SPAN_COUNT };
enum { USAGE_SLOTS_MAX = 25, USAGE_BYTES_MAX = 512 };

struct usage_window {
    uint64_t last; /* number of the newest slot, counted since 1970 */
    uint32_t slots[USAGE_WHAT_COUNT][USAGE_SLOTS_MAX]; /* slot n stands at n % how many there are */
};

struct usage {
    uint64_t told_us; /* when somebody was told that the account is at a limit; 0: never */
    struct usage_window windows[USAGE_SPAN_COUNT];
};

void usage_add(struct usage *u, uint64_t now_us, const uint32_t amount[USAGE_WHAT_COUNT]);
/* What was added at that time does not count any more. */
void usage_take_back(struct usage *u, uint64_t at_us, uint64_t now_us,
                     const uint32_t amount[USAGE_WHAT_COUNT]);
uint64_t usage_sum(const struct usage *u, enum usage_span span, enum usage_what what,
                   uint64_t now_us);
/* When `wanted` more will stay within the limit: 0 is now, else in so long. Never if limit is less
 * than wanted; then it is the length of the span. */
uint64_t usage_wait_us(const struct usage *u, enum usage_span span, enum usage_what what,
                       uint64_t now_us, uint64_t limit, uint64_t wanted);

void usage_encode(struct buf *to, const struct usage *u);
bool usage_decode(struct str bytes, struct usage *ret); /* takes only what usage_encode makes */
