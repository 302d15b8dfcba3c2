/* Chains made on the spot: an authority, and what it signed. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/check.h"
#include "mailauth/dane.h"

struct signed_by {
    X509 *x509;
    EVP_PKEY *key;
};

static void add_extension(X509 *to, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    X509_add_ext(to, e, -1);
    X509_EXTENSION_free(e);
}

/* days: until it expires; negative: it has. by: NULL, by itself as an authority. */
static struct signed_by make(const char *name, int days, const struct signed_by *by)
{
    struct signed_by c = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *subject = X509_get_subject_name(c.x509);
    char san[100];

    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), by ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), -100L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), days * 86400L);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(c.x509, by ? X509_get_subject_name(by->x509) : subject);
    X509_set_pubkey(c.x509, c.key);
    snprintf(san, sizeof san, "DNS:%s", name);
    add_extension(c.x509, by ? NID_subject_alt_name : NID_basic_constraints,
                  by ? san : "critical,CA:TRUE");
    assert_true(X509_sign(c.x509, by ? by->key : c.key, EVP_sha256()) > 0);
    return c;
}

static struct str der_of(struct arena *a, X509 *x509)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x509, &der);
    struct str copy = arena_copy(a, str_n((const char *)der, (size_t)n));

    OPENSSL_free(der);
    return copy;
}

/* What a record compares: the certificate or its key, as it is or its hash. */
static struct tlsa record_of(struct arena *a, X509 *x509, uint8_t usage, uint8_t selector,
                             uint8_t matching)
{
    unsigned char *der = NULL, hash[EVP_MAX_MD_SIZE];
    unsigned hash_bytes = 0;
    int n = selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der) : i2d_X509(x509, &der);
    struct str bytes = {(const char *)der, (size_t)n};

    if (matching > 0) {
        EVP_Digest(der, (size_t)n, hash, &hash_bytes, matching == 1 ? EVP_sha256() : EVP_sha512(),
                   NULL);
        bytes = str_n((const char *)hash, hash_bytes);
    }
    struct tlsa t = {usage, selector, matching, arena_copy(a, bytes)};
    OPENSSL_free(der);
    return t;
}

struct world {
    struct arena arena;
    struct signed_by authority, server, expired, other;
    struct str chain[2], expired_chain[2], alone[1];
};

static int set_up(void **state)
{
    struct world *w = mem_new(sizeof *w);

    w->authority = make("Test Authority", 30, NULL);
    w->server = make("mx.example", 20, &w->authority);
    w->expired = make("mx.example", -1, &w->authority);
    w->other = make("Another Authority", 30, NULL);
    w->chain[0] = w->alone[0] = der_of(&w->arena, w->server.x509);
    w->expired_chain[0] = der_of(&w->arena, w->expired.x509);
    w->chain[1] = w->expired_chain[1] = der_of(&w->arena, w->authority.x509);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct signed_by *all[] = {&w->authority, &w->server, &w->expired, &w->other};

    for (size_t i = 0; i < countof(all); i++) {
        X509_free(all[i]->x509);
        EVP_PKEY_free(all[i]->key);
    }
    arena_free(&w->arena);
    free(w);
    return 0;
}

static enum dane_verdict ask(const struct tlsa *records, size_t count, const struct str *chain,
                             size_t chain_count, struct str name, const char **why)
{
    struct dane_input in = {.records = records,
                            .record_count = count,
                            .certificates = chain,
                            .certificate_count = chain_count,
                            .names = &name,
                            .name_count = 1,
                            .now_s = (uint64_t)time(NULL)};

    return dane_verify(&in, why);
}

