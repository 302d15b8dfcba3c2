/* smtpd/client.c - one connected client: its stream, its session, and the questions of the session
 * as messages to router and queue.
 *
 * While the session waits, while the client does not read what it is told, and while the queue has
 * more than it can swallow, nothing is read. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/drop.h"
#include "daemon/smtpd/smtpd.h"
#include "daemon/smtpd/smtpd_tls.h"
#include "io/stream.h"
#include "mail/address.h"

enum {
    IN_BYTES_MAX = 32 * 1024,
    OUT_BYTES_MAX = 128 * 1024,
    DROP_SAID_BYTES_MAX = 64 * 1024,
    OUT_BYTES_ENOUGH = 8 * 1024, /* unread by the client: it is not listened to */
    WORKER_BYTES_MAX = 16 * 1024 * 1024,
    ENVELOPE_PIECE_BYTES = 64 * 1024,
};
#define TICK_US US_PER_S

struct client {
    struct list link;
    struct smtpd *smtpd;
    struct stream *stream;
    struct session *session;
    struct config *config;
    const struct config_listen *listen; /* NULL: a local user */
    struct connection connection;
    uint64_t ticket;            /* of the open question; 0: none */
    uint64_t policy_ticket;     /* of the question of policy.c, likewise */
    enum role policy_role;      /* who was asked that */
    uint64_t hold;              /* by which the queue knows what it keeps; 0: nothing */
    uint64_t name_ticket;       /* of the question for its name, likewise */
    struct channel *name_relay; /* who was asked that */
    uint64_t login_ticket;      /* of its login, likewise */
    struct channel *logind;     /* who checks that */
    bool putting;               /* it is a message for the queue */
    size_t bytes_held;
    char ip[46];
    bool asks_certificate;
    struct tls *tls; /* of the stream; NULL: plain */
    bool shaking;    /* its handshake is under way: nothing can be said */
    bool local;
    uint32_t uid; /* of a local user */

    struct drop *drop; /* instead of a stream */
    uint64_t drop_ticket;
    struct buf said; /* by the drop, and not yet taken */
    struct timer go;
};

/* ---- who may come in ---- */

static bool is_own(const struct config *config, const struct sock_address *address)
{
    return networks_have(config->relay_for, config->relay_for_count, address);
}

static struct session_rights rights_of(const struct config *config,
                                       const struct config_listen *listen,
                                       const struct sock_address *address)
{
    return (struct session_rights){
        .may_relay = is_own(config, address),
        .may_xclient = listen && networks_have(listen->xclient, listen->xclient_count, address),
    };
}

/* REPLY_GREETING: come in. Our own clients are never too many. */
static enum reply_name admit(struct client *c, const struct sock_address *address, bool own)
{
    struct smtpd *m = c->smtpd;
    bool entered = connections_enter(m->connections, &c->connection, address);

    if (own)
        return REPLY_GREETING;
    if (!entered || connections_count(m->connections) > c->config->connections_max)
        return REPLY_TOO_MANY_SESSIONS;
    if (connections_count_from(m->connections, address) > c->config->connections_per_address_max)
        return REPLY_TOO_MANY_FROM_YOU;
    return REPLY_GREETING;
}

/* ---- the world of a session: questions ---- */

static void question_open(struct client *c, bool putting)
{
    struct smtpd *m = c->smtpd;

    check(c->ticket == 0);
    c->ticket = ++m->last_ticket;
    c->putting = putting;
    (void)map_put(m->questions, map_key_u64(&c->ticket), c);
}

static void question_close(struct client *c)
{
    if (c->ticket == 0)
        return;
    (void)map_remove(c->smtpd->questions, map_key_u64(&c->ticket));
    c->ticket = 0;
    c->putting = false;
}

/* NULL: whoever asked is gone, or was answered. */
static struct client *question_client(struct smtpd *m, uint64_t ticket, bool putting)
{
    struct client *c = map_get(m->questions, map_key_u64(&ticket));

    return c && c->putting == putting ? c : NULL;
}

