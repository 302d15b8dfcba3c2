/* smtpd/proxy.c - connections that must begin with a PROXY header (wire/proxy.h).
 *
 * The header is taken off the socket before anything else is made for the connection, byte for
 * byte: what follows it, be it TLS, stays there for the session. A proxy speaks at once, so there
 * is little patience; who says something else, or nothing, is dropped without an answer. */
// SPDX-License-Identifier: ISC
#include "wire/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/smtpd.h"

#define HEADER_WAIT_US (5 * US_PER_S)
enum { PEEK_BYTES = 4096 };

struct proxied {
    struct list link;
    struct smtpd *smtpd;
    struct watch ready;
    struct timer patience;
    int fd;
    struct arrival arrival; /* with a hold on its config */
    struct buf header;      /* as much of it as has come */
};

void proxied_init(struct smtpd *m)
{
    list_init(&m->proxied);
}

static void proxied_free(struct proxied *p)
{
    struct smtpd *m = p->smtpd;

    watch_stop(&p->ready);
    timer_stop(&p->patience);
    if (p->fd >= 0)
        (void)close(p->fd);
    config_drop(&p->arrival.config);
    buf_free(&p->header);
    list_remove(&p->link);
    m->proxied_count--;
    free(p);
    smtpd_client_gone(m);
}

static void refuse(struct proxied *p, enum log_level level, const char *why)
{
    struct buf proxy = buf_init(64);

    sock_address_print_ip(&proxy, &p->arrival.client);
    log_event(level, "proxy-refused", "proxy", buf_c(&proxy), "error", why, NULL);
    buf_free(&proxy);
    proxied_free(p);
}

static void go_on(struct proxied *p, const struct proxy_header *h)
{
    struct arrival *a = &p->arrival;
    int fd = p->fd;

    p->fd = -1;
    a->nameless = h->speaker == PROXY_SOMEBODY;
    if (h->speaker != PROXY_ITSELF)
        a->proxy = a->client;
    if (h->speaker == PROXY_CLIENT)
        a->client = sock_address_make(h->client.ip_bytes == 4 ? AF_INET : AF_INET6, h->client.ip,
                                      h->client.port);
    watch_stop(&p->ready);
    client_accept(p->smtpd, fd, a);
    proxied_free(p);
}

/* Takes n bytes that were seen already. */
static bool drop_bytes(int fd, size_t n)
{
    char gone[PEEK_BYTES];

    return n <= sizeof gone && recv(fd, gone, n, 0) == (ssize_t)n;
}

static void on_bytes(void *arg, unsigned what)
{
    struct proxied *p = arg;
    struct proxy_header h;
    const char *error = "";
    char seen[PEEK_BYTES];
    size_t before = p->header.n, used = 0;
    ssize_t n = recv(p->fd, seen, sizeof seen, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* before a word: somebody looks whether the port is open */
        refuse(p, before > 0 ? LEVEL_WARNING : LEVEL_DEBUG,
               n < 0 ? strerror(errno) : "closed before the PROXY header was complete");
        return;
    }
    (void)buf_add(&p->header, str_n(seen, (size_t)n));

    enum proxy_event e = proxy_read(buf_str(&p->header), &h, &used, &error);

    if (e == PROXY_BAD)
        refuse(p, LEVEL_WARNING, error);
    else if (!drop_bytes(p->fd, e == PROXY_READY ? used - before : (size_t)n))
        refuse(p, LEVEL_WARNING, "the connection broke");
    else if (e == PROXY_READY)
        go_on(p, &h);
}

static void on_patience_over(void *arg)
{
    refuse(arg, LEVEL_WARNING, "no PROXY header in time");
}

void proxied_accept(struct smtpd *m, int fd, const struct arrival *a)
{
    struct proxied *p = mem_new(sizeof *p);

    *p = (struct proxied){.smtpd = m,
                          .fd = fd,
                          .arrival = *a,
                          .header = buf_init(PROXY_HEADER_BYTES_MAX + PEEK_BYTES)};
    (void)config_hold(a->config);
    list_add(&m->proxied, &p->link);
    if (++m->proxied_count > a->config->connections_max) {
        refuse(p, LEVEL_WARNING, "too many connections without a PROXY header yet");
        return;
    }
    watch_start(m->worker->loop, &p->ready, fd, WATCH_READ, on_bytes, p);
    timer_set(m->worker->loop, &p->patience, HEADER_WAIT_US, on_patience_over, p);
}

void proxied_stop(struct smtpd *m)
{
    list_each (link, &m->proxied) {
        proxied_free(list_of(link, struct proxied, link));
    }
}
