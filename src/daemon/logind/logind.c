/* logind/logind.c - the role logind: exchanges of many clients, one slow step after the other.
 *
 * A step may take a tenth of a second, for a password is hashed slowly on purpose. So steps wait in
 * a line, one is taken in each turn of the loop, and when the line is long who comes is told to
 * come again: nobody's wait has no end, and no flood of guesses takes memory. */
// SPDX-License-Identifier: ISC
#include "daemon/logind/logind.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "config/config.h"
#include "daemon/logind/attempts.h"
#include "daemon/logind/exchange.h"

enum { RESPONSE_BYTES_MAX = 16 * 1024 };

struct client {       /* of smtpd, with an exchange */
    struct list link; /* of all of them */
    struct list line; /* of those that wait for their turn; alone: it is the client's turn */
    struct {
        uint64_t ticket, peer;
    } key;
    struct channel *peer;
    struct exchange *exchange;
    bool has_response;
    struct buf response;
};

static struct {
    struct worker *worker;
    struct config *config;
    struct credentials *credentials;
    struct attempts *attempts;
    struct exchanges *exchanges;
    struct list clients, line;
    size_t client_count, line_length;
    struct map *by_key;
    struct timer turn;
} logind;

/* ---- the world of an exchange ---- */

static struct str login_domain(void *arg)
{
    return logind.config ? config_login_domain(logind.config) : STR_NONE;
}

static bool has_accounts(struct str domain)
{
    for (size_t i = 0; logind.config && i < logind.config->domain_count; i++) {
        const struct config_domain *d = &logind.config->domains[i];

        if (d->accounts && str_eq(d->name, domain))
            return true;
    }
    return false;
}

static void log_trouble(const char *event, int64_t error)
{
    if (error < 0)
        log_event(LEVEL_ERROR, event, "error", strerror((int)-error), NULL);
}

static int find(void *arg, const struct address *login, struct credential *ret)
{
    int found = has_accounts(login->domain)
                    ? credentials_find(logind.credentials, login->local, login->domain, ret)
                    : 0;

    log_trouble("credentials-unreadable", found);
    return found;
}

static bool matches(void *arg, const struct credential *c, struct str password)
{
    return password_matches(c, password);
}

static void fake(void *arg, struct str login, uint8_t ret[32])
{
    uint8_t secret[ATTEMPTS_SECRET_BYTES] = {0};
    unsigned n = 32;

    log_trouble("attempts-unreadable", attempts_secret(logind.attempts, secret));
    if (!HMAC(EVP_sha256(), secret, sizeof secret, (const unsigned char *)login.p, login.n, ret,
              &n))
        memset(ret, 0, 32);
}

/* A file of failures that cannot be read must not keep everybody out. */
static uint64_t pause_s(void *arg, struct str login, struct str client)
{
    int64_t pause = attempts_pause_s(logind.attempts, login, client);

    log_trouble("attempts-unreadable", pause);
    return pause > 0 ? (uint64_t)pause : 0;
}

static void failed(void *arg, struct str login, struct str client)
{
    log_trouble("attempts-unwritable", attempts_failed(logind.attempts, login, client));
}

static void succeeded(void *arg, struct str login, struct str client)
{
    log_trouble("attempts-unwritable", attempts_succeeded(logind.attempts, login));
}

static const struct exchange_world world = {.domain = login_domain,
                                            .find = find,
                                            .matches = matches,
                                            .fake = fake,
                                            .pause_s = pause_s,
                                            .failed = failed,
                                            .succeeded = succeeded};

/* ---- clients ---- */

static struct str key_of(const struct client *c)
{
    return str_n((const char *)&c->key, sizeof c->key);
}

static struct client *client_find(const struct channel *peer, uint64_t ticket)
{
    struct client wanted = {.key = {ticket, (uint64_t)(uintptr_t)peer}};

    return map_get(logind.by_key, key_of(&wanted));
}

static bool is_waiting(const struct client *c)
{
    return !list_empty(&c->line);
}

static void line_leave(struct client *c)
{
    logind.line_length -= is_waiting(c);
    list_remove(&c->line);
}

static void client_free(struct client *c)
{
    line_leave(c);
    (void)map_remove(logind.by_key, key_of(c));
    list_remove(&c->link);
    logind.client_count--;
    exchange_free(&c->exchange);
    buf_wipe(&c->response);
    free(c);
}

static void send_done(struct channel *to, uint64_t ticket, const struct status *st,
                      struct str login, const char *why)
{
    channel_send(to, &(struct msg_login_done){.kind = MSG_LOGIN_DONE,
                                              .ticket = ticket,
                                              .status = *st,
                                              .login = login,
                                              .why = str_c(why)});
}

static void send_later(struct channel *to, uint64_t ticket)
{
    struct status st = reply_status(REPLY_LOGIN_LATER, STR_NONE);

    send_done(to, ticket, &st, STR_NONE, "too many wait to log in");
}

