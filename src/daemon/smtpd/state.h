/* smtpd/state.h - what session.c, commands.c and content.c share; nobody else includes it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/smtpd/recipients.h"
#include "daemon/smtpd/session.h"
#include "ipc/message.h"
#include "mail/envelope.h"
#include "mail/header.h"
#include "wire/smtp.h"

enum phase {
    FRESH = 1,      /* connected, nobody has said who they are */
    READY = 2,      /* EHLO, HELO or LHLO was said */
    SENDER = 4,     /* MAIL */
    RECIPIENTS = 8, /* at least one RCPT was accepted */
    CONTENT = 16,   /* after DATA or in a BDAT, until the answer */
    CHUNKS = 64,    /* between two BDATs of a message */
    CLOSED = 32,    /* the last word is said */
    ANY_COMMAND = FRESH | READY | SENDER | RECIPIENTS | CHUNKS,
    TAKING = CONTENT | CHUNKS,
    IN_TXN = SENDER | RECIPIENTS | TAKING,
};

enum waiting { FOR_CLIENT, FOR_ROUTE, FOR_NAME, FOR_CREDIT, FOR_STORED };

/* The name of the client, by its address: dns/reverse.h. */
enum naming {
    NAME_UNWANTED,
    NAME_ASKED,
    NAME_KNOWN,
    NAME_UNKNOWN, /* then it is called "unknown" */
};

/* One mail transaction: MAIL .. the answer to the message. Ended by txn_end and nothing else, so
 * that a new field cannot be forgotten in a reset. */
struct txn {
    struct arena arena; /* owns every string below */
    struct str sender;
    enum body body;
    bool smtputf8; /* was said */
    enum notify_return ret;
    struct str envid;
    struct buf asked;       /* the recipient that the router is asked about */
    unsigned asked_when;    /* its wishes: of enum notify_when, */
    struct buf asked_orcpt; /* and what it was called before */
    struct recipients recipients;
    size_t accepted_count; /* RCPTs answered with 250 */

    bool chunked; /* it comes by BDAT */
    struct dot_reader dot;
    struct chunk_reader chunks;
    struct header_scan header;
    struct buf content;     /* not yet given to the queue */
    uint64_t content_bytes; /* all of it so far */
    uint64_t unacknowledged_bytes;
    bool begun;             /* the queue has heard of it */
    bool ended;             /* the final dot or the last chunk was read */
    bool headless;          /* it starts with no header field */
    struct status *refusal; /* what it will be answered with; the rest is thrown away */
};

struct session {
    const struct session_world *world;
    void *arg;
    const struct config *config;
    struct txn *txn;
    char *helo;
    struct line_reader lines;
    struct { /* what BDAT announced */
        bool open, last;
        uint64_t bytes, left;
        struct status *refusal; /* the chunk is thrown away and answered with this */
        size_t recipient_count; /* of the message that was refused with it */
    } chunk;
    enum phase phase;
    enum waiting waiting;
    bool lmtp, extended, stopping;
    bool may_relay, may_xclient;
    uint64_t errors;
    uint64_t started_us, active_us; /* monotonic */
    enum reply_name last_reply;
    char ip[46], proxy[46];
    char *xclient_helo; /* told by XCLIENT, and stronger than what is said */
    enum naming naming;
    uint64_t naming_us;  /* monotonic: when it was asked for */
    char *client_name;   /* of NAME_KNOWN */
    char *nameless_why;  /* of NAME_UNKNOWN */
    bool local, trusted; /* a user of this machine */
    uint32_t uid;
    char login[33];
    char name[14];
};

/* What a handler wants to be said. */
struct reply {
    enum { REPLY_ROW, REPLY_STATUS, REPLY_LINES, REPLY_LATER } kind;
    enum reply_name row;
    struct str about;            /* REPLY_ROW: borrowed until it is said; REPLY_LINES: the lines */
    const struct status *status; /* REPLY_STATUS: borrowed likewise */
};

static inline struct reply reply_about(enum reply_name row, struct str about)
{
    return (struct reply){.kind = REPLY_ROW, .row = row, .about = about};
}
static inline struct reply reply(enum reply_name row)
{
    return reply_about(row, STR_NONE);
}
static inline struct reply reply_later(void)
{
    return (struct reply){.kind = REPLY_LATER};
}

/* session.c */
void client_line(const struct session *s, struct buf *to); /* who it is, for a log line */
void session_say(struct session *s, struct reply r, struct buf *out);
void session_check(const struct session *s); /* the facts of each phase */
void txn_begin(struct session *s, struct str sender);
void txn_end(struct session *s); /* the only way out of a transaction; harmless without one */
/* In LMTP to each recipient. */
void session_say_each(struct session *s, struct reply r, size_t recipient_count, struct buf *out);
/* The answer to a message, or the end of a session that only lived for it. */
void message_answer(struct session *s, struct reply r, struct buf *out);
void session_take_ip(struct session *s, struct str ip);
void session_take_proxy(struct session *s, struct str ip);
enum reply_name session_greeting(const struct session *s);

enum reply_name what_is_missing(const struct session *s, enum smtp_verb verb);

/* name.c */
void name_ask(struct session *s);
void name_take(struct session *s, struct str name, struct str why); /* of an empty name */
void name_forget(struct session *s);
void name_line(const struct session *s, struct buf *to); /* for a log line */
struct str name_printed(const struct session *s);        /* for Received; may be empty */
bool name_is_due(const struct session *s); /* it may still come, and is worth waiting for */
void name_late(struct session *s, struct buf *out); /* goes on without it when its time is over */

/* content.c */
void content_begin(struct session *s);
size_t content_feed(struct session *s, struct str in, struct buf *out);
void content_go_on(struct session *s, struct buf *out); /* credit has come */
void content_refuse(struct session *s, const struct status *why);

/* xclient.c */
struct reply cmd_xclient(struct session *s, const struct smtp_command *c, struct arena *scratch);

void content_begin_chunk(struct session *s, uint64_t bytes); /* or goes on with the next one */
struct str content_take(struct session *s, struct str bytes, struct buf *out); /* what it took */
void content_end(struct session *s, struct buf *out); /* nothing comes any more */

/* bdat.c */
struct reply cmd_bdat(struct session *s, const struct smtp_command *c, struct arena *scratch);
size_t chunk_feed(struct session *s, struct str in, struct buf *out);
void chunk_answer(struct session *s, struct buf *out); /* if the chunk has been taken */
void chunk_named(struct session *s, struct buf *out);  /* goes on after FOR_NAME */
void chunk_forget(struct session *s);                  /* what the last chunks were refused with */

/* utf8.c: REPLY_OK, or what to say to a command with letters outside ASCII (RFC 6531 3.5). */
enum reply_name utf8_judge(const struct session *s, const struct smtp_command *c);
/* What the message asks of its next hops, as far as it is known now; more: it goes on. */
enum message_utf8 utf8_need(const struct txn *t, bool more);

/* commands.c: the commands as rows */
struct command {
    unsigned phases; /* in which it is legal */
    struct reply (*run)(struct session *s, const struct smtp_command *c, struct arena *scratch);
    const char *form, *words; /* for HELP */
};
extern const struct command command_table[VERB_COUNT];

/* help.c: lines about a topic (a command, a reply code, an enhanced code; empty: all commands),
 * separated by '\n'. False: there is no such topic. */
bool help_print(struct buf *to, struct str topic);
