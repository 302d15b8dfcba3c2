// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/test_peer.h"

static struct buf pem(X509 *x, EVP_PKEY *key, const char *password)
{
    struct buf text = buf_init(64 * KIB);
    BIO *b = BIO_new(BIO_s_mem());
    char *p;

    if (x)
        check(PEM_write_bio_X509(b, x) == 1);
    if (key)
        check(PEM_write_bio_PKCS8PrivateKey(b, key, password ? EVP_aes_128_cbc() : NULL, password,
                                            password ? (int)strlen(password) : 0, NULL, NULL) == 1);
    long n = BIO_get_mem_data(b, &p);
    buf_add(&text, str_n(p, (size_t)n));
    BIO_free(b);
    return text;
}

static void pairs_fit_or_not(void **state)
{
    struct test_certificate a = test_certificate_make("a", "DNS:a.test", 30);
    struct test_certificate b = test_certificate_make("b", "DNS:b.test", 30);
    struct buf text = pem(a.x509, NULL, NULL), why = buf_init(KIB);
    struct chain c = {.count = 0};

    assert_true(chain_parse(buf_str(&text), &c, &why));
    assert_int_equal(c.count, 1);
    assert_true(chain_key_fit(&c, a.key, &why));
    assert_int_equal(why.n, 0);
    assert_false(chain_key_fit(&c, b.key, &why));
    assert_string_equal(buf_c(&why), "the key does not belong to the first certificate");
    chain_free(&c);
    buf_free(&text);
    buf_free(&why);
    test_certificate_free(&a);
    test_certificate_free(&b);
}

static void keys_are_read_or_told_why_not(void **state)
{
    struct test_certificate a = test_certificate_make("a", NULL, 30);
    struct buf texts[] = {pem(a.x509, a.key, NULL), pem(NULL, a.key, "secret"),
                          pem(a.x509, NULL, NULL), buf_init(1)};
    static const char *const whys[] = {
        NULL, "the key is encrypted; nobody is there to type a password",
        "no private key is in it (PEM: -----BEGIN PRIVATE KEY-----)",
        "no private key is in it (PEM: -----BEGIN PRIVATE KEY-----)"};

    for (size_t i = 0; i < countof(texts); i++) {
        struct buf why = buf_init(KIB);
        EVP_PKEY *key = private_key_parse(buf_str(&texts[i]), &why);

        assert_int_equal(key != NULL, whys[i] == NULL);
        if (whys[i])
            assert_string_equal(buf_c(&why), whys[i]);
        EVP_PKEY_free(key);
        buf_free(&why);
        certificate_wipe(&texts[i]);
    }
    test_certificate_free(&a);
}

static void people_are_told(void **state)
{
    struct test_certificate a =
        test_certificate_make("a", "DNS:a.test,DNS:*.b.test,IP:192.0.2.1", 30);
    struct test_certificate old = test_certificate_make("old", "DNS:old.test", -5);
    struct chain c = {.list = {a.x509}, .count = 1}, expired = {.list = {old.x509}, .count = 1};
    struct buf names = buf_init(KIB), kind = buf_init(KIB);
    uint64_t now = clock_now_us(&clock_system);

    chain_print_names(&c, &names);
    chain_print_kind(&c, &kind);
    assert_string_equal(buf_c(&names), "a.test, *.b.test, address 192.0.2.1");
    assert_string_equal(buf_c(&kind), "ECDSA P-256");
    assert_true(chain_has_name(&c, STR("x.b.test")));
    assert_false(chain_has_name(&c, STR("b.test")));
    assert_false(chain_has_name(&c, STR_NONE));
    assert_true(chain_not_after_us(&c) > now && chain_not_after_us(&expired) < now);
    assert_non_null(strstr(chain_trouble(&c, NULL, now), "self-signed"));
    buf_free(&names);
    buf_free(&kind);
    test_certificate_free(&a);
    test_certificate_free(&old);
}

static void files_have_bounds(void **state)
{
    static const struct {
        long bytes;
        int expect;
    } rows[] = {{0, 0},
                {1, 0},
                {CERTIFICATE_FILE_BYTES_MAX - 1, 0},
                {CERTIFICATE_FILE_BYTES_MAX, 0},
                {CERTIFICATE_FILE_BYTES_MAX + 1, -EFBIG}};

    for (size_t i = 0; i < countof(rows); i++) {
        int fd = memfd_create("test", MFD_CLOEXEC);
        struct buf got;

        assert_int_equal(ftruncate(fd, rows[i].bytes), 0);
        assert_int_equal(certificate_read(fd, &got), rows[i].expect);
        if (rows[i].expect == 0)
            assert_int_equal(got.n, rows[i].bytes);
        certificate_wipe(&got);
        (void)close(fd);
    }
    struct buf got;
    int folder = open("/", O_RDONLY | O_CLOEXEC);
    assert_int_equal(certificate_read(folder, &got), -EINVAL);
    certificate_wipe(&got);
    (void)close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_fit_or_not),
        cmocka_unit_test(keys_are_read_or_told_why_not),
        cmocka_unit_test(people_are_told),
        cmocka_unit_test(files_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
