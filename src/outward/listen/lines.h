/* listen/lines.h - the lines of a message as they come over the wire, judged while they stream by.
 * Pure, in constant memory.
 *
 * The bytes of DATA with their dots doubled and with the final dot; or those of BDAT. wire/smtp.h
 * reads the same bytes and decides what they mean; here is only looked at how they were written. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/listen/judge.h"

enum lines_seen {
    SEEN_BARE_LF,
    SEEN_BARE_CR,
    SEEN_FALSE_END,
    SEEN_LONG,
    SEEN_NOT_STUFFED,
    SEEN_NUL,
    SEEN_8BIT,
    SEEN_COUNT
};

struct lines {
    uint64_t line; /* number of the one under way, from 1 on */
    uint64_t longest;
    struct {
        uint64_t count, first_line, last_line;
    } seen[SEEN_COUNT];
    /* private */
    bool chunked;
    uint64_t line_bytes;
    bool saw_cr, at_start, behind_newline, first_dot, lone_dot, lone_dot_proper;
};

void lines_init(struct lines *l, bool chunked);
void lines_feed(struct lines *l, struct str raw);
void lines_end(struct lines *l); /* the last one needs no end in BDAT */
/* What was seen, as findings. may_8bit, may_binary: what MAIL said with BODY. */
void lines_judge(const struct lines *l, struct judge *j, bool may_8bit, bool may_binary);
