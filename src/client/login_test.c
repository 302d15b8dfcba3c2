/* client/login_test.c - whole sessions with TLS and AUTH, against OpenSSL in a thread: what is said
 * where, and that no login is said to a server that is not what it should be. */
// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/check.h"
#include "client/session.h"
#include "tls/test_peer.h"

enum { LINES_BYTES_MAX = 8192, STEPS_MAX = 40 };

/* ---- a server that blocks, in a thread of its own ---- */

struct server {
    pthread_t thread;
    int listener, socket;
    struct sock_address address;
    bool implicit, offers_tls;
    const char *auth; /* what AUTH is answered with */
    struct test_certificate certificate;
    SSL_CTX *context;
    SSL *ssl; /* once secured */
    struct buf heard;
    size_t content_bytes;
};

static bool say(struct server *s, const char *text)
{
    size_t n = strlen(text);

    if (s->ssl)
        return SSL_write(s->ssl, text, (int)n) == (int)n;
    return send(s->socket, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool hear(struct server *s, char *line, size_t room)
{
    size_t n = 0;

    while (n + 1 < room) {
        char c;
        ssize_t got = s->ssl ? SSL_read(s->ssl, &c, 1) : recv(s->socket, &c, 1, 0);
        if (got != 1)
            return false;
        if (c == '\n')
            break;
        line[n++] = c;
    }
    line[n > 0 ? n - 1 : 0] = '\0';
    return true;
}

static bool secure(struct server *s)
{
    s->ssl = SSL_new(s->context);
    SSL_set_fd(s->ssl, s->socket);
    return SSL_accept(s->ssl) == 1;
}

static bool take_content(struct server *s)
{
    char line[1200];

    while (hear(s, line, sizeof line)) {
        if (strcmp(line, ".") == 0)
            return say(s, "250 2.0.0 taken\r\n");
        s->content_bytes += strlen(line) + 2;
    }
    return false;
}

static bool answer(struct server *s, const char *line)
{
    if (strncmp(line, "EHLO", 4) == 0)
        return say(s, s->ssl          ? "250-mx\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n"
                      : s->offers_tls ? "250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"
                                      : "250-mx\r\n250 AUTH PLAIN\r\n");
    if (strcmp(line, "STARTTLS") == 0)
        return say(s, "220 go\r\n") && secure(s);
    if (strncmp(line, "AUTH", 4) == 0)
        return say(s, s->auth);
    if (strcmp(line, "DATA") == 0)
        return say(s, "354 go\r\n") && take_content(s);
    if (strcmp(line, "QUIT") == 0)
        return say(s, "221 bye\r\n") && false;
    return say(s, "250 2.0.0 ok\r\n");
}

static void *serve(void *arg)
{
    struct server *s = arg;
    char line[1200];

    s->socket = accept(s->listener, NULL, NULL);
    if ((!s->implicit || secure(s)) && say(s, "220 mx ESMTP\r\n")) {
        while (hear(s, line, sizeof line)) {
            buf_add_c(&s->heard, line);
            buf_add_char(&s->heard, '|');
            if (!answer(s, line))
                break;
        }
    }
    if (s->ssl)
        (void)SSL_shutdown(s->ssl);
    (void)close(s->socket);
    return NULL;
}

static void server_start(struct server *s, const char *san, int days)
{
    struct sock_address any[2];

    assert_int_equal(sock_address_parse(STR("127.0.0.1:1"), any), 1);
    ((struct sockaddr_in *)(void *)&any[0].sa)->sin_port = 0;
    assert_int_equal(listen_tcp(&any[0], &s->listener), 0);
    assert_int_equal(fcntl(s->listener, F_SETFL, 0), 0); /* the thread waits */
    s->address.bytes = sizeof s->address.sa;
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&s->address.sa, &s->address.bytes),
                     0);
    s->certificate = test_certificate_make("mx.test", san, days);
    s->context = test_server_context(&s->certificate);
    s->heard = buf_init(LINES_BYTES_MAX);
}

static void server_run(struct server *s)
{
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)close(s->listener);
    SSL_free(s->ssl);
    SSL_CTX_free(s->context);
    test_certificate_free(&s->certificate);
    buf_free(&s->heard);
}

/* ---- the owner of the client ---- */

struct owner {
    struct client *client;
    bool sends;
    struct client_message message;
    struct buf shown, steps;
    size_t ready_count;
    struct status result, over;
    enum explain_step over_step;
    bool ended, next_hop_failed;
    char mechanism[32];
    uint64_t sent_bytes;
    bool offers_8bit, saw_peer;
};

