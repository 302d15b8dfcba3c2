/* logind/exchange_test.c - every mechanism against GNU SASL's own clients, and byte by byte. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/logind/fake_accounts.h"

/* ---- responses as they are typed ---- */

static void begin(struct fake_accounts *f, const char *mechanism, struct exchange **ret)
{
    *ret = exchange_new(f->all, &(struct exchange_begin){.mechanism = str_c(mechanism),
                                                         .client = STR("192.0.2.1")});
}

static const struct {
    const char *mechanism;
    struct str responses[3]; /* p NULL: none */
    const char *challenges[3];
    const char *reply, *login; /* how it ends */
    bool counted;              /* as a failure */
} rows[] = {
#define B(text)                                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
    {"PLAIN", {B("\0bob@example.test\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("\0BOB\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("bob\0bob\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("bob@EXAMPLE.test\0bob\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("alice\0bob\0secret")}, {0}, "535 5.7.8", "bob@example.test", true},
    {"PLAIN", {NONE, B("\0bob\0secret")}, {""}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B(""), B("\0bob\0secret")}, {""}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("\0bob\0Secret")}, {0}, "535 5.7.8", "bob@example.test", true},
    {"PLAIN", {B("\0bob\0")}, {0}, "535 5.7.8", "bob@example.test", true},
    {"PLAIN", {B("\0robert\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("robert\0robert\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("bob\0robert\0secret")}, {0}, "235 2.7.0", "bob@example.test", false},
    {"PLAIN", {B("\0robert\0wrong")}, {0}, "535 5.7.8", "bob@example.test", true},
    {"PLAIN", {B("\0hung\0secret")}, {0}, "454 4.7.0", "hung@example.test", false},
    {"PLAIN", {B("\0nobody\0secret")}, {0}, "535 5.7.8", "nobody@example.test", true},
    {"PLAIN", {B("\0off\0secret")}, {0}, "535 5.7.8", "off@example.test", true},
    {"PLAIN", {B("\0hashed\0secret")}, {0}, "235 2.7.0", "hashed@example.test", false},
    {"PLAIN", {B("\0bob@elsewhere.test\0secret")}, {0}, "535 5.7.8", "bob@elsewhere.test", true},
    {"PLAIN", {B("\0bob@@\0secret")}, {0}, "535 5.7.8", "bob@@", true},
    {"PLAIN", {B("\0error\0secret")}, {0}, "454 4.7.0", "error@example.test", false},
    {"PLAIN", {B("\0waiting\0secret")}, {0}, "454 4.7.0", "waiting@example.test", false},
    {"PLAIN", {B("bob")}, {0}, "501 5.5.2", "", false},
    {"PLAIN", {B("\0\0secret")}, {0}, "535 5.7.8", "", true},
    {"PLAIN", {B("\0bob\0secret\0x")}, {0}, "501 5.5.2", "", false},
    {"LOGIN",
     {NONE, B("bob"), B("secret")},
     {"Username:", "Password:"},
     "235 2.7.0",
     "bob@example.test",
     false},
    {"LOGIN", {B("bob"), B("secret")}, {"Password:"}, "235 2.7.0", "bob@example.test", false},
    {"LOGIN",
     {NONE, B("bob"), B("wrong")},
     {"Username:", "Password:"},
     "535 5.7.8",
     "bob@example.test",
     true},
    {"LOGIN", {NONE, B("bob"), B("secret\0")}, {"Username:", "Password:"}, "501 5.5.2", "", false},
    {"CRAM-MD5", {B("bob x")}, {0}, "501 5.5.2", "", false},
    {"CRAM-MD5", {NONE, B("bob")}, {"<*"}, "501 5.5.2", "", false},
    {"CRAM-MD5",
     {NONE, B("bob 00112233445566778899aabbccddeeff")},
     {"<*"},
     "535 5.7.8",
     "bob@example.test",
     true},
    {"CRAM-MD5",
     {NONE, B("hashed 00112233445566778899aabbccddeeff")},
     {"<*"},
     "534 5.7.9",
     "hashed@example.test",
     false},
    {"CRAM-MD5",
     {NONE, B("nobody 00112233445566778899aabbccddeeff")},
     {"<*"},
     "534 5.7.9",
     "nobody@example.test",
     false},
    {"SCRAM-SHA-256", {B("rubbish")}, {0}, "501 5.5.2", "", false},
    {"SCRAM-SHA-256", {B("n,,n=waiting,r=abc")}, {0}, "454 4.7.0", "waiting@example.test", false},
    {"SCRAM-SHA-256-PLUS", {B("p=tls-exporter,,n=bob,r=abc")}, {0}, "504 5.5.4", "", false},
    {"EXTERNAL", {B("bob")}, {0}, "504 5.5.4", "", false},
    {"ANONYMOUS", {B("x")}, {0}, "504 5.5.4", "", false},
    {"DIGEST-MD5", {NONE}, {0}, "504 5.5.4", "", false},
    {"plain", {NONE}, {0}, "504 5.5.4", "", false},
    {"", {NONE}, {0}, "504 5.5.4", "", false},
};

static void check_challenge(struct str got, const char *wanted)
{
    assert_non_null(wanted);
    if (strcmp(wanted, "<*") == 0)
        assert_true(str_starts(got, STR("<")));
    else
        assert_true(str_eq_c(got, wanted));
}

static void check_end(const struct exchange_answer *a, const char *reply)
{
    char said[32];

    assert_true(a->done);
    (void)snprintf(said, sizeof said, "%u %u.%u.%u", a->status.code, a->status.class,
                   a->status.subject, a->status.detail);
    assert_string_equal(said, reply);
    assert_true((a->why == NULL) == status_done(&a->status));
}

static void typed(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct fake_accounts f;
        struct exchange *x;
        struct exchange_answer a = {0};
        size_t step = 0;

        print_message("%zu %s %s\n", i, rows[i].mechanism, rows[i].reply);
        fake_accounts_init(&f);
        begin(&f, rows[i].mechanism, &x);
        for (;; step++) {
            struct str r = rows[i].responses[step];

            fake_step(&f, x, r.p != NULL, r, &a);
            if (a.done)
                break;
            assert_true(step < 2);
            check_challenge(a.challenge, rows[i].challenges[step]);
        }
        check_end(&a, rows[i].reply);
        assert_true(str_eq_c(a.login, rows[i].login));
        assert_int_equal(f.failed_count, rows[i].counted);
        assert_int_equal(f.succeeded_count, status_done(&a.status));
        exchange_free(&x);
        exchanges_free(&f.all);
    }
}

