// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "base/check.h"
#include "tls/sign.h"

static struct buf modern(size_t blanks, const char *words, size_t transcript)
{
    struct buf b = buf_init(KIB);

    for (size_t i = 0; i < blanks; i++)
        buf_add_char(&b, ' ');
    buf_add(&b, str_n(words, strlen(words) + 1));
    for (size_t i = 0; i < transcript; i++)
        buf_add_char(&b, (char)i);
    return b;
}

static void only_handshakes_are_signed(void **state)
{
    static const char words[] = "TLS 1.3, server CertificateVerify";
    static const struct {
        size_t blanks;
        const char *words;
        size_t transcript;
        bool good;
    } rows[] = {
        {64, words, 32, true},  {64, words, 48, true},
        {64, words, 64, true},  {64, words, 0, false},
        {64, words, 65, false}, {63, words, 32, false},
        {65, words, 32, false}, {64, "TLS 1.3, client CertificateVerify", 32, false},
        {64, "", 32, false},    {0, "From: somebody\r\nDKIM-Signature: v=1", 32, false},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct buf b = modern(rows[i].blanks, rows[i].words, rows[i].transcript);

        if (sign_form_good(buf_str(&b)) != rows[i].good)
            fail_msg("row %zu", i);
        buf_free(&b);
    }
}

static void key_exchange_has_its_form(void **state)
{
    char bytes[64 + 4 + 65];
    struct str whole = {bytes, sizeof bytes};

    memset(bytes, 'r', sizeof bytes);
    memcpy(bytes + 64, "\x03\x00\x17\x41", 4);
    assert_true(sign_form_good(whole));
    for (size_t n = 0; n < sizeof bytes; n++)
        assert_false(sign_form_good(str_n(bytes, n)));
    bytes[64] = 1;
    assert_false(sign_form_good(whole));
}

static void schemes_fit_the_key(void **state)
{
    EVP_PKEY *keys[] = {EVP_EC_gen("P-256"), EVP_RSA_gen(2048)};
    struct buf asked = modern(64, "TLS 1.3, server CertificateVerify", 32);
    static const struct {
        uint8_t scheme;
        bool ec, rsa;
    } rows[] = {
        {SIGN_SHA256, true, true},
        {SIGN_SHA384, true, true},
        {SIGN_SHA512, true, true},
        {SIGN_SHA256 | SIGN_PSS, false, true},
        {SIGN_SHA512 | SIGN_PSS, false, true},
        {SIGN_HASH_COUNT, false, false},
        {32, false, false},
        {255, false, false},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t k = 0; k < 2; k++) {
            struct buf signature = buf_init(SIGNATURE_BYTES_MAX);
            bool expect = k ? rows[i].rsa : rows[i].ec;

            if (sign_handshake(keys[k], rows[i].scheme, buf_str(&asked), &signature) != expect)
                fail_msg("row %zu key %zu", i, k);
            assert_int_equal(signature.n > 0, expect);
            buf_free(&signature);
        }
    }
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    buf_free(&asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_handshakes_are_signed),
        cmocka_unit_test(key_exchange_has_its_form),
        cmocka_unit_test(schemes_fit_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
