// SPDX-License-Identifier: ISC
#include "history/index.h"

#include <string.h>

#include "base/bytes.h"
#include "base/codec.h"
#include "history/line.h"

/* Two halves of one hash make all the positions (Kirsch and Mitzenmacher, 2006). */
static size_t position(uint64_t hash, unsigned i)
{
    uint32_t first = (uint32_t)hash;
    uint32_t second = (uint32_t)(hash >> 32) | 1;

    return (first + i * second) % (INDEX_FILTER_BYTES * 8);
}

void filter_add(struct filter *f, uint64_t hash)
{
    for (unsigned i = 0; i < INDEX_FILTER_HASHES; i++) {
        size_t bit = position(hash, i);
        f->bits[bit / 8] |= (uint8_t)(1 << bit % 8);
    }
}

bool filter_has(const struct filter *f, uint64_t hash)
{
    for (unsigned i = 0; i < INDEX_FILTER_HASHES; i++) {
        size_t bit = position(hash, i);
        if (!(f->bits[bit / 8] & 1 << bit % 8))
            return false;
    }
    return true;
}

void filter_add_line(struct filter *f, struct str line, struct buf *scratch)
{
    enum topic_kind kind;
    struct str topic;

    while (line_topic_next(&line, &kind, &topic, scratch)) {
        if (kind != TOPIC_OTHER)
            filter_add(f, topic_hash(topic));
        if (kind == TOPIC_ADDRESS)
            filter_add(f, topic_hash(address_domain_part(topic)));
    }
}

void index_record_print(struct buf *to, uint64_t day, uint32_t block, uint32_t covered,
                        const struct filter *f)
{
    size_t start = to->n;

    put_u64(to, day);
    put_u32(to, block);
    put_u32(to, covered);
    (void)buf_add(to, str_n((const char *)f->bits, sizeof f->bits));
    put_u32(to, crc32c(0, to->p + start, to->n - start));
}

bool index_record_parse(struct str bytes, uint64_t day, uint32_t block, uint32_t block_bytes,
                        struct filter *ret)
{
    if (bytes.n != INDEX_RECORD_BYTES)
        return false;
    struct reader r = reader_init(bytes);
    struct reader crc = reader_init(str_skip(bytes, bytes.n - 4));
    bool ours = get_u64(&r) == day && get_u32(&r) == block && get_u32(&r) >= block_bytes;

    if (!ours || get_u32(&crc) != crc32c(0, bytes.p, bytes.n - 4))
        return false;
    memcpy(ret->bits, r.rest.p, sizeof ret->bits);
    return true;
}
