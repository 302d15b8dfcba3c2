// SPDX-License-Identifier: ISC
#include "tls/tls.h"

#include <errno.h>
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

#include "base/check.h"
#include "tls/policy.h"
#include "tls/test_peer.h"

enum { IN_BYTES_MAX = 5000, OUT_BYTES_MAX = 8 << 20, TURNS_MAX = 4000 };

/* One end is a stream of ours, the other OpenSSL on the second descriptor of a pair. */
struct fixture {
    struct loop *loop;
    struct stream *stream;
    struct tls_context *context;
    struct tls *tls;
    int peer;
    struct test_certificate certificate;
    SSL_CTX *server_context;
    SSL *server;

    struct buf heard;
    size_t pause_at; /* the stream pauses once it has heard so much */
    bool keeps;      /* leaves in the stream what it is handed */
    bool secured, ended;
    enum stream_end end;
    int error;
    size_t drained_count;
};

static void on_bytes(void *arg, struct buf *in)
{
    struct fixture *f = arg;

    if (f->keeps)
        return;
    buf_add(&f->heard, buf_str(in));
    buf_reset(in);
    if (f->pause_at && f->heard.n >= f->pause_at) {
        f->pause_at = 0;
        stream_pause(f->stream);
    }
}

static void on_drained(void *arg)
{
    ((struct fixture *)arg)->drained_count++;
}

static void on_end(void *arg, enum stream_end why, int error)
{
    struct fixture *f = arg;

    f->ended = true;
    f->end = why;
    f->error = error;
}

static void on_secured(void *arg)
{
    ((struct fixture *)arg)->secured = true;
}

static const struct stream_events events = {on_bytes, on_drained, on_end};