static void on_ready(void *arg)
{
    struct owner *o = arg;

    o->ready_count++;
    o->offers_8bit = client_offers(o->client)->has_8bitmime;
    (void)snprintf(o->mechanism, sizeof o->mechanism, "%s",
                   client_mechanism(o->client) ? client_mechanism(o->client) : "none");
    if (o->sends && o->ready_count == 1)
        client_send(o->client, &o->message);
    else
        client_quit(o->client);
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    ((struct owner *)arg)->result = *st;
}

static void on_message_end(void *arg) {}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct owner *o = arg;

    o->over = *st;
    o->over_step = client_step(o->client);
    o->next_hop_failed = next_hop_failed;
    o->saw_peer = client_tls_peer(o->client) != NULL;
    o->ended = true;
    client_free(&o->client);
}

static void on_line(void *arg, bool sent, struct str line)
{
    struct owner *o = arg;

    buf_printf(&o->shown, "%c%.*s|", sent ? '>' : '<', STR_ARG(line));
}

static void on_step(void *arg, enum explain_step step, uint64_t us)
{
    static const char *const names[] = {
        [STEP_CONNECT] = "connect", [STEP_TLS] = "tls",   [STEP_GREETING] = "greeting",
        [STEP_HELLO] = "hello",     [STEP_AUTH] = "auth", [STEP_STARTTLS] = "starttls",
        [STEP_MAIL] = "mail",       [STEP_RCPT] = "rcpt", [STEP_DATA] = "data",
        [STEP_CONTENT] = "content", [STEP_QUIT] = "quit", [STEP_OTHER] = "other"};
    struct owner *o = arg;

    buf_printf(&o->steps, "%s ", names[step]);
}

static void on_sent(void *arg, uint64_t bytes)
{
    struct owner *o = arg;

    assert_true(bytes >= o->sent_bytes);
    o->sent_bytes = bytes;
}

static const struct client_events events = {.on_ready = on_ready,
                                            .on_result = on_result,
                                            .on_message_end = on_message_end,
                                            .on_end = on_end,
                                            .on_line = on_line,
                                            .on_step = on_step,
                                            .on_sent = on_sent};

static const struct sasl_login me = {.user = {"me@example.org", 14}, .password = {"secret", 6}};

static void trust(struct tls_context *c, const struct server *s)
{
    char path[] = "/tmp/login-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    PEM_write_X509(file, s->certificate.x509);
    fclose(file);
    assert_int_equal(tls_trust_before_jail(c, path), 1);
    unlink(path);
}

static void run(struct server *s, struct owner *o, enum tls_policy tls, bool trusted,
                const struct sasl_login *login)
{
    struct tls_context *context = tls_client_context_before_jail();
    struct client_options options = {.hostname = STR("client.example"),
                                     .timeout_scale_percent = 10,
                                     .tls = tls,
                                     .tls_context = context,
                                     .tls_host = STR("mx.test"),
                                     .tls_implicit = s->implicit,
                                     .login = login};
    struct loop *l;

    if (trusted)
        trust(context, s);
    o->shown = buf_init(LINES_BYTES_MAX);
    o->steps = buf_init(LINES_BYTES_MAX);
    server_run(s);
    assert_int_equal(loop_new(&clock_system, &l), 0);
    assert_int_equal(client_new(l, &s->address, &options, &events, o, &o->client), 0);
    while (!o->ended)
        loop_turn(l, true);
    loop_turn(l, false);
    loop_turn(l, false);
    for (int i = 0; i < 20; i++) /* a last QUIT leaves */
        loop_turn(l, false);
    loop_free(&l);
    tls_context_free(&context);
}

static void owner_free(struct owner *o)
{
    buf_free(&o->shown);
    buf_free(&o->steps);
}

/* ---- stories ---- */

