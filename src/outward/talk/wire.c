// SPDX-License-Identifier: ISC
#include "outward/talk/wire.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { IN_BYTES_MAX = 256 * 1024, OUT_BYTES_MAX = 40 * 1024 * 1024, ADDRESSES_MAX = 16 };

struct wire {
    struct loop *loop;
    const struct wire_events *events;
    void *arg;
    struct sock_address addresses[ADDRESSES_MAX], from;
    bool has_from;
    size_t count, at; /* the one under way */
    char peer[80];
    int fd; /* while connecting, else -1 */
    struct watch connecting;
    struct timer timer;
    struct stream *stream;
    struct tls *tls;
    bool securing;
};

/* ---- names ---- */

static int look_up(struct wire *w, struct str host, uint16_t port)
{
    struct addrinfo wanted = {.ai_family = w->has_from ? w->from.sa.ss_family : AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICSERV},
                    *found = NULL;
    char name[TLS_HOST_BYTES_MAX + 1], service[8];

    snprintf(name, sizeof(name), "%.*s", STR_ARG(host));
    snprintf(service, sizeof(service), "%u", port);
    int error = getaddrinfo(name, service, &wanted, &found);

    if (error)
        return error == EAI_AGAIN ? -EAGAIN : error == EAI_MEMORY ? -ENOMEM : -ENOENT;
    for (struct addrinfo *a = found; a && w->count < ADDRESSES_MAX; a = a->ai_next) {
        struct sock_address *to = &w->addresses[w->count++];

        memcpy(&to->sa, a->ai_addr, a->ai_addrlen);
        to->bytes = a->ai_addrlen;
    }
    freeaddrinfo(found);
    return w->count > 0 ? 0 : -ENOENT;
}

/* ---- connecting ---- */

static void try_address(struct wire *w);

/* Gives the descriptor away. */
static int connect_over(struct wire *w)
{
    int fd = w->fd;

    watch_stop(&w->connecting);
    timer_stop(&w->timer);
    w->fd = -1;
    return fd;
}

static void failed(struct wire *w, int error)
{
    int fd = connect_over(w);

    if (fd >= 0)
        (void)close(fd);
    if (w->at + 1 < w->count) {
        w->events->on_failed(w->arg, wire_peer(w), error);
        w->at++;
        try_address(w);
    } else {
        w->events->on_end(w->arg, error, NULL);
    }
}

static void on_timeout(void *arg)
{
    failed(arg, -ETIMEDOUT);
}

static void on_bytes(void *arg, struct buf *in)
{
    struct wire *w = arg;

    w->events->on_bytes(w->arg, in);
}

static void on_drained(void *arg)
{
    struct wire *w = arg;

    w->events->on_drained(w->arg);
}

static void on_stream_end(void *arg, enum stream_end why, int error)
{
    struct wire *w = arg;
    const char *words = w->securing && w->tls ? tls_failure(w->tls, error) : NULL;

    if (w->securing)
        error = EPROTO;
    else if (why == STREAM_EOF)
        error = 0;
    w->events->on_end(w->arg, -error, words);
}

static const struct stream_events stream_events = {on_bytes, on_drained, on_stream_end};

static void on_writable(void *arg, unsigned what)
{
    struct wire *w = arg;
    int error = 0;
    socklen_t n = sizeof(error);

    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        error = errno;
    if (error) {
        failed(w, -error);
        return;
    }
    int fd = connect_over(w);

    error = stream_new(w->loop, fd, &stream_events, w, IN_BYTES_MAX, OUT_BYTES_MAX, &w->stream);
    if (error < 0)
        w->events->on_end(w->arg, error, NULL);
    else
        w->events->on_connected(w->arg);
}

static int connect_begin(struct wire *w)
{
    const struct sock_address *to = &w->addresses[w->at];
    int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    w->fd = fd;
    if (w->has_from && bind(fd, (const struct sockaddr *)&w->from.sa, w->from.bytes) < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&to->sa, to->bytes) < 0 && errno != EINPROGRESS)
        return -errno;
    return 0;
}

static void on_begin(void *arg)
{
    struct wire *w = arg;
    int error = connect_begin(w);

    if (error < 0) {
        failed(w, error);
        return;
    }
    watch_start(w->loop, &w->connecting, w->fd, WATCH_WRITE, on_writable, w);
    timer_set(w->loop, &w->timer, WIRE_CONNECT_S * US_PER_S, on_timeout, w);
}

static void try_address(struct wire *w)
{
    struct buf text = buf_init(sizeof(w->peer));

    sock_address_print(&text, &w->addresses[w->at]);
    snprintf(w->peer, sizeof(w->peer), "%s", buf_c(&text));
    buf_free(&text);
    timer_set(w->loop, &w->timer, 0, on_begin, w); /* events come later, not from within a call */
}

int wire_new(struct loop *l, struct str host, uint16_t port, const struct sock_address *from,
             const struct wire_events *events, void *arg, struct wire **ret)
{
    struct wire *w = mem_new(sizeof(*w));

    *w = (struct wire){.loop = l, .events = events, .arg = arg, .fd = -1};
    if (from) {
        w->from = *from;
        w->has_from = true;
    }
    int error = look_up(w, host, port);

    if (error < 0) {
        free(w);
        return error;
    }
    try_address(w);
    *ret = w;
    return 0;
}

void wire_free(struct wire **w)
{
    struct wire *old = *w;

    if (!old)
        return;
    *w = NULL;
    int fd = connect_over(old);

    if (fd >= 0)
        (void)close(fd);
    stream_free(&old->stream);
    loop_bury(old->loop, free, old);
}

/* ---- the connection ---- */

struct str wire_peer(const struct wire *w)
{
    return str_c(w->peer);
}

bool wire_stands(const struct wire *w)
{
    return w->stream && !w->securing;
}

bool wire_write(struct wire *w, struct str bytes)
{
    if (bytes.n + stream_unsent(w->stream) > OUT_BYTES_MAX)
        return false;
    return stream_write(w->stream, bytes);
}

size_t wire_unsent(const struct wire *w)
{
    return stream_unsent(w->stream);
}

static void on_secured(void *arg)
{
    struct wire *w = arg;

    w->securing = false;
    w->events->on_secured(w->arg);
}

void wire_secure(struct wire *w, struct tls_context *context, struct str host)
{
    w->securing = true;
    w->tls = tls_begin(w->stream, context, host, on_secured);
}

const struct tls *wire_tls(const struct wire *w)
{
    return w && !w->securing ? w->tls : NULL;
}
