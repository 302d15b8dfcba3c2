/* base/bytes.h - numbers and strings in byte strings: what IPC messages, segments and stored
 * envelopes are made of. Little-endian, fixed width; a string is its length (u32) and its bytes.
 *
 * A reader never reads past its end: after the first failure everything it returns is zero or
 * empty and `bad` stays true, so a decoder checks once, at the end. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

void put_u8(struct buf *b, uint8_t v);
void put_u16(struct buf *b, uint16_t v);
void put_u32(struct buf *b, uint32_t v);
void put_u64(struct buf *b, uint64_t v);
void put_str(struct buf *b, struct str s);

struct reader {
    struct str rest;
    bool bad;
};

struct reader reader_init(struct str s);
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
struct str get_str(struct reader *r);      /* a view into what is read */
bool reader_ended(const struct reader *r); /* all read, nothing bad */
