/* The server's end is ours, the other OpenSSL alone on the second descriptor of a pair. The private
 * keys are "elsewhere": in this test, behind the signer. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/check.h"
#include "tls/remote_key.h"
#include "tls/server.h"
#include "tls/sign.h"
#include "tls/test_peer.h"

enum { KEYS_MAX = 4, TURNS = 60 };

static struct {
    struct test_certificate list[KEYS_MAX];
    size_t count, asked;
    bool away;
} keys;

struct fixture {
    struct loop *loop;
    struct tls_server *server;
    struct stream *stream;
    struct tls *tls;
    SSL_CTX *client_context;
    SSL *client;
    SSL_SESSION *session;
    int peer, error;
    bool secured, ended, deaf;
    struct buf heard;
};

static bool sign(void *arg, uint64_t number, uint8_t scheme, struct str asked,
                 struct buf *signature)
{
    keys.asked++;
    for (size_t i = 0; i < keys.count && !keys.away; i++)
        if (remote_key_number(keys.list[i].x509) == number)
            return sign_handshake(keys.list[i].key, scheme, asked, signature);
    return false;
}

static void on_bytes(void *arg, struct buf *in)
{
    struct fixture *f = arg;

    buf_add(&f->heard, buf_str(in));
    if (!f->deaf)
        buf_reset(in);
}

static void on_end(void *arg, enum stream_end why, int error)
{
    struct fixture *f = arg;

    f->ended = true;
    f->error = error;
}

static void on_secured(void *arg)
{
    ((struct fixture *)arg)->secured = true;
}

static const struct stream_events events = {on_bytes, NULL, on_end};

static struct buf pem_of(X509 *x)
{
    struct buf pem = buf_init(64 * KIB);
    BIO *b = BIO_new(BIO_s_mem());
    char *p;

    check(PEM_write_bio_X509(b, x) == 1);
    long n = BIO_get_mem_data(b, &p);
    buf_add(&pem, str_n(p, (size_t)n));
    BIO_free(b);
    return pem;
}

static void add(struct fixture *f, const char *name, struct test_certificate c)
{
    struct buf pem = pem_of(c.x509);
    struct buf why = buf_init(KIB);

    keys.list[keys.count++] = c;
    if (!tls_server_add(f->server, str_c(name), buf_str(&pem), &why))
        fail_msg("%s", buf_c(&why));
    buf_free(&pem);
    buf_free(&why);
}

static void connect_pair(struct fixture *f)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    f->peer = pair[1];
    f->secured = f->ended = false;
    buf_reset(&f->heard);
    (void)stream_new(f->loop, pair[0], &events, f, 4096, 65536, &f->stream);
}

/* In peace: a client takes a session that ended otherwise for spoiled. */
static void hang_up(struct fixture *f)
{
    if (f->client)
        SSL_set_shutdown(f->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(f->client);
    f->client = NULL;
    stream_free(&f->stream);
    if (f->peer >= 0)
        (void)close(f->peer);
    f->peer = -1;
}

static int setup(void **state)
{
    static bool ready;
    struct fixture *f = mem_new(sizeof *f);

    (void)signal(SIGPIPE, SIG_IGN);
    if (!ready)
        assert_true(remote_keys_init_before_jail(&(struct remote_signer){.sign = sign}));
    ready = true;
    assert_int_equal(loop_new(&clock_system, &f->loop), 0);
    f->heard = buf_init(65536);
    f->server = tls_server_new(false);
    f->client_context = SSL_CTX_new(TLS_client_method());
    f->peer = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hang_up(f);
    loop_free(&f->loop);
    tls_server_drop(&f->server);
    SSL_SESSION_free(f->session);
    SSL_CTX_free(f->client_context);
    buf_free(&f->heard);
    for (size_t i = 0; i < keys.count; i++)
        test_certificate_free(&keys.list[i]);
    keys.count = keys.asked = 0;
    keys.away = false;
    tls_tickets_take(STR_NONE);
    free(f);
    return 0;
}

static void shake(struct fixture *f, const char *sni, bool ask)
{
    connect_pair(f);
    f->client = SSL_new(f->client_context);
    SSL_set_fd(f->client, f->peer);
    SSL_set_connect_state(f->client);
    if (sni) {
        char name[256];
        (void)snprintf(name, sizeof name, "%s", sni);
        (void)SSL_set_tlsext_host_name(f->client, name);
    }
    if (f->session)
        (void)SSL_set_session(f->client, f->session);
    f->tls = tls_accept(f->stream, f->server, ask, on_secured);
    for (int i = 0; i < TURNS && !f->ended; i++) {
        (void)SSL_do_handshake(f->client);
        loop_turn(f->loop, false);
    }
    ERR_clear_error();
}

/* What the client got is read, tickets included. */
static void client_hears(struct fixture *f, const char *expected)
{
    char got[100] = "";

    assert_true(stream_write(f->stream, str_c(expected)));
    for (int i = 0; i < TURNS && !got[0]; i++) {
        loop_turn(f->loop, false);
        (void)SSL_read(f->client, got, sizeof got - 1);
    }
    assert_string_equal(got, expected);
}

static struct test_certificate rsa_certificate(const char *cn)
{
    struct test_certificate c = test_certificate_make(cn, NULL, 30);

    EVP_PKEY_free(c.key);
    c.key = EVP_RSA_gen(2048);
    X509_set_pubkey(c.x509, c.key);
    check(X509_sign(c.x509, c.key, EVP_sha256()) > 0);
    return c;
}

/* ---- stories ---- */

static void handshakes_ask_for_signatures(void **state)
{
    static const struct {
        bool rsa;
        int version;
        const char *words;
    } rows[] = {
        {false, TLS1_3_VERSION, "TLSv1.3 TLS_AES_128_GCM_SHA256"},
        {false, TLS1_2_VERSION, "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256"},
        {true, TLS1_3_VERSION, "TLSv1.3 TLS_AES_128_GCM_SHA256"},
        {true, TLS1_2_VERSION, "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct buf words = buf_init(KIB);

        tls_server_drop(&f->server);
        f->server = tls_server_new(false);
        keys.asked = 0;
        add(f, "",
            rows[i].rsa ? rsa_certificate("mx.test") : test_certificate_make("mx.test", NULL, 30));
        SSL_CTX_set_min_proto_version(f->client_context, rows[i].version);
        SSL_CTX_set_max_proto_version(f->client_context, rows[i].version);
        shake(f, NULL, false);
        assert_true(f->secured);
        assert_int_equal(keys.asked, 1);
        tls_words(f->tls, &words);
        assert_string_equal(buf_c(&words), rows[i].words);
        client_hears(f, "220 hello\r\n");
        hang_up(f);
        buf_free(&words);
    }
}

static void nobody_signs(void **state)
{
    struct fixture *f = *state;

    add(f, "", test_certificate_make("mx.test", NULL, 30));
    keys.away = true;
    shake(f, NULL, false);
    assert_false(f->secured);
    assert_true(f->ended);
    assert_string_not_equal(tls_failure(f->tls, f->error), "");
}

static void modern_is_1_3_only(void **state)
{
    struct fixture *f = *state;

    tls_server_drop(&f->server);
    f->server = tls_server_new(true);
    add(f, "", test_certificate_make("mx.test", NULL, 30));
    SSL_CTX_set_max_proto_version(f->client_context, TLS1_2_VERSION);
    shake(f, NULL, false);
    assert_false(f->secured);
    assert_string_equal(tls_failure(f->tls, f->error), "unsupported protocol");
}

static void names_choose(void **state)
{
    static const struct {
        const char *asked;
        size_t expect;
    } rows[] = {
        {NULL, 0},         {"", 0},
        {"a.test", 0},     {"b.test", 1},
        {"B.TEST", 1},     {"x.star.test", 2},
        {"star.test", 2},  {"y.x.star.test", 0},
        {"other.test", 0}, {"also-b.test", 1},
        {"b.test.", 0},
    };
    struct fixture *f = *state;

    add(f, "", test_certificate_make("a", "DNS:a.test", 30));
    add(f, "b.test", test_certificate_make("b", "DNS:b.test,DNS:also-b.test", 30));
    add(f, "star.test", test_certificate_make("c", "DNS:*.star.test", 30));
    for (size_t i = 0; i < countof(rows); i++)
        if (tls_server_choose(f->server, rows[i].asked) != rows[i].expect)
            fail_msg("%s", rows[i].asked);
    shake(f, "b.test", false);
    assert_true(f->secured);
    X509 *shown = SSL_get1_peer_certificate(f->client);
    assert_int_equal(X509_cmp(shown, keys.list[1].x509), 0);
    X509_free(shown);
}

static void tickets_go_on_in_the_next_set(void **state)
{
    static const char keys_bytes[2 * TICKET_KEY_BYTES] = "a name of 16 byte"
                                                         "the rest";
    struct fixture *f = *state;
    struct test_certificate same;

    add(f, "", test_certificate_make("mx.test", NULL, 30));
    tls_tickets_take(str_n(keys_bytes, TICKET_KEY_BYTES));
    shake(f, NULL, false);
    client_hears(f, "hello");
    f->session = SSL_get1_session(f->client);
    assert_true(SSL_SESSION_is_resumable(f->session));
    hang_up(f);

    same = keys.list[0];
    X509_up_ref(same.x509);
    EVP_PKEY_up_ref(same.key);
    tls_server_drop(&f->server);
    f->server = tls_server_new(false);
    add(f, "", same);
    keys.asked = 0;
    shake(f, NULL, false);
    assert_true(f->secured);
    assert_true(SSL_session_reused(f->client));
    assert_int_equal(keys.asked, 0);
    hang_up(f);

    tls_tickets_take(STR_NONE); /* the key is gone: a whole handshake */
    shake(f, NULL, false);
    assert_true(f->secured);
    assert_false(SSL_session_reused(f->client));
}

static void clients_may_show_a_certificate(void **state)
{
    struct fixture *f = *state;
    struct test_certificate own = test_certificate_make("bob", NULL, 30);

    add(f, "", test_certificate_make("mx.test", NULL, 30));
    SSL_CTX_use_certificate(f->client_context, own.x509);
    SSL_CTX_use_PrivateKey(f->client_context, own.key);
    for (int trusted = 0; trusted < 2; trusted++) {
        struct buf words = buf_init(KIB), pem = pem_of(own.x509);

        if (trusted) {
            tls_server_drop(&f->server);
            f->server = tls_server_new(false);
            assert_int_equal(tls_server_trust(f->server, buf_str(&pem)), 1);
            add(f, "", test_certificate_make("mx.test", NULL, 30));
        }
        shake(f, NULL, true);
        assert_true(f->secured);
        tls_words(f->tls, &words);
        assert_string_equal(
            buf_c(&words),
            trusted ? "TLSv1.3 TLS_AES_128_GCM_SHA256, client CN=bob of CN=bob verified yes"
                    : "TLSv1.3 TLS_AES_128_GCM_SHA256, client CN=bob of CN=bob verified no");
        hang_up(f);
        buf_free(&words);
        buf_free(&pem);
    }
    shake(f, NULL, false); /* not asked, not shown */
    struct tls_peer p;
    tls_peer(f->tls, &p);
    assert_false(p.has_certificate);
    test_certificate_free(&own);
}

/* RFC 3207 6: what was said in plain text before is not a command inside. */
static void what_was_pipelined_is_thrown_away(void **state)
{
    struct fixture *f = *state;

    add(f, "", test_certificate_make("mx.test", NULL, 30));
    connect_pair(f);
    f->deaf = true;
    assert_int_equal(write(f->peer, "RSET\r\n", 6), 6);
    while (f->heard.n == 0)
        loop_turn(f->loop, true);
    f->deaf = false;
    buf_reset(&f->heard);
    f->client = SSL_new(f->client_context);
    SSL_set_fd(f->client, f->peer);
    SSL_set_connect_state(f->client);
    f->tls = tls_accept(f->stream, f->server, false, on_secured);
    for (int i = 0; i < TURNS; i++) {
        (void)SSL_do_handshake(f->client);
        loop_turn(f->loop, false);
    }
    assert_true(f->secured);
    assert_int_equal(SSL_write(f->client, "NOOP\r\n", 6), 6);
    for (int i = 0; i < 5; i++)
        loop_turn(f->loop, false);
    assert_true(str_eq_c(buf_str(&f->heard), "NOOP\r\n"));
}

static void a_set_lives_as_long_as_its_connections(void **state)
{
    struct fixture *f = *state;

    add(f, "", test_certificate_make("mx.test", NULL, 30));
    connect_pair(f);
    f->client = SSL_new(f->client_context);
    SSL_set_fd(f->client, f->peer);
    SSL_set_connect_state(f->client);
    f->tls = tls_accept(f->stream, f->server, false, on_secured);
    tls_server_drop(&f->server);
    f->server = tls_server_new(false);
    for (int i = 0; i < TURNS; i++) {
        (void)SSL_do_handshake(f->client);
        loop_turn(f->loop, false);
    }
    assert_true(f->secured);
    client_hears(f, "still here");
}

static void wrong_chains_are_refused(void **state)
{
    static const struct {
        const char *pem, *why;
    } rows[] = {
        {"", "no certificate is in it (PEM: -----BEGIN CERTIFICATE-----)"},
        {"hello\n", "no certificate is in it (PEM: -----BEGIN CERTIFICATE-----)"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
         "certificate number 1 in it cannot be read"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct buf why = buf_init(KIB);

        assert_false(tls_server_add(f->server, STR("x.test"), str_c(rows[i].pem), &why));
        assert_string_equal(buf_c(&why), rows[i].why);
        assert_false(tls_server_works(f->server));
        buf_free(&why);
    }
}

#define STORY(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(handshakes_ask_for_signatures),
        STORY(nobody_signs),
        STORY(modern_is_1_3_only),
        STORY(names_choose),
        STORY(tickets_go_on_in_the_next_set),
        STORY(clients_may_show_a_certificate),
        STORY(what_was_pipelined_is_thrown_away),
        STORY(a_set_lives_as_long_as_its_connections),
        STORY(wrong_chains_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
