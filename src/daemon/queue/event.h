/* daemon/queue/event.h - what happens to a message, told once and used three times: in the spool
 * (same commit as the change it tells of), in the log and in history.
 *
 * A line starts `time=… event=… msg=ID`. Lines gather during a turn; nothing is logged or sent
 * before its commit. History takes batches by number and says how far it has got. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/log.h"
#include "mail/id.h"
#include "mail/status.h"

struct queue;

enum { EVENT_RECIPIENTS_MAX = 20 }; /* to=<…> in one line */

struct events {
    struct buf line;       /* being built */
    struct buf lines;      /* of this turn */
    size_t joined_bytes;   /* of lines, already given to the spool */
    uint64_t sent_number;  /* the last batch sent to history */
    uint64_t taken_number; /* history has it; not yet told to the spool */
    bool unsent;           /* the spool may hold batches after sent_number */
};

void events_init(struct events *e);
void events_done(struct events *e);

/* Begins a line; add pairs with line_* and end it. One line at a time. */
struct buf *event_begin(struct queue *q, const char *event, struct id id);
void event_end(struct queue *q);
/* status=4.4.1 reply="…" */
void event_status(struct buf *line, const struct status *st);

void events_join(struct queue *q);      /* before the commit: into its batch */
void events_committed(struct queue *q); /* after it: log, history */
void events_taken(struct queue *q, uint64_t number);
void events_tick(struct queue *q);       /* each second */
void events_history_up(struct queue *q); /* a new history: from the first it has not taken */
void events_send(struct queue *q);

/* Does a line tell of text: a message id, an address, "@domain", or "" (always)? */
bool event_matches(struct str line, struct str text, struct buf *scratch);
