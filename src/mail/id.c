// SPDX-License-Identifier: ISC
#include "mail/id.h"

#include "base/codec.h"

#include <assert.h>

/* 75 bits, key before node, as 8 and 7 digits of 5 bits: neither half needs more than 64. */
enum { HIGH_DIGITS = 8, LOW_DIGITS = 7, NODE_BITS = 24, KEY_BITS_IN_LOW = 11 };
#define NODE_MASK ((UINT64_C(1) << NODE_BITS) - 1)
#define KEY_LOW_MASK ((UINT64_C(1) << KEY_BITS_IN_LOW) - 1)

static_assert(HIGH_DIGITS + LOW_DIGITS == ID_TEXT_BYTES, "both halves make the text");
static_assert(LOW_DIGITS * 5 == NODE_BITS + KEY_BITS_IN_LOW, "the low half holds the node");

struct id_text id_print(struct id id)
{
    struct id_text text = {0};

    base32_put(text.p, HIGH_DIGITS, id.key >> KEY_BITS_IN_LOW);
    base32_put(text.p + HIGH_DIGITS, LOW_DIGITS,
               (id.key & KEY_LOW_MASK) << NODE_BITS | (id.node & NODE_MASK));
    return text;
}

bool id_parse(struct str s, struct id *ret)
{
    uint64_t high;
    uint64_t low;

    if (s.n != ID_TEXT_BYTES || !base32_get(str_sub(s, 0, HIGH_DIGITS), &high) ||
        !base32_get(str_skip(s, HIGH_DIGITS), &low))
        return false;
    struct id id = {
        .key = high << KEY_BITS_IN_LOW | low >> NODE_BITS,
        .node = (uint32_t)(low & NODE_MASK),
    };
    if (id.key == 0)
        return false;
    *ret = id;
    return true;
}

uint64_t id_time_us(struct id id)
{
    return ID_EPOCH_US + id.key;
}
