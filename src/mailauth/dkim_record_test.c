// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/codec.h"
#include "mailauth/dkim_record.h"

/* RFC 8463 A.2 */
#define RSA                                                                                        \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/"   \
    "J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBf" \
    "O2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
#define ED25519 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static void test_records(void **state)
{
    static const struct {
        const char *text, *want; /* want: kind bits flags, or "! why" */
    } cases[] = {
        {"v=DKIM1; k=rsa; p=" RSA, "0 1024"},
        {"p=" RSA, "0 1024"},
        {"v=DKIM1; k=ed25519; p=" ED25519, "1 256"},
        {"v=DKIM1; h=sha256; s=email; t=y:s; n=a note; p=" RSA, "0 1024 testing strict"},
        {"v=DKIM1; h=sha1; p=" RSA, "0 1024 sha1"},
        {"v=DKIM1; s=*; p=" RSA, "0 1024"},
        {"v=DKIM1; s=tlsrpt; p=" RSA, "0 1024 other"},
        {"v=DKIM1; p=", "0 0 revoked"},
        {"v=DKIM1; k=ed25519; p= 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMl\r\n\t rwIaaPcHURo=", "1 256"},
        {"v=DKIM1; k=rsa", "! there is no key (p)"},
        {"k=rsa; v=DKIM1; p=" RSA, "! v, if it is there, comes first and is DKIM1"},
        {"v=DKIM2; p=" RSA, "! v, if it is there, comes first and is DKIM1"},
        {"v=DKIM1; k=dsa; p=" RSA, "! a kind of key (k) that nobody knows"},
        {"v=DKIM1; p=a,b", "! the key (p) is not base64"},
        {"v=DKIM1; p=" ED25519, "! the key (p) is not a key of the kind that k says"},
        {"v=DKIM1; k=ed25519; p=" RSA, "! the key (p) is not a key of the kind that k says"},
        {"v=spf1 -all", "! v, if it is there, comes first and is DKIM1"},
        {"a=b", "! there is no key (p)"},
        {"nonsense", "! a tag without = in it"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct buf got = buf_init(KIB);
        struct dkim_record r;

        if (dkim_record_parse(str_c(cases[i].text), &r, &error))
            buf_printf(&got, "%u %u%s%s%s%s%s", r.kind, r.bits, r.revoked ? " revoked" : "",
                       r.testing ? " testing" : "", r.strict ? " strict" : "",
                       r.sha1_only ? " sha1" : "", r.not_for_mail ? " other" : "");
        else
            buf_printf(&got, "! %s", error.why);
        if (strcmp(buf_c(&got), cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].text, buf_c(&got));
        buf_free(&got);
    }
}

/* Keys of other sizes, and the form that RFC 6376 3.6.1 describes (RSAPublicKey). */
static void test_sizes(void **state)
{
    (void)state;
    for (unsigned bits = 512; bits <= 2048; bits *= 2) {
        struct record_error error = {0};
        struct buf text = buf_init(4 * KIB);
        struct dkim_record r;
        unsigned char *der = NULL;
        EVP_PKEY *key = EVP_RSA_gen(bits);

        assert_non_null(key);
        int n = bits == 1024 ? i2d_PublicKey(key, &der) : i2d_PUBKEY(key, &der);
        assert_true(n > 0);
        buf_add_c(&text, "v=DKIM1; p=");
        base64_put(&text, str_n((const char *)der, (size_t)n));
        if (!dkim_record_parse(buf_str(&text), &r, &error))
            fail_msg("%u: %s", bits, error.why);
        assert_int_equal(r.bits, bits);
        OPENSSL_free(der);
        EVP_PKEY_free(key);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