/* The work is the same whoever it is: one hash, also for who is not there or may not come in. */
static void unknown_costs_the_same(void **state)
{
    static const char *const logins[] = {"bob", "nobody", "off", "hashed", "bob@elsewhere.test",
                                         "@@"};

    for (size_t i = 0; i < countof(logins); i++) {
        struct fake_accounts f;
        struct exchange *x;
        struct exchange_answer a;
        struct buf response = buf_init(100);

        fake_accounts_init(&f);
        buf_add_char(&response, '\0');
        buf_add_c(&response, logins[i]);
        buf_add(&response, STR("\0wrong"));
        begin(&f, "PLAIN", &x);
        fake_step(&f, x, true, buf_str(&response), &a);
        check_end(&a, "535 5.7.8");
        assert_int_equal(f.matched_count, 1);
        assert_int_equal(f.failed_count, 1);
        buf_free(&response);
        exchange_free(&x);
        exchanges_free(&f.all);
    }
}

/* ---- GNU SASL's own client ---- */

struct client {
    const char *mechanism, *login, *password, *as, *client_binding, *server_binding, *certificate;
    const char *reply;
};

static void play(struct fake_accounts *f, const struct client *c, struct exchange_answer *a)
{
    Gsasl *library;
    Gsasl_session *s;
    char *out = NULL;
    size_t n = 0;
    struct exchange *x =
        exchange_new(f->all, &(struct exchange_begin){.mechanism = str_c(c->mechanism),
                                                      .client = STR("192.0.2.1"),
                                                      .binding = str_c(c->server_binding),
                                                      .certificate = str_c(c->certificate)});
    struct buf binding = buf_init(100);

    assert_int_equal(gsasl_init(&library), GSASL_OK);
    base64_put(&binding, str_c(c->client_binding));
    assert_int_equal(gsasl_client_start(library, c->mechanism, &s), GSASL_OK);
    gsasl_property_set(s, GSASL_AUTHID, c->login);
    gsasl_property_set(s, GSASL_PASSWORD, c->password);
    gsasl_property_set(s, GSASL_AUTHZID, c->as);
    if (c->client_binding)
        gsasl_property_set(s, GSASL_CB_TLS_EXPORTER, buf_c(&binding));
    fake_step(f, x, false, STR_NONE, a);
    while (!a->done) {
        int rc = gsasl_step(s, a->challenge.p, a->challenge.n, &out, &n);

        assert_true(rc == GSASL_OK || rc == GSASL_NEEDS_MORE);
        fake_step(f, x, true, str_n(out ? out : "", n), a);
        gsasl_free(out);
    }
    check_end(a, c->reply);
    if (status_done(&a->status))
        assert_true(str_eq_c(a->login, "bob@example.test"));
    buf_free(&binding);
    gsasl_finish(s);
    gsasl_done(library);
    exchange_free(&x);
}

