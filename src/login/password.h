/* login/password.h - passwords: whether one is fit for use, and its hash.
 *
 * A password is prepared by SASLprep (RFC 4013) before it is hashed, so that every client agrees on
 * it whatever its keyboard composed. Hashes are what crypt(5) knows: yescrypt for new passwords,
 * any other of libxcrypt for imported ones. Hashing is slow on purpose (tens of milliseconds, 16
 * MiB): never on an event loop that has other work. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"
#include "mail/address.h"

enum { PASSWORD_BYTES_MAX = 255, PASSWORD_CHARACTERS_MIN = 8, PASSWORD_HASH_BYTES_MAX = 384 };

struct prepared_password {
    char text[PASSWORD_BYTES_MAX + 1]; /* terminated; no NUL inside */
};

/* NULL, or in words why this cannot be a password at all: empty, too long, NUL or line end in it,
 * not UTF-8, forbidden characters. Fills *ret when it can. */
const char *password_prepare(struct str password, struct prepared_password *ret);
/* NULL, or why it should not be the password of this account: malformed as above, or too weak
 * (short, like the address, among the first ones that are tried). */
const char *password_problem(struct str password, const struct address *of);

/* A new yescrypt hash; 0 or negative errno (-EINVAL: password_prepare has the words). */
int password_hash(struct str password, char ret[PASSWORD_HASH_BYTES_MAX]);
/* Does libxcrypt know how to check this hash, and is it whole? */
bool password_hash_known(const char *hash);
/* NULL, or why a hash from elsewhere is not taken in: not known, or dearer to check than new ones
 * may be. What was taken in before may be dearer. */
const char *password_hash_problem(const char *hash);
/* Slow, and as slow for a hash that is empty or of no known kind (false). */
bool password_hash_matches(const char *hash, struct str password);
/* Takes the time of a check against nothing: for a login that does not exist. */
void password_pretend(struct str password);
