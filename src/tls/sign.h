/* tls/sign.h - what is asked of a private key, and the only thing that it does.
 *
 * A key of a TLS server signs its side of a handshake and nothing else: sign_form_good() knows how
 * that looks, so a captured worker cannot have anything else signed. RFC 8446 4.4.3,
 * RFC 5246 7.4.3 with RFC 8422 5.4. */
// SPDX-License-Identifier: ISC
#pragma once

#include <openssl/evp.h>

#include "base/buf.h"

enum sign_hash { SIGN_SHA256, SIGN_SHA384, SIGN_SHA512, SIGN_HASH_COUNT };
enum { SIGN_PSS = 16 }; /* a flag beside the hash: RSA with PSS, else PKCS #1 */

enum { SIGN_ASKED_BYTES_MAX = 512, SIGNATURE_BYTES_MAX = 1024 };

bool sign_form_good(struct str asked);
/* False: not of that form, no such scheme, or the key is of a kind that cannot do it. */
bool sign_handshake(EVP_PKEY *key, uint8_t scheme, struct str asked, struct buf *signature);
