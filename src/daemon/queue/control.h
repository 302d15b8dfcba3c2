/* daemon/queue/control.h - a person asks: list, show, act, which events history has not yet.
 *
 * Answers page by key: a little each turn, and nothing while the asker does not read, so that a
 * listing of millions costs neither memory nor anybody's mail. An action changes a page in one
 * turn's commit and goes on in the next; END comes after the last commit. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/message.h"

struct peer;
struct queue;
struct asker;
struct spool_recipient;

enum { LINES_BYTES = 64 * 1024 }; /* of a packet, about */

enum question { ASK_LIST, ASK_SHOW, ASK_ACT, ASK_EVENTS, ASK_LIMITS, ASK_COUNT };

/* A new question ends the one before. */
void control_ask(struct peer *peer, enum question question, enum queue_act act, struct str text);
/* It is due now, and its destination backs off no longer. destinations_rewind comes after all. */
int control_retry(struct queue *q, const struct spool_recipient *r);
void control_peer_down(struct peer *peer);
void control_peer_room(struct peer *peer);
