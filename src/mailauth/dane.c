/* mailauth/dane.c - see dane.h. OpenSSL knows DANE; here it is asked without a connection. */
// SPDX-License-Identifier: ISC
#include "mailauth/dane.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/check.h"

enum { USAGE_TA = 2, USAGE_EE = 3, SHA256_BYTES = 32, SHA512_BYTES = 64 };

const char *tlsa_trouble(const struct tlsa *t)
{
    static const size_t bytes[] = {0, SHA256_BYTES, SHA512_BYTES};

    if (t->usage < USAGE_TA)
        return N_("its usage 0 or 1 (PKIX) is not for mail");
    if (t->usage > USAGE_EE)
        return N_("its usage is unknown");
    if (t->selector > 1)
        return N_("its selector is unknown");
    if (t->matching >= countof(bytes))
        return N_("its matching type is unknown");
    if (t->matching > 0 ? t->bytes.n != bytes[t->matching] : t->bytes.n == 0)
        return N_("its data has the wrong length");
    return NULL;
}

/* ---- OpenSSL ---- */

struct verifier {
    SSL_CTX *context;
    SSL *ssl; /* never connected: it holds the records */
    X509_STORE *store;
    X509_STORE_CTX *run;
    X509 *leaf;
    STACK_OF(X509) * chain;
};

static bool prepare(struct verifier *v, struct str name)
{
    struct arena a = ARENA_INIT;

    v->context = SSL_CTX_new(TLS_client_method());
    v->store = X509_STORE_new();
    v->run = X509_STORE_CTX_new();
    v->chain = sk_X509_new_null();
    check(v->context && v->store && v->run && v->chain);
    bool good = SSL_CTX_dane_enable(v->context) == 1;
    v->ssl = good ? SSL_new(v->context) : NULL;
    good = v->ssl && SSL_dane_enable(v->ssl, arena_c(&a, name)) == 1;
    if (good) /* RFC 7672 3.1.1: a record of the certificate itself says enough */
        (void)SSL_dane_set_flags(v->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    arena_free(&a);
    return good;
}

static void finish(struct verifier *v)
{
    X509_STORE_CTX_free(v->run);
    X509_STORE_free(v->store);
    sk_X509_pop_free(v->chain, X509_free);
    X509_free(v->leaf);
    SSL_free(v->ssl);
    SSL_CTX_free(v->context);
    ERR_clear_error();
}

static size_t add_records(const struct verifier *v, const struct dane_input *in)
{
    size_t count = 0;

    for (size_t i = 0; i < in->record_count; i++) {
        const struct tlsa *t = &in->records[i];

        if (!tlsa_trouble(t) &&
            SSL_dane_tlsa_add(v->ssl, t->usage, t->selector, t->matching,
                              (const unsigned char *)t->bytes.p, t->bytes.n) == 1)
            count++;
    }
    return count;
}

static bool add_certificates(struct verifier *v, const struct dane_input *in)
{
    for (size_t i = 0; i < in->certificate_count && i < DANE_CERTIFICATES_MAX; i++) {
        const unsigned char *p = (const unsigned char *)in->certificates[i].p;
        X509 *one = d2i_X509(NULL, &p, (long)in->certificates[i].n);

        if (!one)
            return false;
        check(sk_X509_push(v->chain, one) > 0);
        if (i == 0) {
            v->leaf = one;
            X509_up_ref(one);
        }
    }
    return v->leaf != NULL;
}

static void set_rules(const struct verifier *v, const struct dane_input *in)
{
    X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(v->run);

    (void)X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_time(rules, (time_t)in->now_s);
    for (size_t i = 0; i < in->name_count && i < DANE_NAMES_MAX; i++)
        (void)X509_VERIFY_PARAM_add1_host(rules, in->names[i].p, in->names[i].n);
}

static enum dane_verdict verify(struct verifier *v, const struct dane_input *in,
                                const char **ret_why)
{
    *ret_why = N_("a certificate cannot be read");
    if (!add_certificates(v, in) || X509_STORE_CTX_init(v->run, v->store, v->leaf, v->chain) != 1)
        return DANE_INVALID;
    X509_STORE_CTX_set0_dane(v->run, SSL_get0_dane(v->ssl));
    set_rules(v, in);
    if (X509_verify_cert(v->run) == 1) {
        *ret_why = NULL;
        return DANE_VALID;
    }
    int error = X509_STORE_CTX_get_error(v->run);
    *ret_why = error == X509_V_ERR_DANE_NO_MATCH
                   ? N_("no record is of this certificate or its chain")
               : error == X509_V_ERR_HOSTNAME_MISMATCH ? N_("the certificate is of another name")
                                                       : X509_verify_cert_error_string(error);
    return DANE_INVALID;
}

enum dane_verdict dane_verify(const struct dane_input *in, const char **ret_why)
{
    struct verifier v = {0};
    enum dane_verdict verdict = DANE_UNUSABLE;

    *ret_why = NULL;
    if (prepare(&v, in->name_count > 0 ? in->names[0] : STR("")) && add_records(&v, in) > 0)
        verdict = verify(&v, in, ret_why);
    finish(&v);
    return verdict;
}
