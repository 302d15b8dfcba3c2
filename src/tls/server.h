/* tls/server.h - the server's end of TLS: certificates by name, tickets, accepting.
 *
 *   tls_server_new -> _trust, _add (each certificate; the first is for clients that name none)
 *                  -> tls_accept for each connection
 *
 * A set is never changed once connections use it: a fresh one takes its place, and the old one
 * lives as long as they. Private keys are elsewhere (tls/remote_key.h). Ticket keys are of the
 * process, so a session goes on with the next set, and in other workers that have the same ones. */
// SPDX-License-Identifier: ISC
#pragma once

#include <openssl/types.h>

#include "tls/tls.h"

struct tls_server;

enum { TICKET_KEY_BYTES = 16 + 32 + 32, TICKET_KEYS_MAX = 3 };
/* How long a session can be gone on with. RFC 8446 4.6.1: at most 7 days. */
#define TICKET_LIFE_US (2 * 60 * 60 * US_PER_S)

/* modern: TLS 1.3 only. Files of OpenSSL's own were read by remote_keys_init_before_jail. */
struct tls_server *tls_server_new(bool modern);
struct tls_server *tls_server_hold(struct tls_server *s);
void tls_server_drop(struct tls_server **s); /* NULL is fine */

/* Certificates that those of clients are verified by. How many. */
size_t tls_server_trust(struct tls_server *s, struct str pem);
/* name: who asks for it gets this certificate, before those that only contain it; or empty. */
bool tls_server_add(struct tls_server *s, struct str name, struct str chain_pem, struct buf *why);
/* For who holds the private key in the same process and is nobody's worker: the command line. */
bool tls_server_add_key(struct tls_server *s, struct str chain_pem, EVP_PKEY *key, struct buf *why);
/* TLS 1.0 and 1.1 only, as servers of long ago speak, to try clients; before the first certificate. */
void tls_server_ancient(struct tls_server *s);
bool tls_server_works(const struct tls_server *s); /* has a certificate; NULL does not */
/* Which certificate a client gets who asks for this name; for tests. */
size_t tls_server_choose(const struct tls_server *s, const char *name);

/* Up to TICKET_KEYS_MAX keys, the newest first; only that one makes tickets. */
void tls_tickets_take(struct str keys);

/* Begins the handshake on a stream (stream_secure says what that means): what is buffered there
 * was said in plain text and is thrown away. */
struct tls *tls_accept(struct stream *s, struct tls_server *server, bool ask_certificate,
                       void (*on_secured)(void *arg));
/* The mail address in the client's certificate, if it is verified; else nothing. */
void tls_peer_mail(const struct tls *t, struct buf *to);
struct str tls_asked_name(const struct tls *t); /* which server the client wants (SNI), or empty */
/* "TLSv1.3 TLS_AES_128_GCM_SHA256", with the client's certificate behind it if there is one. */
void tls_words(const struct tls *t, struct buf *to);