static bool route_ask(void *arg, bool may_relay, struct str sender, struct str recipient)
{
    struct client *c = arg;
    struct channel *router = worker_peer(c->smtpd->worker, ROUTER, 0);

    if (!router)
        return false;
    question_open(c, false);
    channel_send(router, &(struct msg_route_ask){.kind = MSG_ROUTE_ASK,
                                                 .ticket = c->ticket,
                                                 .may_relay = may_relay,
                                                 .sender = sender,
                                                 .recipient = recipient});
    return true;
}

static void name_close(struct client *c)
{
    if (c->name_ticket != 0)
        (void)map_remove(c->smtpd->name_questions, map_key_u64(&c->name_ticket));
    c->name_ticket = 0;
}

static bool name_ask(void *arg, struct str ip)
{
    struct client *c = arg;
    struct smtpd *m = c->smtpd;
    struct channel *relay = worker_peer(m->worker, RELAY, m->worker->number - 1);

    if (!relay)
        relay = worker_peer(m->worker, RELAY, 0);
    name_close(c); /* of another address */
    if (!relay || channel_full(relay))
        return false;
    c->name_ticket = ++m->last_ticket;
    c->name_relay = relay;
    (void)map_put(m->name_questions, map_key_u64(&c->name_ticket), c);
    channel_send(relay, &(struct msg_name_ask){
                            .kind = MSG_NAME_ASK, .ticket = c->name_ticket, .address = ip});
    return true;
}

static void login_close(struct client *c)
{
    if (c->login_ticket != 0)
        (void)map_remove(c->smtpd->logins, map_key_u64(&c->login_ticket));
    c->login_ticket = 0;
    c->logind = NULL;
}

/* One after the other, so that a slow check holds up as few as possible. */
static struct channel *logind_choose(struct smtpd *m)
{
    size_t count = 0;
    struct channel *chosen;

    while (worker_peer(m->worker, LOGIND, count))
        count++;
    chosen = count > 0 ? worker_peer(m->worker, LOGIND, m->last_ticket % count) : NULL;
    return chosen && !channel_full(chosen) ? chosen : NULL;
}

static bool login_ask(void *arg, const struct session_login *ask)
{
    struct client *c = arg;
    struct smtpd *m = c->smtpd;

    if (ask->mechanism.n == 0) {
        if (!c->logind)
            return false;
        channel_send(c->logind, &(struct msg_login_step){.kind = MSG_LOGIN_STEP,
                                                         .ticket = c->login_ticket,
                                                         .response = ask->response});
        return true;
    }
    c->login_ticket = ++m->last_ticket;
    c->logind = logind_choose(m);
    if (!c->logind) {
        c->login_ticket = 0;
        return false;
    }
    (void)map_put(m->logins, map_key_u64(&c->login_ticket), c);
    channel_send(c->logind, &(struct msg_login_begin){.kind = MSG_LOGIN_BEGIN,
                                                      .ticket = c->login_ticket,
                                                      .mechanism = ask->mechanism,
                                                      .has_response = ask->has_response,
                                                      .response = ask->response,
                                                      .client = ask->client,
                                                      .binding = ask->binding,
                                                      .certificate = ask->certificate});
    return true;
}

static void login_cancel(void *arg)
{
    struct client *c = arg;

    if (c->logind)
        channel_send(c->logind, &(struct msg_login_cancel){.kind = MSG_LOGIN_CANCEL,
                                                           .ticket = c->login_ticket});
    login_close(c);
}

/* ---- questions of policy.c ---- */

static struct channel *policy_open(struct client *c, enum role role)
{
    struct smtpd *m = c->smtpd;
    struct channel *peer = worker_peer(m->worker, role, 0);

    check(c->policy_ticket == 0);
    if (!peer)
        return NULL;
    c->policy_role = role;
    c->policy_ticket = ++m->last_ticket;
    (void)map_put(m->policy_questions, map_key_u64(&c->policy_ticket), c);
    return peer;
}

