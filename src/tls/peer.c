/* tls/peer.c - what the other side of a connection showed, as values and as words.
 *
 * All of it was made by whoever answered: names are printed with every odd byte escaped, and cut. */
// SPDX-License-Identifier: ISC
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/internal.h"

enum { NAMES_BYTES_MAX = 4096 };

static void take_name(const X509_NAME *name, char ret[TLS_NAME_BYTES_MAX])
{
    BIO *memory = BIO_new(BIO_s_mem());

    check(memory);
    (void)X509_NAME_print_ex(memory, name, 0, XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ);
    int n = BIO_read(memory, ret, TLS_NAME_BYTES_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    for (char *p = ret; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    BIO_free(memory);
}

static uint64_t time_us(const ASN1_TIME *when)
{
    struct tm tm = {0};

    if (ASN1_TIME_to_tm(when, &tm) != 1)
        return 0;
    time_t s = timegm(&tm);
    return s > 0 ? (uint64_t)s * US_PER_S : 0;
}

static void take_names(X509 *certificate, char ret[TLS_NAME_BYTES_MAX])
{
    struct chain one = {.list = {certificate}, .count = 1};
    struct buf names = buf_init(NAMES_BYTES_MAX);

    chain_print_names(&one, &names);
    struct str cut = str_sub(buf_str(&names), 0, TLS_NAME_BYTES_MAX - 1);
    memcpy(ret, cut.p ? cut.p : "", cut.n);
    ret[cut.n] = '\0';
    buf_free(&names);
}

/* Nobody we trust has signed it, or nobody we know has. */
static bool is_of_unknown_issuer(long chain)
{
    static const long errors[] = {
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,     X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,       X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED};

    for (size_t i = 0; i < countof(errors); i++) {
        if (chain == errors[i])
            return true;
    }
    return false;
}

static bool name_matches(const struct tls *t, X509 *certificate)
{
    if (t->host_is_address)
        return X509_check_ip_asc(certificate, t->host, 0) == 1;
    return t->host[0] && X509_check_host(certificate, t->host, 0, 0, NULL) == 1;
}

static void take_certificate(const struct tls *t, X509 *certificate, struct tls_peer *ret)
{
    long chain = SSL_get_verify_result(t->ssl);

    ret->has_certificate = true;
    take_name(X509_get_subject_name(certificate), ret->subject);
    take_name(X509_get_issuer_name(certificate), ret->issuer);
    (void)X509_digest(certificate, EVP_sha256(), ret->sha256, NULL);
    take_names(certificate, ret->names);
    ret->not_before_us = time_us(X509_get0_notBefore(certificate));
    ret->not_after_us = time_us(X509_get0_notAfter(certificate));
    ret->expired = X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
    ret->not_yet_valid = X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0;
    ret->unknown_issuer = is_of_unknown_issuer(chain);
    ret->chain_trouble = chain == X509_V_OK ? NULL : X509_verify_cert_error_string(chain);
    ret->name_matches = name_matches(t, certificate);
}

void tls_peer(const struct tls *t, struct tls_peer *ret)
{
    X509 *certificate = SSL_get1_peer_certificate(t->ssl);

    *ret = (struct tls_peer){.version = SSL_get_version(t->ssl),
                             .cipher = SSL_get_cipher_name(t->ssl)};
    if (certificate)
        take_certificate(t, certificate, ret);
    X509_free(certificate);
    ERR_clear_error();
}

size_t tls_binding(const struct tls *t, char ret[TLS_BINDING_BYTES])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    bool unique = SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) == 1;

    return unique && SSL_export_keying_material(t->ssl, (unsigned char *)ret, TLS_BINDING_BYTES,
                                                label, sizeof label - 1, (const unsigned char *)"",
                                                0, 1) == 1
               ? TLS_BINDING_BYTES
               : 0;
}

bool tls_showed_certificate(const struct tls *t)
{
    return t->showed_certificate;
}

/* ---- words ---- */

static void print_day(struct buf *to, uint64_t us)
{
    struct buf text = buf_init(64);

    time_print(&text, us);
    buf_add(to, str_sub(buf_str(&text), 0, 10));
    buf_free(&text);
}

static void print_verdict(struct buf *to, const struct tls_peer *p)
{
    bool both = p->chain_trouble && !p->name_matches;

    if (!p->chain_trouble && p->name_matches) {
        buf_add_c(to, ", verified yes");
        return;
    }
    buf_printf(to, ", verified no (%s%s%s)", p->chain_trouble ? p->chain_trouble : "",
               both ? "; " : "", p->name_matches ? "" : "not for this name");
}

static void say_trouble(struct buf *to, const char *what)
{
    if (to->n > 0)
        buf_add_c(to, "; ");
    buf_add_c(to, what);
}

static void say_day(struct buf *to, const char *what, uint64_t us)
{
    say_trouble(to, what);
    print_day(to, us);
}

static void say_chain_trouble(struct buf *to, const struct tls_peer *p)
{
    bool self_signed = strcmp(p->subject, p->issuer) == 0;

    if (p->unknown_issuer && self_signed)
        say_trouble(to, "self-signed, so anybody can have made it");
    else if (p->unknown_issuer)
        say_trouble(to, "from an issuer that is not trusted here: ");
    else if (p->chain_trouble && !p->expired && !p->not_yet_valid)
        say_trouble(to, p->chain_trouble);
    if (p->unknown_issuer && !self_signed)
        buf_add_c(to, p->issuer[0] ? p->issuer : "nobody");
}

bool tls_peer_trouble(const struct tls_peer *p, struct str host, struct buf *to)
{
    buf_reset(to);
    if (!p->has_certificate)
        say_trouble(to, "it showed none");
    if (p->expired)
        say_day(to, "expired on ", p->not_after_us);
    if (p->not_yet_valid)
        say_day(to, "not valid before ", p->not_before_us);
    say_chain_trouble(to, p);
    if (p->has_certificate && !p->name_matches) {
        say_trouble(to, "for ");
        buf_printf(to, "%s, not for %.*s", p->names, STR_ARG(host));
    }
    return to->n > 0;
}

void tls_peer_print(struct buf *to, const struct tls_peer *p)
{
    buf_printf(to, "%s %s, ", p->version, p->cipher);
    if (!p->has_certificate) {
        buf_add_c(to, "no certificate");
        return;
    }
    buf_printf(to, "certificate %s of %s until ", p->subject[0] ? p->subject : "without a name",
               p->issuer[0] ? p->issuer : "nobody");
    print_day(to, p->not_after_us);
    buf_add_c(to, " sha256 ");
    for (size_t i = 0; i < TLS_SHA256_BYTES; i++)
        buf_printf(to, "%02x", p->sha256[i]);
    print_verdict(to, p);
}
