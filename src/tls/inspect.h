/* tls/inspect.h - for whoever examines a server: all the certificates it showed, and connections that
 * offer one version of TLS and nothing else, however old.
 *
 * Contexts made here are for looking: no mail goes over them. */
// SPDX-License-Identifier: ISC
#pragma once

#include "tls/certificate.h"
#include "tls/tls.h"

enum tls_version {
    TLS_VERSION_10,
    TLS_VERSION_11,
    TLS_VERSION_12,
    TLS_VERSION_13,
    TLS_VERSION_COUNT
};

const char *tls_version_word(enum tls_version v); /* "TLSv1.2", as tls_peer has it */
/* NULL: OpenSSL here cannot speak it. */
struct tls_context *tls_version_context(enum tls_version v);
/* Once secured: what the server sent, its own first; chain_free is the caller's. False: nothing. */
bool tls_peer_chain(const struct tls *t, struct chain *ret);
void chain_print_der(const struct chain *c, size_t i, struct buf *to); /* certificate i, as DER */
