/* mail/explain.h - what the reply of any mail server means, why it says so and what to do. Pure.
 *
 * Ours are explained by their row in replies.def. Everybody else's by the rows of
 * explanations.def: the words of well-known servers first, then the enhanced code (RFC 3463 and
 * its registry) with the code, then the code with the command it answers. The texts are marked for
 * translation; whoever shows them calls gettext. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/reply.h"

enum explain_step { /* what the reply answers */
                    STEP_ANY,
                    STEP_CONNECT, /* there is no reply: the connection failed */
                    STEP_TLS,     /* likewise the handshake */
                    STEP_GREETING,
                    STEP_HELLO,
                    STEP_STARTTLS,
                    STEP_AUTH,
                    STEP_MAIL,
                    STEP_RCPT,
                    STEP_DATA,    /* and BDAT */
                    STEP_CONTENT, /* the verdict about the message */
                    STEP_OTHER,
                    STEP_QUIT,
};

struct explanation {
    const char *meaning; /* "the recipient does not exist there" */
    const char *causes;  /* in one or two sentences; may be NULL */
    const char *remedy;  /* what to try; may be NULL */
};

/* st: as status_from_reply makes it. Always gives at least a meaning. */
struct explanation explain_reply(enum explain_step step, const struct status *st);
/* Where no reply came: error is a negative errno of the connection (-ECONNREFUSED: service down,
 * firewall, wrong port…; -EPROTO: the handshake of TLS; -ENOENT: no such host; -EAGAIN: its name
 * cannot be looked up now). */
struct explanation explain_connection(int error, uint16_t port);
/* +OK and -ERR of POP3; code is the one in brackets (RFC 2449, RFC 3206), or empty. */
struct explanation explain_pop3(enum explain_step step, bool positive, struct str code,
                                struct str text);
/* What a command line of SMTP, LMTP or POP3 asks for, by its first word in any case. */
enum explain_step explain_step_of(struct str line);