static void use_certificate(struct fixture *f, const char *cn, const char *san, int days)
{
    SSL_free(f->server);
    SSL_CTX_free(f->server_context);
    test_certificate_free(&f->certificate);
    f->certificate = test_certificate_make(cn, san, days);
    f->server_context = test_server_context(&f->certificate);
    f->server = SSL_new(f->server_context);
    SSL_set_fd(f->server, f->peer);
    SSL_set_accept_state(f->server);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof *f);
    int pair[2];

    (void)signal(SIGPIPE, SIG_IGN); /* the server's end is OpenSSL's own socket */
    f->heard = buf_init(OUT_BYTES_MAX);
    assert_int_equal(loop_new(&clock_system, &f->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    f->peer = pair[1];
    f->context = tls_client_context_before_jail();
    assert_non_null(f->context);
    use_certificate(f, "mx.test", "DNS:mx.test", 30);
    *state = f;
    return stream_new(f->loop, pair[0], &events, f, IN_BYTES_MAX, OUT_BYTES_MAX, &f->stream);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    stream_free(&f->stream);
    loop_free(&f->loop);
    SSL_free(f->server);
    SSL_CTX_free(f->server_context);
    test_certificate_free(&f->certificate);
    tls_context_free(&f->context);
    if (f->peer >= 0)
        (void)close(f->peer);
    buf_free(&f->heard);
    free(f);
    return 0;
}

/* Turns of the loop and steps of the server, until the handshake is over on both sides or dead. */
static void shake(struct fixture *f, const char *host)
{
    f->tls = tls_begin(f->stream, f->context, str_c(host), on_secured);
    assert_false(f->secured);
    for (int i = 0; i < 50; i++) {
        loop_turn(f->loop, false);
        (void)SSL_do_handshake(f->server);
    }
    ERR_clear_error();
}

static void server_says(struct fixture *f, const char *p, size_t n)
{
    while (n > 0) {
        int sent = SSL_write(f->server, p, (int)MIN_OF(n, (size_t)16384));
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
        loop_turn(f->loop, false);
    }
}

static void settle(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        loop_turn(f->loop, false);
}

/* ---- stories ---- */

static void bytes_go_both_ways(void **state)
{
    struct fixture *f = *state;
    char got[100] = "";

    shake(f, "mx.test");
    assert_true(f->secured);
    assert_string_equal(SSL_get_servername(f->server, TLSEXT_NAMETYPE_host_name), "mx.test");
    assert_true(stream_write(f->stream, STR("EHLO me\r\n")));
    settle(f);
    assert_int_equal(SSL_read(f->server, got, sizeof got), 9);
    assert_string_equal(got, "EHLO me\r\n");
    assert_int_equal(f->drained_count, 1);
    server_says(f, "250 you\r\n", 9);
    settle(f);
    assert_true(str_eq_c(buf_str(&f->heard), "250 you\r\n"));
}

/* Every size around a record's, through an `in` that is smaller than a record. */
static void sizes_around_a_record(void **state)
{
    static const size_t sizes[] = {1, 4999, 5000, 5001, 16383, 16384, 16385, 70000};
    struct fixture *f = *state;
    char *bytes = mem_new(70000);

    for (size_t i = 0; i < 70000; i++)
        bytes[i] = (char)(i * 7 % 251);
    shake(f, "mx.test");
    for (size_t i = 0; i < countof(sizes); i++) {
        buf_reset(&f->heard);
        server_says(f, bytes, sizes[i]);
        settle(f);
        assert_int_equal(f->heard.n, sizes[i]);
        assert_memory_equal(f->heard.p, bytes, sizes[i]);
    }
    free(bytes);
}

static void a_pause_in_the_middle_of_a_record_loses_nothing(void **state)
{
    struct fixture *f = *state;
    char bytes[16000];

    memset(bytes, 'x', sizeof bytes);
    shake(f, "mx.test");
    f->pause_at = 5000;
    server_says(f, bytes, sizeof bytes);
    settle(f);
    assert_in_range(f->heard.n, 5000, 15999);
    stream_resume(f->stream);
    settle(f);
    assert_int_equal(f->heard.n, sizeof bytes);
}

/* Much more than the socket takes at once: the writer is held up, nothing gets lost or doubled. */
static void a_slow_reader_gets_all(void **state)
{
    enum { TOTAL = 4 << 20 };
    struct fixture *f = *state;
    char *bytes = mem_new(TOTAL), *got = mem_new(TOTAL);
    size_t n = 0;

    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = (char)(i / 3);
    shake(f, "mx.test");
    assert_true(stream_write(f->stream, str_n(bytes, TOTAL)));
    for (int i = 0; n < TOTAL && i < TURNS_MAX; i++) {
        loop_turn(f->loop, false);
        int r = SSL_read(f->server, got + n, 5003);
        n += r > 0 ? (size_t)r : 0;
    }
    assert_int_equal(n, TOTAL);
    assert_memory_equal(got, bytes, TOTAL);
    settle(f);
    assert_int_equal(f->drained_count, 1);
    free(bytes);
    free(got);
}

/* RFC 3207 6: what came before the handshake is not heard after it. */
static void injected_bytes_do_not_survive(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(write(f->peer, "250 from a stranger\r\n", 21), 21);
    f->keeps = true;
    settle(f);
    f->keeps = false;
    shake(f, "mx.test");
    assert_true(f->secured);
    server_says(f, "250 mx\r\n", 8);
    settle(f);
    assert_true(str_eq_c(buf_str(&f->heard), "250 mx\r\n"));
}

static void what_was_written_before_leaves_first(void **state)
{
    struct fixture *f = *state;
    char got[100] = "";

    assert_true(stream_write(f->stream, STR("STARTTLS\r\n")));
    f->tls = tls_begin(f->stream, f->context, STR("mx.test"), on_secured);
    settle(f);
    assert_int_equal(read(f->peer, got, 10), 10);
    assert_string_equal(got, "STARTTLS\r\n");
    for (int i = 0; i < 20; i++) {
        (void)SSL_do_handshake(f->server);
        loop_turn(f->loop, false);
    }
    assert_true(f->secured);
}

static void failures_have_words(void **state)
{
    static const struct {
        const char *said; /* by the peer, then it closes if `closes` */
        bool closes;
        int error;
        const char *words;
    } rows[] = {
        {"", true, ECONNRESET, "closed by the other side"},
        {"250 what do you mean?\r\n", false, EPROTO, "wrong version number"},
        {"\x15\x03\x03\x00\x02\x02\x28", false, EPROTO, "sslv3 alert handshake failure"},
        {"\x16\x03\x03\x00\x05\x02\x00\x00\x01", true, ECONNRESET, "closed by the other side"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(rows); i++) {
        int pair[2];

        f->secured = f->ended = false;
        stream_free(&f->stream);
        settle(f);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        stream_new(f->loop, pair[0], &events, f, IN_BYTES_MAX, OUT_BYTES_MAX, &f->stream);
        f->tls = tls_begin(f->stream, f->context, STR("mx.test"), on_secured);
        settle(f);
        size_t n = i < 2 ? strlen(rows[i].said) : i == 2 ? 7 : 9;
        assert_int_equal(write(pair[1], rows[i].said, n), n);
        if (rows[i].closes)
            shutdown(pair[1], SHUT_WR);
        settle(f);
        assert_true(f->ended && !f->secured);
        assert_int_equal(f->end, STREAM_ERROR);
        assert_string_equal(tls_failure(f->tls, f->error), rows[i].words);
        assert_false(stream_write(f->stream, STR("QUIT\r\n"))); /* not in the clear */
        settle(f);
        char rest[2000];
        ssize_t got = read(pair[1], rest, sizeof rest);
        assert_null(got > 0 ? memmem(rest, (size_t)got, "QUIT", 4) : NULL);
        close(pair[1]);
    }
}

/* The server's bytes one by one: every state of the handshake is left and entered again. */
static void a_trickle_is_enough(void **state)
{
    struct fixture *f = *state;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char bytes[4096];
    char c;

    SSL_set_bio(f->server, in, out);
    BIO_set_mem_eof_return(in, -1);
    f->tls = tls_begin(f->stream, f->context, STR("mx.test"), on_secured);
    for (int i = 0; i < TURNS_MAX && !f->secured && !f->ended; i++) {
        loop_turn(f->loop, false);
        ssize_t got = read(f->peer, bytes, sizeof bytes);
        if (got > 0)
            BIO_write(in, bytes, (int)got);
        (void)SSL_do_handshake(f->server);
        if (BIO_read(out, &c, 1) == 1)
            assert_int_equal(write(f->peer, &c, 1), 1);
    }
    assert_true(f->secured);
}

static void ends_are_told(void **state)
{
    struct fixture *f = *state;
    char c;

    shake(f, "mx.test");
    server_says(f, "421 bye\r\n", 9);
    SSL_shutdown(f->server);
    settle(f);
    assert_true(f->ended && f->end == STREAM_EOF);
    assert_true(str_eq_c(buf_str(&f->heard), "421 bye\r\n"));
    assert_true(stream_write(f->stream, STR("QUIT\r\n"))); /* the other half goes on */
    stream_finish(&f->stream);
    settle(f);
    char got[100] = "";
    assert_int_equal(SSL_read(f->server, got, sizeof got), 6);
    assert_int_equal(SSL_read(f->server, &c, 1), 0);
    assert_int_equal(SSL_get_error(f->server, 0), SSL_ERROR_ZERO_RETURN); /* close_notify */
}

static void a_cut_is_an_end(void **state)
{
    struct fixture *f = *state;

    shake(f, "mx.test");
    close(f->peer);
    f->peer = -1;
    settle(f);
    assert_true(f->ended);
    (void)stream_write(f->stream, STR("QUIT\r\n"));
    settle(f);
}

static void old_versions_are_refused(void **state)
{
    struct fixture *f = *state;

    SSL_set_min_proto_version(f->server, TLS1_VERSION);
    SSL_set_max_proto_version(f->server, TLS1_1_VERSION);
    SSL_set_security_level(f->server, 0);
    shake(f, "mx.test");
    assert_true(f->ended && !f->secured);
    assert_non_null(strstr(tls_failure(f->tls, f->error), "version"));
}

static void tls_1_2_is_enough(void **state)
{
    struct fixture *f = *state;
    struct tls_peer peer;

    SSL_set_max_proto_version(f->server, TLS1_2_VERSION);
    shake(f, "mx.test");
    assert_true(f->secured);
    tls_peer(f->tls, &peer);
    assert_string_equal(peer.version, "TLSv1.2");
}

/* ---- what the peer showed ---- */

static void trust_own_certificate(struct fixture *f)
{
    char path[] = "/tmp/tls-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    PEM_write_X509(file, f->certificate.x509);
    fclose(file);
    assert_int_equal(tls_trust_before_jail(f->context, path), 1);
    unlink(path);
}

static const struct {
    const char *cn, *san, *host;
    int days;
    bool trusted;
    const char *verdict; /* the end of the words */
    const char *trouble; /* a part of it; NULL: none */
} shown[] = {
    {"mx.test", "DNS:mx.test", "mx.test", 30, true, ", verified yes", NULL},
    {"mx.test", "DNS:mx.test", "MX.test.", 30, true, ", verified yes", NULL},
    {"mx.test", "DNS:*.mail.test", "mx.mail.test", 30, true, ", verified yes", NULL},
    {"x", "IP:192.0.2.1", "192.0.2.1", 30, true, ", verified yes", NULL},
    {"x", "IP:2001:db8::1", "2001:db8::1", 30, true, ", verified yes", NULL},
    {"x", "IP:192.0.2.1", "192.0.2.2", 30, true, ", verified no (not for this name)",
     "for address 192.0.2.1, not for 192.0.2.2"},
    {"mx.test", "DNS:mx.test", "other.test", 30, true, ", verified no (not for this name)",
     "for mx.test, not for other.test"},
    {"mx.test", "DNS:mx.test", "", 30, true, ", verified no (not for this name)",
     "for mx.test, not for "},
    {"mx.test", "DNS:mx.test", "mx.test", 30, false, ", verified no (self-signed certificate)",
     "self-signed, so anybody can have made it"},
    {"mx.test", "DNS:mx.test", "mx.test", -3, true, ", verified no (certificate has expired)",
     "expired on 20"},
    {"mx.test", NULL, "other.test", 30, false,
     ", verified no (self-signed certificate; not for this name)",
     "self-signed, so anybody can have made it; for CN=mx.test, not for other.test"},
    {"mx.test", "DNS:mx.test", "a.test", -3, false,
     ", verified no (self-signed certificate; not for this name)",
     "; self-signed, so anybody can have made it; for mx.test, not for a.test"},
};

static void certificates_are_judged_and_not_enforced(void **state)
{
    struct fixture *f = *state;
    struct buf text = buf_init(2000);

    for (size_t i = 0; i < countof(shown); i++) {
        struct tls_peer peer;
        int pair[2];

        stream_free(&f->stream);
        settle(f);
        close(f->peer);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        f->peer = pair[1];
        f->secured = f->ended = false;
        stream_new(f->loop, pair[0], &events, f, IN_BYTES_MAX, OUT_BYTES_MAX, &f->stream);
        use_certificate(f, shown[i].cn, shown[i].san, shown[i].days);
        tls_context_free(&f->context);
        f->context = tls_client_context_before_jail();
        if (shown[i].trusted)
            trust_own_certificate(f);
        shake(f, shown[i].host);
        assert_true(f->secured);
        tls_peer(f->tls, &peer);
        buf_reset(&text);
        tls_peer_print(&text, &peer);
        if (!str_ends_nocase(buf_str(&text), str_c(shown[i].verdict)))
            fail_msg("%zu: %.*s", i, STR_ARG(buf_str(&text)));
        assert_int_equal(tls_peer_trouble(&peer, str_c(shown[i].host), &text),
                         shown[i].trouble != NULL);
        if (!strstr(buf_c(&text), shown[i].trouble ? shown[i].trouble : ""))
            fail_msg("%zu: %s", i, buf_c(&text));
    }
    buf_free(&text);
}

/* ---- what we show ---- */

static int any_certificate(int good, X509_STORE_CTX *store)
{
    return 1;
}

static void pem_of(const struct test_certificate *c, struct buf *chain, struct buf *key)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text = NULL;

    PEM_write_bio_X509(b, c->x509);
    long n = BIO_get_mem_data(b, &text);
    buf_add(chain, str_n(text, (size_t)n));
    (void)BIO_reset(b);
    PEM_write_bio_PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL);
    n = BIO_get_mem_data(b, &text);
    buf_add(key, str_n(text, (size_t)n));
    BIO_free(b);
}

