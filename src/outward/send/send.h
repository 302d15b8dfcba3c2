/* outward/send/send.h - private to `troika send`: what its files share.
 *
 *   way.c      where it goes: --via, --direct, --queue or our own server
 *   text.c     what was written: arguments, file, editor, standard input
 *   message.c  the message of it, and its envelope
 *   pop_first.c  POP before SMTP
 *   trip.c     one server after another until one has the message: once, or for each domain
 *   report.c   what became of each recipient, and what to do about it
 * send.c goes through these in order. An int is EX_OK, or an exit code after the error was printed. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "cli/cli.h"
#include "client/session.h"
#include "compose/compose.h"
#include "mail/address.h"
#include "outward/send/progress.h"
#include "outward/send/target.h"

enum {
    RECIPIENTS_MAX = 1000,
    SERVERS_MAX = 16, /* addresses of one host */
    PEER_BYTES_MAX = 300,
};

enum way { WAY_SERVER, WAY_DIRECT, WAY_QUEUE };

struct outcome { /* of one recipient */
    struct str to;
    struct status st; /* class 0: nothing is known yet */
    enum explain_step step;
    int error; /* of the connection, negative; 0: it was something else */
    uint16_t port;
    bool alone;                  /* it is about this recipient, not about the whole server */
    bool told;                   /* it was printed */
    bool unanswered;             /* the whole message had left, but no verdict came */
    char server[PEER_BYTES_MAX]; /* "mx.example.org [192.0.2.1]:25", or empty */
};

struct sending {
    const struct command_line *line;
    struct arena arena;
    struct config *config; /* or NULL */
    struct str hostname;
    struct loop *loop;
    struct dns *dns; /* with the first question */

    /* where */
    enum way way;
    struct providers providers;
    struct server_target target;              /* WAY_SERVER */
    struct sock_address servers[SERVERS_MAX]; /* of it */
    size_t server_count;
    enum tls_policy tls;
    struct tls_context *tls_context; /* NULL: TLS_NONE */

    /* who */
    struct sasl_login login;
    bool logs_in;             /* by SMTP */
    struct server_target pop; /* of --pop-first */
    bool pop_first;
    struct buf password, token;

    /* what */
    struct buf text, html;
    char edited[64]; /* the file that the editor had, or empty */
    struct str from; /* as typed */
    struct str sender;
    struct compose_options options;
    struct dkim_signer *signer;
    struct compose *compose;
    int fd; /* the message as it was written last */
    uint64_t bytes;
    enum compose_encoding encoding; /* it was asked for in, and */
    enum body body;                 /* what became of it */
    bool written;
    unsigned notify;
    enum notify_return ret;
    struct str envid;

    /* what became of it */
    struct outcome *outcomes;
    size_t outcome_count;
    struct progress progress;
    uint64_t began_us;
    int interrupted; /* the signal, or 0 */
    char tls_words[PEER_BYTES_MAX];
    char mechanism[32];
};

/* ---- way.c ---- */
int way_find(struct sending *s);
/* The addresses of a host, the way every program of this machine finds them. */
int way_resolve(struct sending *s, const struct server_target *t, struct sock_address *ret,
                size_t *ret_count);
int way_login(struct sending *s);       /* passwords and tokens */
int way_dns(struct sending *s);         /* s->dns */
int way_tls_context(struct sending *s); /* s->tls_context */
enum tls_policy way_policy(const struct sending *s, const struct server_target *t, bool login);

/* ---- text.c ---- */
int text_read(struct sending *s);
/* The text of an editor is deleted when all went well, else kept and told of. */
void text_forget(struct sending *s, bool sent);
/* An argument of the command line, in UTF-8; lives in the arena. */
int text_argument(struct sending *s, const char *option, const char *text, struct str *ret);

/* ---- message.c ---- */
int message_envelope(struct sending *s);
int message_compose(struct sending *s);
/* Writes it to s->fd, unless what stands there will do. */
int message_write(struct sending *s, enum compose_encoding encoding);
enum compose_encoding message_encoding(const struct sending *s, const struct client_offers *offers);

/* ---- pop_first.c ---- */
int pop_first_run(struct sending *s);

/* ---- trip.c ---- */
int trip_run_all(struct sending *s);

/* ---- report.c ---- */
void report_line(const struct sending *s, bool sent, struct str line); /* --verbose */
void report_note(const struct sending *s, const char *format, ...)     /* likewise */
    __attribute__((format(printf, 2, 3)));
/* What became of some recipients, the first of them at `first`. */
void report_outcomes(struct sending *s, size_t first, size_t count);
void report_failure(struct sending *s, const struct outcome *o); /* of a server, for all */
int report_end(struct sending *s);                               /* the summary; the exit code */
int report_plan(struct sending *s);                              /* --dry-run */

/* ---- interrupt.c ---- */
/* From here on SIGINT, SIGTERM and SIGHUP are noted; fn is called from the loop. */
int interrupt_begin(struct loop *l, void (*fn)(void *arg, int signal), void *arg);
void interrupt_end(void);
int interrupt_seen(void); /* the signal, or 0 */