static void policy_close(void *arg)
{
    struct client *c = arg;

    if (c->policy_ticket != 0)
        (void)map_remove(c->smtpd->policy_questions, map_key_u64(&c->policy_ticket));
    c->policy_ticket = 0;
}

static bool owner_ask(void *arg, struct str login, struct str addresses)
{
    struct client *c = arg;
    struct channel *router = policy_open(c, ROUTER);

    if (router)
        channel_send(router, &(struct msg_route_ask){.kind = MSG_ROUTE_ASK,
                                                     .ticket = c->policy_ticket,
                                                     .what = ROUTE_OWNER,
                                                     .sender = login,
                                                     .recipient = addresses});
    return router != NULL;
}

static bool verify_ask(void *arg, bool may_relay, struct str text)
{
    struct client *c = arg;
    struct channel *router = policy_open(c, ROUTER);

    if (router)
        channel_send(router, &(struct msg_route_ask){.kind = MSG_ROUTE_ASK,
                                                     .ticket = c->policy_ticket,
                                                     .what = ROUTE_VERIFY,
                                                     .may_relay = may_relay,
                                                     .recipient = text});
    return router != NULL;
}

static bool limit_ask(void *arg, struct str login, uint32_t recipients)
{
    struct client *c = arg;
    struct channel *queue = policy_open(c, QUEUE);

    if (c->hold == 0)
        c->hold = ++c->smtpd->last_ticket;
    if (queue)
        channel_send(queue, &(struct msg_limit_ask){.kind = MSG_LIMIT_ASK,
                                                    .ticket = c->policy_ticket,
                                                    .hold = c->hold,
                                                    .account = login,
                                                    .recipients = recipients});
    return queue != NULL;
}

static void limit_end(void *arg)
{
    struct client *c = arg;
    struct channel *queue = worker_peer(c->smtpd->worker, QUEUE, 0);

    if (queue && c->hold != 0)
        channel_send(queue, &(struct msg_limit_end){.kind = MSG_LIMIT_END, .hold = c->hold});
    c->hold = 0;
}

static bool etrn_ask(void *arg, struct str node)
{
    struct client *c = arg;
    struct channel *queue = policy_open(c, QUEUE);

    if (queue)
        channel_send(queue, &(struct msg_etrn_ask){
                                .kind = MSG_ETRN_ASK, .ticket = c->policy_ticket, .node = node});
    return queue != NULL;
}

/* ---- the message ---- */

/* Sends pieces of the envelope until no more than `rest` are left, and returns these. */
static struct str send_ahead(struct channel *queue, const struct client *c,
                             const struct session_put *p, struct str envelope, size_t rest,
                             uint8_t *flags)
{
    while (envelope.n > rest) {
        struct str piece = str_sub(envelope, 0, ENVELOPE_PIECE_BYTES);

        channel_send(queue, &(struct msg_put){.kind = MSG_PUT,
                                              .ticket = c->ticket,
                                              .hold = c->hold,
                                              .account = p->account,
                                              .flags = *flags,
                                              .envelope = piece});
        envelope = str_skip(envelope, piece.n);
        *flags = 0;
    }
    return envelope;
}

/* What of the envelope goes into the packet with the content: all of it, unless it is too long. */
static struct str send_envelope(struct channel *queue, const struct client *c,
                                const struct session_put *p, struct buf *whole, uint8_t *flags)
{
    if (buf_add(whole, p->envelope) && buf_add(whole, p->recipients))
        return buf_str(whole);
    (void)send_ahead(queue, c, p, p->envelope, 0, flags);
    return send_ahead(queue, c, p, p->recipients, ENVELOPE_PIECE_BYTES, flags);
}

