// SPDX-License-Identifier: ISC
#include "tls/sign.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/check.h"

enum {
    RANDOMS_BYTES = 64,   /* of client and server */
    NAMED_CURVE = 3,      /* ECCurveType */
    CURVE_HEAD_BYTES = 4, /* type, curve, length of the point */
    MODERN_BLANKS = 64,   /* before the words of TLS 1.3 */
    TRANSCRIPT_BYTES_MAX = 64
};

static const char modern_words[] = "TLS 1.3, server CertificateVerify"; /* and its NUL */
static const char *const hashes[] = {
    [SIGN_SHA256] = "SHA256", [SIGN_SHA384] = "SHA384", [SIGN_SHA512] = "SHA512"};

static bool is_modern(struct str asked)
{
    size_t head = MODERN_BLANKS + sizeof modern_words;

    if (asked.n <= head || asked.n > head + TRANSCRIPT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < MODERN_BLANKS; i++)
        if (asked.p[i] != ' ')
            return false;
    return memcmp(asked.p + MODERN_BLANKS, modern_words, sizeof modern_words) == 0;
}

/* TLS 1.2: both randoms, then the curve and the point of ECDHE, to the last byte. */
static bool is_key_exchange(struct str asked)
{
    size_t head = RANDOMS_BYTES + CURVE_HEAD_BYTES;

    return asked.n > head && asked.p[RANDOMS_BYTES] == NAMED_CURVE &&
           asked.n - head == (unsigned char)asked.p[head - 1];
}

bool sign_form_good(struct str asked)
{
    return is_modern(asked) || is_key_exchange(asked);
}

static bool set_padding(EVP_PKEY *key, EVP_PKEY_CTX *c, bool pss)
{
    if (!EVP_PKEY_is_a(key, "RSA"))
        return !pss;
    if (!pss)
        return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool sign_handshake(EVP_PKEY *key, uint8_t scheme, struct str asked, struct buf *signature)
{
    unsigned hash = scheme & ~(unsigned)SIGN_PSS;
    unsigned char bytes[SIGNATURE_BYTES_MAX];
    size_t n = sizeof bytes;
    EVP_PKEY_CTX *how = NULL; /* belongs to c */

    if (hash >= SIGN_HASH_COUNT || !sign_form_good(asked))
        return false;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    check(c);
    bool done = EVP_DigestSignInit_ex(c, &how, hashes[hash], NULL, NULL, key, NULL) == 1 &&
                set_padding(key, how, scheme & SIGN_PSS) &&
                EVP_DigestSign(c, bytes, &n, (const unsigned char *)asked.p, asked.n) == 1;
    EVP_MD_CTX_free(c);
    ERR_clear_error();
    return done && buf_add(signature, str_n((const char *)bytes, n));
}
