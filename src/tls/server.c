// SPDX-License-Identifier: ISC
#include "tls/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/internal.h"
#include "tls/remote_key.h"

/* Mozilla's "intermediate" without its three DHE suites: whoever speaks TLS 1.2 knows ECDHE. */
static const char ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/* Of TLS 1.3, in Mozilla's order; OpenSSL's own has the dearest first. */
static const char suites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
/* Not const: OpenSSL writes its macros so. */
static char groups[] = "X25519:P-256:P-384";
static char signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
    "rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

enum { CERTIFICATES_MAX = 1000, TICKETS_PER_SESSION = 1 };

struct certificate {
    char *name; /* lower case; may be empty */
    struct chain chain;
    SSL_CTX *ssl;
};

struct tls_server {
    unsigned references;
    bool modern, ancient;
    X509_STORE *roots; /* of clients; NULL: none */
    struct certificate *list;
    size_t count;
};

/* ---- tickets: RFC 5077, RFC 8446 4.6.1 ---- */

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};
static_assert(sizeof(struct ticket_key) == TICKET_KEY_BYTES, "a key is its bytes");

static struct ticket_key ticket_keys[TICKET_KEYS_MAX];
static size_t ticket_key_count;

void tls_tickets_take(struct str keys)
{
    ticket_key_count = MIN_OF(keys.n / sizeof *ticket_keys, (size_t)TICKET_KEYS_MAX);
    memcpy(ticket_keys, keys.p ? keys.p : "", ticket_key_count * sizeof *ticket_keys);
}

static const struct ticket_key *ticket_key_find(const unsigned char *name)
{
    for (size_t i = 0; i < ticket_key_count; i++)
        if (memcmp(name, ticket_keys[i].name, sizeof ticket_keys[i].name) == 0)
            return &ticket_keys[i];
    return NULL;
}

static bool ticket_mac(EVP_MAC_CTX *mac, const struct ticket_key *k)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof k->mac),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0), OSSL_PARAM_END};

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 0: no ticket, 1: it is good, 2: good, but the client shall have a fresh one. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int making)
{
    const struct ticket_key *k = making ? ticket_keys : ticket_key_find(name);

    if (!k || ticket_key_count == 0)
        return 0;
    if (!making)
        return EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv) == 1 &&
                       ticket_mac(mac, k)
                   ? (k == ticket_keys ? 1 : 2)
                   : 0;
    memcpy(name, k->name, sizeof k->name);
    return RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
           EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv) == 1 &&
           ticket_mac(mac, k);
}

/* ---- names: RFC 6066 3 ---- */

size_t tls_server_choose(const struct tls_server *s, const char *name)
{
    struct str asked = name ? str_c(name) : STR_NONE;

    for (size_t i = 0; asked.n > 0 && i < s->count; i++)
        if (str_eq_nocase(asked, str_c(s->list[i].name)))
            return i;
    for (size_t i = 0; asked.n > 0 && i < s->count; i++)
        if (chain_has_name(&s->list[i].chain, asked))
            return i;
    return 0;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls *t = SSL_get_app_data(ssl);
    const struct tls_server *s = t->server;
    size_t i = tls_server_choose(s, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));

    if (i > 0)
        (void)SSL_set_SSL_CTX(ssl, s->list[i].ssl);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- sets ---- */

struct tls_server *tls_server_new(bool modern)
{
    struct tls_server *s = mem_new(sizeof *s);

    s->references = 1;
    s->modern = modern;
    return s;
}

struct tls_server *tls_server_hold(struct tls_server *s)
{
    s->references++;
    return s;
}

static void certificate_free(struct certificate *c)
{
    free(c->name);
    chain_free(&c->chain);
    SSL_CTX_free(c->ssl);
}

void tls_server_drop(struct tls_server **sp)
{
    struct tls_server *s = *sp;

    *sp = NULL;
    if (!s || --s->references > 0)
        return;
    for (size_t i = 0; i < s->count; i++)
        certificate_free(&s->list[i]);
    X509_STORE_free(s->roots);
    free(s->list);
    free(s);
}

bool tls_server_works(const struct tls_server *s)
{
    return s && s->count > 0;
}

size_t tls_server_trust(struct tls_server *s, struct str pem)
{
    BIO *b = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
    size_t count = 0;

    if (!s->roots)
        s->roots = X509_STORE_new();
    check(b && s->roots);
    for (X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL); x;
         x = PEM_read_bio_X509(b, NULL, NULL, NULL)) {
        count += X509_STORE_add_cert(s->roots, x) == 1;
        X509_free(x);
    }
    BIO_free(b);
    ERR_clear_error();
    return count;
}

static bool set_rules(SSL_CTX *ssl, bool modern)
{
    tls_context_rules(ssl);
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_NO_QUERY_MTU);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets hold all there is */
    (void)SSL_CTX_set_timeout(ssl, (long)(TICKET_LIFE_US / US_PER_S));
    return SSL_CTX_set_min_proto_version(ssl, modern ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, ciphers) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, suites) == 1 &&
           SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl, signatures) == 1 &&
           SSL_CTX_set_num_tickets(ssl, TICKETS_PER_SESSION) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) == 1 &&
           SSL_CTX_set_tlsext_servername_callback(ssl, on_name) == 1;
}

