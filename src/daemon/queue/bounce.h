/* daemon/queue/bounce.h - the reports to senders (RFC 3464): what could not be delivered, what is
 * late, and what was delivered, for those who asked to hear of that (RFC 3461).
 *
 *   bounce_add --> the router is asked where the sender is --> report and change of the recipients
 *                                                              join one batch
 *
 * Until then the recipients stay in the spool, so a crash loses nothing: they are tried again. They
 * are active, too, unless they are only late. News of one message that come in the meantime join
 * its report. A message from <> is never reported on: if it fails it is held, counted, and told to
 * postmaster (notice.h). So is one whose sender cannot be reached. News that nobody wants, or that
 * would be one report too many (limit.h), are events that say why and nothing else. Many news of
 * one message are several reports, one in a turn: other mail goes on meanwhile. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "mail/dsn.h"

struct queue;

/* Open ones, and news in them; above, no new jobs start. */
enum { REPORTS_MAX = 4096, NEWS_MAX = 10000 };

struct bounces {
    struct map *by_name;
    size_t news_count;   /* in all reports */
    struct list waiting; /* reports to try again: router or disk said later */
};

struct news { /* of one recipient, borrowed */
    enum dsn_action action;
    uint32_t number;
    struct str address, original, orcpt, remote, next_hop, tls, detail;
    unsigned notify; /* of enum notify_when */
    struct status status;
    uint32_t attempts;
    uint64_t until_us;
    bool expired;
    bool with_failure; /* joins the report of a failure, whatever it is itself */
};

void bounces_init(struct bounces *b);
void bounces_done(struct queue *q);
void bounce_add(struct queue *q, struct id id, struct str sender, uint64_t received_us,
                const struct news *n);
bool bounces_full(const struct queue *q);
void bounces_tick(struct queue *q); /* each second */
