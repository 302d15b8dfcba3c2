/* mail/id.h - the name of a message: the same in replies, headers, logs, queue and trace.
 *
 * `key` is microseconds since 2020-01-01 UTC, given out strictly rising by the one `queue` of an
 * installation (51 bits: until 2091); `node` is 24 random bits chosen once for each spool, so two
 * machines never give out the same name. Printed as 15 letters and digits of base32 (see
 * base/codec.h) that sort by time. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

enum { ID_TEXT_BYTES = 15 };
#define ID_EPOCH_US UINT64_C(1577836800000000) /* 2020-01-01T00:00:00Z */

struct id {
    uint64_t key; /* 0: no message */
    uint32_t node;
};

struct id_text {
    char p[ID_TEXT_BYTES + 1];
};

struct id_text id_print(struct id id);
bool id_parse(struct str s, struct id *ret);
uint64_t id_time_us(struct id id); /* wall time since 1970 at which it was given out */
