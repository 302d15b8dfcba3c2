/* daemon/queue/reroute.h - after a change of the routing configuration: where would each waiting
 * recipient go now?
 *
 * Page by page the router is asked; who goes elsewhere is moved, a refusal keeps the old route.
 * At the end the new fingerprint becomes a fact of the spool; until then a restart begins anew. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/spool.h"

struct queue;
struct reroute_ask;

enum { REROUTE_PAGE = 200 };

struct reroute {
    bool running;
    uint64_t fingerprint; /* being made true */
    struct spool_cursor cursor;
    struct arena arena; /* of the page */
    struct reroute_ask *asks;
    size_t ask_count, unanswered;
};

void reroute_check(struct queue *q); /* at the start and after a reload */
void reroute_step(struct queue *q);  /* after the commit: the next page, when it is time */
void reroute_done(struct queue *q);
