/* tls_load.c - the same load over TLS for every server; smtp-source has no TLS.
 *
 *   tls_load mail|new|again PORT SECONDS SESSIONS
 *
 * STARTTLS in each session. mail: messages of 4 KB over reused connections, what got its 250 counts;
 * new: handshakes, each on a connection of its own, as cheap for the client as can be (handshake.h);
 * again: handshakes that go on with a session where the server lets them. Prints how many a second,
 * how many in all, and the CPU seconds it took itself. Built by bench/workloads.sh. */
// SPDX-License-Identifier: ISC
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "handshake.h"

enum { CONTENT_BYTES = 4096, SESSIONS_MAX = 10000 };
enum step { GREETING, EHLO, STARTTLS, SHAKING, EHLO_AGAIN, ENVELOPE, CONTENT };

struct session {
    int fd;
    SSL *ssl;
    struct handshake *handshake; /* of mode new */
    enum step step;
    int replies; /* to come before the next step */
    char line[4]; /* the begin of the line that is coming */
    size_t n;
};

static int mode, epoll_fd, port;
static SSL_CTX *context;
static SSL_SESSION *known; /* the last ticket, of mode again */
static unsigned long done;
static char content[CONTENT_BYTES + 5];

static void fail(const char *what)
{
    fprintf(stderr, "tls_load: %s\n", what);
    exit(1);
}

static void begin(struct session *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    *s = (struct session){.handshake = s->handshake, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .step = GREETING, .replies = 1};
    if (connect(s->fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail(strerror(errno));
    (void)fcntl(s->fd, F_SETFL, O_NONBLOCK); /* a handshake waits in turns */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = s}) < 0)
        fail(strerror(errno));
}

static void end(struct session *s)
{
    SSL_free(s->ssl);
    close(s->fd);
    begin(s);
}

static void say(struct session *s, const char *text, size_t n, int replies, enum step next)
{
    ssize_t sent = s->ssl ? SSL_write(s->ssl, text, (int)n) : send(s->fd, text, n, MSG_NOSIGNAL);

    if (sent != (ssize_t)n)
        fail("the server does not read");
    s->replies = replies;
    s->step = next;
}

static void shake(struct session *s)
{
    int r = SSL_connect(s->ssl);

    if (r == 1 && mode == 'm') {
        say(s, "EHLO load.test\r\n", 16, 1, EHLO_AGAIN);
    } else if (r == 1) {
        done++;
        say(s, "QUIT\r\n", 6, 1, EHLO_AGAIN); /* the ticket comes with the reply */
    } else if (SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ) {
        fail("the handshake failed");
    }
}

/* Mode new: what came, if anything. */
static void shake_cheaply(struct session *s, const char *p, size_t n)
{
    unsigned char last[HANDSHAKE_LAST_BYTES];
    int did = handshake_feed(s->handshake, (const unsigned char *)p, n, last);

    if (did < 0)
        fail("the handshake failed");
    if (did == 0)
        return;
    say(s, (const char *)last, sizeof last, 0, SHAKING);
    done++;
    end(s);
}

static void begin_cheaply(struct session *s)
{
    size_t n;
    const unsigned char *hello = handshake_begin(s->handshake, &n);

    say(s, (const char *)hello, n, 1, SHAKING);
}

static void next(struct session *s)
{
    static const char mail[] = "MAIL FROM:<load@src.test>\r\nRCPT TO:<rcpt@dst.test>\r\nDATA\r\n";

    switch (s->step) {
    case GREETING:
        return say(s, "EHLO load.test\r\n", 16, 1, EHLO);
    case EHLO:
        return say(s, "STARTTLS\r\n", 10, 1, STARTTLS);
    case STARTTLS:
        if (mode == 'n')
            return begin_cheaply(s);
        s->step = SHAKING;
        s->ssl = SSL_new(context);
        SSL_set_fd(s->ssl, s->fd);
        if (mode == 'a' && known)
            SSL_set_session(s->ssl, known);
        return shake(s);
    case SHAKING:
        return;
    case EHLO_AGAIN:
        if (mode == 'a')
            return end(s);
        return say(s, mail, sizeof mail - 1, 3, ENVELOPE);
    case ENVELOPE:
        return say(s, content, sizeof content, 1, CONTENT);
    case CONTENT:
        done++;
        return say(s, mail, sizeof mail - 1, 3, ENVELOPE);
    }
}

static void hear(struct session *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\n') {
            if (s->n < sizeof s->line)
                s->line[s->n++] = p[i];
            continue;
        }
        if (s->n < 4 || s->line[0] > '3')
            fail("the server refuses");
        s->n = 0;
        s->replies -= s->line[3] == ' ';
    }
    if (s->replies == 0)
        next(s);
}

static void ready(struct session *s)
{
    char bytes[4096];
    ssize_t n;

    if (s->step == SHAKING && s->ssl)
        return shake(s);
    if (!s->ssl) {
        n = recv(s->fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            fail("the server ended a session");
        if (s->step == SHAKING)
            return shake_cheaply(s, bytes, (size_t)n);
        return hear(s, bytes, (size_t)n);
    }
    SSL *ssl = s->ssl;
    while (s->ssl == ssl && (n = SSL_read(ssl, bytes, sizeof bytes)) > 0)
        hear(s, bytes, (size_t)n);
    if (s->ssl == ssl && n <= 0 && SSL_get_error(ssl, (int)n) != SSL_ERROR_WANT_READ)
        fail("the server ended a session");
}

static int keep(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(known);
    known = session;
    return 1;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* After the handshake nothing may wait for one session alone. */
static void make_context(void)
{
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep);
}

static void make_content(void)
{
    memset(content, 'x', CONTENT_BYTES);
    for (size_t i = 0; i + 80 < CONTENT_BYTES; i += 80)
        memcpy(content + i + 78, "\r\n", 2);
    memcpy(content, "Subject: x\r\n\r\n", 14);
    memcpy(content + CONTENT_BYTES, "\r\n.\r\n", 5);
}

int main(int argc, char **argv)
{
    static struct session sessions[SESSIONS_MAX];
    struct epoll_event events[256];

    if (argc != 5)
        fail("mail|new|again PORT SECONDS SESSIONS");
    mode = argv[1][0];
    port = atoi(argv[2]);
    int count = atoi(argv[4]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    make_context();
    make_content();
    handshake_prepare();
    for (int i = 0; i < count && i < SESSIONS_MAX; i++) {
        sessions[i].handshake = calloc(1, sizeof *sessions[i].handshake);
        begin(&sessions[i]);
    }
    double began = now(), seconds = atof(argv[3]), counted = 0;
    unsigned long before = 0;

    for (double at = began; at < began + 1 + seconds; at = now()) {
        if (counted == 0 && at > began + 1) { /* a second to come up to speed */
            counted = at;
            before = done;
        }
        int n = epoll_wait(epoll_fd, events, 256, 1000);
        for (int i = 0; i < n; i++)
            ready(events[i].data.ptr);
    }
    printf("%.0f %lu %.3f\n", (double)(done - before) / (now() - counted), done, cpu());
    return 0;
}
