// SPDX-License-Identifier: ISC
#include "mailauth/dkim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"
#include "mail/header.h"
#include "mailauth/canonical.h"

/* RFC 8463 A.2 */
static const char ed25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

/* RFC 8463 A.3 */
static const char rfc_header[] = "From: Joe SixPack <joe@football.example.com>\r\n"
                                 "To: Suzie Q <suzie@shopping.example.net>\r\n"
                                 "Subject: Is dinner ready?\r\n"
                                 "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                                 "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
static const char rfc_body[] = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

static EVP_PKEY *read_pem(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

    BIO_free(in);
    return key;
}

/* PEM of a new key, locked if there is a passphrase. */
static char *write_pem(EVP_PKEY *key, const char *passphrase)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text;

    PEM_write_bio_PKCS8PrivateKey(out, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                  (void *)(uintptr_t)passphrase);
    long n = BIO_get_mem_data(out, &text);
    char *copy = mem_copy(text, (size_t)n);

    BIO_free(out);
    EVP_PKEY_free(key);
    return copy;
}

static struct dkim_signer *signer(const char *pem)
{
    struct buf error = buf_init(KIB);
    struct dkim_signer *s = NULL;

    assert_int_equal(
        dkim_signer_new(str_c(pem), STR("Football.Example.com"), STR("s1"), &s, &error), 0);
    assert_int_equal(error.n, 0);
    return s;
}

static void sign(const struct dkim_signer *s, const char *header, const char *body, struct buf *to)
{
    struct dkim_signing *signing = NULL;

    buf_reset(to);
    assert_int_equal(dkim_begin(s, &signing), 0);
    dkim_body(signing, str_c(body));
    assert_int_equal(dkim_sign(signing, str_c(header), 1528637909, to), 0);
    dkim_end(&signing);
    assert_null(signing);
}

/* ---- what is signed, by the words of the RFC ---- */

/* The value of a tag without its blanks; empty: there is none. */
static struct str tag(struct buf *memory, struct str field, const char *name)
{
    (void)str_cut(&field, ':');
    while (field.n > 0) {
        struct str value = str_trim(str_cut(&field, ';'));
        struct str found = str_trim(str_cut(&value, '='));

        if (!str_eq_c(found, name))
            continue;
        buf_reset(memory);
        for (size_t i = 0; i < value.n; i++)
            if (!strchr(" \t\r\n", value.p[i]))
                (void)buf_add_char(memory, value.p[i]);
        return buf_str(memory);
    }
    return STR("");
}

static void add_named(struct buf *to, struct str header, struct str names)
{
    struct str taken[100];
    size_t taken_count = 0;

    while (names.n > 0) {
        struct str name = str_cut(&names, ':'), rest = header;
        struct header_field f, last = {0};
        size_t before = 0, seen = 0;

        for (size_t i = 0; i < taken_count; i++)
            before += str_eq_nocase(taken[i], name);
        while (header_next(&rest, &f))
            seen += str_eq_nocase(f.name, name);
        taken[taken_count++] = name;
        if (before >= seen)
            continue; /* named more often than it is there */
        rest = header;
        for (size_t at = 0; at < seen - before && header_next(&rest, &f);)
            if (str_eq_nocase(f.name, name)) {
                last = f;
                at++;
            }
        canonical_field(to, last.name, last.body);
    }
}

static bool verifies(EVP_PKEY *key, struct str field, const char *header)
{
    struct buf memory = buf_init(64 * KIB), text = buf_init(64 * KIB), own = buf_init(64 * KIB);
    struct buf signature = buf_init(2 * KIB);
    unsigned char hash[32];
    bool rsa = EVP_PKEY_is_a(key, "RSA");
    struct header_field f;
    struct str rest = field;

    add_named(&text, str_c(header), tag(&memory, field, "h"));
    assert_true(header_next(&rest, &f) && rest.n == 0);
    assert_true(str_eq_c(f.name, "DKIM-Signature"));
    size_t b = MIN_OF(str_find_str(f.body, STR(" b=")), str_find_str(f.body, STR("\tb=")));
    canonical_field(&own, f.name, str_sub(f.body, 0, b + 3));
    (void)buf_add(&text, str_sub(buf_str(&own), 0, own.n - 2));
    assert_true(base64_get(&signature, tag(&memory, field, "b")));

    EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(c, NULL, rsa ? EVP_sha256() : NULL, NULL, key);
    bool good = EVP_DigestVerify(c, (const unsigned char *)signature.p, signature.n,
                                 rsa ? (const unsigned char *)text.p : hash,
                                 rsa ? text.n : sizeof hash) == 1;
    EVP_MD_CTX_free(c);
    buf_free(&memory);
    buf_free(&text);
    buf_free(&own);
    buf_free(&signature);
    return good;
}

/* ---- tests ---- */