static void a_certificate_is_shown_to_who_asks(void **state)
{
    for (size_t asks = 0; asks < 2; asks++) {
        struct fixture *f = *state;
        struct buf chain = buf_init(10000), key = buf_init(10000), why = buf_init(200);
        struct test_certificate mine = test_certificate_make("me", "email:me@example.org", 30);

        if (asks > 0) {
            (void)teardown(state);
            (void)setup(state);
            f = *state;
        }
        pem_of(&mine, &chain, &key);
        assert_true(tls_show_certificate(f->context, buf_str(&chain), buf_str(&key), &why));
        SSL_set_verify(f->server, asks ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, any_certificate);
        shake(f, "mx.test");
        assert_true(f->secured);
        assert_int_equal(tls_showed_certificate(f->tls), asks);
        X509 *seen = SSL_get0_peer_certificate(f->server);
        assert_true((seen != NULL) == (asks == 1));
        test_certificate_free(&mine);
        buf_free(&chain);
        buf_free(&key);
        buf_free(&why);
    }
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf chain = buf_init(10000), key = buf_init(10000), why = buf_init(200);
    struct test_certificate mine = test_certificate_make("me", NULL, 30);

    pem_of(&mine, &chain, &key);
    buf_reset(&key);
    struct buf none = buf_init(10000);
    pem_of(&f->certificate, &none, &key);
    assert_false(tls_show_certificate(f->context, buf_str(&chain), buf_str(&key), &why));
    assert_true(why.n > 0);
    buf_reset(&why);
    assert_false(tls_show_certificate(f->context, STR("nothing"), buf_str(&key), &why));
    assert_true(why.n > 0);
    test_certificate_free(&mine);
    buf_free(&chain);
    buf_free(&none);
    buf_free(&key);
    buf_free(&why);
}

