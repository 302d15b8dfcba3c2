/* crash/promises.h - the promises in a disk's log, and whether a state directory keeps them.
 *
 * A mark's words: "accepted" NAME ID TO,TO (250 was heard), "left" NAME - TO,TO (sendmail said 0
 * while the server was down), "taken" NAME TO (a next hop will say 250), "removing" NAME (a person
 * asks for it now), "torn" NAME (a next hop got what nobody sent). Messages say in themselves what
 * they must be (guest.py, content). */
// SPDX-License-Identifier: ISC
#pragma once

#include "disk_log.h"

enum { PROMISE_RECIPIENTS_MAX = 8, PROBLEM_TEXT_BYTES = 400 };

struct promise_recipient {
    struct str address;
    size_t taken_at;
    unsigned seen_in; /* the number of the state in which it was found last */
};

struct promise {
    struct str name, id;
    size_t given_at, removed_at;
    struct promise_recipient to[PROMISE_RECIPIENTS_MAX];
    size_t count;
    unsigned told_in;
    bool left; /* by sendmail: it has no id yet */
};

struct promises {
    struct promise *all;
    size_t count;
    struct map *by_name, *by_id;
    unsigned state; /* the number of the one that is looked at */
    size_t checked; /* promises looked for, in all states */
    size_t whole;   /* messages and copies read to their end */
    char problem[PROBLEM_TEXT_BYTES];
};

/* False: a mark that is none. */
bool promises_read(struct promises *p, const struct disk_write *log, size_t count, struct arena *a);
void promises_done(struct promises *p);
/* at: so much of the log is on the disk. Opens the spool, which changes the disk. */
bool promises_kept(struct promises *p, int state_fd, size_t at);