static void other_clients(void **state)
{
    static const char exporter[] = "0123456789abcdef0123456789abcdef";
    static const char in[] = "235 2.7.0", no[] = "535 5.7.8";
    static const struct client clients[] = {
        {"PLAIN", "bob", "secret", NULL, NULL, NULL, NULL, in},
        {"LOGIN", "bob", "secret", NULL, NULL, NULL, NULL, in},
        {"CRAM-MD5", "bob@example.test", "secret", NULL, NULL, NULL, NULL, in},
        {"CRAM-MD5", "bob", "wrong", NULL, NULL, NULL, NULL, no},
        {"CRAM-MD5", "off", "secret", NULL, NULL, NULL, NULL, "534 5.7.9"},
        {"SCRAM-SHA-1", "bob", "secret", NULL, NULL, NULL, NULL, in},
        {"SCRAM-SHA-1", "bob", "wrong", NULL, NULL, NULL, NULL, no},
        {"SCRAM-SHA-1", "hashed", "secret", NULL, NULL, NULL, NULL, no},
        {"SCRAM-SHA-256", "bob@example.test", "secret", NULL, NULL, NULL, NULL, in},
        {"SCRAM-SHA-256", "bob", "secret", "bob@example.test", NULL, NULL, NULL, in},
        {"SCRAM-SHA-256", "bob", "secret", "alice@example.test", NULL, NULL, NULL, no},
        {"SCRAM-SHA-256", "bob", "wrong", NULL, NULL, NULL, NULL, no},
        {"SCRAM-SHA-256", "robert", "secret", NULL, NULL, NULL, NULL, in},
        {"CRAM-MD5", "robert", "secret", NULL, NULL, NULL, NULL, in},
        {"SCRAM-SHA-256", "nobody", "secret", NULL, NULL, NULL, NULL, no},
        {"SCRAM-SHA-256", "off", "secret", NULL, NULL, NULL, NULL, no},
        {"SCRAM-SHA-1-PLUS", "bob", "secret", NULL, exporter, exporter, NULL, in},
        {"SCRAM-SHA-256-PLUS", "bob", "secret", NULL, exporter, exporter, NULL, in},
        {"SCRAM-SHA-256-PLUS", "bob", "wrong", NULL, exporter, exporter, NULL, no},
        /* somebody in the middle: another connection to us than theirs */
        {"SCRAM-SHA-256-PLUS", "bob", "secret", NULL, exporter, "another connection", NULL, no},
        {"EXTERNAL", NULL, NULL, "", NULL, NULL, "bob@example.test", in},
        {"EXTERNAL", NULL, NULL, "bob@example.test", NULL, NULL, "bob@example.test", in},
        {"EXTERNAL", NULL, NULL, "alice@example.test", NULL, NULL, "bob@example.test", no},
        {"EXTERNAL", NULL, NULL, "", NULL, NULL, "robert@example.test", in},
        {"EXTERNAL", NULL, NULL, "", NULL, NULL, "off@example.test", no},
        {"EXTERNAL", NULL, NULL, "", NULL, NULL, "nobody@example.test", no},
    };

    for (size_t i = 0; i < countof(clients); i++) {
        struct fake_accounts f;
        struct exchange_answer a;

        fake_accounts_init(&f);
        print_message("%s %s\n", clients[i].mechanism, clients[i].reply);
        play(&f, &clients[i], &a);
        exchanges_free(&f.all);
    }
}

