/* history/line.h - what a line tells of: message ids, addresses and their domains. Pure.
 *
 * A question and the index must agree on it, so both use line_topics_next. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum topic_kind {
    TOPIC_OTHER, /* any other value: not indexed */
    TOPIC_ID,
    TOPIC_ADDRESS, /* without < > */
    TOPIC_DOMAIN,  /* "@example.org" */
};

/* What text asks for; strips < >. */
enum topic_kind topic_of(struct str text, struct str *topic);
/* Cuts the next pair off *rest: its value's kind and text (a view into scratch). */
bool line_topic_next(struct str *rest, enum topic_kind *kind, struct str *topic,
                     struct buf *scratch);
/* history_line_matches with memory that is used again. */
bool line_tells_of(struct str line, struct str text, struct buf *scratch);
struct str address_domain_part(struct str address); /* "@example.org" of "bill@example.org" */
/* The same for spellings that mean the same: case does not count. */
uint64_t topic_hash(struct str topic);
