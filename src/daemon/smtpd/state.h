/* smtpd/state.h - what session.c, commands.c and content.c share; nobody else includes it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/smtpd/recipients.h"
#include "daemon/smtpd/session.h"
#include "ipc/message.h"
#include "mail/address.h"
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

enum waiting {
    FOR_CLIENT,
    FOR_TLS,
    FOR_LOGIN,
    FOR_ROUTE,
    FOR_NAME,
    FOR_CREDIT,
    FOR_STORED,
    FOR_OWNER, /* the four of policy.c */
    FOR_LIMIT,
    FOR_VERIFY,
    FOR_ETRN,
};

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

    bool limited;       /* the queue keeps room for it in the limits of the account */
    bool authors_known; /* From and Sender belong to the account */
    struct buf authors; /* as long as they are read */

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

enum { BINDING_BYTES_MAX = 64, MECHANISM_BYTES_MAX = 20 };

/* From AUTH to the answer that ends it: auth.c. */
struct attempt {
    bool challenged; /* the next line answers a challenge */
    char mechanism[MECHANISM_BYTES_MAX + 1];
    struct str tried, why; /* of one that was refused: who it was, and the reason; borrowed */
};

struct session {
    const struct session_world *world;
    void *arg;
    const struct config *config;
    struct txn *txn;
    char *helo;
    struct line_reader lines;
    bool long_login; /* the line that is being skipped is an AUTH */
    struct {         /* what BDAT announced */
        bool open, last;
        uint64_t bytes, left;
        struct status *refusal; /* the chunk is thrown away and answered with this */
        size_t recipient_count; /* of the message that was refused with it */
    } chunk;
    enum phase phase;
    enum waiting waiting;
    bool lmtp, extended, stopping;
    bool may_relay, may_xclient; /* by its address; see may_relay() */
    uint64_t errors;
    uint64_t started_us, active_us; /* monotonic */
    enum reply_name last_reply;
    char ip[46], proxy[46];
    char *xclient_helo; /* told by XCLIENT, and stronger than what is said */
    enum naming naming;
    uint64_t naming_us;                 /* monotonic: when it was asked for */
    char *client_name;                  /* of NAME_KNOWN */
    char *nameless_why;                 /* of NAME_UNKNOWN */
    const struct config_listen *listen; /* or NULL */
    bool secure;                        /* TLS is up: */
    char *secured;                      /* how */
    char binding[BINDING_BYTES_MAX];    /* see session_identified */
    size_t binding_bytes;
    char *certificate;                   /* likewise; NULL: none */
    struct attempt *attempt;             /* NULL: nobody is logging in */
    const struct attempt *refused;       /* while its refusal is said */
    char account[ADDRESS_BYTES_MAX + 1]; /* who has logged in, a full address; empty: nobody */
    bool local, trusted;                 /* a user of this machine */
    uint32_t uid;
    char login[33];
    bool expanding; /* FOR_VERIFY: by EXPN */
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

/* One of our own: by where it comes from, or by who it is. */
static inline bool may_relay(const struct session *s)
{
    return s->may_relay || s->account[0] != '\0';
}

/* A user of this machine, or whoever opened a Unix socket: there is no address. */
static inline bool has_no_address(const struct session *s)
{
    return s->local || str_eq_c(STR("local"), s->ip);
}

/* session.c */
void client_line(const struct session *s, struct buf *to); /* who it is, for a log line */
/* Another process has said what to answer; were it no refusal it must not look like a 250. */
struct reply reply_refusal(const struct status *st, enum reply_name otherwise);
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

/* starttls.c: RFC 3207 */
bool starttls_offered(const struct session *s);
bool starttls_missing(const struct session *s); /* no mail is taken before it */
struct reply cmd_starttls(struct session *s, const struct smtp_command *c, struct arena *scratch);
void starttls_begin(struct session *s);                      /* waits for the handshake */
void starttls_line(const struct session *s, struct buf *to); /* for a log line */
enum reply_name what_is_missing(const struct session *s, enum smtp_verb verb);

/* name.c */
void name_ask(struct session *s);
void name_take(struct session *s, struct str name, struct str why); /* of an empty name */
void name_forget(struct session *s);
void name_line(const struct session *s, struct buf *to); /* for a log line */
struct str name_printed(const struct session *s);        /* for Received; may be empty */
bool name_is_due(const struct session *s); /* it may still come, and is worth waiting for */
void name_late(struct session *s, struct buf *out); /* goes on without it when its time is over */

/* auth.c */
enum { COMMAND_BYTES_MAX = 2048 };
struct reply cmd_auth(struct session *s, const struct smtp_command *c, struct arena *scratch);
void auth_line(struct session *s, enum line_event e, struct str line, struct buf *out);
void auth_end(struct session *s); /* gives up what is under way */
/* What EHLO says of it: lines, each after a "\n". */
void auth_keywords(const struct session *s, struct buf *to);
bool auth_is_offered(const struct session *s);
bool auth_is_missing(const struct session *s);                   /* and mail is not taken without */
void auth_refusal_line(const struct session *s, struct buf *to); /* for a log line */

/* policy.c: what an account may do, and what is told to whom */
struct reply policy_mail(struct session *s); /* to MAIL, the sender is in txn */
struct reply policy_rcpt(struct session *s); /* to RCPT, before it is routed */
bool policy_authors(struct session *s); /* at the end of a message. True: the answer will come */
void policy_cancel(struct session *s);  /* what is open */
struct reply policy_verify(struct session *s, struct str text, bool expand);
struct reply policy_etrn(struct session *s, struct str node);
bool policy_offers_etrn(const struct session *s); /* to this client, by EHLO */

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
    bool plain_too;           /* also before STARTTLS where TLS is required */
};
extern const struct command command_table[VERB_COUNT];
struct reply rcpt_route(struct session *s); /* asks where txn->asked goes */

/* help.c: lines about a topic (a command, a reply code, an enhanced code; empty: all commands),
 * separated by '\n'. False: there is no such topic. */
bool help_print(struct buf *to, struct str topic);
