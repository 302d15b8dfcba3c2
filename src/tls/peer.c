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
#include "tls/internal.h"

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
    ret->not_after_us = time_us(X509_get0_notAfter(certificate));
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
