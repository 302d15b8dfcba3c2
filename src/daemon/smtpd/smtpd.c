/* smtpd/smtpd.c - the role smtpd: listeners, peers, and how it ends. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/smtpd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/smtpd_tls.h"

#define TURN_US 2000                /* in which workers with fewer clients may go first */
#define REST_US US_PER_S            /* after accepting failed, at most */
#define TELL_US (60 * US_PER_S)     /* between two warnings about it */
#define KEYS_US (5 * US_PER_S)      /* for the certificates, before the first client is taken */
#define PATIENCE_US (10 * US_PER_S) /* with messages under way when we are stopped */

struct listener {
    struct list link;
    struct watch ready;
    int fd;
    struct config *config; /* in which it stands; held */
    const struct config_listen *listen;
};

static struct smtpd smtpd;
static struct list listeners, next_listeners; /* of this generation, and of the one being told */
static bool crowded;                          /* we have let others go first */
static bool resting;                          /* no descriptors: nothing is accepted */
static struct timer rest, patience;

/* ---- accepting ---- */

static void on_connection(void *arg, unsigned what);

static void listeners_watch(void *arg)
{
    struct smtpd *m = arg;

    resting = false;
    timer_stop(&rest);
    list_each (link, &listeners) {
        struct listener *l = list_of(link, struct listener, link);

        watch_start(m->worker->loop, &l->ready, l->fd, WATCH_READ, on_connection, l);
    }
}

static void listeners_rest(uint64_t us)
{
    resting = true;
    list_each (link, &listeners) {
        watch_stop(&list_of(link, struct listener, link)->ready);
    }
    timer_set(smtpd.worker->loop, &rest, us, listeners_watch, &smtpd);
}

static bool error_passes(int error)
{
    return error == EAGAIN || error == EINTR || error == ECONNABORTED || error == EPROTO;
}

static void see_boards(const struct worker *w)
{
    for (uint32_t i = 0; i < countof(w->boards); i++) {
        if (i != w->number && w->boards[i] >= 0)
            (void)connections_other(smtpd.connections, i, w->boards[i]); /* or it is not counted */
    }
}

/* All workers wait at the same sockets: who has more clients than another steps back, once. */
static bool others_first(void)
{
    see_boards(smtpd.worker);
    crowded = !crowded && connections_crowded(smtpd.connections, smtpd.worker->count);
    if (crowded)
        listeners_rest(TURN_US);
    return crowded;
}

/* Out of descriptors or memory: who comes waits in the kernel until somebody leaves. Then it may
 * be the same again at once, so not every time is told. */
static void log_paused(int error)
{
    static uint64_t told_us;
    uint64_t now = clock_monotonic_us(smtpd.worker->clock);

    if (told_us != 0 && now - told_us < TELL_US)
        return;
    log_event(LEVEL_WARNING, "accepting-paused", "error", strerror(error), NULL);
    told_us = now;
}

static void arrive(const struct listener *l, int fd, const struct sock_address *from)
{
    struct arrival a = {.config = l->config, .listen = l->listen, .client = *from};

    if (networks_have(l->listen->proxy, l->listen->proxy_count, from))
        proxied_accept(&smtpd, fd, &a);
    else
        client_accept(&smtpd, fd, &a);
}

static void on_connection(void *arg, unsigned what)
{
    struct listener *l = arg;
    struct sock_address from = {.bytes = sizeof from.sa};

    if (others_first())
        return;

    int fd = accept4(l->fd, (struct sockaddr *)&from.sa, &from.bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        arrive(l, fd, &from);
    } else if (!error_passes(errno)) {
        log_paused(errno);
        listeners_rest(REST_US);
    }
}

static void listener_close(struct listener *l)
{
    watch_stop(&l->ready);
    list_remove(&l->link);
    (void)close(l->fd);
    config_drop(&l->config);
    free(l);
}

static void listeners_close(struct list *all)
{
    list_each (link, all) {
        listener_close(list_of(link, struct listener, link));
    }
}

static void take_listener(struct worker *w, uint32_t listen_index, struct str address, int fd)
{
    struct listener *l;
    int on = 1;

    if (listen_index >= smtpd.config->listen_count) { /* of a configuration that is gone again */
        (void)close(fd);
        return;
    }
    l = mem_new(sizeof *l);

    /* Sockets accepted here inherit it: what leaves is gathered already. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->fd = fd;
    l->config = config_hold(smtpd.config);
    l->listen = &l->config->listens[listen_index];
    list_add(&next_listeners, &l->link);
}

static void take_listeners(struct worker *w)
{
    listeners_close(&listeners);
    if (smtpd.stopping) {
        listeners_close(&next_listeners);
        return;
    }
    list_each (link, &next_listeners) {
        list_remove(link);
        list_add(&listeners, link);
    }
    if (smtpd_tls_is_due())
        listeners_rest(KEYS_US); /* who comes now waits in the kernel */
    else
        listeners_watch(&smtpd);
}

/* ---- life ---- */

static int descriptors_raise(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return -errno;
    r.rlim_cur = r.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &r) < 0 ? -errno : 0;
}

static int start(struct worker *w)
{
    if (!smtpd.config || w->boards[w->number] < 0)
        return -EINVAL;
    smtpd.worker = w;
    smtpd.connections = connections_new();
    list_init(&listeners);
    list_init(&next_listeners);
    clients_init(&smtpd);
    proxied_init(&smtpd);
    int error = smtpd_tls_start_before_jail(w);
    if (error < 0)
        return error;
    (void)descriptors_raise(); /* or we serve as many as there are */
    return connections_own(smtpd.connections, w->boards[w->number]);
}

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *fresh = NULL;
    int error = config_load(snapshot_fd, &fresh);

    if (error < 0)
        return error;
    config_drop(&smtpd.config); /* sessions that began under it hold it */
    smtpd.config = fresh;
    smtpd_tls_config(fresh);
    return 0;
}

