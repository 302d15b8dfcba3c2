/* daemon/relay/pool.h - sessions to next hops, kept for a moment and used again.
 *
 *   job --pool_deliver--> an idle session to its next hop, or an attempt: one server of the next
 *   hop after another (nexthop/lookup.h) until one of them answers to the message
 *   --client_send--> results --on_done--> the session waits IDLE_S for another job
 *
 * A session that was used before and ends without having answered to a message had just run out:
 * the job starts again over a new connection, once, and the queue never hears of it. How much TLS
 * a session needs is decided by next hop (daemon/relay/security.h), and so is who logs in there; a
 * job waits until the parent has said what there is of the password. A login that is refused is the
 * trouble of the next hop as a whole: its mail waits, and no other server of it is bothered. A next
 * hop "unix:/path" is connected to by the parent. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "daemon/relay/job.h"
#include "daemon/relay/secrets.h"
#include "dns/dns.h"
#include "nexthop/own.h"
#include "tls/tls.h"

enum {
    POOL_IDLE_S = 5,
    POOL_MESSAGES_MAX = 100,
    POOL_STOP_S = 10,
    POOL_CONNECT_S = 10, /* while there is another server to try */
};

struct pool;

struct pool_events {
    void (*on_done)(void *arg, struct job *j); /* every recipient has its result */
    void (*on_stopped)(void *arg);
    /* Connect to this Unix socket; answered by pool_unix_open or pool_unix_failed. */
    void (*unix_connect)(void *arg, uint64_t ticket, struct str next_hop);
};

struct pool *pool_new(struct loop *l, struct dns *dns, const struct own *own,
                      const struct pool_events *events, void *arg);
void pool_free(struct pool **p);
void pool_config(struct pool *p, struct config *c);   /* holds it */
void pool_tls(struct pool *p, struct tls_context *c); /* takes it; none: only plain sessions */
/* A password has come, or its loss. fd is only read; -1: why tells what is wrong with the file. */
void pool_secret(struct pool *p, struct str path, int fd, struct str why);
void pool_deliver(struct pool *p, struct job *j); /* on_done may come before it returns */
void pool_unix_open(struct pool *p, uint64_t ticket, int socket);  /* takes it */
void pool_unix_failed(struct pool *p, uint64_t ticket, int error); /* an errno */
/* Idle sessions say QUIT, the others get POOL_STOP_S; then on_stopped. */
void pool_stop(struct pool *p);
