/* listen/identity.c - see identity.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "tls/certificate.h"

enum { DAYS = 30 };

/* What is made for each kind, when it is first wanted. */
static const struct recipe {
    enum kind kind;
    bool wrong_name, expired, own_files, ancient;
} recipes[] = {
    {.kind = KIND_REPLY, .own_files = true}, /* the right one */
    {.kind = KIND_TLS_EXPIRED, .expired = true},
    {.kind = KIND_TLS_NAME, .wrong_name = true},
    {.kind = KIND_TLS_SELF},
    {.kind = KIND_TLS_OLD, .own_files = true, .ancient = true},
};

struct identity {
    struct buf hostname;
    struct buf chain; /* PEM of --certificate; empty: none */
    EVP_PKEY *key;    /* of that */
    struct tls_server *servers[countof(recipes)];
};

/* ---- making ---- */

static bool add_names(X509 *x, const char *name)
{
    struct buf text = buf_init(KIB);

    buf_printf(&text, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", name);

    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, buf_c(&text));
    bool done = e && X509_add_ext(x, e, -1) == 1;

    X509_EXTENSION_free(e);
    buf_free(&text);
    return done;
}

static bool set_serial(X509 *x)
{
    unsigned char bytes[8];
    uint64_t number = 0;

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    memcpy(&number, bytes, sizeof number);
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1 | 1) == 1;
}

/* Signed by itself; as it would be served. */
static X509 *make(const char *name, bool expired, bool san, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
    long start = expired ? -60L : -1L, end = expired ? -30L : (long)DAYS;
    bool done = x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
                X509_gmtime_adj(X509_getm_notBefore(x), start * 86400) &&
                X509_gmtime_adj(X509_getm_notAfter(x), end * 86400) &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                           (const unsigned char *)name, -1, -1, 0) == 1 &&
                X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1 &&
                (!san || add_names(x, name)) && X509_sign(x, key, EVP_sha256()) > 0;

    if (!done) {
        X509_free(x);
        x = NULL;
    }
    ERR_clear_error();
    return x;
}

static bool pem_of(X509 *x, struct buf *to)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p = NULL;
    bool done = b && PEM_write_bio_X509(b, x) == 1;
    long n = done ? BIO_get_mem_data(b, &p) : 0;

    done = done && n > 0 && buf_add(to, str_n(p, (size_t)n));
    BIO_free(b);
    return done;
}

static struct tls_server *made_server(struct identity *i, const struct recipe *r)
{
    struct tls_server *s = tls_server_new(false);
    struct buf chain = buf_init(CERTIFICATE_FILE_BYTES_MAX), why = buf_init(KIB);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    const char *name = r->wrong_name ? "another-name.invalid" : buf_c(&i->hostname);
    X509 *x = key ? make(name, r->expired, !r->wrong_name, key) : NULL;

    if (r->ancient)
        tls_server_ancient(s);
    if (!x || !pem_of(x, &chain) || !tls_server_add_key(s, buf_str(&chain), key, &why))
        tls_server_drop(&s);
    X509_free(x);
    EVP_PKEY_free(key);
    buf_free(&chain);
    buf_free(&why);
    return s;
}

/* ---- files ---- */

static bool read_file(const char *path, struct buf *text, struct buf *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error = fd < 0 ? -errno : certificate_read(fd, text);

    if (fd >= 0)
        (void)close(fd);
    else
        *text = buf_init(1);
    if (error < 0)
        buf_printf(why, "%s: %s", path, strerror(-error));
    return error == 0;
}

static bool read_files(struct identity *i, const char *chain_path, const char *key_path,
                       struct buf *why)
{
    struct chain chain = {0};
    struct buf key_text = buf_init(1);
    bool good = read_file(chain_path, &i->chain, why) &&
                chain_parse(buf_str(&i->chain), &chain, why) &&
                (!key_path || read_file(key_path, &key_text, why));

    if (good)
        i->key = private_key_parse(buf_str(key_path ? &key_text : &i->chain), why);
    good = good && i->key && chain_key_fit(&chain, i->key, why);
    chain_free(&chain);
    certificate_wipe(&key_text);
    return good;
}

static struct tls_server *file_server(const struct identity *i, bool ancient, struct buf *why)
{
    struct tls_server *s = tls_server_new(false);
    struct buf chain = buf_init(CERTIFICATE_FILE_BYTES_MAX);

    if (ancient)
        tls_server_ancient(s);
    (void)certificates_only(buf_str(&i->chain), &chain);
    if (!tls_server_add_key(s, buf_str(&chain), i->key, why))
        tls_server_drop(&s);
    buf_free(&chain);
    return s;
}

/* ---- life ---- */

struct identity *identity_new(struct str hostname, const char *chain_path, const char *key_path,
                              struct buf *why)
{
    struct identity *i = mem_new(sizeof *i);

    *i = (struct identity){.hostname = buf_init(256), .chain = buf_init(1)};
    buf_add(&i->hostname, hostname);
    if (chain_path && !read_files(i, chain_path, key_path, why)) {
        identity_free(&i);
        return NULL;
    }
    i->servers[0] = chain_path ? file_server(i, false, why) : made_server(i, &recipes[0]);
    if (!i->servers[0]) {
        if (why->n == 0)
            buf_add_c(why, "OpenSSL cannot make a certificate");
        identity_free(&i);
        return NULL;
    }
    return i;
}

void identity_free(struct identity **i)
{
    if (!*i)
        return;
    for (size_t k = 0; k < countof(recipes); k++)
        tls_server_drop(&(*i)->servers[k]);
    EVP_PKEY_free((*i)->key);
    certificate_wipe(&(*i)->chain);
    buf_free(&(*i)->hostname);
    free(*i);
    *i = NULL;
}

struct tls_server *identity_server(struct identity *i, enum kind kind)
{
    struct buf why = buf_init(KIB);
    size_t k = 0;

    for (size_t n = 0; n < countof(recipes); n++)
        if (recipes[n].kind == kind)
            k = n;
    if (!i->servers[k])
        i->servers[k] = recipes[k].own_files && i->key ? file_server(i, recipes[k].ancient, &why)
                                                       : made_server(i, &recipes[k]);
    buf_free(&why);
    return i->servers[k];
}

bool identity_is_made(const struct identity *i)
{
    return !i->key;
}
