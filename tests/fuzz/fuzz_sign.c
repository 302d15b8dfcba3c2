/* fuzz_sign.c - what a captured smtpd may ask of keys: only what has the form of a handshake is
 * signed. The first byte is the scheme. */
// links: base io mail tls
// SPDX-License-Identifier: ISC
#include <stdint.h>
#include <string.h>

#include <openssl/ec.h>

#include "base/check.h"
#include "tls/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static EVP_PKEY *key;
    struct buf signature = buf_init(SIGNATURE_BYTES_MAX);

    if (!key)
        key = EVP_EC_gen("P-256");
    if (size == 0)
        return 0;
    struct str asked = {(const char *)data + 1, size - 1};
    bool good = sign_form_good(asked);
    bool done = sign_handshake(key, data[0], asked, &signature);

    check(!done || good);
    check(done == (signature.n > 0));
    if (good) { /* no text, no mail: a curve behind 64 bytes, or the words of TLS */
        check(asked.n > 64);
        check(asked.p[64] == 3 || memcmp(asked.p + 64, "TLS 1.3, server", 15) == 0);
        check(asked.n <= 68 + 255);
    }
    buf_free(&signature);
    return 0;
}
