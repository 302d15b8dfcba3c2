/* client/dialogue.h - what a mail client says next, given what the server answered. Pure.
 *
 * No socket and no clock: replies go in, command bytes and events come out. client/session.h is
 * the shell that connects, streams the content and keeps the time. Commands that were said and
 * not answered yet stand in a small queue, so a reply is always read as the answer to a known one.
 *
 *   GREETING --220--> HELLO --250--> READY --dialogue_send--> ENVELOPE --354--> CONTENT
 *                                      ^                          |     dialogue_content_sent |
 *                                      |                    all answered                      v
 *                                      +--------------------------+-----------------------   DOT
 *   A binary message goes from ENVELOPE to CONTENT without DATA: BDAT says how long it is.
 *   READY --dialogue_quit--> QUITTING;   any of them --421, nonsense, lost--> OVER
 *   With a login: HELLO --AUTH--> LOGIN --235--> READY (client/auth.h)
 *
 * Where STARTTLS is offered and wanted: HELLO --220--> SECURING --dialogue_secured--> HELLO, where
 * EHLO is said again and nothing counts of what was heard before (RFC 3207 4.2). Where TLS comes
 * first: SECURING --dialogue_secured--> GREETING. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "client/auth.h"
#include "client/offers.h"
#include "mail/envelope.h"
#include "mail/explain.h"
#include "mail/status.h"
#include "tls/policy.h"

enum {
    DIALOGUE_PIPELINE_MAX = 64, /* commands without an answer yet, when PIPELINING is offered */
    DIALOGUE_COMMAND_BYTES_MAX = 2048,
    DIALOGUE_ADDRESS_BYTES_MAX = 512,
    DIALOGUE_OUT_BYTES_MAX = DIALOGUE_PIPELINE_MAX * DIALOGUE_COMMAND_BYTES_MAX,
    DIALOGUE_HOST_BYTES_MAX = 255,
    DIALOGUE_GREETING_BYTES_MAX = 512,
    DIALOGUE_WHY_BYTES_MAX = 300,
};

enum dialogue_phase {
    PHASE_GREETING,
    PHASE_HELLO,
    PHASE_SECURING, /* the shell does the handshake */
    PHASE_LOGIN,
    PHASE_READY,
    PHASE_ENVELOPE, /* RSET, MAIL, RCPT, DATA */
    PHASE_CONTENT,  /* the server waits for the content: the shell sends it and the dot */
    PHASE_DOT,      /* the verdict is awaited */
    PHASE_QUITTING,
    PHASE_OVER,
};

enum dialogue_expect {
    EXPECT_GREETING,
    EXPECT_EHLO,
    EXPECT_HELO,
    EXPECT_STARTTLS,
    EXPECT_AUTH,
    EXPECT_AUTH_CANCEL,
    EXPECT_RSET,
    EXPECT_MAIL,
    EXPECT_RCPT,
    EXPECT_DATA,
    EXPECT_DOT,
    EXPECT_EMPTY_DOT, /* 354 came although nobody is to get the message */
    EXPECT_QUIT,
    EXPECT_COUNT
};

struct dialogue_message { /* borrowed until on_message_end */
    struct str sender;
    const struct str *recipients;
    size_t recipient_count;
    const struct notify *notify; /* of each recipient; NULL: nothing was said */
    enum notify_return ret;
    struct str envid;
    enum body body;
    enum message_utf8 utf8;
    uint64_t size; /* exactly, where body is BODY_BINARY */
};

/* Any of them may stop the dialogue (dialogue_stop); none may free it. */
struct dialogue_events {
    void (*on_ready)(void *arg);
    void (*on_result)(void *arg, size_t recipient_index, const struct status *st);
    void (*on_message_end)(void *arg);
    void (*on_over)(void *arg, const struct status *st, bool next_hop_failed); /* once, the last */
    void (*on_said)(void *arg, struct str line);
    void (*on_secure)(void *arg); /* the handshake is to begin; NULL where TLS is never wanted */
};

