/* outward/probe/talk.h - one conversation with one server, to find out about it: no mail is sent, and no
 * transaction ever comes to DATA.
 *
 *   connect -> greeting -> EHLO -> STARTTLS -> TLS -> EHLO -> QUIT
 *                                                       \-> VRFY, EXPN, recipients, relay forms -/
 *
 * What comes after the second EHLO is for the first server of a host that greets, and never with
 * `gentle`. When TLS fails the same is gone through once more without it. The rows of the script
 * (talk.c) are the whole conversation. Every step has a time; what came of it goes into the facts. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/loop.h"
#include "outward/probe/facts.h"

enum { TALK_CONNECT_S = 10, TALK_REPLY_S = 20 };

struct talk_world { /* borrowed as long as there are conversations */
    struct loop *loop;
    struct arena *arena;     /* of the facts */
    struct str hostname;     /* for EHLO; empty: the address of this end of the connection */
    struct str elsewhere;    /* a domain that the server has nothing to do with */
    struct tls_context *tls; /* NULL: no TLS */
    struct tls_context *versions[TLS_VERSION_COUNT]; /* NULL: cannot be looked at */
    const char *roots; /* a file of certificates that are trusted; NULL: the system's */
    bool gentle;
    const struct fact_host **talked_to; /* hosts that were gone through in full */
    size_t talked_count, talked_max;
    void (*on_line)(void *arg, const struct fact_server *s, bool sent,
                    struct str line);                                             /* or NULL */
    void (*on_step)(void *arg, const struct fact_server *s, enum fact_step step); /* or NULL */
    void *arg;
};

struct talk;

/* domain: whose postmaster is asked for; empty: nobody is. fn is called once, never from within,
 * when all is done. */
struct talk *talk_new(struct talk_world *w, struct fact_server *to, struct str domain,
                      void (*fn)(void *arg), void *arg);
void talk_free(struct talk **t); /* NULL is fine; also in fn */
