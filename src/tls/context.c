// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/check.h"
#include "tls/certificate.h"
#include "tls/internal.h"

/* A peer may end without saying so: SMTP says itself where it ends. It may not negotiate anew. What
 * was deciphered is wiped once it is read: it may be a password. */
void tls_context_rules(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
}

struct tls_context *tls_client_context_before_jail(void)
{
    struct tls_context *c = mem_new(sizeof *c);

    c->ssl = SSL_CTX_new(TLS_client_method());
    if (!c->ssl || SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1) {
        ERR_clear_error();
        tls_context_free(&c);
        return NULL;
    }
    tls_context_rules(c->ssl);
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, NULL); /* the result is kept all the same */
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    return c;
}

int tls_trust_before_jail(struct tls_context *c, const char *path)
{
    X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);

    if (access(path, R_OK) < 0)
        return -errno;
    bool loaded = X509_STORE_load_file(store, path) == 1;
    ERR_clear_error();
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    return loaded ? sk_X509_OBJECT_num(all) : -EBADMSG;
}

bool tls_show_certificate(struct tls_context *c, struct str chain_pem, struct str key_pem,
                          struct buf *why)
{
    struct chain chain = {.count = 0};
    EVP_PKEY *key = NULL;
    bool good = chain_parse(chain_pem, &chain, why);

    if (good)
        key = private_key_parse(key_pem, why);
    good = key && chain_key_fit(&chain, key, why);
    if (good)
        good = SSL_CTX_use_cert_and_key(c->ssl, chain.list[0], key, NULL, 1) == 1;
    for (size_t i = 1; good && i < chain.count; i++)
        good = SSL_CTX_add1_chain_cert(c->ssl, chain.list[i]) == 1;
    if (!good && why->n == 0)
        buf_add_c(why, "OpenSSL does not take it");
    EVP_PKEY_free(key);
    chain_free(&chain);
    ERR_clear_error();
    return good;
}

void tls_context_free(struct tls_context **c)
{
    if (!*c)
        return;
    SSL_CTX_free((*c)->ssl);
    free(*c);
    *c = NULL;
}