static bool put(void *arg, const struct session_put *p)
{
    struct client *c = arg;
    struct channel *queue = worker_peer(c->smtpd->worker, QUEUE, 0);
    uint8_t flags = p->begin ? PUT_BEGIN : 0;

    if (!queue)
        return false;
    if (p->begin)
        question_open(c, true);

    struct buf whole = buf_init(ENVELOPE_PIECE_BYTES);
    struct str envelope = send_envelope(queue, c, p, &whole, &flags);

    channel_send(queue, &(struct msg_put){.kind = MSG_PUT,
                                          .ticket = c->ticket,
                                          .hold = c->hold,
                                          .account = p->account,
                                          .flags = flags | (p->end ? PUT_END : 0),
                                          .size = p->size,
                                          .envelope = envelope,
                                          .prefix = p->prefix,
                                          .content = p->content});
    buf_free(&whole);
    return true;
}

static void cancel(void *arg)
{
    struct client *c = arg;
    struct channel *queue = worker_peer(c->smtpd->worker, QUEUE, 0);

    if (c->putting && queue)
        channel_send(queue, &(struct msg_put_abort){.kind = MSG_PUT_ABORT, .ticket = c->ticket});
    question_close(c);
}

static bool refuses(void *arg, struct status *ret)
{
    struct client *c = arg;
    struct smtpd *m = c->smtpd;

    if (!worker_peer(m->worker, QUEUE, 0)) {
        *ret = reply_status(REPLY_NOT_STORED, STR_NONE);
        return true;
    }
    *ret = m->queue_status;
    return m->queue_refuses;
}

static enum reply_name moved(void *arg, const struct sock_address *to, struct session_rights *ret)
{
    struct client *c = arg;

    *ret = (struct session_rights){.may_relay = false};
    if (!to)
        return REPLY_GREETING; /* it counts as before */
    *ret = rights_of(c->config, c->listen, to);
    connections_leave(c->smtpd->connections, &c->connection);
    return admit(c, to, ret->may_relay);
}

static bool tight(void *arg)
{
    struct client *c = arg;

    return c->smtpd->bytes_held > WORKER_BYTES_MAX;
}

/* For the log, and for history unless it is busy: a refusal may be lost. */
static void note(void *arg, struct str line)
{
    struct client *c = arg;
    struct channel *history = worker_peer(c->smtpd->worker, HISTORY, 0);

    log_line(LEVEL_INFO, line);
    if (!history || channel_full(history))
        return;

    struct buf timed = buf_init(LINE_BYTES_MAX + 64);

    buf_add_c(&timed, "time=");
    time_print(&timed, clock_now_us(c->smtpd->worker->clock));
    buf_add_char(&timed, ' ');
    buf_add(&timed, line);
    channel_send(history, &(struct msg_note){.kind = MSG_NOTE, .line = buf_str(&timed)});
    buf_free(&timed);
}

static bool tls_can(void *arg)
{
    return smtpd_tls() != NULL;
}

void clients_init(struct smtpd *m)
{
    list_init(&m->clients);
    m->questions = map_new();
    m->name_questions = map_new();
    m->logins = map_new();
    m->policy_questions = map_new();
    m->out = buf_init(OUT_BYTES_MAX);
    m->world = (struct session_world){.clock = m->worker->clock,
                                      .name_ask = name_ask,
                                      .route_ask = route_ask,
                                      .login_ask = login_ask,
                                      .login_cancel = login_cancel,
                                      .owner_ask = owner_ask,
                                      .verify_ask = verify_ask,
                                      .limit_ask = limit_ask,
                                      .limit_end = limit_end,
                                      .etrn_ask = etrn_ask,
                                      .policy_cancel = policy_close,
                                      .put = put,
                                      .cancel = cancel,
                                      .refuses = refuses,
                                      .moved = moved,
                                      .tight = tight,
                                      .tls_can = tls_can,
                                      .note = note};
}

/* ---- life ---- */

static void log_client(const struct client *c, const char *event, const char *key,
                       const char *value, const char *proxy)
{
    struct buf line = buf_init(KIB);

    line_c(&line, "event", event);
    line_str(&line, "session", session_name(c->session));
    line_c(&line, key, value);
    if (proxy[0])
        line_c(&line, "proxy", proxy);
    log_line(LEVEL_DEBUG, buf_str(&line));
    buf_free(&line);
}