/* PLAIN would ask for ever. */
static void empty_responses_have_an_end(void **state)
{
    static const char *const names[] = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"};

    for (size_t i = 0; i < countof(names); i++) {
        struct fake_accounts f;
        struct exchange_answer a = {0};
        struct exchange *x;

        fake_accounts_init(&f);
        begin(&f, names[i], &x);
        for (size_t step = 0; !a.done; step++) {
            assert_true(step < 6);
            fake_step(&f, x, step > 0, STR(""), &a);
        }
        check_end(&a, "501 5.5.2");
        exchange_free(&x);
        exchanges_free(&f.all);
    }
}

/* "y": the client could bind, and believes that we cannot. Somebody in the middle has taken -PLUS
 * out of what we offered. */
static void a_downgrade_is_seen(void **state)
{
    static const struct str bindings[] = {{NULL, 0}, {"0123456789abcdef", 16}};

    for (size_t i = 0; i < countof(bindings); i++) {
        struct fake_accounts f;
        struct exchange_answer a;

        fake_accounts_init(&f);

        struct exchange *x =
            exchange_new(f.all, &(struct exchange_begin){.mechanism = STR("SCRAM-SHA-256"),
                                                         .binding = bindings[i]});

        fake_step(&f, x, true, STR("y,,n=bob,r=abc"), &a);
        assert_true(a.done == (bindings[i].n > 0));
        if (a.done)
            check_end(&a, "535 5.7.8");
        exchange_free(&x);
        exchanges_free(&f.all);
    }
}

/* Who asks for the salt of a login that is not there gets one, the same each time. */
static void unknown_has_a_salt(void **state)
{
    struct fake_accounts f;
    struct str salts[2];
    struct arena keep = ARENA_INIT;

    fake_accounts_init(&f);
    for (size_t i = 0; i < 2; i++) {
        struct exchange *x;
        struct exchange_answer a;

        begin(&f, "SCRAM-SHA-256", &x);
        fake_step(&f, x, true, STR("n,,n=nobody,r=abc"), &a);
        assert_false(a.done);
        salts[i] = arena_copy(&keep, str_skip(a.challenge, str_find_str(a.challenge, STR(",s="))));
        fake_step(&f, x, true, STR("c=biws,r=abc,p=AAAA"), &a);
        assert_true(a.done && a.status.code >= 500);
        exchange_free(&x);
    }
    assert_true(salts[0].n > 20 && str_eq(salts[0], salts[1]));
    arena_free(&keep);
    exchanges_free(&f.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed),
        cmocka_unit_test(unknown_costs_the_same),
        cmocka_unit_test(other_clients),
        cmocka_unit_test(empty_responses_have_an_end),
        cmocka_unit_test(a_downgrade_is_seen),
        cmocka_unit_test(unknown_has_a_salt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
