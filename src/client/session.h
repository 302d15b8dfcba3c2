/* client/session.h - an SMTP or LMTP client session: connect, greet, send messages one after another.
 *
 * Used by relay, the command line and the public library. Event-driven; every time-out of RFC 5321
 * 4.5.3.2; PIPELINING (RFC 2920), SIZE, 8BITMIME, SMTPUTF8 and LIMITS (RFC 9422) used when
 * offered; BDAT (RFC 3030) for binary messages, which need it; dot-stuffing exact for any
 * bytes. STARTTLS (RFC 3207) by policy, or TLS from the first byte (RFC 8314); when the handshake
 * fails and TLS is not required, the same address is connected to once more, without it, and the
 * owner sees one session. AUTH (RFC 4954) where there is a login: the session is ready when the
 * server has let us in, and over when it does not. Each recipient gets exactly one outcome for each
 * message. An outcome after the final dot got lost is "try later": a duplicate is allowed, a loss
 * is not. */
// SPDX-License-Identifier: ISC
#pragma once

#include "client/offers.h"
#include "io/loop.h"
#include "io/socket.h"
#include "mail/envelope.h"
#include "mail/explain.h"
#include "mail/status.h"
#include "sasl/sasl.h"
#include "tls/policy.h"
#include "tls/tls.h"

struct client;

struct client_options {
    struct str hostname;  /* for EHLO */
    bool lmtp;            /* is spoken there, not SMTP */
    bool one_transaction; /* for who counts messages: recipients over the server's limit wait */
    uint64_t timeout_scale_percent; /* 100: the RFC's times; tests shorten them */
    uint64_t connect_timeout_s;     /* 0: a minute */
    enum tls_policy tls;
    struct tls_context *tls_context; /* borrowed while connecting; needed unless TLS_NONE */
    struct str tls_host;             /* the server's name, or its address */
    bool
        tls_implicit; /* from the first byte (port 465): tls is then never less than TLS_REQUIRED */
    /* Logs in before on_ready; NULL: does not. What would show the password is only said over TLS
     * as strict as `tls` (or where plain_anyway says so). */
    const struct sasl_login *login;
    int socket; /* one that is connected already; taken, also on failure; 0: none */
};

struct client_message {
    struct str sender;
    const struct str *recipients;
    size_t recipient_count;
    const struct notify *notify; /* of each recipient; NULL: nothing was said */
    enum notify_return ret;
    struct str envid;
    enum body body;
    enum message_utf8 utf8;
    uint64_t size;      /* prefix and content */
    struct str prefix;  /* sent first */
    struct str content; /* or: */
    int content_fd; /* -1: content is in memory; else read with pread from content_offset on, 64 KiB at a time */
    uint64_t content_offset, content_bytes;
};

struct client_events {
    /* Greeted and ready for a message; also after each message when the session can go on. */
    void (*on_ready)(void *arg);
    /* One for each recipient of the message, exactly once. */
    void (*on_result)(void *arg, size_t recipient_index, const struct status *st);
    void (*on_message_end)(
        void *arg); /* after the last on_result; may start the next message or quit */
    /* The session is over: st says why (class 2: we quit). If a message was under way its results
     * were reported before. next_hop_failed: no session could be had at all. The owner frees the client. */
    void (*on_end)(void *arg, const struct status *st, bool next_hop_failed);
    /* The dialogue, for -v; may be NULL. Never a secret: "AUTH PLAIN ***". */
    void (*on_line)(void *arg, bool sent, struct str line);
    /* A step is over, well or not: us since the one before it was. RCPT comes for each recipient.
     * Nothing may be called from within but the questions below; may be NULL. */
    void (*on_step)(void *arg, enum explain_step step, uint64_t us);
    /* So much of the message (prefix and content) has been handed over in this transaction; may be
     * NULL; nothing may be called from within. */
    void (*on_sent)(void *arg, uint64_t bytes);
};

/* Connects to the address. Everything in options and to is copied. */
int client_new(struct loop *l, const struct sock_address *to, const struct client_options *o,
               const struct client_events *events, void *arg, struct client **ret);
/* Only in on_ready or on_message_end (or later while idle). Strings must live until on_message_end.
 * Events may come before it returns: a message can be refused without a word to the server. */
void client_send(struct client *c, const struct client_message *m);
void client_quit(struct client *c);                      /* QUIT, then on_end */
void client_free(struct client **c);                     /* at once, no events; NULL is fine */
struct str client_peer(const struct client *c);          /* "127.0.0.1:25" */
struct str client_greeting_host(const struct client *c); /* the name in its 220, or empty */
struct str client_greeting(const struct client *c);      /* the whole first line of it */
bool client_secured(const struct client *c);
/* How the session is protected: tls_peer_print, or "plain, not offered". Nothing before on_ready. */
void client_print_tls(const struct client *c, struct buf *to);
/* What the other side showed, also when it was not good enough; NULL: there is no TLS. */
const struct tls_peer *client_tls_peer(const struct client *c);
/* What EHLO offers, the last one said; before it nothing is. */
const struct client_offers *client_offers(const struct client *c);
/* How we logged in, "SCRAM-SHA-256"; NULL: we did not. */
const char *client_mechanism(const struct client *c);
/* The step whose answer is awaited; in on_result and on_end: which the outcome is of. */
enum explain_step client_step(const struct client *c);
/* Why the connection could not be had or broke: a negative errno; 0: it was something else. */
int client_error(const struct client *c);
/* Has the server answered the last message at all (421 is no answer)? If not, an old connection
 * may just have run out, and the message can be sent again over a new one. */
bool client_message_touched(const struct client *c);
/* Does the server report on deliveries itself (RFC 3461)? It was told who wants what. */
bool client_has_dsn(const struct client *c);
/* May there be another message in this session? The server may have said how many (RFC 9422). */
bool client_takes_more(const struct client *c);
size_t client_message_count(const struct client *c); /* sent over this connection so far */