static void client_free(struct client *c)
{
    struct smtpd *m = c->smtpd;

    session_free(&c->session);
    name_close(c);
    login_close(c);
    stream_finish(&c->stream);
    timer_stop(&c->go);
    drop_free(&c->drop);
    buf_free(&c->said);
    connections_leave(m->connections, &c->connection);
    config_drop(&c->config);
    m->bytes_held -= c->bytes_held;
    m->client_count--;
    list_remove(&c->link);
    free(c);
    smtpd_client_gone(m);
}

/* Sessions that hold a part of a message give it to the queue early: there it costs disk. */
static void spill_all(struct smtpd *m)
{
    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        session_spill(c->session);
        m->bytes_held -= c->bytes_held;
        c->bytes_held = session_bytes(c->session);
        m->bytes_held += c->bytes_held;
    }
}

static bool queue_is_full(const struct smtpd *m)
{
    const struct channel *queue = worker_peer(m->worker, QUEUE, 0);

    return queue && channel_full(queue);
}

static void drop_go(void *arg);

static void client_listen(struct client *c)
{
    if (c->drop) {
        if (!session_waits(c->session) && !queue_is_full(c->smtpd))
            timer_set(c->smtpd->worker->loop, &c->go, 0, drop_go, c);
        return;
    }
    if (c->shaking)
        return; /* TLS reads what it needs */
    if (session_waits(c->session) || stream_unsent(c->stream) > OUT_BYTES_ENOUGH ||
        queue_is_full(c->smtpd))
        stream_pause(c->stream);
    else
        stream_resume(c->stream);
}

static void drop_answer(struct client *c)
{
    if (c->drop)
        channel_send(c->smtpd->worker->parent,
                     &(struct msg_drop_done){.kind = MSG_DROP_DONE,
                                             .ticket = c->drop_ticket,
                                             .verdict = (uint8_t)drop_verdict(c->drop),
                                             .why = drop_why(c->drop)});
}

/* ---- TLS ---- */

static void log_tls_failed(const struct client *c, const char *reason)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "tls-failed");
    line_str(&line, "session", session_name(c->session));
    line_c(&line, "client", c->ip);
    line_c(&line, "reason", reason);
    log_line(LEVEL_INFO, buf_str(&line));
    buf_free(&line);
}

static void client_step(struct client *c);

static void on_secured(void *arg)
{
    struct client *c = arg;
    struct buf words = buf_init(KIB);

    c->shaking = false;
    char binding[TLS_BINDING_BYTES];
    struct buf mail = buf_init(ADDRESS_BYTES_MAX);

    tls_peer_mail(c->tls, &mail);
    session_identified(c->session, str_n(binding, tls_binding(c->tls, binding)), buf_str(&mail));
    buf_free(&mail);
    tls_words(c->tls, &words);
    log_client(c, "secured", "tls", buf_c(&words), "");
    session_secured(c->session, buf_str(&words), &c->smtpd->out);
    buf_free(&words);
    client_step(c);
}

/* False: it is gone. */
static bool client_shake(struct client *c)
{
    struct tls_server *server = smtpd_tls();

    if (!server) {
        log_tls_failed(c, "there is no certificate now, or nobody who has its key");
        client_free(c);
        return false;
    }
    c->shaking = true;
    c->tls = tls_accept(c->stream, server, c->asks_certificate, on_secured);
    return true;
}

/* After every step of its session: says what is to be said. The client may be gone then. */
static void client_step(struct client *c)
{
    struct smtpd *m = c->smtpd;
    size_t before = c->bytes_held;

    if (c->drop)
        drop_hears(c->drop, buf_str(&m->out));
    else if (m->out.n > 0 && !c->shaking && !session_is_mute(c->session))
        (void)stream_write(c->stream, buf_str(&m->out)); /* a failure comes as an end */
    buf_reset(&m->out);
    if (session_ended(c->session) || (c->drop && drop_finished(c->drop))) {
        log_client(c, "disconnected", "reason", session_why_ended(c->session), "");
        drop_answer(c);
        client_free(c);
        return;
    }
    if (session_shakes(c->session) && !c->tls && !client_shake(c))
        return;
    c->bytes_held = session_bytes(c->session);
    m->bytes_held += c->bytes_held - before;
    if (m->bytes_held > WORKER_BYTES_MAX && c->bytes_held > before)
        spill_all(m);
    client_listen(c);
}