/* RFC 9266: the same at both ends, and none where it would not be unique. */
static void both_ends_know_the_binding(void **state)
{
    struct fixture *f = *state;
    char ours[TLS_BINDING_BYTES];
    unsigned char theirs[TLS_BINDING_BYTES];

    shake(f, "mx.test");
    assert_int_equal(tls_binding(f->tls, ours), TLS_BINDING_BYTES);
    assert_int_equal(SSL_export_keying_material(f->server, theirs, sizeof theirs,
                                                "EXPORTER-Channel-Binding", 24,
                                                (const unsigned char *)"", 0, 1),
                     1);
    assert_memory_equal(ours, theirs, sizeof theirs);
}

static void all_that_was_shown(void **state)
{
    struct fixture *f = *state;
    struct tls_peer peer;
    uint8_t sha256[TLS_SHA256_BYTES];

    shake(f, "mx.test");
    tls_peer(f->tls, &peer);
    assert_string_equal(peer.version, "TLSv1.3");
    assert_string_equal(peer.cipher, "TLS_AES_256_GCM_SHA384");
    assert_string_equal(peer.subject, "CN=mx.test");
    assert_string_equal(peer.issuer, "CN=mx.test");
    X509_digest(f->certificate.x509, EVP_sha256(), sha256, NULL);
    assert_memory_equal(peer.sha256, sha256, sizeof sha256);
    uint64_t in_30_days = clock_now_us(&clock_system) + 30 * 86400 * US_PER_S;
    assert_in_range(peer.not_after_us, in_30_days - 60 * US_PER_S, in_30_days + 60 * US_PER_S);
}

