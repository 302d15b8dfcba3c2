/* A server by OpenSSL alone, limited to one version, on the other end of a pair of sockets. */
// SPDX-License-Identifier: ISC
#include "tls/inspect.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include <cmocka.h>

#include "tls/test_peer.h"

static const int numbers[TLS_VERSION_COUNT] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION,
                                               TLS1_3_VERSION};

struct seen {
    bool secured, ended;
    struct stream *stream;
};

static void on_bytes(void *arg, struct buf *in)
{
    buf_reset(in);
}

static void on_end(void *arg, enum stream_end why, int error)
{
    ((struct seen *)arg)->ended = true;
}

static void on_secured(void *arg)
{
    ((struct seen *)arg)->secured = true;
}

static SSL_CTX *server_of(const struct test_certificate *c, enum tls_version v)
{
    SSL_CTX *s = test_server_context(c);

    SSL_CTX_set_security_level(s, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(s, numbers[v]), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(s, numbers[v]), 1);
    return s;
}

/* What a client that offers one version alone sees of a server that takes another one alone. */
static void look(enum tls_version ours, enum tls_version theirs, struct chain *chain)
{
    static const struct stream_events events = {on_bytes, NULL, on_end};
    struct test_certificate certificate = test_certificate_make("mx.test", "DNS:mx.test", 30);
    SSL_CTX *context = server_of(&certificate, theirs);
    struct tls_context *client = tls_version_context(ours);
    struct seen seen = {0};
    struct loop *l = NULL;
    int pair[2];

    assert_non_null(client);
    assert_int_equal(loop_new(&clock_system, &l), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    SSL *server = SSL_new(context);
    SSL_set_fd(server, pair[1]);
    SSL_set_accept_state(server);
    assert_int_equal(stream_new(l, pair[0], &events, &seen, 5000, 5000, &seen.stream), 0);
    struct tls *t = tls_begin(seen.stream, client, STR("mx.test"), on_secured);
    for (int i = 0; i < 50; i++) {
        loop_turn(l, false);
        (void)SSL_do_handshake(server);
    }
    ERR_clear_error();
    assert_int_equal(seen.secured, ours == theirs);
    assert_int_equal(seen.ended, ours != theirs);
    if (seen.secured) {
        struct tls_peer peer;

        tls_peer(t, &peer);
        assert_string_equal(peer.version, tls_version_word(ours));
        assert_true(tls_peer_chain(t, chain));
    }
    stream_free(&seen.stream);
    SSL_free(server);
    SSL_CTX_free(context);
    tls_context_free(&client);
    loop_free(&l);
    (void)close(pair[1]);
    test_certificate_free(&certificate);
}

static void test_versions(void **state)
{
    (void)state;
    for (enum tls_version ours = 0; ours < TLS_VERSION_COUNT; ours++) {
        for (enum tls_version theirs = 0; theirs < TLS_VERSION_COUNT; theirs++) {
            struct chain chain = {0};

            look(ours, theirs, &chain);
            chain_free(&chain);
        }
    }
}

static void test_chains(void **state)
{
    struct buf der = buf_init(64 * KIB);
    struct chain chain = {0};

    (void)state;
    look(TLS_VERSION_13, TLS_VERSION_13, &chain);
    assert_int_equal(chain.count, 1);
    assert_true(chain_has_name(&chain, STR("mx.test")));
    chain_print_der(&chain, 0, &der);
    const unsigned char *p = (const unsigned char *)der.p;
    X509 *again = d2i_X509(NULL, &p, (long)der.n);
    assert_non_null(again);
    assert_int_equal(X509_cmp(again, chain.list[0]), 0);
    X509_free(again);
    buf_free(&der);
    chain_free(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_chains),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
