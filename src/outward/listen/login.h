/* listen/login.h - the sink's side of AUTH: takes any password, or one. Pure.
 *
 * GNU SASL for what it knows; XOAUTH2 and OAUTHBEARER (RFC 7628) are ours. Without a password of its
 * own the sink can only offer mechanisms that show theirs. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { LOGIN_USER_BYTES_MAX = 320, LOGIN_MESSAGE_BYTES_MAX = 12288 };

enum login_step {
    LOGIN_CHALLENGE, /* *challenge is to be said; it may be empty */
    LOGIN_GOOD,
    LOGIN_REFUSED,
    LOGIN_MALFORMED,
};

struct login_mechanism {
    const char *name;
    bool shows_password; /* to whoever reads the connection */
    bool needs_password; /* the server must know it */
    bool old;            /* RFC 8314 4, RFC 6331 */
};
const struct login_mechanism *login_mechanism_find(struct str name); /* any case; NULL: none */
/* "PLAIN LOGIN …": all that can be had. */
void login_mechanisms(struct buf *to, bool password_known);

struct login;

/* password: the only one that is taken; empty: any. NULL: it needs one. */
struct login *login_new(const struct login_mechanism *m, struct str password);
void login_free(struct login **l); /* NULL is fine */
/* response: decoded; none: AUTH came without an initial one. *challenge is emptied first. */
enum login_step login_step(struct login *l, bool has_response, struct str response,
                           struct buf *challenge);
struct str login_user(const struct login *l); /* who it says to be, or empty; as it came */
