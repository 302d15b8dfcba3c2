/* tls/tls.h - the one TLS door: contexts, and the layer that makes a stream secret.
 *
 *   context (one for many connections)  --tls_begin-->  struct tls, a layer of a stream
 *
 * A context says which end we are and what we hold against the other one; a connection keeps the
 * context it began under, so a fresh one can take its place at any time. The stream owns its
 * struct tls: the pointer is good until the stream is freed or finished. Certificates are looked
 * at, never obeyed: what the peer showed is a value (tls_peer), the caller decides. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/stream.h"

struct tls_context;
struct tls;

enum {
    TLS_NAME_BYTES_MAX = 200,
    TLS_HOST_BYTES_MAX = 255,
    TLS_SHA256_BYTES = 32,
    TLS_BINDING_BYTES = 32
};

/* For connections that we make: TLS 1.2 at least. OpenSSL reads files of its own here, so before
 * the jail; NULL: it cannot work. */
struct tls_context *tls_client_context_before_jail(void);
/* Trusts the certificates of a PEM file. How many, or a negative errno (-EBADMSG: no PEM). */
int tls_trust_before_jail(struct tls_context *c, const char *path);
/* The same with those of this system. -ENOENT: it has none where such files are. */
int tls_trust_system_before_jail(struct tls_context *c);
/* Shows a certificate of our own to servers that ask for one. Both are PEM, the first the whole
 * chain. False: why says what is wrong, in words. */
bool tls_show_certificate(struct tls_context *c, struct str chain_pem, struct str key_pem,
                          struct buf *why);
void tls_context_free(struct tls_context **c); /* NULL is fine; connections go on */

/* Begins the handshake on a stream (stream_secure says what that means). host: the name that the
 * peer is known by, or its address; it is told the name (SNI), not the address. */
struct tls *tls_begin(struct stream *s, struct tls_context *c, struct str host,
                      void (*on_secured)(void *arg));
/* Why the handshake failed, in words, after STREAM_ERROR with this errno. */
const char *tls_failure(const struct tls *t, int error);

/* ---- what the peer showed; once secured ---- */

struct tls_peer {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    bool has_certificate;         /* the rest tells of it */
    char subject[TLS_NAME_BYTES_MAX], issuer[TLS_NAME_BYTES_MAX]; /* printable; maybe cut */
    char names[TLS_NAME_BYTES_MAX]; /* that it is for: "a.example, *.b.example" */
    uint8_t sha256[TLS_SHA256_BYTES];
    uint64_t not_before_us, not_after_us; /* 0: unreadable */
    bool expired, not_yet_valid;
    const char *chain_trouble; /* why it does not lead to a root we trust, or NULL */
    bool unknown_issuer;       /* that is why */
    bool name_matches;
};

void tls_peer(const struct tls *t, struct tls_peer *ret);
/* Why it is not known to be the host that was meant: "expired on 2026-01-31", "for other.example,
 * not for mx.example.org", "from an issuer that is not trusted: …"; all of them. False: it is. */
bool tls_peer_trouble(const struct tls_peer *p, struct str host, struct buf *to);
/* What only the two ends of this connection can know, for SCRAM-PLUS (RFC 9266: tls-exporter). How
 * many bytes: none where it would not be unique (TLS 1.2 without extended master secret). */
size_t tls_binding(const struct tls *t, char ret[TLS_BINDING_BYTES]);
/* Did the peer ask for a certificate, and was one shown? */
bool tls_showed_certificate(const struct tls *t);
/* "TLSv1.3 CIPHER, certificate CN=mx.example.org of CN=ca until 2027-01-01 sha256 0A…,
 * verified no (self-signed certificate)" */
void tls_peer_print(struct buf *to, const struct tls_peer *p);
