// SPDX-License-Identifier: ISC
#pragma once

#include <openssl/ssl.h>

#include "tls/tls.h"

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    int fd;
    int error; /* errno of the last recv or send that failed */
    bool eof;
    char host[TLS_HOST_BYTES_MAX + 1];
    bool host_is_address;
    bool showed_certificate;   /* of ours, for the peer asked */
    const char *failure;       /* of OpenSSL's constant words, or NULL */
    struct tls_server *server; /* of an accepted connection, held; else NULL */
};

void tls_context_rules(SSL_CTX *ssl); /* what holds at both ends */
/* A connection on this stream, nothing begun; the layer owns it from tls_layer on. */
struct tls *tls_new(struct stream *s, SSL_CTX *ssl);
void tls_layer(struct stream *s, struct tls *t, void (*on_secured)(void *arg));