/* ---- a drop file instead of a client ---- */

static void drop_go(void *arg)
{
    struct client *c = arg;

    if (session_waits(c->session) || queue_is_full(c->smtpd))
        return; /* client_listen comes again */
    if (c->said.n == 0 && !drop_says(c->drop, &c->said) && !drop_finished(c->drop))
        return; /* an answer is still open */
    if (!drop_finished(c->drop))
        buf_drop_front(&c->said, session_feed(c->session, buf_str(&c->said), &c->smtpd->out));
    client_step(c);
}

/* ---- the stream ---- */

static void on_bytes(void *arg, struct buf *in)
{
    struct client *c = arg;

    if (session_waits(c->session) || queue_is_full(c->smtpd)) {
        stream_pause(c->stream);
        return;
    }
    buf_wipe_front(in, session_feed(c->session, buf_str(in), &c->smtpd->out));
    client_step(c);
}

static void on_drained(void *arg)
{
    client_listen(arg);
}

static void on_end(void *arg, enum stream_end why, int error)
{
    struct client *c = arg;

    if (c->shaking)
        log_tls_failed(c, tls_failure(c->tls, error));
    log_client(c, "disconnected", "reason", why == STREAM_EOF ? "client" : "connection lost", "");
    client_free(c);
}

static const struct stream_events client_events = {on_bytes, on_drained, on_end};

/* ---- arriving ---- */

/* Unique among the workers of one machine, and rising. */
static uint64_t next_number(struct smtpd *m)
{
    uint64_t number = clock_now_us(m->worker->clock) << 7 | m->worker->number;

    m->last_number = MAX_OF(number, m->last_number + 128);
    return m->last_number;
}

static void on_tick(void *arg)
{
    struct smtpd *m = arg;

    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        session_tick(c->session, &m->out);
        if (m->out.n > 0)
            client_step(c);
    }
    if (m->client_count > 0)
        timer_set(m->worker->loop, &m->clock, TICK_US, on_tick, m);
}

static struct client *client_new(struct smtpd *m, const struct arrival *a,
                                 const struct session_rights *rights,
                                 const struct session_user *user)
{
    struct client *c = mem_new(sizeof *c);
    struct buf ip = buf_init(64), proxy = buf_init(64);

    *c = (struct client){.smtpd = m, .config = config_hold(a->config), .listen = a->listen};
    c->local = user != NULL;
    c->uid = user ? user->uid : 0;
    c->asks_certificate = a->listen && a->listen->client_certificates;
    sock_address_print_ip(&ip, &a->client);
    (void)snprintf(c->ip, sizeof c->ip, "%s", buf_c(&ip));
    if (a->proxy.bytes > 0)
        sock_address_print_ip(&proxy, &a->proxy);
    c->session = session_new(&m->world, c, c->config,
                             &(struct session_client){.ip = buf_str(&ip),
                                                      .proxy = buf_str(&proxy),
                                                      .rights = *rights,
                                                      .listen = a->listen,
                                                      .user = user,
                                                      .number = next_number(m)});
    log_client(c, "connected", "client", buf_c(&ip), buf_c(&proxy));
    buf_free(&ip);
    buf_free(&proxy);
    list_add(&m->clients, &c->link);
    if (m->client_count++ == 0)
        timer_set(m->worker->loop, &m->clock, TICK_US, on_tick, m);
    return c;
}

static void take_stream(struct client *c, int fd)
{
    (void)stream_new(c->smtpd->worker->loop, fd, &client_events, c, IN_BYTES_MAX, OUT_BYTES_MAX,
                     &c->stream);
}