static char ancient_signatures[] = "ECDSA+SHA1:RSA+SHA1"; /* not const, as above */

/* Their signatures are made with SHA-1 and MD5, which OpenSSL only does at level 0. */
static bool set_ancient_rules(SSL_CTX *ssl)
{
    SSL_CTX_set_security_level(ssl, 0);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_1_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, "ALL:@SECLEVEL=0") == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl, ancient_signatures) == 1;
}

static bool set_chain(SSL_CTX *ssl, const struct chain *c, EVP_PKEY *key)
{
    bool done = key && SSL_CTX_use_certificate(ssl, c->list[0]) == 1 &&
                SSL_CTX_use_PrivateKey(ssl, key) == 1;

    for (size_t i = 1; i < c->count && done; i++)
        done = SSL_CTX_add1_chain_cert(ssl, c->list[i]) == 1;
    return done;
}

static SSL_CTX *context_of(const struct tls_server *s, const struct chain *c, EVP_PKEY *key,
                           struct buf *why)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());

    if (ssl && set_rules(ssl, s->modern) && (!s->ancient || set_ancient_rules(ssl)) &&
        set_chain(ssl, c, key)) {
        if (s->roots)
            SSL_CTX_set1_cert_store(ssl, s->roots);
        return ssl;
    }
    const char *words = ERR_reason_error_string(ERR_peek_error());
    buf_printf(why, "OpenSSL does not take it: %s", words ? words : "it does not say why");
    ERR_clear_error();
    SSL_CTX_free(ssl);
    return NULL;
}

/* key: NULL: it is somewhere else. */
static bool add(struct tls_server *s, struct str name, struct str chain_pem, EVP_PKEY *key,
                struct buf *why)
{
    struct certificate c = {0};

    if (s->count == CERTIFICATES_MAX) {
        buf_printf(why, "more than %d certificates", CERTIFICATES_MAX);
        return false;
    }
    if (!chain_parse(chain_pem, &c.chain, why))
        return false;

    EVP_PKEY *remote =
        key ? NULL : remote_key_new(c.chain.list[0], remote_key_number(c.chain.list[0]));

    c.ssl = context_of(s, &c.chain, key ? key : remote, why);
    EVP_PKEY_free(remote);
    if (!c.ssl) {
        certificate_free(&c);
        return false;
    }
    c.name = mem_copy(name.p, name.n);
    s->list = mem_resize(s->list, (s->count + 1) * sizeof *s->list);
    s->list[s->count++] = c;
    return true;
}

bool tls_server_add(struct tls_server *s, struct str name, struct str chain_pem, struct buf *why)
{
    return add(s, name, chain_pem, NULL, why);
}

bool tls_server_add_key(struct tls_server *s, struct str chain_pem, EVP_PKEY *key, struct buf *why)
{
    return add(s, STR_NONE, chain_pem, key, why);
}

void tls_server_ancient(struct tls_server *s)
{
    s->ancient = true;
}

/* ---- connections ---- */

/* Any certificate is taken: what it is worth is a value (tls_peer), others decide. */
static int take_any(int good, X509_STORE_CTX *c)
{
    return 1;
}

struct tls *tls_accept(struct stream *s, struct tls_server *server, bool ask_certificate,
                       void (*on_secured)(void *arg))
{
    check(tls_server_works(server));
    struct tls *t = tls_new(s, server->list[0].ssl);
    static const unsigned char kinds[] = {'p', 'c'}; /* a session of one is none of the other */

    t->server = tls_server_hold(server);
    (void)SSL_set_app_data(t->ssl, t);
    (void)SSL_set_session_id_context(t->ssl, kinds + ask_certificate, 1);
    if (ask_certificate)
        SSL_set_verify(t->ssl, SSL_VERIFY_PEER, take_any);
    SSL_set_accept_state(t->ssl);
    ERR_clear_error();
    tls_layer(s, t, on_secured);
    return t;
}

struct str tls_asked_name(const struct tls *t)
{
    return str_c(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
}

void tls_words(const struct tls *t, struct buf *to)
{
    struct tls_peer p;

    tls_peer(t, &p);
    buf_printf(to, "%s %s", p.version, p.cipher);
    if (p.has_certificate)
        buf_printf(to, ", client %s of %s verified %s", p.subject[0] ? p.subject : "without a name",
                   p.issuer[0] ? p.issuer : "nobody", p.chain_trouble ? "no" : "yes");
}

void tls_peer_mail(const struct tls *t, struct buf *to)
{
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);

    if (!certificate || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return;
    STACK_OF(OPENSSL_STRING) *mails = X509_get1_email(certificate);
    const char *first = sk_OPENSSL_STRING_value(mails, 0); /* of none: NULL */

    if (first)
        (void)buf_add_c(to, first);
    X509_email_free(mails);
}
