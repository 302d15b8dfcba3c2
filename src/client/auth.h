/* client/auth.h - the AUTH dialogue of RFC 4954 from the client's side: which mechanism, what to
 * say, when to give up. Pure; a part of client/dialogue.h.
 *
 *   auth_begin: "AUTH PLAIN AG1l…" --334--> auth_challenge: "…" or "*" ... --235--> auth_believes
 *        ^                           --4xx, 5xx--> auth_refused: true: another one may be tried
 *
 * A mechanism that is not wanted there (504, 534 and the like) says nothing against the password:
 * the next one is tried. After a refusal of the password itself (535) one more try is made, and
 * only by a mechanism that shows it: a server may have a hash that the others cannot be checked
 * by. Beyond that a wrong password would only count against the account. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "sasl/sasl.h"

enum {
    AUTH_COMMAND_BYTES_MAX = 510, /* RFC 4954 4: a longer initial response waits for its 334 */
    AUTH_LINE_BYTES_MAX = 4 * ((SASL_MESSAGE_BYTES_MAX + 2) / 3) + 4,
};

struct client_auth {
    bool wanted; /* there is a login */
    bool done;   /* we are in */
    struct sasl_login login;
    struct sasl_channel channel;
    struct buf memory; /* of both: secret */
    struct sasl *sasl; /* the exchange under way, or NULL */
    const char *mechanism;
    struct buf tried;
    struct buf response; /* secret */
    bool response_waits; /* the initial one, for its 334 */
    bool password_refused;
};

void auth_init(struct client_auth *a);
void auth_free(struct client_auth *a);
/* login is copied. */
void auth_login(struct client_auth *a, const struct sasl_login *login);
/* What the connection is like, before auth_begin; copied. */
void auth_channel(struct client_auth *a, const struct sasl_channel *channel);

/* The command that begins, into line without CRLF; what of it may be shown, into shown. False:
 * there is none, and *why says it (a constant, marked for translation). */
bool auth_begin(struct client_auth *a, struct str offered, struct buf *line, struct buf *shown,
                const char **why);
/* The answer to 334. False: line is "*", and whatever comes next the server is not to be trusted,
 * or makes no sense: *why. */
bool auth_challenge(struct client_auth *a, struct str text, struct buf *line, struct buf *shown,
                    const char **why);
/* The server says that we are in. False: it has not shown that it knows the password. */
bool auth_believes(struct client_auth *a);
/* It says no. True: it may be asked by another mechanism (auth_begin). */
bool auth_refused(struct client_auth *a, uint16_t code);
