/* daemon/keys/store.h - the certificates and private keys in force.
 *
 *   store_file (each file of a set) -> store_end: the set is in force
 *
 * What is broken in the new set is not taken: the certificate of the same name that was in force
 * before stays. Keys of the set before last can no longer be asked for; those of the last can, by
 * handshakes that began under it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "tls/certificate.h"

struct stored {
    uint32_t number; /* of the configuration */
    char *name;      /* of clients that ask for it; empty: for everybody */
    char *path;      /* of its chain, for messages */
    struct buf chain, key_text;
    EVP_PKEY *key; /* NULL: not judged yet */
    uint64_t id;   /* tls/remote_key.h */
};

struct stored_set {
    struct stored *list;
    size_t count;
};

struct store {
    struct stored_set fresh, force, before;
    struct buf fresh_roots, roots; /* PEM */
};

enum { STORED_MAX = 1000 };

/* what: enum tls_file_kind. Takes fd. */
void store_file(struct store *s, uint32_t number, uint8_t what, struct str name, struct str path,
                int fd);
void store_end(struct store *s);                          /* says what it takes and what not */
EVP_PKEY *store_find(const struct store *s, uint64_t id); /* or NULL */
void store_done(struct store *s);