static void test_certificates_of_the_server(void **state)
{
    struct world *w = *state;
    const char *why;

    for (uint8_t selector = 0; selector < 2; selector++) {
        for (uint8_t matching = 0; matching < 3; matching++) {
            struct tlsa good = record_of(&w->arena, w->server.x509, 3, selector, matching);
            struct tlsa old = record_of(&w->arena, w->expired.x509, 3, selector, matching);

            assert_int_equal(ask(&good, 1, w->chain, 2, STR("mx.example"), &why), DANE_VALID);
            /* names and dates do not count then, RFC 7672 3.1.1 */
            assert_int_equal(ask(&good, 1, w->chain, 2, STR("other.example"), &why), DANE_VALID);
            assert_int_equal(ask(&old, 1, w->expired_chain, 2, STR("mx.example"), &why),
                             DANE_VALID);
            assert_int_equal(ask(&old, 1, w->chain, 2, STR("mx.example"), &why), DANE_INVALID);
            assert_string_equal(why, "no record is of this certificate or its chain");
            struct tlsa both[] = {old, good}; /* while a key is changed */
            assert_int_equal(ask(both, 2, w->chain, 2, STR("mx.example"), &why), DANE_VALID);
        }
    }
}

static void test_authorities(void **state)
{
    struct world *w = *state;
    struct tlsa good = record_of(&w->arena, w->authority.x509, 2, 0, 1);
    struct tlsa key = record_of(&w->arena, w->authority.x509, 2, 1, 2);
    struct tlsa other = record_of(&w->arena, w->other.x509, 2, 0, 1);
    const char *why;

    assert_int_equal(ask(&good, 1, w->chain, 2, STR("mx.example"), &why), DANE_VALID);
    assert_int_equal(ask(&key, 1, w->chain, 2, STR("mx.example"), &why), DANE_VALID);
    assert_int_equal(ask(&other, 1, w->chain, 2, STR("mx.example"), &why), DANE_INVALID);
    assert_int_equal(ask(&good, 1, w->chain, 2, STR("other.example"), &why), DANE_INVALID);
    assert_string_equal(why, "the certificate is of another name");
    assert_int_equal(ask(&good, 1, w->expired_chain, 2, STR("mx.example"), &why), DANE_INVALID);
    assert_string_equal(why, "certificate has expired");
    /* the authority is not sent: the record alone cannot show who signed, RFC 7672 3.1.2 */
    assert_int_equal(ask(&good, 1, w->alone, 1, STR("mx.example"), &why), DANE_INVALID);
}

static void test_unusable_records(void **state)
{
    struct world *w = *state;
    struct tlsa good = record_of(&w->arena, w->server.x509, 3, 1, 1);
    struct tlsa odd[] = {good, good, good, good, good, good};
    static const char *const want[] = {"its usage 0 or 1 (PKIX) is not for mail",
                                       "its usage is unknown",
                                       "its selector is unknown",
                                       "its matching type is unknown",
                                       "its data has the wrong length",
                                       "its data has the wrong length"};
    const char *why;

    odd[0].usage = 1;
    odd[1].usage = 4;
    odd[2].selector = 2;
    odd[3].matching = 3;
    odd[4].bytes.n--;
    odd[5].bytes.n = odd[5].matching = 0;
    assert_null(tlsa_trouble(&good));
    for (size_t i = 0; i < countof(odd); i++)
        assert_string_equal(tlsa_trouble(&odd[i]), want[i]);
    assert_int_equal(ask(odd, countof(odd), w->chain, 2, STR("mx.example"), &why), DANE_UNUSABLE);
    assert_int_equal(ask(NULL, 0, w->chain, 2, STR("mx.example"), &why), DANE_UNUSABLE);
    assert_int_equal(ask(&good, 1, &(struct str){"x", 1}, 1, STR("mx.example"), &why),
                     DANE_INVALID);
    assert_string_equal(why, "a certificate cannot be read");
    assert_int_equal(ask(&good, 1, NULL, 0, STR("mx.example"), &why), DANE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_of_the_server),
        cmocka_unit_test(test_authorities),
        cmocka_unit_test(test_unusable_records),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
