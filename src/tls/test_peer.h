/* tls/test_peer.h - for tests: certificates made on the spot, and the server's end of a connection
 * by OpenSSL alone. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdlib.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/check.h"

struct test_certificate {
    X509 *x509;
    EVP_PKEY *key;
};

/* days: until it expires, from now; negative: it has. san: "DNS:mx.test", or NULL. */
static inline struct test_certificate test_certificate_make(const char *cn, const char *san,
                                                            int days)
{
    struct test_certificate c = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(c.x509);

    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), -100L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), days * 86400L);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(c.x509, name);
    X509_set_pubkey(c.x509, c.key);
    if (san) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
        check(e);
        X509_add_ext(c.x509, e, -1);
        X509_EXTENSION_free(e);
    }
    check(X509_sign(c.x509, c.key, EVP_sha256()) > 0);
    return c;
}

static inline void test_certificate_free(struct test_certificate *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
}

static inline SSL_CTX *test_server_context(const struct test_certificate *c)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    check(context && SSL_CTX_use_certificate(context, c->x509) == 1 &&
          SSL_CTX_use_PrivateKey(context, c->key) == 1);
    return context;
}
