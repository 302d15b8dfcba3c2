/* smtpd/smtpd.h - the role smtpd: clients in, questions out. What its files share. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "daemon/smtpd/connections.h"
#include "daemon/smtpd/session.h"
#include "ipc/worker.h"

extern const struct role_spec smtpd_spec;
const struct config *smtpd_config(void); /* of new sessions */

/* A connection on its way in. */
struct arrival {
    struct config *config;              /* of its listener; borrowed for the call */
    const struct config_listen *listen; /* in config; NULL: a local user */
    struct sock_address client;
    struct sock_address proxy; /* who told us the client; .bytes 0: nobody did */
    bool nameless;             /* a proxy does not know the client: it is nobody's */
};

struct smtpd {
    struct worker *worker;
    struct config *config; /* of new sessions */
    struct session_world world;
    struct connections *connections;

    struct list proxied; /* of which the header is awaited */
    size_t proxied_count;
    struct list clients;
    size_t client_count;
    uint64_t last_number;         /* of a session */
    struct map *questions;        /* ticket -> client that waits for its answer */
    struct map *name_questions;   /* likewise, for its name */
    struct map *logins;           /* likewise, for its login */
    struct map *policy_questions; /* likewise, for what policy.c asks */
    uint64_t last_ticket;
    size_t bytes_held;  /* by all sessions for their messages */
    struct buf out;     /* what one session says in one go */
    struct timer clock; /* ticks once a second while there are clients */

    bool queue_refuses;
    struct status queue_status;
    bool stopping;
};

/* client.c: one connected client, its stream and its session */
struct client;

void clients_init(struct smtpd *m);
void client_accept(struct smtpd *m, int fd, const struct arrival *a);
void client_accept_user(struct smtpd *m, struct msg_user *user);
void client_accept_drop(struct smtpd *m, struct msg_drop *drop);
void clients_resume(struct smtpd *m);      /* there is room again */
void clients_lose_router(struct smtpd *m); /* its answers will not come */
void clients_lose_relay(struct smtpd *m, const struct channel *relay); /* likewise */
void clients_lose_logind(struct smtpd *m, const struct channel *logind);
void clients_lose_queue(struct smtpd *m);
void clients_stop(struct smtpd *m); /* 421 to all but those with a message under way */
void clients_end(struct smtpd *m);  /* 421 to all */

void client_named(struct smtpd *m, const struct msg_name_answer *a);
void client_routed(struct smtpd *m, const struct msg_route_answer *a);
void client_challenged(struct smtpd *m, const struct msg_login_challenge *a);
void client_login_done(struct smtpd *m, const struct msg_login_done *a);
void client_limited(struct smtpd *m, const struct msg_limit_answer *a);
void client_etrn_done(struct smtpd *m, const struct msg_etrn_answer *a);
void client_put_credit(struct smtpd *m, const struct msg_put_credit *a);
void client_stored(struct smtpd *m, const struct msg_put_done *a);

/* proxy.c: connections that begin with a PROXY header */
void proxied_init(struct smtpd *m);
void proxied_accept(struct smtpd *m, int fd, const struct arrival *a);
void proxied_stop(struct smtpd *m);

/* smtpd.c */
void smtpd_client_gone(struct smtpd *m); /* a descriptor is free; was it the last client? */
