/* Documents fetched from a server that does what each test wants: a child process with scripts. */
// SPDX-License-Identifier: ISC
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/fake.h"

/* ---- the server ---- */

enum ending { CLOSE, NEVER_END, ENDLESS_BODY, ENDLESS_HEADER, ENDLESS_LOCATION };

static const struct script {
    const char *path, *answer; /* PORT in an answer is that of the server */
    enum ending ending;
} scripts[] = {
    {"/plain",
     "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello",
     CLOSE},
    {"/close", "HTTP/1.0 200 OK\r\n\r\nuntil the end", CLOSE},
    {"/chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
     CLOSE},
    {"/none", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", CLOSE},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", CLOSE},
    {"/packed",
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08x", CLOSE},
    {"/large", "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", NEVER_END},
    {"/endless", "HTTP/1.1 200 OK\r\n\r\n", ENDLESS_BODY},
    {"/header", "HTTP/1.1 200 OK\r\n", ENDLESS_HEADER},
    {"/line", "HTTP/1.1 200 OK\r\nX: ", ENDLESS_LOCATION},
    {"/slow", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", NEVER_END},
    {"/mute", "", NEVER_END},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", CLOSE},
    {"/nothing", "", CLOSE},
    {"/garbage", "220 mail.test ESMTP\r\n", CLOSE},
    {"/to-plain",
     "HTTP/1.1 302 Found\r\nLocation: http://other.test:PORT/plain\r\nContent-Length: 0\r\n\r\n",
     CLOSE},
    {"/relative", "HTTP/1.1 308 x\r\nLocation: plain\r\nContent-Length: 0\r\n\r\n", CLOSE},
    {"/loop", "HTTP/1.1 301 x\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n", CLOSE},
    {"/to-file", "HTTP/1.1 302 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
     CLOSE},
    {"/to-user", "HTTP/1.1 302 x\r\nLocation: http://a:b@web.test/\r\nContent-Length: 0\r\n\r\n",
     CLOSE},
    {"/to-nowhere", "HTTP/1.1 302 x\r\nLocation: http://none.test/\r\nContent-Length: 0\r\n\r\n",
     CLOSE},
    {"/to-nothing", "HTTP/1.1 302 x\r\nContent-Length: 2\r\n\r\nok", CLOSE},
};

static uint16_t server_port;
static pid_t server;

static void write_endlessly(int fd, const char *piece)
{
    char block[4096];
    size_t n = strlen(piece);

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = piece[i % n];
    while (write(fd, block, sizeof block - sizeof block % n) > 0)
        ;
}

static void wait_for_the_end(int fd)
{
    char rest[256];

    while (read(fd, rest, sizeof rest) > 0)
        ;
}

static void answer(int fd, const struct script *s)
{
    const char *port = strstr(s->answer, "PORT");
    char text[1024];
    int n = port ? snprintf(text, sizeof text, "%.*s%u%s", (int)(port - s->answer), s->answer,
                            server_port, port + 4)
                 : snprintf(text, sizeof text, "%s", s->answer);

    (void)!write(fd, text, (size_t)n);
    switch (s->ending) {
    case CLOSE:
        break;
    case NEVER_END:
        wait_for_the_end(fd);
        break;
    case ENDLESS_BODY:
        write_endlessly(fd, "a");
        break;
    case ENDLESS_HEADER:
        write_endlessly(fd, "X: aaaaaaaaaa\r\n");
        break;
    case ENDLESS_LOCATION:
        write_endlessly(fd, "a");
        break;
    }
}

/* One request of a connection; what is not in the table gets 500. */
static void serve_one(int fd)
{
    static const struct script unknown = {"", "HTTP/1.1 500 Unknown\r\nContent-Length: 0\r\n\r\n",
                                          CLOSE};
    const struct script *found = &unknown;
    char request[4096];
    size_t n = 0;
    ssize_t got;

    while (n + 1 < sizeof request && (got = read(fd, request + n, sizeof request - n - 1)) > 0) {
        n += (size_t)got;
        request[n] = '\0';
        if (strstr(request, "\r\n\r\n") || request[0] == 0x16) /* or TLS begins */
            break;
    }
    for (size_t i = 0; i < countof(scripts); i++) {
        char line[100];

        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", scripts[i].path);
        if (strncmp(request, line, strlen(line)) == 0)
            found = &scripts[i];
    }
    answer(fd, found);
}

static int start_server(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &bytes) < 0)
        return -1;
    server_port = ntohs(a.sin_port);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
            int one = accept(fd, NULL, NULL);

            if (one >= 0 && fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve_one(one);
                _exit(0);
            }
            close(one);
        }
    }
    close(fd);
    return server > 0 ? 0 : -1;
}

