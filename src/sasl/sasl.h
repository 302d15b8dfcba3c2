/* sasl/sasl.h - the client's side of SASL (RFC 4422): which mechanism, and what to say next. Pure.
 *
 * GNU SASL underneath; OAUTHBEARER (RFC 7628) and XOAUTH2 are ours. Challenges come in and
 * responses go out as bytes: base64 and the words around it are the protocol's affair (SMTP AUTH,
 * POP3 AUTH, IMAP AUTHENTICATE). A password is wiped from all memory of this module by sasl_free.
 *
 * Never chosen by themselves: PLAIN, LOGIN, OAUTHBEARER and XOAUTH2 without TLS. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum {
    SASL_MESSAGE_BYTES_MAX = 12288, /* one challenge or response, decoded */
    SASL_OFFERED_BYTES_MAX = 1024,
};

/* What somebody logs in with. Everything is borrowed; empty: not known. */
struct sasl_login {
    struct str user;    /* UTF-8, as the server wants it: mostly the full address */
    struct str authzid; /* to act as somebody else; mostly empty */
    struct str password;
    struct str token;     /* of OAuth 2: then only OAUTHBEARER and XOAUTH2 are tried */
    struct str mechanism; /* "SCRAM-SHA-256": this one or none; empty: the best that is offered */
    bool plain_anyway;    /* a password may go over a connection without TLS (asked for by name) */
};

/* What the connection is like. */
struct sasl_channel {
    const char *service; /* "smtp", "pop", "imap" */
    struct str host;     /* of the server */
    uint16_t port;       /* OAUTHBEARER says it */
    bool secured;
    bool client_certificate; /* one was shown: EXTERNAL can be tried */
    struct str binding;      /* tls-exporter data (RFC 9266), or empty: no -PLUS */
};

/* The mechanism to try, of those offered ("PLAIN LOGIN SCRAM-SHA-256"), as a constant; NULL: none,
 * and *why says it in words (a constant, marked for translation): none is offered that this login
 * has what it takes for, or only ones that would show the password without TLS. tried: names, with
 * blanks, of those that failed already. */
const char *sasl_choose(struct str offered, struct str tried, const struct sasl_login *login,
                        const struct sasl_channel *channel, const char **why);

struct sasl;

/* 0, -EINVAL (the user or password holds what the mechanism cannot say), -ENOMEM. login and channel
 * are copied. */
int sasl_new(const char *mechanism, const struct sasl_login *login,
             const struct sasl_channel *channel, struct sasl **ret);
void sasl_free(struct sasl **s); /* NULL is fine */
/* Does the client speak first? Then sasl_step with an empty challenge makes its initial response. */
bool sasl_client_first(const struct sasl *s);

enum sasl_step {
    SASL_SAY,    /* *response is to be sent (it may be empty) */
    SASL_REFUSE, /* cancel: the server does not prove that it knows the password, or talks nonsense */
};
/* The answer to a challenge. *response is emptied first. */
enum sasl_step sasl_step(struct sasl *s, struct str challenge, struct buf *response);
/* The server says that we are in. May we believe it? False: SCRAM has not seen its proof. */
bool sasl_accepted(const struct sasl *s);
/* After a refusal: what an OAuth server said in its error challenge, or empty. */
struct str sasl_server_error(const struct sasl *s);