static void whole_sessions(void **state)
{
    static const struct {
        bool implicit;
        const char *steps, *shown;
    } rows[] = {
        {true, "connect tls greeting hello auth mail rcpt data content quit ",
         "<220 mx ESMTP|>EHLO client.example|<250-mx|<250-8BITMIME|<250 AUTH PLAIN LOGIN|"
         ">AUTH PLAIN ***|<235 2.7.0 in|"},
        {false, "connect greeting hello starttls tls hello auth mail rcpt data content quit ",
         "<220 mx ESMTP|>EHLO client.example|<250-mx|<250-AUTH PLAIN|<250 STARTTLS|>STARTTLS|"
         "<220 go|>EHLO client.example|<250-mx|<250-8BITMIME|<250 AUTH PLAIN LOGIN|"
         ">AUTH PLAIN ***|<235 2.7.0 in|"},
    };
    static const struct str to = {"you@example.net", 15};

    for (size_t i = 0; i < countof(rows); i++) {
        struct server s = {
            .implicit = rows[i].implicit, .offers_tls = true, .auth = "235 2.7.0 in\r\n"};
        struct owner o = {.sends = true,
                          .message = {.sender = STR("me@example.org"),
                                      .recipients = &to,
                                      .recipient_count = 1,
                                      .content = STR("Subject: x\r\n\r\ntext\r\n"),
                                      .content_fd = -1,
                                      .size = 20}};

        server_start(&s, "DNS:mx.test", 30);
        run(&s, &o, TLS_VERIFIED, true, &me);
        assert_true(status_done(&o.over) && status_done(&o.result));
        assert_string_equal(o.mechanism, "PLAIN");
        assert_string_equal(buf_c(&o.steps), rows[i].steps);
        assert_true(str_starts(buf_str(&o.shown), str_c(rows[i].shown)));
        assert_true(o.offers_8bit && o.saw_peer);
        assert_int_equal(o.sent_bytes, 20);
        server_stop(&s);
        owner_free(&o);
    }
}

static void what_is_not_verified_gets_no_login(void **state)
{
    static const struct {
        const char *san;
        int days;
        bool trusted;
        const char *words;
    } rows[] = {
        {"DNS:mx.test", -3, true, "expired on "},
        {"DNS:other.test", 30, true, "for other.test, not for mx.test"},
        {"DNS:mx.test", 30, false, "self-signed"},
    };

    for (size_t i = 0; i < 2 * countof(rows); i++) {
        const size_t row = i / 2;
        struct server s = {.implicit = i % 2 == 0, .offers_tls = true, .auth = "235 2.7.0 in\r\n"};
        struct owner o = {0};

        server_start(&s, rows[row].san, rows[row].days);
        run(&s, &o, TLS_VERIFIED, rows[row].trusted, &me);
        assert_int_equal(o.ready_count, 0);
        assert_int_equal(o.over_step, STEP_TLS);
        assert_true(o.next_hop_failed && status_try_later(&o.over) && o.saw_peer);
        assert_non_null(strstr(o.over.text, rows[row].words));
        server_stop(&s);
        owner_free(&o);
    }
}

/* Without `verified` the certificate is a matter of record; the login is the caller's word. */
static void required_takes_any_certificate(void **state)
{
    struct server s = {.offers_tls = true, .auth = "235 2.7.0 in\r\n"};
    struct owner o = {0};

    server_start(&s, "DNS:other.test", 30);
    run(&s, &o, TLS_REQUIRED, false, &me);
    assert_int_equal(o.ready_count, 1);
    assert_string_equal(o.mechanism, "PLAIN");
    server_stop(&s);
    owner_free(&o);
}

static void without_tls_nothing_secret_is_said(void **state)
{
    static const enum tls_policy policies[] = {TLS_NONE, TLS_OPPORTUNISTIC, TLS_REQUIRED,
                                               TLS_VERIFIED};

    for (size_t i = 0; i < countof(policies); i++) {
        struct server s = {.auth = "235 2.7.0 in\r\n"};
        struct owner o = {0};

        server_start(&s, "DNS:mx.test", 30);
        run(&s, &o, policies[i], true, &me);
        assert_int_equal(o.ready_count, 0);
        assert_int_equal(o.over_step, policies[i] < TLS_REQUIRED ? STEP_AUTH : STEP_STARTTLS);
        assert_int_equal(o.over.class, 4);
        server_stop(&s);
        assert_true(o.next_hop_failed);
        owner_free(&o);
    }
}

static void a_refusal_has_its_step_and_words(void **state)
{
    struct server s = {.implicit = true, .auth = "535 5.7.8 not accepted\r\n"};
    struct owner o = {0};

    server_start(&s, "DNS:mx.test", 30);
    run(&s, &o, TLS_VERIFIED, true, &me);
    assert_int_equal(o.over_step, STEP_AUTH);
    assert_int_equal(o.over.code, 535);
    assert_non_null(strstr(o.over.text, "not accepted"));
    assert_int_equal(o.ready_count, 0);
    assert_true(str_find_str(buf_str(&o.shown), STR("secret")) == o.shown.n);
    server_stop(&s);
    owner_free(&o);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* the server's end is OpenSSL's own socket */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_sessions),
        cmocka_unit_test(what_is_not_verified_gets_no_login),
        cmocka_unit_test(required_takes_any_certificate),
        cmocka_unit_test(without_tls_nothing_secret_is_said),
        cmocka_unit_test(a_refusal_has_its_step_and_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