static int stop_server(void **state)
{
    kill(server, SIGKILL);
    return waitpid(server, NULL, 0) == server ? 0 : -1;
}

/* ---- fetching ---- */

static const struct dns_fake_row rows[] = {
    {"web.test", DNS_A, "127.0.0.1", false},     {"other.test", DNS_A, "127.0.0.1", false},
    {"late.test", DNS_A, "SERVFAIL", false},     {"mute.test", DNS_A, "SILENCE", false},
    {"text.test", DNS_MX, "10 web.test", false}, {"both.test", DNS_AAAA, "2001:db8::1", false},
    {"both.test", DNS_A, "127.0.0.1", false},    {"half.test", DNS_A, "127.0.0.1", false},
    {"half.test", DNS_AAAA, "SILENCE", false},
};

struct fetched {
    struct loop *loop;
    struct http_request *request;
    size_t count;
    long code;
    char error[700], type[100], body[200];
    size_t body_bytes;
    bool cancel; /* in the answer */
};

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct fetched *f = arg;

    f->count++;
    if (f->cancel)
        http_cancel(&f->request);
    f->code = answer->code;
    snprintf(f->error, sizeof f->error, "%s", answer->error ? answer->error : "");
    snprintf(f->type, sizeof f->type, "%.*s", STR_ARG(answer->type));
    snprintf(f->body, sizeof f->body, "%.*s", STR_ARG(answer->body));
    f->body_bytes = answer->body.n;
    loop_stop(f->loop);
}

static struct fetched fetch(const char *url, const struct http_options *o)
{
    struct fetched f = {.cancel = false};
    struct http_options options = *o;

    assert_int_equal(loop_new(&clock_system, &f.loop), 0);
    struct dns *d = dns_fake_new(f.loop, rows, countof(rows));
    if (options.port == 0)
        options.port = server_port;
    int error = http_get(f.loop, d, url, &options, on_answer, &f, &f.request);
    assert_int_equal(error, 0);
    assert_int_equal(f.count, 0); /* never from within */
    loop_run(f.loop);
    assert_int_equal(f.count, 1);
    http_cancel(&f.request);
    dns_free(&d);
    loop_free(&f.loop);
    return f;
}

static const struct http_options usual = {.bytes_max = 1000, .timeout_ms = 20000};
static const struct http_options following = {
    .bytes_max = 1000, .timeout_ms = 20000, .redirects = true};
static const struct http_options hasty = {.bytes_max = 1000, .timeout_ms = 300};

