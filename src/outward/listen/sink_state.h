/* listen/sink_state.h - what sink.c, sink_commands.c and sink_content.c share; nobody else includes it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/reply.h"
#include "outward/listen/login.h"
#include "outward/listen/sink.h"
#include "wire/smtp.h"

enum { KEYWORD_BYTES_MAX = 31, LOGIN_LINE_BYTES_MAX = 12288, COMMAND_LINE_BYTES_MAX = 2048 };

enum phase {
    FRESH = 1,      /* no EHLO yet, or anew after STARTTLS */
    READY = 2,      /* greeted, no transaction */
    SENDER = 4,     /* MAIL was taken */
    RECIPIENTS = 8, /* and a RCPT */
    CONTENT = 16,   /* behind DATA, or inside of a chunk */
    CHUNKS = 32,    /* between two chunks */
    LOGIN = 64,     /* the next line is an answer of AUTH */
    SHAKING = 128,  /* TLS */
    CLOSED = 256,   /* nothing more is listened to */
    ANY_COMMAND = FRESH | READY | SENDER | RECIPIENTS | CHUNKS,
    IN_TRANSACTION = SENDER | RECIPIENTS | CHUNKS | CONTENT,
};

enum body_said { BODY_UNSAID, BODY_SAID_7BIT, BODY_SAID_8BIT, BODY_SAID_BINARY };

struct transaction { /* MAIL to the end of its content: one object, ended by transaction_end */
    struct arena arena;
    struct str sender;
    struct str recipients[SINK_RECIPIENTS_MAX];
    size_t recipient_count;
    enum body_said body;
    bool smtputf8;
    bool size_is_said;
    uint64_t size_said;
    bool chunked, begun;
    struct letter *letter;
    struct dot_reader dots;
    struct chunk_reader chunks;
    uint64_t content_left; /* until the connection is cut; UINT64_MAX: never */
    enum kind content_end; /* how */
    bool accepted;         /* by whoever was asked first */
    uint16_t code;         /* that was told last */
};

struct sink {
    const struct sink_options *options;
    const struct sink_events *events;
    void *arg;
    char ip[64];
    bool names_ask;
    uint64_t now_us;
    enum phase phase;
    bool greeted;            /* the greeting has been said */
    bool secured, was_plain; /* TLS is up; and EHLO had been said without it */
    bool new_tls;            /* nothing was said over it yet */
    bool helo_only;          /* EHLO was not tried, or refused */
    bool hello_tried;        /* EHLO was said */
    bool refused;            /* a step that the next one builds upon */
    bool quit;
    struct line_reader lines;
    struct judge judge;
    struct transaction *transaction;
    uint64_t chunk_left; /* of the chunk under way */
    bool chunk_last;
    bool skips;                       /* it is one that nobody can take, */
    enum reply_name skip_row;         /* and this is said behind it */
    size_t verdict_at, verdict_count; /* recipients that are still to be told, in LMTP */
    struct login *login;
    const struct login_mechanism *mechanism;
    char user[LOGIN_USER_BYTES_MAX + 1]; /* who has logged in */
    enum smtp_verb verb;                 /* being answered */
    enum step step;                      /* likewise */
    enum kind tls;                       /* how the handshake shall go */
    struct saying saying;
    bool says, waits; /* something is to be said; in an odd way */
    bool answered;    /* in this step */
    uint16_t code;    /* told last */
    char offered[SINK_OFFERS_MAX][KEYWORD_BYTES_MAX + 1]; /* keywords of the last EHLO */
    size_t offered_count;
};

/* ---- sink.c ---- */

struct answer {
    enum step step;
    struct str about; /* the address a rule may be for */
    struct status status;
    bool bare;        /* without the enhanced code */
    struct str lines; /* instead of the text: several, with \n between */
    enum then then;   /* behind it, when all goes well */
};
struct answer answer_row(enum step step, enum reply_name row, struct str about);
/* Says it, rightly or not. True: the sender was told a reply of the class it should have had. */
bool sink_answer(struct sink *s, const struct answer *a);
void sink_line_out(struct sink *s, struct str line);
bool sink_offers(const struct sink *s, const char *keyword);
void transaction_end(struct sink *s);
void transaction_free(struct sink *s);              /* without a word */
void sink_did_not_wait(struct sink *s);             /* more has come before the answer */
void sink_shake(struct sink *s);                    /* TLS is to begin: decides how */
void sink_offer(struct sink *s, struct buf *lines); /* of EHLO's answer; notes what is offered */

/* ---- sink_commands.c ---- */
void sink_command(struct sink *s, struct str line);
void sink_login_line(struct sink *s, struct str line);
uint64_t sink_size_offered(const struct sink *s); /* UINT64_MAX: no limit was told */

/* ---- sink_content.c ---- */
void content_begin(struct sink *s, bool chunked);
/* Both return how much of in was used. */
size_t content_feed(struct sink *s, struct str in);
size_t chunk_feed(struct sink *s, struct str in);
size_t chunk_skip_feed(struct sink *s, struct str in);
void chunk_begin(struct sink *s, const struct smtp_command *c);
void chunk_skip(struct sink *s, const struct smtp_command *c, enum reply_name row);
void content_verdicts(struct sink *s); /* what of them is still to be said */
void content_lost(struct sink *s);     /* it is over without an answer */
