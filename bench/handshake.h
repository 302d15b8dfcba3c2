/* handshake.h - the client's half of a TLS 1.3 handshake, for load: RFC 8446 with X25519 and
 * TLS_AES_128_GCM_SHA256. It does what the server needs to finish and believes whatever the server
 * says: one key exchange, with the same key each time, and no look at the certificate. So it takes a
 * fifth of what a library takes, and the two cores are left to the server. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* one hash at a time, without looking it up each time */
#include <openssl/sha.h>

enum { HANDSHAKE_BYTES_MAX = 16384 }; /* of all that the server says */

struct handshake {
    SHA256_CTX transcript;
    unsigned char in[HANDSHAKE_BYTES_MAX];
    size_t n;
    bool hello_seen;
    unsigned char server_key[16], server_iv[12], client_key[16], client_iv[12], finished_key[32];
    unsigned records;                         /* of the server, deciphered */
    unsigned char message[HANDSHAKE_BYTES_MAX]; /* of a handshake message, what came of it */
    size_t message_n;
};

void handshake_prepare(void); /* once in a process */
/* What the client says first; lives as long as the process. */
const unsigned char *handshake_begin(struct handshake *h, size_t *n);
/* Takes n bytes of the server. 1: done, `last` is to be sent; 0: more is to come; -1: it failed. */
enum { HANDSHAKE_LAST_BYTES = 5 + 36 + 1 + 16 };
int handshake_feed(struct handshake *h, const unsigned char *p, size_t n,
                   unsigned char last[HANDSHAKE_LAST_BYTES]);
