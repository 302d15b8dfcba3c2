/* smtpd/session.h - one SMTP conversation, from greeting to goodbye, as a pure machine.
 *
 * Bytes in, replies out; no socket, no loop, the clock is an argument. What the session cannot
 * know it asks through a struct session_world; while a question is open it takes no bytes, so
 * pipelining is only buffering. An answer never comes from within the call that asks. Freeing the
 * session cancels what is open. The phases and their facts: session.c. RFC 5321, 1870, 2034,
 * 2920, 4954, 6152; for a listener of LMTP also 2033. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"
#include "config/config.h"
#include "io/socket.h"
#include "mail/id.h"
#include "mail/reply.h"

struct session;

/* What goes to the queue: see PUT in ipc/messages.def. The strings live for the call. */
struct session_put {
    bool begin, end;
    uint64_t size;         /* of the whole content, once it is known (end); else 0 */
    struct str account;    /* who has logged in, or empty */
    struct str envelope;   /* with begin: its head, */
    struct str recipients; /* and the rest of it, of any length */
    struct str prefix;     /* with end */
    struct str content;    /* at most PUT_CHUNK_BYTES */
};

/* What the address of a client is good for. */
struct session_rights {
    bool may_relay;   /* in relay-for: one of our own */
    bool may_xclient; /* in the xclient networks of its listener */
};

/* A step of a login, as BEGIN and STEP in ipc/messages.def. The strings live for the call. */
struct session_login {
    struct str mechanism; /* in capitals; empty: it has begun, this is the next response */
    bool has_response;
    struct str response;
    struct str client;      /* its address */
    struct str binding;     /* of TLS, or empty */
    struct str certificate; /* the address in it, or empty */
};

/* arg is what session_new was given. */
struct session_world {
    const struct clock *clock;
    /* Answered by session_named. False: nobody can be asked. */
    bool (*name_ask)(void *arg, struct str ip);
    /* Answered by session_routed. False: the router is away. */
    bool (*route_ask)(void *arg, bool may_relay, struct str sender, struct str recipient);
    /* Answered by session_challenged or session_login_done. False: nobody can be asked. */
    bool (*login_ask)(void *arg, const struct session_login *ask);
    void (*login_cancel)(void *arg); /* the login that was begun is given up */
    /* Credited by session_put_credit, answered by session_stored. False: the queue is away. */
    bool (*put)(void *arg, const struct session_put *put);
    /* Questions of policy.c, one at a time. Does each of these addresses, one a line, belong to the
     * login? Where does what a person typed lead? Answered by session_told. False: as above. */
    bool (*owner_ask)(void *arg, struct str login, struct str addresses);
    bool (*verify_ask)(void *arg, bool may_relay, struct str text);
    /* May it send to so many recipients with this message? Answered by session_limited. What was
     * granted is kept until the message is stored or limit_end. */
    bool (*limit_ask)(void *arg, struct str login, uint32_t recipients);
    void (*limit_end)(void *arg);
    /* What waits for this node (RFC 1985, with its sign) is to be tried now. Answered by
     * session_etrn_done. False: nobody can be asked. */
    bool (*etrn_ask)(void *arg, struct str node);
    void (*policy_cancel)(void *arg); /* no answer to those is wanted */
    void (*cancel)(void *arg);        /* no answer is wanted; a message half put is forgotten */
    /* Is new mail refused now (no room, no queue)? Then with which status. */
    bool (*refuses)(void *arg, struct status *ret);
    /* The client has another address than it seemed (NULL: none that is known). REPLY_GREETING: it
     * may come in, with these rights. */
    enum reply_name (*moved)(void *arg, const struct sock_address *to, struct session_rights *ret);
    bool (*tight)(void *arg);                 /* the worker holds as many bytes as it may */
    void (*note)(void *arg, struct str line); /* a refusal, as a log line */
    bool (*tls_can)(void *arg);               /* is there a certificate, and its key? */
};

/* A user of this machine, as the kernel and the parent say. */
struct session_user {
    uint32_t uid;
    bool trusted;     /* may say any sender */
    struct str login; /* empty: the uid has none */
};

struct session_client {
    struct str ip;    /* "192.0.2.1" */
    struct str proxy; /* the address of the proxy that told it, or empty */
    struct session_rights rights;
    const struct config_listen *listen; /* NULL: a local user, or a drop file */
    const struct session_user *user;    /* NULL: came by the network; else ip is not looked at */
    uint64_t number;                    /* names the session in logs */
};

/* world and config are borrowed for the life of the session. */
struct session *session_new(const struct session_world *world, void *arg,
                            const struct config *config, const struct session_client *client);
void session_free(struct session **s); /* NULL is fine */

void session_greet(struct session *s, struct buf *out);
/* Returns how much of in was used; the rest is to come again: with more, after the answer, or when
 * the 16 KiB or more that it had to say have been read. */
size_t session_feed(struct session *s, struct str in, struct buf *out);
bool session_waits(const struct session *s); /* for an answer: feeding it is of no use */
/* It waits for the handshake of TLS: begin it, once what it said has been written, and forget what
 * else the client had sent. */
bool session_shakes(const struct session *s);
bool session_is_mute(const struct session *s); /* nothing can be said before TLS is up */
/* TLS is up; words: "TLSv1.3 TLS_AES_128_GCM_SHA256". */
void session_secured(struct session *s, struct str words, struct buf *out);
bool session_ended(const struct session *s); /* what is in out is the last word */

/* What TLS knows of the client: the binding of the connection (tls-exporter, RFC 9266), and the
 * address that its verified certificate names, or empty. */
void session_identified(struct session *s, struct str binding, struct str certificate);
/* The login goes on, or is over: login is who it is (status of class 2) or wanted to be; why: the
 * reason of a refusal, for the log. */
void session_challenged(struct session *s, struct str challenge, struct buf *out);
void session_login_done(struct session *s, const struct status *st, struct str login,
                        struct str why, struct buf *out);
/* It has proved to be this account, a full address, which may send to everywhere. */
void session_logged_in(struct session *s, struct str login);

/* The name of the client; empty: why there is none. */
void session_named(struct session *s, struct str name, struct str why, struct buf *out);
/* Answers. targets: encoded (mail/envelope.h) when st is of class 2. */
void session_routed(struct session *s, const struct status *st, struct str targets,
                    struct buf *out);
/* address: of ROUTE_ASK's answer, its why. */
void session_told(struct session *s, const struct status *st, struct str targets,
                  struct str address, struct buf *out);
void session_limited(struct session *s, const struct status *st, struct buf *out);
void session_etrn_done(struct session *s, const struct status *st, struct buf *out);
void session_put_credit(struct session *s, uint64_t bytes, struct buf *out);
void session_stored(struct session *s, const struct status *st, struct id id, struct buf *out);

/* Hands what it holds of a message to the queue early, to get its memory back. */
void session_spill(struct session *s);
/* Ends the conversation: a 421. */
void session_close(struct session *s, enum reply_name why, struct buf *out);
/* Ends it now, or after the answer to the message that is under way. */
void session_stop(struct session *s, struct buf *out);
void session_tick(struct session *s, struct buf *out); /* looks at the clock: time-outs */

size_t session_bytes(const struct session *s); /* held for the message under way */
struct str session_name(const struct session *s);
const char *session_why_ended(const struct session *s); /* name of the last reply */
