/* smtpd/tls.c - see smtpd_tls.h.
 *
 * Asking for a signature blocks this worker, as OpenSSL wants it; keys answers within a
 * millisecond. If it does not within SIGN_US, the socket is given up at once, so that only one
 * handshake has to wait for a keys that hangs; it brings a new one when it lives again. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/smtpd_tls.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "tls/remote_key.h"

#define SIGN_US (3 * US_PER_S)
enum { CERTIFICATES_MAX = 1000, ANSWER_BYTES_MAX = 2048 };

struct shown { /* a certificate as keys told it */
    char *name, *path;
    struct buf chain;
};

struct set {
    struct shown list[CERTIFICATES_MAX];
    size_t count;
    struct buf roots;
};

static const struct clock *now_clock;
static int signer_fd = -1;
static uint64_t last_ticket;
static struct set *told, *fresh; /* complete; being told */
static struct tls_server *server;
static bool wanted, modern;

/* ---- asking ---- */

static void signer_give_up(const char *why)
{
    log_event(LEVEL_ERROR, "signer-lost", "why", why, NULL);
    (void)close(signer_fd);
    signer_fd = -1;
}

static bool ask(uint64_t number, uint8_t scheme, struct str asked)
{
    struct buf packet = buf_init(4 * KIB);
    struct msg_sign_ask m = {.kind = MSG_SIGN_ASK,
                             .ticket = ++last_ticket,
                             .key = number,
                             .scheme = scheme,
                             .asked = asked};
    bool sent = message_encode(&packet, &m) &&
                send(signer_fd, packet.p, packet.n, MSG_NOSIGNAL) == (ssize_t)packet.n;

    buf_free(&packet);
    return sent;
}

/* 1: it came, 0: not yet, negative: it will not. */
static int answer_take(struct buf *signature)
{
    char packet[ANSWER_BYTES_MAX];
    union message m;
    ssize_t n = recv(signer_fd, packet, sizeof packet, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0 || !message_decode(str_n(packet, (size_t)n), -1, &m) || m.kind != MSG_SIGN_ANSWER ||
        m.sign_answer.ticket > last_ticket)
        return -EPROTO;
    if (m.sign_answer.ticket < last_ticket)
        return 0;
    return buf_add(signature, m.sign_answer.signature) ? 1 : -EPROTO;
}

static bool sign(void *arg, uint64_t number, uint8_t scheme, struct str asked,
                 struct buf *signature)
{
    uint64_t end_us = clock_monotonic_us(now_clock) + SIGN_US;
    int took = 0;

    if (signer_fd < 0)
        return false;
    if (!ask(number, scheme, asked)) {
        signer_give_up(strerror(errno));
        return false;
    }
    while (took == 0) {
        uint64_t now_us = clock_monotonic_us(now_clock);
        struct pollfd p = {.fd = signer_fd, .events = POLLIN};

        if (now_us >= end_us) {
            signer_give_up("no answer in time");
            return false;
        }
        (void)poll(&p, 1, (int)((end_us - now_us) / 1000) + 1);
        took = answer_take(signature);
    }
    if (took < 0)
        signer_give_up(took == -EPROTO ? "its end, or no answer to what was asked"
                                       : strerror(-took));
    return took == 1 && signature->n > 0;
}

int smtpd_tls_start_before_jail(struct worker *w)
{
    now_clock = w->clock;
    return remote_keys_init_before_jail(&(struct remote_signer){.sign = sign}) ? 0 : -ENOSYS;
}

void smtpd_tls_signer(struct msg_signer *m)
{
    if (signer_fd >= 0)
        (void)close(signer_fd);
    signer_fd = m->socket;
}

/* ---- the set ---- */

static void set_free(struct set **sp)
{
    struct set *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        free(s->list[i].name);
        free(s->list[i].path);
        buf_free(&s->list[i].chain);
    }
    buf_free(&s->roots);
    free(s);
}

static struct set *fresh_set(void)
{
    if (!fresh)
        fresh = mem_new(sizeof *fresh);
    return fresh;
}

static struct buf copy(struct str s)
{
    struct buf b = buf_init(PACKET_BYTES_MAX);

    buf_add(&b, s);
    return b;
}

void smtpd_tls_certificate(const struct msg_tls_certificate *m)
{
    struct set *s = fresh_set();

    if (s->count == CERTIFICATES_MAX)
        return;
    s->list[s->count++] = (struct shown){.name = mem_copy(m->name.p, m->name.n),
                                         .path = mem_copy(m->path.p, m->path.n),
                                         .chain = copy(m->chain)};
}

void smtpd_tls_roots(const struct msg_tls_roots *m)
{
    struct set *s = fresh_set();

    buf_free(&s->roots);
    s->roots = copy(m->roots);
}

static void log_not_taken(const struct shown *c, struct buf *why)
{
    log_event(LEVEL_ERROR, "certificate-not-taken", "file", c->path, "reason", buf_c(why), NULL);
}

static void build(void)
{
    tls_server_drop(&server);
    if (!wanted || !told)
        return;
    server = tls_server_new(modern);
    if (told->roots.n > 0 && tls_server_trust(server, buf_str(&told->roots)) == 0)
        log_event(LEVEL_ERROR, "client-roots-refused", "reason", "no certificate is in it", NULL);
    for (size_t i = 0; i < told->count; i++) {
        const struct shown *c = &told->list[i];
        struct buf why = buf_init(512);

        if (!tls_server_add(server, str_c(c->name), buf_str(&c->chain), &why))
            log_not_taken(c, &why);
        buf_free(&why);
    }
}

void smtpd_tls_certificates_end(void)
{
    set_free(&told);
    told = fresh_set();
    fresh = NULL;
    build();
}

void smtpd_tls_config(const struct config *c)
{
    wanted = config_has_certificate(c);
    modern = str_eq_c(c->tls.level, "modern");
    build();
}

struct tls_server *smtpd_tls(void)
{
    return tls_server_works(server) && signer_fd >= 0 ? server : NULL;
}

bool smtpd_tls_is_due(void)
{
    return wanted && !told;
}
