/* outward/talk/exchange.h - who is to speak in a session that a person types: what was said and not
 * answered yet, whether lines are commands, content or the answer of a login, what was offered. Pure.
 *
 *              +----------- "." -----------+
 *              v                           |
 *   COMMANDS --DATA, 354--> CONTENT -------+
 *     |  ^ --AUTH, 334--> LOGIN --235, 5xx--> COMMANDS
 *     |  +--- all octets said ---+
 *     +--BDAT n--> CHUNK --------+
 *
 * It follows what goes over the line, whoever made it, and forbids nothing. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/explain.h"
#include "outward/talk/answer.h"

enum {
    EXCHANGE_AWAITED_MAX = 512,
    EXCHANGE_LINE_BYTES_MAX = 4096,
    EXCHANGE_ENVELOPE_BYTES_MAX = 64 * 1024,
    EXCHANGE_VERB_BYTES_MAX = 11,
};

enum exchange_protocol { EXCHANGE_SMTP, EXCHANGE_LMTP, EXCHANGE_POP3 };
enum exchange_mode { MODE_COMMANDS, MODE_CONTENT, MODE_CHUNK, MODE_LOGIN };

struct awaited {
    enum explain_step step;
    bool gate;  /* nothing else should be said before it is answered */
    bool lists; /* POP3: lines follow */
    uint64_t since_us;
    char verb[EXCHANGE_VERB_BYTES_MAX + 1];
    char *address; /* of MAIL and RCPT, or NULL */
};

struct exchange {
    enum exchange_protocol protocol;
    enum exchange_mode mode;
    struct awaited awaited[EXCHANGE_AWAITED_MAX]; /* a ring */
    size_t first, count;
    struct buf partial;    /* of a line that was begun */
    uint64_t chunk_left;   /* octets of BDAT that are to be said */
    bool secured;          /* a handshake was done in this session */
    bool has_sender;       /* MAIL was taken */
    struct buf sender;     /* its address */
    struct buf recipients; /* that were taken, a '\n' behind each */
    size_t recipient_count;
    bool binary;       /* BODY=BINARYMIME was said with MAIL */
    struct buf offers; /* lines of the answer to EHLO, LHLO or CAPA, without the greeting */
    bool greeted_back; /* it was positive */
};

struct heard {
    enum explain_step step;
    bool unasked;
    bool secures;      /* the handshake comes next */
    bool gate_refused; /* what was to come behind it makes no sense now */
    uint64_t us;       /* since the command was said */
    char verb[EXCHANGE_VERB_BYTES_MAX + 1];
};

void exchange_init(struct exchange *x, enum exchange_protocol protocol);
void exchange_free(struct exchange *x);
/* A new connection: its greeting is awaited. */
void exchange_connected(struct exchange *x, uint64_t now_us);
/* What was heard in plain text counts no more (RFC 3207 4.2). greeting: one is awaited, inside. */
void exchange_secured(struct exchange *x, bool greeting, uint64_t now_us);
/* Bytes that go out now, whole lines or not. */
void exchange_said(struct exchange *x, struct str bytes, uint64_t now_us);
/* A whole answer is there. */
struct heard exchange_heard(struct exchange *x, const struct answer_reader *answer,
                            uint64_t now_us);
/* Should a further line wait? */
bool exchange_holds(const struct exchange *x);
bool exchange_awaits(const struct exchange *x);
/* POP3: is the next answer one with lines? */
bool exchange_lists(const struct exchange *x);
/* Would a line be the answer to a challenge, so all of it secret? */
bool exchange_in_login(const struct exchange *x);
/* What is offered under a name ("AUTH", "SIZE", "SASL"): the words behind it, empty when there are
 * none. False: it is not offered. "AUTH=LOGIN" counts, too. */
bool exchange_offers(const struct exchange *x, const char *name, struct str *ret);