/* The field of RFC 8463 A.3 itself, which others made: canonical form and key are right. */
static void canonical_form_of_the_rfc(void **state)
{
    static const char value[] = " v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                                " d=football.example.com; i=@football.example.com;\r\n"
                                " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
                                " subject : date : message-id : from : subject : date;\r\n"
                                " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=";
    static const char *const order[] = {"From", "To", "Subject", "Date", "Message-ID"};
    struct buf text = buf_init(4 * KIB), base64 = buf_init(KIB);
    unsigned char hash[32], signature[64];
    size_t n = sizeof signature;
    EVP_PKEY *key = read_pem(ed25519_pem);
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    for (size_t i = 0; i < countof(order); i++) {
        struct header_field f;

        assert_true(header_find(str_c(rfc_header), order[i], &f));
        canonical_field(&text, f.name, f.body);
    }
    canonical_field(&text, STR("DKIM-Signature"), str_c(value));
    EVP_Digest(text.p, text.n - 2, hash, NULL, EVP_sha256(), NULL);
    assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(c, signature, &n, hash, sizeof hash), 1);
    base64_put(&base64, str_n((const char *)signature, n));
    assert_string_equal(buf_c(&base64), "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus"
                                        "Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    buf_free(&text);
    buf_free(&base64);
}

static void signs_with_ed25519(void **state)
{
    struct dkim_signer *s = signer(ed25519_pem);
    struct buf field = buf_init(64 * KIB), memory = buf_init(64 * KIB);
    EVP_PKEY *key = read_pem(ed25519_pem);

    sign(s, rfc_header, rfc_body, &field);
    assert_true(str_ends(buf_str(&field), STR("\r\n")));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "v"), "1"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "a"), "ed25519-sha256"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "c"), "relaxed/relaxed"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "d"), "football.example.com"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "s"), "s1"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "t"), "1528637909"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "bh"), /* RFC 8463 A.3 */
                         "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="));
    assert_true(verifies(key, buf_str(&field), rfc_header));
    for (struct str rest = buf_str(&field); rest.n > 0;)
        assert_in_range(str_cut(&rest, '\n').n, 2, 79);
    EVP_PKEY_free(key);
    dkim_signer_free(&s);
    buf_free(&field);
    buf_free(&memory);
}

static void signs_with_rsa(void **state)
{
    static const char header[] = "Received: from x\r\n"
                                 "X-Other:  is not signed\r\n"
                                 "from:\t Joe\r\n\t <joe@football.example.com>  \r\n"
                                 "To: a@b\r\n"
                                 "To: twice@b\r\n"
                                 "Subject:\r\n"
                                 "List-Id: x.y\r\n"
                                 "Content-Type: text/plain;\r\n charset=utf-8\r\n";
    static const unsigned bits[] = {1024, 2048, 4096};

    for (size_t i = 0; i < countof(bits); i++) {
        EVP_PKEY *key = EVP_RSA_gen(bits[i]);
        EVP_PKEY_up_ref(key);
        char *pem = write_pem(key, NULL);
        struct dkim_signer *s = signer(pem);
        struct buf field = buf_init(64 * KIB), memory = buf_init(64 * KIB);

        sign(s, header, "", &field);
        assert_true(str_eq_c(tag(&memory, buf_str(&field), "a"), "rsa-sha256"));
        assert_true(str_eq_c(tag(&memory, buf_str(&field), "h"),
                             "from:from:reply-to:to:to:to:cc:subject:subject:date:content-type:"
                             "content-type:list-id"));
        assert_true(str_eq_c(tag(&memory, buf_str(&field), "bh"), /* of nothing: RFC 6376 3.4.4 */
                             "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="));
        assert_true(verifies(key, buf_str(&field), header));
        EVP_PKEY_free(key);
        dkim_signer_free(&s);
        free(pem);
        buf_free(&field);
        buf_free(&memory);
    }
}

/* What somebody adds or changes later is seen; what a relay may do is not. */
static void sealed(void **state)
{
    static const struct {
        const char *header;
        bool good;
    } cases[] = {
        {"From: a@b\r\nSubject: x\r\n", true},
        {"Received: by relay\r\nfrom:  a@b \r\nSUBJECT:\tx\r\n", true},
        {"From: a@b\r\nSubject: x\r\nSubject: y\r\n", false},
        {"Subject: y\r\nFrom: a@b\r\nSubject: x\r\n", false},
        {"From: c@d\r\nFrom: a@b\r\nSubject: x\r\n", false},
        {"From: a@b\r\nSubject: x\r\nReply-To: c@d\r\n", false},
        {"From: a@b\r\nSubject: x\r\nCc: c@d\r\n", false},
        {"From: a@b\r\nSubject: X\r\n", false},
        {"From: a@b\r\n", false},
    };
    struct dkim_signer *s = signer(ed25519_pem);
    struct buf field = buf_init(64 * KIB);
    EVP_PKEY *key = read_pem(ed25519_pem);

    sign(s, cases[0].header, "x\r\n", &field);
    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(verifies(key, buf_str(&field), cases[i].header), cases[i].good);
    EVP_PKEY_free(key);
    dkim_signer_free(&s);
    buf_free(&field);
}