static void greet(struct client *c, enum reply_name greeting)
{
    if (greeting == REPLY_GREETING)
        session_greet(c->session, &c->smtpd->out);
    else
        session_close(c->session, greeting, &c->smtpd->out);
    client_step(c);
}

void client_accept(struct smtpd *m, int fd, const struct arrival *a)
{
    struct session_rights rights = {.may_relay = false};

    if (!a->nameless)
        rights = rights_of(a->config, a->listen, &a->client);

    struct client *c = client_new(m, a, &rights, NULL);

    take_stream(c, fd);
    /* Who may open a Unix socket is said by its mode: such clients are not too many either. */
    greet(c, admit(c, &a->client, rights.may_relay || a->client.sa.ss_family == AF_UNIX));
}

/* ---- users of this machine ---- */

static const struct sock_address no_address = {.sa = {.ss_family = AF_UNIX}};

static struct client *user_new(struct smtpd *m, const struct session_user *user)
{
    return client_new(m, &(struct arrival){.config = m->config, .client = no_address},
                      &(struct session_rights){.may_relay = true}, user);
}

static size_t count_of_user(const struct smtpd *m, uint32_t uid)
{
    size_t count = 0;

    list_each (link, &m->clients) {
        const struct client *c = list_of(link, struct client, link);

        count += c->local && c->uid == uid && !c->drop;
    }
    return count;
}

/* They are not held up by strangers, but one of them shall not use up all descriptors. */
static enum reply_name admit_user(struct client *c)
{
    struct smtpd *m = c->smtpd;

    (void)connections_enter(m->connections, &c->connection, &no_address);
    if (m->stopping)
        return REPLY_SHUTTING_DOWN;
    if (c->uid != 0 && count_of_user(m, c->uid) > c->config->connections_per_address_max)
        return REPLY_TOO_MANY_SESSIONS;
    return REPLY_GREETING;
}

void client_accept_user(struct smtpd *m, struct msg_user *user)
{
    struct client *c = user_new(
        m,
        &(struct session_user){.uid = user->uid, .trusted = user->trusted, .login = user->login});

    take_stream(c, user->socket);
    greet(c, admit_user(c));
}

void client_accept_drop(struct smtpd *m, struct msg_drop *drop)
{
    struct client *c = user_new(
        m,
        &(struct session_user){.uid = drop->uid, .trusted = drop->trusted, .login = drop->login});

    c->drop = drop_new(drop->file, c->config, clock_now_us(m->worker->clock));
    c->drop_ticket = drop->ticket;
    c->said = buf_init(DROP_SAID_BYTES_MAX);
    greet(c, admit_user(c));
}
/* ---- answers and events of the worker ---- */

/* To a question of policy.c; or whoever asked is gone. */
static void told(struct smtpd *m, const struct msg_route_answer *a)
{
    struct client *c = map_get(m->policy_questions, map_key_u64(&a->ticket));

    if (!c || c->policy_role != ROUTER)
        return;
    policy_close(c);
    session_told(c->session, &a->status, a->targets, a->why, &m->out);
    client_step(c);
}

void client_limited(struct smtpd *m, const struct msg_limit_answer *a)
{
    struct client *c = map_get(m->policy_questions, map_key_u64(&a->ticket));

    if (!c || c->policy_role != QUEUE)
        return;
    policy_close(c);
    session_limited(c->session, &a->status, &m->out);
    client_step(c);
}

void client_etrn_done(struct smtpd *m, const struct msg_etrn_answer *a)
{
    struct client *c = map_get(m->policy_questions, map_key_u64(&a->ticket));

    if (!c || c->policy_role != QUEUE)
        return;
    policy_close(c);
    session_etrn_done(c->session, &a->status, &m->out);
    client_step(c);
}

/* Which of the two questions to the queue it was only the session knows. */
static void lose_policy_answer(struct client *c, const struct status *lost)
{
    struct smtpd *m = c->smtpd;

    policy_close(c);
    session_limited(c->session, lost, &m->out);
    session_etrn_done(c->session, lost, &m->out);
    client_step(c);
}

