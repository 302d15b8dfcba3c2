/* tls/remote_key.h - a private key that is somewhere else: an OpenSSL provider whose keys know
 * their public half and a number, and ask whenever something is to be signed.
 *
 * The asking blocks, because OpenSSL would else take the handshake for failed; so who answers must
 * be bounded in time. RSA and ECDSA. */
// SPDX-License-Identifier: ISC
#pragma once

#include <openssl/x509.h>

#include "base/buf.h"

/* Signs `asked` with key `number` (scheme: tls/sign.h) within a bounded time. */
struct remote_signer {
    bool (*sign)(void *arg, uint64_t number, uint8_t scheme, struct str asked,
                 struct buf *signature);
    void *arg;
};

/* Once in a process, before the jail. False: OpenSSL has not what it needs. */
bool remote_keys_init_before_jail(const struct remote_signer *signer);
/* The key of this certificate. NULL: it is neither RSA nor EC. The caller frees it. */
EVP_PKEY *remote_key_new(X509 *certificate, uint64_t number);
/* Names the key of a certificate, here and wherever its private half is. */
uint64_t remote_key_number(X509 *certificate);
