/* daemon/queue/login_limit.h - how much each account may send: counted here because here alone all
 * workers meet, and in the commit that stores the message.
 *
 * LIMIT_ASK keeps room for a message from its first RCPT on (a hold), so that two sessions of one
 * account cannot both be promised the last place; its PUT turns that into a count, LIMIT_END or
 * the end of the worker gives it back. Counts are facts of the spool, "login-use:ACCOUNT", read
 * when first wanted; holds are only in memory, as are the sessions they belong to. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/message.h"
#include "mail/envelope.h"

struct queue;
struct peer;
struct spool_fact;

struct login_limits {
    struct map *by_account; /* struct login_use; those in memory */
    size_t evict_at;        /* how many before unused ones are forgotten */
    struct buf swept;       /* name of the last fact that was looked at */
};

void login_limits_init(struct login_limits *l);
void login_limits_done(struct queue *q); /* after the peers */
void login_limits_tick(struct queue *q); /* each second: what is too old to matter goes */
void login_limit_ask(struct peer *peer, const struct msg_limit_ask *m);
void login_limit_end(struct peer *peer, uint64_t hold);
void login_limit_peer_down(struct peer *peer);
/* The message of that account and hold joins the batch. */
void login_limit_count(struct peer *peer, uint64_t hold, struct str account,
                       const struct envelope *e);

#define LOGIN_USE_PREFIX "login-use:"
/* A line for people about a fact, with what is allowed and, at a limit, until when. False: it is
 * none of these, or nothing was sent within a day. */
bool login_limit_line(struct queue *q, const struct spool_fact *fact, struct buf *line);
