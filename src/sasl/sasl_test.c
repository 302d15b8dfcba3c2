/* sasl/sasl_test.c - the examples of the RFCs; SCRAM against its arithmetic done once more. */
// SPDX-License-Identifier: ISC
#include "sasl/sasl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

static const struct sasl_channel tls = {
    .service = "smtp", .host = {"server.example.com", 18}, .port = 143, .secured = true};
static const struct sasl_channel open = {.service = "smtp", .host = {"server.example.com", 18}};
static const struct sasl_channel bound = {.service = "smtp",
                                          .host = {"server.example.com", 18},
                                          .secured = true,
                                          .binding = {"0123456789abcdef0123456789abcdef", 32}};
static const struct sasl_channel certified = {.service = "smtp",
                                              .host = {"server.example.com", 18},
                                              .secured = true,
                                              .client_certificate = true};

/* ---- the choice ---- */

static void the_best_that_fits_is_chosen(void **state)
{
    static const struct sasl_login password = {.user = {"me", 2}, .password = {"pw", 2}};
    static const struct sasl_login anyway = {
        .user = {"me", 2}, .password = {"pw", 2}, .plain_anyway = true};
    static const struct sasl_login named = {
        .user = {"me", 2}, .password = {"pw", 2}, .mechanism = {"cram-md5", 8}};
    static const struct sasl_login token = {.user = {"me", 2}, .token = {"t", 1}};
    static const struct sasl_login both = {
        .user = {"me", 2}, .password = {"pw", 2}, .token = {"t", 1}};
    static const struct sasl_login external = {
        .user = {"me", 2}, .password = {"pw", 2}, .mechanism = {"EXTERNAL", 8}};
    static const struct sasl_login nothing = {.user = {"me", 2}};
    static const struct {
        const char *offered, *tried;
        const struct sasl_login *login;
        const struct sasl_channel *channel;
        const char *chosen; /* NULL: none, and why has: */
        const char *why;
    } rows[] = {
        {"PLAIN LOGIN", "", &password, &tls, "PLAIN", NULL},
        {"plain login", "", &password, &tls, "PLAIN", NULL},
        {"LOGIN", "", &password, &tls, "LOGIN", NULL},
        {"LOGIN CRAM-MD5 PLAIN", "", &password, &tls, "PLAIN", NULL},
        {"LOGIN CRAM-MD5 PLAIN", "", &password, &open, "CRAM-MD5", NULL},
        {"LOGIN CRAM-MD5 PLAIN", "", &anyway, &open, "CRAM-MD5", NULL},
        {"LOGIN PLAIN", "", &anyway, &open, "PLAIN", NULL},
        {"LOGIN PLAIN", "", &password, &open, NULL, "not secured"},
        {"PLAIN SCRAM-SHA-1 SCRAM-SHA-256", "", &password, &open, "SCRAM-SHA-256", NULL},
        {"PLAIN SCRAM-SHA-1", "", &password, &tls, "SCRAM-SHA-1", NULL},
        {"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "", &password, &tls, "SCRAM-SHA-256", NULL},
        {"SCRAM-SHA-256 SCRAM-SHA-1-PLUS", "", &password, &bound, "SCRAM-SHA-1-PLUS", NULL},
        {"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "", &password, &bound, "SCRAM-SHA-256-PLUS", NULL},
        {"PLAIN SCRAM-SHA-256", "SCRAM-SHA-256", &password, &tls, "PLAIN", NULL},
        {"PLAIN", "PLAIN", &password, &tls, NULL, "no other way"},
        {"PLAIN CRAM-MD5", "", &named, &tls, "CRAM-MD5", NULL},
        {"PLAIN LOGIN", "", &named, &tls, NULL, "asked for"},
        {"PLAIN XOAUTH2 OAUTHBEARER", "", &token, &tls, "OAUTHBEARER", NULL},
        {"PLAIN XOAUTH2", "", &both, &tls, "XOAUTH2", NULL},
        {"XOAUTH2", "", &token, &open, NULL, "not secured"},
        {"PLAIN", "", &both, &tls, NULL, "OAuth 2"},
        {"XOAUTH2", "", &password, &tls, NULL, "known here"},
        {"PLAIN EXTERNAL", "", &password, &certified, "PLAIN", NULL},
        {"PLAIN EXTERNAL", "", &external, &certified, "EXTERNAL", NULL},
        {"PLAIN EXTERNAL", "", &nothing, &certified, "EXTERNAL", NULL},
        {"PLAIN EXTERNAL", "", &nothing, &tls, NULL, "no password"},
        {"", "", &password, &tls, NULL, "no login here"},
        {" ", "", &password, &open, NULL, "without TLS"},
        {"GSSAPI NTLM", "", &password, &tls, NULL, "known here"},
        {"PLAINTEXT", "", &password, &tls, NULL, "known here"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        const char *why = NULL;
        const char *chosen = sasl_choose(str_c(rows[i].offered), str_c(rows[i].tried),
                                         rows[i].login, rows[i].channel, &why);

        print_message("%zu %s\n", i, rows[i].offered);
        if (rows[i].chosen) {
            assert_non_null(chosen);
            assert_string_equal(chosen, rows[i].chosen);
            assert_null(why);
        } else {
            assert_null(chosen);
            assert_non_null(strstr(why, rows[i].why));
        }
    }
}

/* ---- what is said ---- */

#define TOKEN "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="

static void the_examples_of_the_rfcs(void **state)
{
    static const struct {
        const char *mechanism;
        struct sasl_login login;
        struct str challenges[2], responses[2];
    } rows[] = {
        /* RFC 4616 4 */
        {"PLAIN",
         {.user = {"tim", 3}, .password = {"tanstaaftanstaaf", 16}},
         {{"", 0}},
         {{"\0tim\0tanstaaftanstaaf", 21}}},
        {"PLAIN",
         {.user = {"Kurt", 4}, .authzid = {"Ursel", 5}, .password = {"xipj3plmq", 9}},
         {{"", 0}},
         {{"Ursel\0Kurt\0xipj3plmq", 20}}},
        {"LOGIN",
         {.user = {"tim", 3}, .password = {"tanstaaf", 8}},
         {{"User Name\0", 10}, {"Password\0", 9}},
         {{"tim", 3}, {"tanstaaf", 8}}},
        /* RFC 2195 2 */
        {"CRAM-MD5",
         {.user = {"tim", 3}, .password = {"tanstaaftanstaaf", 16}},
         {{"<1896.697170952@postoffice.reston.mci.net>", 42}},
         {{"tim b913a602c7eda7a495b4e6e7334d3890", 36}}},
        {"EXTERNAL", {.user = {"me", 2}}, {{"", 0}}, {{"", 0}}},
        {"EXTERNAL", {.authzid = {"fred@example.org", 16}}, {{"", 0}}, {{"fred@example.org", 16}}},
        /* RFC 7628 4.1 and 4.3 */
        {"OAUTHBEARER",
         {.user = {"user@example.com", 16}, .token = {TOKEN, sizeof TOKEN - 1}},
         {{"", 0}, {"{\"status\":\"invalid_token\"}", 26}},
         {BYTES("n,a=user@example.com,\001host=server.example.com\001port=143\001auth=Bearer " TOKEN
                "\001\001"),
          {"\001", 1}}},
        {"OAUTHBEARER",
         {.user = {"a=b,c", 5}, .token = {"t", 1}},
         {{"", 0}},
         {BYTES("n,a=a=3Db=2Cc,\001host=server.example.com\001port=143\001auth=Bearer t"
                "\001\001")}},
        {"XOAUTH2",
         {.user = {"someuser@example.com", 20}, .token = {TOKEN, sizeof TOKEN - 1}},
         {{"", 0}, {"{\"status\":\"401\"}", 16}},
         {BYTES("user=someuser@example.com\001auth=Bearer " TOKEN "\001\001"), {"", 0}}},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct sasl *s;
        struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);

        print_message("%zu %s\n", i, rows[i].mechanism);
        assert_int_equal(sasl_new(rows[i].mechanism, &rows[i].login, &tls, &s), 0);
        for (size_t k = 0; k < 2 && rows[i].responses[k].p; k++) {
            assert_int_equal(sasl_step(s, rows[i].challenges[k], &response), SASL_SAY);
            assert_true(str_eq(buf_str(&response), rows[i].responses[k]));
        }
        assert_true(sasl_accepted(s));
        assert_true(str_eq(sasl_server_error(s),
                           rows[i].login.token.n > 0 ? rows[i].challenges[1] : STR_NONE));
        if (rows[i].login.token.n == 0 || rows[i].challenges[1].p)
            assert_int_equal(sasl_step(s, STR("more"), &response), SASL_REFUSE);
        sasl_free(&s);
        assert_null(s);
        sasl_free(&s);
        buf_free(&response);
    }
}

static void what_cannot_be_said_is_refused_before(void **state)
{
    static const struct {
        const char *mechanism;
        struct sasl_login login;
    } rows[] = {
        {"PLAIN", {.user = {"me", 2}, .password = {"a\0b", 3}}},
        {"PLAIN", {.user = {"m\0e", 3}, .password = {"pw", 2}}},
        {"PLAIN", {.user = {"me\r\n", 4}, .password = {"pw", 2}}},
        {"LOGIN", {.user = {"me", 2}, .password = {"a\0b", 3}}},
        {"SCRAM-SHA-256", {.user = {"me", 2}, .password = {"\xff\xfe", 2}}},
        {"SCRAM-SHA-256", {.user = {"\xff", 1}, .password = {"pw", 2}}},
        {"SCRAM-SHA-1", {.user = {"me", 2}, .password = {"a\007b", 3}}}, /* RFC 4013 2.3 */
        {"OAUTHBEARER", {.user = {"me", 2}, .token = {"a\001b", 3}}},
        {"OAUTHBEARER", {.user = {"me", 2}, .token = {"a b", 3}}},
        {"XOAUTH2", {.user = {"m\001e", 3}, .token = {"ab", 2}}},
    };
    static char long_one[SASL_MESSAGE_BYTES_MAX];
    struct sasl *s = NULL;

    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(sasl_new(rows[i].mechanism, &rows[i].login, &tls, &s), -EINVAL);
    memset(long_one, 'x', sizeof long_one);
    struct sasl_login login = {.user = STR("me"), .password = str_n(long_one, sizeof long_one)};
    assert_int_equal(sasl_new("PLAIN", &login, &tls, &s), -EINVAL);
    assert_null(s);
}

/* ---- SCRAM, the server's side ---- */

struct hash {
    const char *mechanism, *digest;
    size_t n;
};

static const struct hash sha1 = {"SCRAM-SHA-1", "SHA1", 20};
static const struct hash sha256 = {"SCRAM-SHA-256", "SHA256", 32};

static void hmac(const struct hash *h, const unsigned char *key, struct str text,
                 unsigned char *ret)
{
    unsigned n = 0;

    assert_non_null(HMAC(EVP_get_digestbyname(h->digest), key, (int)h->n,
                         (const unsigned char *)text.p, text.n, ret, &n));
    assert_int_equal(n, h->n);
}

/* RFC 5802 3: the proof of the client and the signature of the server, in base64. */
static void scram(const struct hash *h, const char *password, struct str salt, int iterations,
                  struct str auth_message, struct buf *proof, struct buf *signature)
{
    unsigned char salted[64], key[64], stored[64], mask[64];
    const EVP_MD *md = EVP_get_digestbyname(h->digest);

    assert_int_equal(PKCS5_PBKDF2_HMAC(password, -1, (const unsigned char *)salt.p, (int)salt.n,
                                       iterations, md, (int)h->n, salted),
                     1);
    hmac(h, salted, STR("Client Key"), key);
    assert_int_equal(EVP_Digest(key, h->n, stored, NULL, md, NULL), 1);
    hmac(h, stored, auth_message, mask);
    for (size_t i = 0; i < h->n; i++)
        key[i] ^= mask[i];
    base64_put(proof, str_n((char *)key, h->n));
    hmac(h, salted, STR("Server Key"), key);
    hmac(h, key, auth_message, mask);
    base64_put(signature, str_n((char *)mask, h->n));
}

/* The arithmetic of this test is that of RFC 7677 3 and RFC 5802 5. */
static void the_reference_is_right(void **state)
{
    struct buf proof = buf_init(200), signature = buf_init(200), salt = buf_init(100);

    assert_true(base64_get(&salt, STR("W22ZaJ0SNY7soEsUEjb6gQ==")));
    scram(&sha256, "pencil", buf_str(&salt), 4096,
          STR("n=user,r=rOprNGfwEbeRWgbNEkqO,"
              "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
              "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
              "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
          &proof, &signature);
    assert_true(str_eq_c(buf_str(&proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    assert_true(str_eq_c(buf_str(&signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    buf_reset(&proof);
    buf_reset(&signature);
    buf_reset(&salt);
    assert_true(base64_get(&salt, STR("QSXCR+Q6sek8bf92")));
    scram(&sha1, "pencil", buf_str(&salt), 4096,
          STR("n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
              "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
              "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"),
          &proof, &signature);
    assert_true(str_eq_c(buf_str(&proof), "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
    assert_true(str_eq_c(buf_str(&signature), "rmF9pqV8S7suAoZWja4dJRkFsKQ="));
    buf_free(&proof);
    buf_free(&signature);
    buf_free(&salt);
}

struct talk { /* one exchange of SCRAM as its server sees it */
    const struct hash *hash;
    const struct sasl_channel *channel;
    const char *mechanism, *asked_for;
    const char *header; /* the GS2 header that is expected */
    const char *server_first_end;
    const char *server_final; /* NULL: as it must be */
    enum sasl_step first, last;
};

static void play(const struct talk *t)
{
    struct sasl_login login = {
        .user = STR("us,er"), .password = STR("pencil"), .mechanism = str_c(t->asked_for)};
    struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX), bare = buf_init(1000);
    struct buf first = buf_init(1000), all = buf_init(4000), bound_data = buf_init(300);
    struct buf proof = buf_init(200), signature = buf_init(200);
    struct sasl *s;

    assert_int_equal(sasl_new(t->mechanism, &login, t->channel, &s), 0);
    assert_true(sasl_client_first(s));
    assert_int_equal(sasl_step(s, STR_NONE, &response), SASL_SAY);
    assert_true(str_starts(buf_str(&response), str_c(t->header)));
    buf_add(&bare, str_skip(buf_str(&response), strlen(t->header)));
    assert_true(str_starts(buf_str(&bare), STR("n=us=2Cer,r=")));
    struct str nonce = str_skip(buf_str(&bare), 12);
    assert_true(nonce.n >= 20);

    buf_printf(&first, "r=%.*sSERVER,s=QSXCR+Q6sek8bf92,%s", STR_ARG(nonce), t->server_first_end);
    assert_int_equal(sasl_step(s, buf_str(&first), &response), t->first);
    assert_false(sasl_accepted(s));
    if (t->first == SASL_SAY) {
        struct str final = buf_str(&response);
        size_t p = str_find_str(final, STR(",p="));

        buf_printf(&all, "%.*s,%.*s,%.*s", STR_ARG(buf_str(&bare)), STR_ARG(buf_str(&first)),
                   (int)p, final.p);
        scram(t->hash, "pencil", STR("A%\302G\344:\261\351<m\377v"), 4096, buf_str(&all), &proof,
              &signature);
        assert_true(str_eq(str_skip(final, p + 3), buf_str(&proof)));
        buf_add_c(&bound_data, t->header);
        if (t->header[0] == 'p')
            buf_add(&bound_data, t->channel->binding);
        struct buf wanted = buf_init(400);
        buf_add_c(&wanted, "c=");
        base64_put(&wanted, buf_str(&bound_data));
        assert_true(str_starts(final, buf_str(&wanted)));
        buf_reset(&wanted);
        buf_printf(&wanted, "v=%.*s", STR_ARG(buf_str(&signature)));
        assert_int_equal(
            sasl_step(s, t->server_final ? str_c(t->server_final) : buf_str(&wanted), &response),
            t->last);
        assert_int_equal(response.n, 0);
        buf_free(&wanted);
    }
    assert_int_equal(sasl_accepted(s), t->first == SASL_SAY && t->last == SASL_SAY);
    sasl_free(&s);
    buf_free(&response);
    buf_free(&bare);
    buf_free(&first);
    buf_free(&all);
    buf_free(&bound_data);
    buf_free(&proof);
    buf_free(&signature);
}

static void scram_proves_both_sides(void **state)
{
    static const struct talk rows[] = {
        {&sha1, &tls, "SCRAM-SHA-1", "", "n,,", "i=4096", NULL, SASL_SAY, SASL_SAY},
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "i=4096", NULL, SASL_SAY, SASL_SAY},
        {&sha256, &open, "SCRAM-SHA-256", "", "n,,", "i=4096", NULL, SASL_SAY, SASL_SAY},
        {&sha256, &bound, "SCRAM-SHA-256-PLUS", "", "p=tls-exporter,,", "i=4096", NULL, SASL_SAY,
         SASL_SAY},
        {&sha1, &bound, "SCRAM-SHA-1-PLUS", "", "p=tls-exporter,,", "i=4096", NULL, SASL_SAY,
         SASL_SAY},
        {&sha256, &bound, "SCRAM-SHA-256", "", "n,,", "i=4096", NULL, SASL_SAY, SASL_SAY},
        /* A server that does not know the password. */
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "i=4096",
         "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SASL_SAY, SASL_REFUSE},
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "i=4096", "v=", SASL_SAY, SASL_REFUSE},
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "i=4096", "", SASL_SAY, SASL_REFUSE},
        /* One that would have us work for ever, or not at all. */
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "i=4294967295", NULL, SASL_REFUSE, SASL_REFUSE},
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "i=0", NULL, SASL_REFUSE, SASL_REFUSE},
        {&sha256, &open, "SCRAM-SHA-256", "", "n,,", "i=1", NULL, SASL_REFUSE, SASL_REFUSE},
        {&sha256, &tls, "SCRAM-SHA-256", "", "n,,", "x=4096", NULL, SASL_REFUSE, SASL_REFUSE},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        print_message("%zu %s %s\n", i, rows[i].mechanism, rows[i].server_first_end);
        play(&rows[i]);
    }
}

static void a_foreign_nonce_is_refused(void **state)
{
    struct sasl_login login = {.user = STR("user"), .password = STR("pencil")};
    struct buf response = buf_init(1000);
    struct sasl *s;

    assert_int_equal(sasl_new("SCRAM-SHA-256", &login, &tls, &s), 0);
    assert_int_equal(sasl_step(s, STR_NONE, &response), SASL_SAY);
    assert_int_equal(sasl_step(s, STR("r=other,s=QSXCR+Q6sek8bf92,i=4096"), &response),
                     SASL_REFUSE);
    assert_false(sasl_accepted(s));
    sasl_free(&s);
    buf_free(&response);
}

static void who_speaks_first(void **state)
{
    static const struct {
        const char *mechanism;
        bool client_first;
    } rows[] = {{"PLAIN", true}, {"LOGIN", false}, {"CRAM-MD5", false}, {"SCRAM-SHA-1", true}};
    struct sasl_login login = {.user = STR("user"), .password = STR("pencil")};

    for (size_t i = 0; i < countof(rows); i++) {
        struct sasl *s;

        assert_int_equal(sasl_new(rows[i].mechanism, &login, &tls, &s), 0);
        assert_int_equal(sasl_client_first(s), rows[i].client_first);
        sasl_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_that_fits_is_chosen),
        cmocka_unit_test(the_examples_of_the_rfcs),
        cmocka_unit_test(what_cannot_be_said_is_refused_before),
        cmocka_unit_test(the_reference_is_right),
        cmocka_unit_test(scram_proves_both_sides),
        cmocka_unit_test(a_foreign_nonce_is_refused),
        cmocka_unit_test(who_speaks_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