static void take_turn(struct client *c)
{
    struct exchange_answer answer;

    exchange_step(c->exchange, c->has_response, buf_str(&c->response), &answer);
    buf_wipe(&c->response);
    if (answer.done) {
        send_done(c->peer, c->key.ticket, &answer.status, answer.login, answer.why);
        client_free(c);
        return;
    }
    channel_send(c->peer, &(struct msg_login_challenge){.kind = MSG_LOGIN_CHALLENGE,
                                                        .ticket = c->key.ticket,
                                                        .challenge = answer.challenge});
}

static void next_turn(void *arg)
{
    if (!list_empty(&logind.line)) {
        struct client *c = list_of(logind.line.next, struct client, line);

        line_leave(c);
        take_turn(c);
    }
    if (!list_empty(&logind.line))
        timer_set(logind.worker->loop, &logind.turn, 0, next_turn, NULL);
}

static void line_enter(struct client *c, bool has_response, struct str response)
{
    if (logind.line_length >= WAITING_MAX) {
        send_later(c->peer, c->key.ticket);
        client_free(c);
        return;
    }
    c->has_response = has_response;
    buf_add(&c->response, response);
    list_add(&logind.line, &c->line);
    if (logind.line_length++ == 0)
        timer_set(logind.worker->loop, &logind.turn, 0, next_turn, NULL);
}

/* ---- messages ---- */

static struct client *client_new(struct channel *peer, const struct msg_login_begin *m)
{
    struct client *c = mem_new(sizeof *c);

    *c = (struct client){.key = {m->ticket, (uint64_t)(uintptr_t)peer},
                         .peer = peer,
                         .response = buf_init(RESPONSE_BYTES_MAX)};
    c->exchange =
        exchange_new(logind.exchanges, &(struct exchange_begin){.mechanism = m->mechanism,
                                                                .client = m->client,
                                                                .binding = m->binding,
                                                                .certificate = m->certificate});
    list_init(&c->line);
    list_add(&logind.clients, &c->link);
    (void)map_put(logind.by_key, key_of(c), c);
    logind.client_count++;
    return c;
}

static void on_begin(struct worker *w, struct channel *from, union message *m)
{
    const struct msg_login_begin *b = &m->login_begin;

    if (client_find(from, b->ticket) || b->response.n > RESPONSE_BYTES_MAX) {
        channel_break(from, "LOGIN_BEGIN twice, or too long");
        return;
    }
    if (logind.client_count >= EXCHANGES_MAX)
        send_later(from, b->ticket);
    else
        line_enter(client_new(from, b), b->has_response, b->response);
}

static void on_step(struct worker *w, struct channel *from, union message *m)
{
    struct client *c = client_find(from, m->login_step.ticket);

    if (!c || is_waiting(c) || m->login_step.response.n > RESPONSE_BYTES_MAX) {
        channel_break(from, "LOGIN_STEP out of turn, or too long");
        return;
    }
    line_enter(c, true, m->login_step.response);
}

/* DONE may have been under way. */
static void on_cancel(struct worker *w, struct channel *from, union message *m)
{
    struct client *c = client_find(from, m->login_cancel.ticket);

    if (c)
        client_free(c);
}

static void peer_down(struct worker *w, struct channel *peer)
{
    list_each (link, &logind.clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->peer == peer)
            client_free(c);
    }
}

/* ---- life ---- */

static void take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    (void)close(snapshot_fd); /* only read */
    if (error < 0) {
        log_event(LEVEL_ERROR, "config-unreadable", NULL);
        return;
    }
    config_drop(&logind.config);
    logind.config = c;
}

/* Libraries load what they need of the file system before the jail closes. */
static int start(struct worker *w)
{
    uint8_t once[32];
    int error = credentials_recover(".");

    if (error < 0)
        return error;
    logind.worker = w;
    list_init(&logind.clients);
    list_init(&logind.line);
    logind.by_key = map_new();
    logind.attempts = attempts_new(".", w->clock);
    error = credentials_open(".", false, &logind.credentials);
    if (error == 0)
        error = exchanges_new(&world, &logind.exchanges);
    (void)HMAC(EVP_sha256(), "", 0, (const unsigned char *)"", 0, once, NULL);
    return error;
}

static void stop(struct worker *w)
{
    worker_done(w);
}

static const struct role_handler handlers[] = {
    {MSG_LOGIN_BEGIN, on_begin},
    {MSG_LOGIN_STEP, on_step},
    {MSG_LOGIN_CANCEL, on_cancel},
};

const struct role_spec logind_spec = {
    .role = LOGIND,
    .user = "_troika-logind",
    .jail_may = JAIL_FILES_READ | JAIL_FILES_WRITE | JAIL_LOCK,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .peer_down = peer_down,
    .stop = stop,
};