void client_routed(struct smtpd *m, const struct msg_route_answer *a)
{
    struct client *c = question_client(m, a->ticket, false);

    if (!c) {
        told(m, a);
        return;
    }
    question_close(c);
    session_routed(c->session, &a->status, a->targets, &m->out);
    client_step(c);
}

static void take_name(struct client *c, struct str name, struct str why)
{
    name_close(c);
    session_named(c->session, name, why, &c->smtpd->out);
    client_step(c);
}

void client_named(struct smtpd *m, const struct msg_name_answer *a)
{
    struct client *c = map_get(m->name_questions, map_key_u64(&a->ticket));

    if (c)
        take_name(c, a->name, a->why);
}

void clients_lose_relay(struct smtpd *m, const struct channel *relay)
{
    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->name_ticket != 0 && c->name_relay == relay)
            take_name(c, STR_NONE, STR("the process that looks it up has ended"));
    }
}

void client_challenged(struct smtpd *m, const struct msg_login_challenge *a)
{
    struct client *c = map_get(m->logins, map_key_u64(&a->ticket));

    if (!c)
        return;
    session_challenged(c->session, a->challenge, &m->out);
    client_step(c);
}

void client_login_done(struct smtpd *m, const struct msg_login_done *a)
{
    struct client *c = map_get(m->logins, map_key_u64(&a->ticket));

    if (!c)
        return;
    login_close(c);
    session_login_done(c->session, &a->status, a->login, a->why, &m->out);
    client_step(c);
}

/* Who was challenged hears of it with the next line: then nobody is left to ask. */
void clients_lose_logind(struct smtpd *m, const struct channel *logind)
{
    struct status away = reply_status(REPLY_LOGIN_LATER, STR_NONE);

    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->logind != logind || c->login_ticket == 0)
            continue;
        login_close(c);
        session_login_done(c->session, &away, STR_NONE, STR("the process that checks it has ended"),
                           &m->out);
        client_step(c);
    }
}

void client_put_credit(struct smtpd *m, const struct msg_put_credit *a)
{
    struct client *c = question_client(m, a->ticket, true);

    if (!c)
        return;
    session_put_credit(c->session, a->bytes, &m->out);
    client_step(c);
}

void client_stored(struct smtpd *m, const struct msg_put_done *a)
{
    struct client *c = question_client(m, a->ticket, true);

    if (!c)
        return;
    question_close(c);
    session_stored(c->session, &a->status, (struct id){.key = a->key, .node = a->node}, &m->out);
    client_step(c);
}

void clients_lose_router(struct smtpd *m)
{
    struct status away = reply_status(REPLY_ROUTER_AWAY, STR_NONE);

    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->policy_ticket != 0 && c->policy_role == ROUTER)
            told(m, &(struct msg_route_answer){.ticket = c->policy_ticket, .status = away});
        else if (c->ticket != 0 && !c->putting)
            client_routed(m, &(struct msg_route_answer){.ticket = c->ticket, .status = away});
    }
}

void clients_lose_queue(struct smtpd *m)
{
    struct status lost = reply_status(REPLY_NOT_STORED, STR_NONE);

    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        c->hold = 0; /* another queue knows nothing of it */
        if (c->policy_ticket != 0 && c->policy_role == QUEUE)
            lose_policy_answer(c, &lost);
        else if (c->putting)
            client_stored(m, &(struct msg_put_done){.ticket = c->ticket, .status = lost});
        else
            client_listen(c); /* it may have been the queue that was full */
    }
}

void clients_resume(struct smtpd *m)
{
    list_each (link, &m->clients) {
        client_listen(list_of(link, struct client, link));
    }
}

void clients_stop(struct smtpd *m)
{
    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        session_stop(c->session, &m->out);
        client_step(c);
    }
}

void clients_end(struct smtpd *m)
{
    list_each (link, &m->clients) {
        struct client *c = list_of(link, struct client, link);

        session_close(c->session, REPLY_SHUTTING_DOWN, &m->out);
        client_step(c);
    }
}