struct dialogue {
    const struct dialogue_events *events;
    void *arg;
    bool lmtp; /* RFC 2033: LHLO, and a verdict for each recipient; set before the greeting */
    bool one_transaction; /* a message is sent once: recipients over the server's limit wait */
    struct buf hostname;
    struct buf out; /* commands to send; the shell takes them away */
    enum dialogue_phase phase;

    uint8_t expected[DIALOGUE_PIPELINE_MAX]; /* a ring of enum dialogue_expect */
    size_t expected_first, expected_count;

    struct buf greeting; /* the text of the 220 */
    struct client_offers offers;
    enum tls_policy tls;
    bool secured, tls_first;
    struct buf plain_why; /* why the session is not secret: "not offered" */
    struct client_auth auth;
    struct status refusal; /* of the last try to log in; class 0: none */
    bool out_is_secret;
    enum explain_step step; /* what the reply that is being read answers, or answered last */
    bool answering;
    size_t message_count, mail_count; /* MAILs may be more: see batch */

    /* the message under way; recipient_states is NULL when there is none */
    struct dialogue_message message;
    uint8_t *recipient_states;
    size_t open_count;     /* recipients without a result */
    size_t accepted_count; /* of these: taken by the server at RCPT */
    bool smtputf8;         /* was said with this message's MAIL */
    uint8_t say_next;
    /* The server may limit the recipients of a transaction: then the same message is sent again to
     * the next ones. Those of the transaction under way: */
    size_t batch_first, batch_end;
    size_t say_recipient, answer_recipient, judge_recipient;
    bool touched;          /* the server has answered to this message, and not with 421 */
    bool transaction_open; /* at the server: RSET is needed before the next MAIL */
};

void dialogue_init(struct dialogue *d, struct str hostname, enum tls_policy tls,
                   const struct dialogue_events *events, void *arg);
void dialogue_free(struct dialogue *d);
/* Before the greeting: to log in, and to begin with the handshake. What the connection is like is
 * said to auth (auth_channel), before the greeting and again before dialogue_secured. */
void dialogue_login(struct dialogue *d, const struct sasl_login *login);
void dialogue_tls_first(struct dialogue *d);

/* What was in `out` is on its way. */
void dialogue_out_taken(struct dialogue *d);
void dialogue_reply(struct dialogue *d, uint16_t code, struct str text);
void dialogue_send(struct dialogue *d, const struct dialogue_message *m); /* in PHASE_READY only */
/* In PHASE_CONTENT: is it sent as it is, behind BDAT, instead of stuffed behind DATA? Or must it be
 * converted, for the server takes no binary messages? */
bool dialogue_sends_chunk(const struct dialogue *d);
bool dialogue_converts(const struct dialogue *d);
/* In PHASE_CONTENT: content and the final dot (none behind BDAT) have been handed to the stream. */
void dialogue_content_sent(struct dialogue *d);
/* In PHASE_SECURING: the handshake is done; or it failed, and everything begins again with the
 * greeting of a new connection, without TLS. */
void dialogue_secured(struct dialogue *d);
void dialogue_again_plain(struct dialogue *d, const char *why);
void dialogue_quit(struct dialogue *d); /* no message may be under way */
/* The connection is gone, or its owner gives it up: st is the outcome of whatever is open. */
void dialogue_lost(struct dialogue *d, const struct status *st);
void dialogue_stop(struct dialogue *d); /* no more events */

/* What is awaited, "MAIL FROM", and how long at most, RFC 5321 4.5.3.2. 0: nothing is. */
uint64_t dialogue_timeout_s(const struct dialogue *d);
const char *dialogue_awaits(const struct dialogue *d);
/* Likewise as a step; within an event and once over: the one that it is about. */
enum explain_step dialogue_step(const struct dialogue *d);
bool dialogue_takes_more(const struct dialogue *d); /* may there be another message? */
/* Was a session had, and was it the next hop rather than this message that failed? */
bool dialogue_next_hop_failed(const struct dialogue *d);
