/* mailauth/dkim.h - DKIM signatures (RFC 6376, RFC 8463): made here, verified later. Pure.
 *
 * The private key is held by whoever makes the signer: the command line reads a file, role keys
 * its own. Canonicalisation is relaxed/relaxed; rsa-sha256 (1024 bits at least, 2048 wanted) and
 * ed25519-sha256. The body is fed in pieces, so that it never has to be in memory. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct dkim_signer;

/* pem: an RSA or Ed25519 private key. 0; -EINVAL with *error in words (no key, a short one, a
 * domain or selector that is none). */
int dkim_signer_new(struct str pem, struct str domain, struct str selector,
                    struct dkim_signer **ret, struct buf *error);
void dkim_signer_free(struct dkim_signer **s); /* the key is wiped; NULL is fine */

struct dkim_signing; /* one message */
int dkim_begin(const struct dkim_signer *s, struct dkim_signing **ret);
void dkim_end(struct dkim_signing **s); /* NULL is fine */
/* The body after the blank line, with CRLF lines, in pieces of any size. */
void dkim_body(struct dkim_signing *s, struct str bytes);
/* Then, once, the whole header (CRLF lines, without the blank line): appends the DKIM-Signature
 * field, folded, with CRLF at its end. It goes in front of the header. 0 or a negative errno
 * (-EINVAL: there is no From). now_s: t= */
int dkim_sign(struct dkim_signing *s, struct str header, uint64_t now_s, struct buf *to);
