/* tls/inspect.c - see inspect.h. */
// SPDX-License-Identifier: ISC
#include "tls/inspect.h"

#include <openssl/err.h>

#include "base/check.h"
#include "tls/internal.h"

static const struct version {
    const char *word;
    int number;
} versions[TLS_VERSION_COUNT] = {
    [TLS_VERSION_10] = {"TLSv1", TLS1_VERSION},
    [TLS_VERSION_11] = {"TLSv1.1", TLS1_1_VERSION},
    [TLS_VERSION_12] = {"TLSv1.2", TLS1_2_VERSION},
    [TLS_VERSION_13] = {"TLSv1.3", TLS1_3_VERSION},
};

const char *tls_version_word(enum tls_version v)
{
    return versions[v].word;
}

/* Security level 0: signatures by SHA-1, as the old versions have them, are looked at, too. */
struct tls_context *tls_version_context(enum tls_version v)
{
    struct tls_context *c = tls_client_context_before_jail();

    if (!c)
        return NULL;
    SSL_CTX_set_security_level(c->ssl, 0);
    if (SSL_CTX_set_min_proto_version(c->ssl, versions[v].number) != 1 ||
        SSL_CTX_set_max_proto_version(c->ssl, versions[v].number) != 1)
        tls_context_free(&c);
    ERR_clear_error();
    return c;
}

bool tls_peer_chain(const struct tls *t, struct chain *ret)
{
    STACK_OF(X509) *shown = SSL_get_peer_cert_chain(t->ssl);

    *ret = (struct chain){0};
    for (int i = 0; i < sk_X509_num(shown) && ret->count < CHAIN_CERTIFICATES_MAX; i++) {
        X509 *one = sk_X509_value(shown, i);

        X509_up_ref(one);
        ret->list[ret->count++] = one;
    }
    return ret->count > 0;
}

void chain_print_der(const struct chain *c, size_t i, struct buf *to)
{
    unsigned char *der = NULL;
    int n = i2d_X509(c->list[i], &der);

    if (n > 0)
        buf_add(to, str_n((const char *)der, (size_t)n));
    OPENSSL_free(der);
    ERR_clear_error();
}