static void pieces_of_the_body_are_one(void **state)
{
    struct dkim_signer *s = signer(ed25519_pem);
    struct buf whole = buf_init(64 * KIB), cut = buf_init(64 * KIB);
    struct str body = str_c(rfc_body);

    sign(s, rfc_header, rfc_body, &whole);
    for (size_t step = 1; step < 9; step++) {
        struct dkim_signing *signing = NULL;

        buf_reset(&cut);
        assert_int_equal(dkim_begin(s, &signing), 0);
        for (size_t at = 0; at < body.n; at += step)
            dkim_body(signing, str_sub(body, at, at + step));
        assert_int_equal(dkim_sign(signing, str_c(rfc_header), 1528637909, &cut), 0);
        dkim_end(&signing);
        assert_true(str_eq(buf_str(&whole), buf_str(&cut)));
    }
    dkim_signer_free(&s);
    buf_free(&whole);
    buf_free(&cut);
}

static void what_cannot_be_signed(void **state)
{
    struct dkim_signer *s = signer(ed25519_pem);
    struct dkim_signing *signing = NULL;
    struct buf to = buf_init(100);

    (void)buf_add_c(&to, "kept");
    assert_int_equal(dkim_begin(s, &signing), 0);
    assert_int_equal(dkim_sign(signing, STR("To: a@b\r\n"), 1, &to), -EINVAL);
    dkim_end(&signing);
    assert_int_equal(dkim_begin(s, &signing), 0);
    assert_int_equal(dkim_sign(signing, STR("From: a@b\r\n"), 1, &to), -ENOBUFS);
    dkim_end(&signing);
    assert_int_equal(to.n, 4);
    buf_free(&to);
    dkim_signer_free(&s);
    dkim_signer_free(&s);
    dkim_end(&signing);
}

static void refuses(const char *pem, const char *domain, const char *selector, const char *why)
{
    struct buf error = buf_init(4 * KIB);
    struct dkim_signer *s = NULL;

    assert_int_equal(dkim_signer_new(str_c(pem), str_c(domain), str_c(selector), &s, &error),
                     -EINVAL);
    assert_null(s);
    if (!strstr(buf_c(&error), why))
        fail_msg("\"%s\" does not say \"%s\"", buf_c(&error), why);
    buf_free(&error);
}

static void bad_keys(void **state)
{
    char *ec = write_pem(EVP_EC_gen("P-256"), NULL);
    char *small = write_pem(EVP_RSA_gen(768), NULL);
    char *locked = write_pem(EVP_RSA_gen(1024), "secret");

    refuses("", "a.b", "s", "no private key");
    refuses("hello", "a.b", "s", "no private key");
    refuses("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a.b", "s",
            "no private key");
    refuses(ec, "a.b", "s", "another kind");
    refuses(small, "a.b", "s", "768 bits");
    refuses(locked, "a.b", "s", "passphrase");
    free(ec);
    free(small);
    free(locked);
}

static void bad_names(void **state)
{
    static const char *const domains[] = {
        "",          "a b.c", "example.org; s=x", "a_b.c", "-a.b",
        "[1.2.3.4]", "a..b",  "a.b\r\nX: y",      "@a.bc", "\xff.org"};
    static const char *const selectors[] = {"", "a b", "a;b", "a..b", "[1.2.3.4]", "a\r\n"};

    for (size_t i = 0; i < countof(domains); i++)
        refuses(ed25519_pem, domains[i], "s", "no domain");
    for (size_t i = 0; i < countof(selectors); i++)
        refuses(ed25519_pem, "example.org", selectors[i], "selector");
}

static void names_of_all_languages(void **state)
{
    struct buf error = buf_init(KIB), field = buf_init(64 * KIB), memory = buf_init(64 * KIB);
    struct dkim_signer *s = NULL;

    assert_int_equal(dkim_signer_new(str_c(ed25519_pem),
                                     STR("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0"
                                         "\xb5\xd1\x80.\xd1\x80\xd1\x84"),
                                     STR("2026_a.B"), &s, &error),
                     0);
    sign(s, "From: a@b\r\n", "x", &field);
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "d"), "xn--e1afmkfd.xn--p1ai"));
    assert_true(str_eq_c(tag(&memory, buf_str(&field), "s"), "2026_a.b"));
    dkim_signer_free(&s);
    buf_free(&error);
    buf_free(&field);
    buf_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_form_of_the_rfc),
        cmocka_unit_test(signs_with_ed25519),
        cmocka_unit_test(signs_with_rsa),
        cmocka_unit_test(sealed),
        cmocka_unit_test(pieces_of_the_body_are_one),
        cmocka_unit_test(what_cannot_be_signed),
        cmocka_unit_test(bad_keys),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(names_of_all_languages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
