/* history/index.h - which blocks of a day's lines can tell of a topic. Pure.
 *
 * The file of a day is one record for each block of 64 KiB, at block × INDEX_RECORD_BYTES: day,
 * block, how many bytes of the block it covers, Bloom filter, CRC-32C. A record is written only
 * when the lines it covers are durable, and counts only if it covers all the block holds now; so
 * no crash leaves one that hides lines. Whatever is missing or wrong means "may hold". */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum {
    INDEX_BLOCK_BYTES = 64 * 1024,
    INDEX_FILTER_BYTES = 2048, /* 16 bits a topic with 1000 topics a block */
    INDEX_FILTER_HASHES = 7,
    INDEX_RECORD_BYTES = 8 + 4 + 4 + INDEX_FILTER_BYTES + 4,
};

struct filter {
    uint8_t bits[INDEX_FILTER_BYTES];
};
void filter_add(struct filter *f, uint64_t hash);
bool filter_has(const struct filter *f, uint64_t hash);
/* All topics of a line: ids, addresses and their domains. scratch: memory for it, LINE_BYTES_MAX. */
void filter_add_line(struct filter *f, struct str line, struct buf *scratch);

void index_record_print(struct buf *to, uint64_t day, uint32_t block, uint32_t covered,
                        const struct filter *f);
/* False: not a record for this block, or not for all of its bytes. */
bool index_record_parse(struct str bytes, uint64_t day, uint32_t block, uint32_t block_bytes,
                        struct filter *ret);