static void gets_documents(void **state)
{
    static const struct {
        const char *url;
        const struct http_options *options;
        long code;
        const char *type, *body;
    } cases[] = {
        {"http://web.test/plain", &usual, 200, "text/xml; charset=utf-8", "hello"},
        {"http://WEB.test/plain", &usual, 200, "text/xml; charset=utf-8", "hello"},
        {"http://both.test/close", &usual, 200, "", "until the end"},
        {"http://half.test/close", &usual, 200, "", "until the end"}, /* no answer for AAAA */
        {"http://127.0.0.1/chunks", &usual, 200, "", "abcdef"},
        {"http://web.test/none", &usual, 404, "", "gone"},
        {"http://web.test/empty", &usual, 204, "", ""},
        {"http://web.test/packed", &usual, 200, "", "\x1f\x8b\x08x"}, /* as it came */
        {"http://web.test/to-plain", &usual, 302, "", ""},
        {"http://web.test/to-plain", &following, 200, "text/xml; charset=utf-8", "hello"},
        {"http://web.test/relative", &following, 200, "text/xml; charset=utf-8", "hello"},
        {"http://web.test/to-nothing", &following, 302, "", "ok"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct fetched f = fetch(cases[i].url, cases[i].options);

        if (f.code != cases[i].code || f.error[0] || strcmp(f.type, cases[i].type) != 0 ||
            strcmp(f.body, cases[i].body) != 0)
            fail_msg("%s: %ld '%s' '%s' '%s'", cases[i].url, f.code, f.error, f.type, f.body);
    }
}

static void says_why_there_is_none(void **state)
{
    static const struct {
        const char *url;
        const struct http_options *options;
        const char *error; /* has this in it */
    } cases[] = {
        {"http://web.test/large", &usual, "the answer is longer than 1000 bytes"},
        {"http://web.test/endless", &usual, "the answer is longer than 1000 bytes"},
        {"http://web.test/header", &usual, "header"},
        {"http://web.test/line", &usual, "header"},
        {"http://web.test/slow", &hasty, "web.test: no answer within 1 seconds"},
        {"http://web.test/mute", &hasty, "no answer within"},
        {"http://mute.test/plain", &hasty, "no answer within"},
        {"http://web.test/cut", &usual, "web.test: "},
        {"http://web.test/nothing", &usual, "web.test: "},
        {"http://web.test/garbage", &usual, "web.test: "},
        {"http://web.test/loop", &following, "it leads on more than 5 times"},
        {"http://web.test/to-file", &following, "no address of a web server"},
        {"http://web.test/to-user", &following, "no address of a web server"},
        {"http://web.test/to-nowhere", &following, "none.test has no address"},
        {"http://none.test/", &usual, "none.test has no address"},
        {"http://text.test/", &usual, "text.test has no address"},
        {"http://late.test/", &usual, "late.test cannot be looked up: the name servers"},
        {"https://web.test/plain", &usual, "SSL"}, /* it speaks no TLS */
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct fetched f = fetch(cases[i].url, cases[i].options);

        if (f.code != 0 || !strstr(f.error, cases[i].error) || f.body_bytes > 0)
            fail_msg("%s: %ld '%s' '%s'", cases[i].url, f.code, f.error, f.body);
    }
}

static void takes_only_urls_of_ours(void **state)
{
    static const char *const urls[] = {
        "",
        "web.test",
        "http://",
        "ftp://web.test/",
        "file:///etc/passwd",
        "http://a@web.test/",
        "http://a:b@web.test/",
        "http://web..test/",
        "http://web.test./",
        "http://web test/",
        "http://web.test:0/",
        "http://web.test:65536/",
        "http://\xd0\xbf.test/",
        "gopher://web.test/",
    };
    struct http_request *request = NULL;
    struct loop *l = NULL;

    assert_int_equal(loop_new(&clock_system, &l), 0);
    struct dns *d = dns_fake_new(l, rows, countof(rows));
    for (size_t i = 0; i < countof(urls); i++)
        if (http_get(l, d, urls[i], &usual, on_answer, NULL, &request) != -EINVAL)
            fail_msg("taken: %s", urls[i]);
    assert_null(request);
    dns_free(&d);
    loop_free(&l);
}

/* At every point: before the first turn, after each of the first ones, in the answer. */
static void can_be_cancelled(void **state)
{
    struct http_options options = usual;

    options.port = server_port;
    for (size_t turns = 0; turns < 8; turns++) {
        struct fetched f = {.cancel = true};

        assert_int_equal(loop_new(&clock_system, &f.loop), 0);
        struct dns *d = dns_fake_new(f.loop, rows, countof(rows));
        assert_int_equal(
            http_get(f.loop, d, "http://web.test/plain", &options, on_answer, &f, &f.request), 0);
        for (size_t i = 0; i < turns && f.request; i++)
            loop_turn(f.loop, true);
        size_t before = f.count;
        http_cancel(&f.request);
        http_cancel(&f.request);
        for (size_t i = 0; i < 3; i++)
            loop_turn(f.loop, false);
        assert_int_equal(f.count, before);
        dns_free(&d);
        loop_free(&f.loop);
    }
}

/* Proxies and files of the environment do not count. */
static void goes_through_no_proxy(void **state)
{
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
    struct fetched f = fetch("http://web.test/plain", &usual);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(f.code, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_documents),          cmocka_unit_test(says_why_there_is_none),
        cmocka_unit_test(takes_only_urls_of_ours), cmocka_unit_test(can_be_cancelled),
        cmocka_unit_test(goes_through_no_proxy),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