static void names_of_strangers_are_harmless(void **state)
{
    static const char *const names[] = {
        "a\r\n250 ok", "\xc3\xa4\x01\x7f", "\"quoted\", CN=other",
        "a name that goes on for as long as an X.509 common name is allowed to "};
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(names); i++) {
        struct tls_peer peer;

        if (i > 0) {
            (void)teardown(state);
            (void)setup(state);
            f = *state;
        }
        use_certificate(f, names[i], NULL, 30);
        shake(f, "mx.test");
        assert_true(f->secured);
        tls_peer(f->tls, &peer);
        for (const char *p = peer.subject; *p; p++)
            assert_in_range(*p, ' ', '~');
        assert_in_range(strlen(peer.subject), 0, TLS_NAME_BYTES_MAX - 1);
    }
}

static void no_roots_no_trust(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(tls_trust_before_jail(f->context, "/nonexistent/roots.pem"), -ENOENT);
    assert_int_equal(tls_trust_before_jail(f->context, "/proc/self/status"), -EBADMSG);
}

static void policies_by_word(void **state)
{
    static const char *const words[] = {"off", "opportunistic", "required", "verified"};
    enum tls_policy got;

    for (size_t i = 0; i < countof(words); i++) {
        assert_true(tls_policy_parse(str_c(words[i]), &got));
        assert_int_equal(got, i);
    }
    assert_false(tls_policy_parse(STR("offf"), &got));
    assert_false(tls_policy_parse(STR_NONE, &got));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(bytes_go_both_ways),
        STORY(sizes_around_a_record),
        STORY(a_pause_in_the_middle_of_a_record_loses_nothing),
        STORY(a_slow_reader_gets_all),
        STORY(injected_bytes_do_not_survive),
        STORY(what_was_written_before_leaves_first),
        STORY(failures_have_words),
        STORY(a_trickle_is_enough),
        STORY(ends_are_told),
        STORY(a_cut_is_an_end),
        STORY(old_versions_are_refused),
        STORY(tls_1_2_is_enough),
        STORY(certificates_are_judged_and_not_enforced),
        STORY(a_certificate_is_shown_to_who_asks),
        STORY(a_key_of_another_certificate_is_refused),
        STORY(both_ends_know_the_binding),
        STORY(all_that_was_shown),
        STORY(names_of_strangers_are_harmless),
        STORY(no_roots_no_trust),
        cmocka_unit_test(policies_by_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
