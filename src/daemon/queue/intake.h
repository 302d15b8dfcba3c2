/* daemon/queue/intake.h - taking messages in from smtpd: PUT to PUT_DONE.
 *
 *   BEGIN --envelope--> ENVELOPE --content--> CONTENT --END--> (SYNCING) --> added to the batch
 *                                                                         --> commit --> PUT_DONE
 *
 * A put that failed goes on swallowing what its sender had under way and is answered at its END,
 * so smtpd needs no special case. A message that comes whole in one packet takes the short way,
 * without an object of its own. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/message.h"
#include "mail/envelope.h"
#include "mail/id.h"
#include "spool/spool.h"

struct queue;
struct peer;

struct accepted { /* in the batch of this turn; lives in the turn's arena */
    struct accepted *next;
    struct peer *peer; /* NULL: our own report, or smtpd is gone */
    uint64_t ticket;
    struct id id;
    struct envelope envelope;
    uint64_t received_us, size;
    struct spool_terms terms;
    bool held;
    struct str prefix, content; /* content: empty when it was not worth keeping in memory */
    bool has_content;
};

struct intake {
    struct accepted *first, **last;
    size_t count;
    size_t content_bytes; /* kept in memory this turn */
};

void intake_init(struct intake *i);
void intake_put(struct peer *peer, const struct msg_put *m);
void intake_put_abort(struct peer *peer, uint64_t ticket);
void intake_peer_down(struct peer *peer);
/* A message of our own joins the batch; its strings must live as long as the turn. Its header is
 * stored as the prefix, because that is where the spool writes the id. */
int intake_own(struct queue *q, const struct envelope *e, struct str header, struct str body,
               struct id *ret);
size_t intake_answer(struct queue *q, bool committed); /* how many */
void intake_forget(struct queue *q);                   /* the turn is over */
void intake_state(struct queue *q); /* tells every smtpd when spool_accepts has changed */
void intake_peer_up(struct peer *peer);
