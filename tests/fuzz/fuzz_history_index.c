/* A day's index on a broken disk. Any bytes: no crash, and nothing is taken for a record unless
 * its day, block and checksum are right. A good record with up to three flipped bits (what
 * CRC-32C surely notices at this length): refused, so that no line is hidden. The rest of the
 * input is a line: each of its topics is in the filter made from it. */
// links: base mail io history
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "history/history.h"
#include "history/index.h"
#include "history/line.h"

enum { DAY = 20777, BLOCK = 3, FLIPS = 3, HEAD_BYTES = 2 * FLIPS };

/* In < >, which a question loses once: a topic may have some of its own. */
static bool matches(struct str line, struct str topic)
{
    struct buf question = buf_init(LINE_BYTES_MAX);

    buf_add_char(&question, '<');
    buf_add(&question, topic);
    buf_add_char(&question, '>');
    bool found = history_line_matches(line, buf_str(&question));
    buf_free(&question);
    return found;
}

static void check_topics(const struct filter *f, struct str line)
{
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    struct str whole = line;
    struct str topic;
    enum topic_kind kind;

    while (line_topic_next(&line, &kind, &topic, &scratch)) {
        if (kind == TOPIC_OTHER)
            continue;
        check(filter_has(f, topic_hash(topic)));
        check(matches(whole, topic));
        if (kind == TOPIC_ADDRESS) {
            check(filter_has(f, topic_hash(address_domain_part(topic))));
            check(address_domain_part(topic).n < 2 || matches(whole, address_domain_part(topic)));
        }
    }
    buf_free(&scratch);
}

/* Flips the bits that `head` names; how many are different afterwards. */
static size_t flip(struct buf *record, const uint8_t *head)
{
    size_t bits[FLIPS];
    size_t count = head[0] % (FLIPS + 1);
    size_t different = 0;

    for (size_t i = 0; i < count; i++) {
        bits[i] = (head[2 * i] * 256U + head[2 * i + 1]) % (record->n * 8);
        record->p[bits[i] / 8] ^= (char)(1 << bits[i] % 8);
        size_t same = 0;
        for (size_t k = 0; k < i; k++)
            same += bits[k] == bits[i];
        different += same % 2 == 0 ? 1 : (size_t)-1;
    }
    return different;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter got;
    struct filter made = {0};
    struct buf record = buf_init(INDEX_RECORD_BYTES);
    struct str any = str_n((const char *)data, size);

    (void)index_record_parse(any, DAY, BLOCK, INDEX_BLOCK_BYTES, &got);
    if (size < HEAD_BYTES) {
        buf_free(&record);
        return 0;
    }
    struct str line = str_skip(any, HEAD_BYTES);
    struct buf scratch = buf_init(LINE_BYTES_MAX);
    filter_add_line(&made, line, &scratch);
    buf_free(&scratch);
    check_topics(&made, line);

    index_record_print(&record, DAY, BLOCK, 1000, &made);
    check(record.n == INDEX_RECORD_BYTES);
    check(index_record_parse(buf_str(&record), DAY, BLOCK, 1000, &got));
    check(memcmp(&got, &made, sizeof got) == 0);
    check(!index_record_parse(buf_str(&record), DAY, BLOCK, 1001, &got));
    check(!index_record_parse(buf_str(&record), DAY + 1, BLOCK, 1000, &got));
    check(!index_record_parse(buf_str(&record), DAY, BLOCK + 1, 1000, &got));
    check(!index_record_parse(str_skip(buf_str(&record), 1), DAY, BLOCK, 1000, &got));

    bool changed = flip(&record, data) > 0;
    check(index_record_parse(buf_str(&record), DAY, BLOCK, 1000, &got) == !changed);
    buf_free(&record);
    return 0;
}
