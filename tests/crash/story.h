/* crash/story.h - what was promised, and when: the other half of a recorded run.
 *
 * Times are positions in the log: a thing said when the log had N steps holds for every crash
 * after step N. NEVER: it was not said. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/envelope.h"
#include "mail/id.h"
#include "model.h"
#include "recorder.h"

#define NEVER SIZE_MAX
#define HOSTNAME "mail.example.test"
#define OUR_PREFIX "Received: by test\r\n"

struct fate { /* of one recipient */
    struct str address;
    struct str mailbox;    /* of a local one: "example.test/bill" */
    size_t handed_over_at; /* the next hop said 250 */
    size_t delivered_at;   /* maildir_commit said so */
    size_t removed_at;     /* a person asked for its removal */
    size_t confirmed_at;   /* its success is durable: RESULTS_TAKEN */
    struct str copy;       /* the file its mailbox must hold */
};

struct letter {
    struct id id; /* key 0: not known yet */
    struct str sender, prefix, content;
    size_t accepted_at; /* 250 */
    size_t told_at;     /* history has its "accepted" line */
    struct id about;    /* key 0, or it is a report on that message */
    struct fate *fates; /* recipient number - 1 */
    size_t count;
    size_t sent; /* bytes of content; the workload's */
};

struct story {
    struct log log;
    struct letter *letters;
    size_t count, room;
    size_t *said_at; /* every position at which something was said, rising */
    size_t said_count, said_room;
    size_t deaths; /* of the process, without a power cut */
    struct arena arena;
};

/* The letter of which this line of a message's life says that it was accepted, or NULL. */
struct letter *story_accepted(struct story *s, struct str line);
struct letter *story_letter(struct story *s, uint64_t key); /* NULL: nobody sent that */

/* Runs queue, spool and mailbox with seed's chances until the log has about `steps` steps. */
void story_make(struct story *s, uint64_t seed, size_t steps, enum fault fault);
/* The same, while the disk refuses one call (recorder_refuse); 0: none. */
void story_make_refused(struct story *s, uint64_t seed, size_t steps, enum fault fault, size_t call,
                        int error);
void story_free(struct story *s);
