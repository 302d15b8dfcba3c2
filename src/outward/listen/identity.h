/* listen/identity.h - the certificates of the sink: one from files, or made at the start, and bad ones
 * on order. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/listen/misbehave.h"
#include "tls/server.h"

struct identity;

/* The sink's own: chain_path and key_path of PEM files (the key may be in the first; NULL), or, with
 * NULL for both, one signed by itself for hostname. NULL: *why says what is wrong. */
struct identity *identity_new(struct str hostname, const char *chain_path, const char *key_path,
                              struct buf *why);
void identity_free(struct identity **i); /* NULL is fine */
/* For a connection: 0 is the right one, else KIND_TLS_*. Lives as long as the identity; NULL: it
 * could not be made. */
struct tls_server *identity_server(struct identity *i, enum kind kind);
bool identity_is_made(const struct identity *i); /* signed by itself, for this run */
