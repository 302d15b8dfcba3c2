/* crash/verify.h - starts on a disk that a crash has left, and holds it against what was promised.
 *
 * The spool is opened by the product's own spool_open, on real files. Demanded:
 *   - it starts, without a tool; the database is sound and its counts are true
 *   - each recipient of each message that got 250 is still queued, or ended truthfully: its next
 *     hop took it, its whole copy is in new/, a person removed it, or it failed and the report on
 *     it is itself there by the same rule
 *   - a delivery that was reported stays: the copy is in new/; one that was confirmed is not
 *     queued again
 *   - nothing is there in part: every message has exactly the bytes and recipients it was sent
 *     with, every file in a new/ is a whole copy
 *   - what is said of a message's life is in the spool, or history has it
 *   - a message taken in now gets an id above all that were given out */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"
#include "story.h"

enum { PROBLEM_BYTES = 512 };

struct verifier {
    struct story *story;
    int spool_fd, mail_fd; /* empty folders to work in; mail_fd only has to be open */
    struct clock clock;
    size_t promises;             /* messages with a 250 that were looked for, in all states */
    char problem[PROBLEM_BYTES]; /* what was found last */
    uint8_t *seen;               /* by letter and recipient */
    uint64_t letter_after_key;   /* the message taken in after the recovery */
};

struct after { /* a first recovery, its message and a second crash; or nothing of it */
    uint64_t letter_key;
    bool answered; /* before the second crash */
};

void verifier_init(struct verifier *v, struct story *s, const char *folder);
void verifier_done(struct verifier *v);
/* m: the disk; at: the position of the crash. record: NULL, or where the steps of the recovery go;
 * *ret_answered then is the step at which its own message was durable. */
bool verify(struct verifier *v, const struct image *m, size_t at, const struct after *after,
            struct log *record, size_t *ret_answered);