const struct config *smtpd_config(void)
{
    return smtpd.config;
}

static void done_if_empty(struct smtpd *m)
{
    if (m->stopping && m->client_count == 0)
        worker_done(m->worker);
}

void smtpd_client_gone(struct smtpd *m)
{
    if (resting)
        listeners_watch(m);
    done_if_empty(m);
}

static void patience_over(void *arg)
{
    clients_end(arg);
}

static void stop(struct worker *w)
{
    if (smtpd.stopping)
        return;
    listeners_close(&listeners);
    listeners_close(&next_listeners);
    proxied_stop(&smtpd);
    smtpd.stopping = true;
    timer_set(w->loop, &patience, PATIENCE_US, patience_over, &smtpd);
    clients_stop(&smtpd);
    done_if_empty(&smtpd);
}

/* ---- peers ---- */

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    if (channel_peer(peer) == QUEUE)
        smtpd.queue_refuses = false; /* until it says otherwise */
    if (channel_peer(peer) == LOGIND)
        channel_wipe(peer); /* passwords */
}

static void peer_down(struct worker *w, struct channel *peer)
{
    if (channel_peer(peer) == ROUTER)
        clients_lose_router(&smtpd);
    if (channel_peer(peer) == QUEUE)
        clients_lose_queue(&smtpd);
    if (channel_peer(peer) == RELAY)
        clients_lose_relay(&smtpd, peer);
    if (channel_peer(peer) == LOGIND)
        clients_lose_logind(&smtpd, peer);
}

static void peer_room(struct worker *w, struct channel *peer)
{
    if (channel_peer(peer) == QUEUE)
        clients_resume(&smtpd);
}

static void on_route_answer(struct worker *w, struct channel *from, union message *m)
{
    client_routed(&smtpd, &m->route_answer);
}

static void on_name_answer(struct worker *w, struct channel *from, union message *m)
{
    client_named(&smtpd, &m->name_answer);
}

static void on_login_challenge(struct worker *w, struct channel *from, union message *m)
{
    client_challenged(&smtpd, &m->login_challenge);
}

static void on_login_done(struct worker *w, struct channel *from, union message *m)
{
    client_login_done(&smtpd, &m->login_done);
}

static void on_limit_answer(struct worker *w, struct channel *from, union message *m)
{
    client_limited(&smtpd, &m->limit_answer);
}

static void on_etrn_answer(struct worker *w, struct channel *from, union message *m)
{
    client_etrn_done(&smtpd, &m->etrn_answer);
}

static void on_put_credit(struct worker *w, struct channel *from, union message *m)
{
    client_put_credit(&smtpd, &m->put_credit);
}

static void on_put_done(struct worker *w, struct channel *from, union message *m)
{
    client_stored(&smtpd, &m->put_done);
}

static void on_queue_state(struct worker *w, struct channel *from, union message *m)
{
    smtpd.queue_refuses = !m->queue_state.accepts;
    smtpd.queue_status = m->queue_state.status;
    if (status_done(&smtpd.queue_status)) /* a refusal must not look like a 250 */
        smtpd.queue_status = reply_status(REPLY_DISK_FULL, STR_NONE);
}

static void on_user(struct worker *w, struct channel *from, union message *m)
{
    client_accept_user(&smtpd, &m->user);
}

static void on_drop(struct worker *w, struct channel *from, union message *m)
{
    client_accept_drop(&smtpd, &m->drop);
}

static void on_signer(struct worker *w, struct channel *from, union message *m)
{
    smtpd_tls_signer(&m->signer);
}

static void on_tls_certificate(struct worker *w, struct channel *from, union message *m)
{
    smtpd_tls_certificate(&m->tls_certificate);
}

static void on_tls_roots(struct worker *w, struct channel *from, union message *m)
{
    smtpd_tls_roots(&m->tls_roots);
}

static void on_tls_certificates_end(struct worker *w, struct channel *from, union message *m)
{
    bool first = smtpd_tls_is_due();

    smtpd_tls_certificates_end();
    if (first && resting)
        listeners_watch(&smtpd);
}

static void on_ticket_keys(struct worker *w, struct channel *from, union message *m)
{
    tls_tickets_take(m->ticket_keys.keys);
}

static const struct role_handler handlers[] = {
    {MSG_SIGNER, on_signer},
    {MSG_TLS_CERTIFICATE, on_tls_certificate},
    {MSG_TLS_ROOTS, on_tls_roots},
    {MSG_TLS_CERTIFICATES_END, on_tls_certificates_end},
    {MSG_TICKET_KEYS, on_ticket_keys},
    {MSG_USER, on_user},
    {MSG_DROP, on_drop},
    {MSG_ROUTE_ANSWER, on_route_answer},
    {MSG_NAME_ANSWER, on_name_answer},
    {MSG_LOGIN_CHALLENGE, on_login_challenge},
    {MSG_LOGIN_DONE, on_login_done},
    {MSG_LIMIT_ANSWER, on_limit_answer},
    {MSG_ETRN_ANSWER, on_etrn_answer},
    {MSG_PUT_CREDIT, on_put_credit},
    {MSG_PUT_DONE, on_put_done},
    {MSG_QUEUE_STATE, on_queue_state},
};

const struct role_spec smtpd_spec = {
    .role = SMTPD,
    .user = "_troika-smtpd",
    .jail_may = JAIL_ACCEPT,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .listener = take_listener,
    .listeners_end = take_listeners,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .peer_room = peer_room,
    .stop = stop,
};
