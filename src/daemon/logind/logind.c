/* logind/logind.c - the role logind: exchanges of many clients, one slow step after the other.
 *
 * A step may take a tenth of a second, for a password is hashed slowly on purpose. So steps wait in
 * a line, one is taken in each turn of the loop, and when the line is long who comes is told to
 * come again: nobody's wait has no end, and no flood of guesses takes memory.
 *
 *   LINE --next_turn--> (ROUTER: whose login is it? --> (PAM: is it their password? -->) LINE -->)
 *   the step itself --> CLIENT, which is challenged, or RESTING with a refusal, or the end
 *
 * Others are asked before a step, and never waited for in one. A refused login is told at whole
 * seconds after it came: neither what kind of hash an account has, nor whether there is one, nor how
 * long PAM takes can be heard from it. */
// SPDX-License-Identifier: ISC
#include "daemon/logind/logind.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "config/config.h"
#include "daemon/logind/attempts.h"
#include "daemon/logind/exchange.h"
#include "mail/envelope.h"

enum { RESPONSE_BYTES_MAX = 16 * 1024 };
#define REFUSAL_STEP_US US_PER_S

enum phase { CLIENT, LINE, ASKING_ROUTER, ASKING_PAM, RESTING };

/* What was found out before a step. */
struct owner {
    enum { OWNER_UNKNOWN, OWNER_NOBODY, OWNER_ACCOUNT, OWNER_USER, OWNER_LATER } kind;
    struct arena arena;
    struct address said, own;
    struct str login; /* of OWNER_USER */
    bool checked;
    enum password_verdict verdict; /* likewise, when it was checked */
    struct str why;
};

struct client {       /* of smtpd, with an exchange */
    struct list link; /* of all of them */
    struct list line; /* of those that wait for their turn */
    enum phase phase;
    struct {
        uint64_t ticket, peer;
    } key;
    struct channel *peer;
    struct exchange *exchange;
    bool has_response;
    struct buf response;
    uint64_t heard_us; /* monotonic: when it came */
    struct owner owner;
    uint64_t question;             /* of ASKING_ROUTER and ASKING_PAM */
    struct exchange_answer answer; /* of RESTING */
    struct timer rest;
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
    struct map *questions; /* number -> client */
    uint64_t last_question;
    struct channel *router, *pam;
    const struct client *stepping; /* whose step is being taken */
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

static bool address_same(const struct address *a, const struct address *b)
{
    return str_eq(a->local, b->local) && str_eq(a->domain, b->domain);
}

static int find(void *arg, const struct address *login, struct address *own, struct credential *ret)
{
    const struct owner *o = &logind.stepping->owner;
    int found = 0;

    if (o->kind == OWNER_UNKNOWN || o->kind == OWNER_LATER || !address_same(&o->said, login))
        return -EAGAIN;
    if (o->kind == OWNER_NOBODY)
        return 0;
    *own = o->own;
    if (o->kind == OWNER_USER) { /* PAM says whether it may come in */
        *ret = (struct credential){.enabled = true};
        return 1;
    }
    if (has_accounts(own->domain))
        found = credentials_find(logind.credentials, own->local, own->domain, ret);
    log_trouble("credentials-unreadable", found);
    return found;
}

static int matches(void *arg, const struct credential *c, struct str password)
{
    const struct owner *o = &logind.stepping->owner;

    if (o->kind != OWNER_USER)
        return password_matches(c, password);
    if (!o->checked || o->verdict == PASSWORD_LATER)
        return -EAGAIN;
    return o->verdict == PASSWORD_RIGHT;
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

static void line_leave(struct client *c)
{
    logind.line_length -= c->phase == LINE;
    list_remove(&c->line);
}

static void owner_forget(struct client *c)
{
    arena_free(&c->owner.arena);
    c->owner = (struct owner){.kind = OWNER_UNKNOWN};
}

static void question_close(struct client *c)
{
    if (c->question != 0)
        (void)map_remove(logind.questions, map_key_u64(&c->question));
    c->question = 0;
}

static void client_free(struct client *c)
{
    line_leave(c);
    question_close(c);
    timer_stop(&c->rest);
    owner_forget(c);
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

static void done(void *arg)
{
    struct client *c = arg;
    const struct exchange_answer *a = &c->answer;
    const char *why = a->why;

    if (why && c->owner.why.n > 0 && !status_done(&a->status))
        why = arena_c(&c->owner.arena, c->owner.why);
    send_done(c->peer, c->key.ticket, &a->status, a->login, why);
    client_free(c);
}

static void rest(struct client *c)
{
    uint64_t took_us = clock_monotonic_us(logind.worker->clock) - c->heard_us;

    c->phase = RESTING;
    timer_set(logind.worker->loop, &c->rest, REFUSAL_STEP_US - took_us % REFUSAL_STEP_US, done, c);
}

static bool is_wrong_login(const struct status *st)
{
    return st->code == reply_table[REPLY_LOGIN_REFUSED].code;
}

static void step(struct client *c)
{
    logind.stepping = c;
    exchange_step(c->exchange, c->has_response, buf_str(&c->response), &c->answer);
    logind.stepping = NULL;
    buf_wipe(&c->response);
    c->phase = CLIENT;
    if (c->answer.done && is_wrong_login(&c->answer.status))
        rest(c);
    else if (c->answer.done)
        done(c);
    else
        channel_send(c->peer, &(struct msg_login_challenge){.kind = MSG_LOGIN_CHALLENGE,
                                                            .ticket = c->key.ticket,
                                                            .challenge = c->answer.challenge});
}

static void next_turn(void *arg);

static void line_join(struct client *c)
{
    c->phase = LINE;
    list_add(&logind.line, &c->line);
    if (logind.line_length++ == 0)
        timer_set(logind.worker->loop, &logind.turn, 0, next_turn, NULL);
}

/* ---- what others know ---- */

static void question_open(struct client *c, enum phase asking)
{
    c->phase = asking;
    c->question = ++logind.last_question;
    (void)map_put(logind.questions, map_key_u64(&c->question), c);
}

/* The client that waits for this answer, which is then no longer awaited; or NULL. */
static struct client *question_answered(uint64_t number, enum phase asking)
{
    struct client *c = map_get(logind.questions, map_key_u64(&number));

    if (!c || c->phase != asking)
        return NULL;
    question_close(c);
    return c;
}

/* True: the answer will come. */
static bool ask_router(struct client *c, const struct address *login)
{
    struct owner *o = &c->owner;
    struct str text = address_text(&o->arena, login);

    o->said =
        (struct address){arena_copy(&o->arena, login->local), arena_copy(&o->arena, login->domain)};
    o->own = o->said;
    if (!logind.router) {
        o->kind = OWNER_LATER;
        return false;
    }
    question_open(c, ASKING_ROUTER);
    channel_send(logind.router, &(struct msg_route_ask){.kind = MSG_ROUTE_ASK,
                                                        .ticket = c->question,
                                                        .what = ROUTE_LOGIN,
                                                        .recipient = text});
    return true;
}

/* Who has to wait does not get as far as PAM, which has counts of its own. */
static bool must_wait(struct client *c)
{
    struct str own = address_text(&c->owner.arena, &c->owner.own);

    return pause_s(NULL, own, exchange_client(c->exchange)) > 0;
}

static bool ask_pam(struct client *c, struct str password)
{
    if (c->owner.kind != OWNER_USER || c->owner.checked || !password.p || must_wait(c))
        return false;
    c->owner.checked = true;
    c->owner.verdict = PASSWORD_LATER;
    if (!logind.pam || channel_full(logind.pam))
        return false;
    question_open(c, ASKING_PAM);
    channel_send(logind.pam, &(struct msg_pam_ask){.kind = MSG_PAM_ASK,
                                                   .ticket = c->question,
                                                   .login = c->owner.login,
                                                   .password = password,
                                                   .client = exchange_client(c->exchange)});
    return true;
}

/* Asks for what the step will want to know. False: all of it is known. */
static bool ask_others(struct client *c)
{
    struct exchange_question q;

    if (!exchange_asks(c->exchange, c->has_response, buf_str(&c->response), &q))
        return false;
    if (c->owner.kind == OWNER_UNKNOWN || !address_same(&c->owner.said, &q.login)) {
        owner_forget(c);
        if (ask_router(c, &q.login))
            return true;
    }
    return ask_pam(c, q.password);
}

static void next_turn(void *arg)
{
    if (!list_empty(&logind.line)) {
        struct client *c = list_of(logind.line.next, struct client, line);

        line_leave(c);
        c->phase = CLIENT;
        if (!ask_others(c))
            step(c);
    }
    if (!list_empty(&logind.line))
        timer_set(logind.worker->loop, &logind.turn, 0, next_turn, NULL);
}

/* What the router says: the one target is the mailbox that is theirs. */
static void owner_take(struct owner *o, const struct msg_route_answer *m)
{
    struct reader r = reader_init(m->targets);
    struct target target;
    struct parse_error error;

    o->kind = status_never(&m->status) ? OWNER_NOBODY : OWNER_LATER;
    if (!status_done(&m->status) || !target_decode(&r, &target) ||
        !address_parse(arena_copy(&o->arena, m->why), &o->arena, &o->own, &error))
        return;
    o->kind = OWNER_ACCOUNT;
    if (!str_starts(target.next_hop, STR("~")))
        return;
    o->kind = OWNER_USER;
    o->login = arena_copy(&o->arena, str_skip(target.next_hop, 1));
}

/* They have been in the line once: it is not too long for them now. */
static void on_route_answer(struct worker *w, struct channel *from, union message *m)
{
    struct client *c = question_answered(m->route_answer.ticket, ASKING_ROUTER);

    if (!c)
        return;
    owner_take(&c->owner, &m->route_answer);
    line_join(c);
}

static void take_verdict(struct client *c, enum password_verdict verdict, struct str why)
{
    question_close(c);
    c->owner.verdict = verdict;
    c->owner.why = arena_copy(&c->owner.arena, why);
    line_join(c);
}

static void on_pam_answer(struct worker *w, struct channel *from, union message *m)
{
    const struct msg_pam_answer *a = &m->pam_answer;
    struct client *c = question_answered(a->ticket, ASKING_PAM);

    if (c)
        take_verdict(c,
                     a->verdict < PASSWORD_VERDICT_COUNT ? (enum password_verdict)a->verdict
                                                         : PASSWORD_LATER,
                     a->why);
}

/* ---- messages ---- */

static void line_enter(struct client *c, bool has_response, struct str response)
{
    if (logind.line_length >= WAITING_MAX) {
        send_later(c->peer, c->key.ticket);
        client_free(c);
        return;
    }
    c->has_response = has_response;
    c->heard_us = clock_monotonic_us(logind.worker->clock);
    buf_add(&c->response, response);
    line_join(c);
}

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

    if (!c || c->phase != CLIENT || m->login_step.response.n > RESPONSE_BYTES_MAX) {
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

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    if (channel_peer(peer) == ROUTER)
        logind.router = peer;
    if (channel_peer(peer) == PAM) {
        logind.pam = peer;
        channel_wipe(peer); /* passwords */
    }
}

static void smtpd_down(const struct channel *peer)
{
    list_each (link, &logind.clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->peer == peer)
            client_free(c);
    }
}

static void router_down(void)
{
    logind.router = NULL;
    list_each (link, &logind.clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->phase != ASKING_ROUTER)
            continue;
        question_close(c);
        c->owner.kind = OWNER_LATER;
        line_join(c);
    }
}

static void pam_down(void)
{
    logind.pam = NULL;
    list_each (link, &logind.clients) {
        struct client *c = list_of(link, struct client, link);

        if (c->phase == ASKING_PAM)
            take_verdict(c, PASSWORD_LATER, STR("the process that asks PAM has ended"));
    }
}

static void peer_down(struct worker *w, struct channel *peer)
{
    if (channel_peer(peer) == ROUTER && peer == logind.router)
        router_down();
    else if (channel_peer(peer) == PAM && peer == logind.pam)
        pam_down();
    else
        smtpd_down(peer);
}

/* ---- life ---- */

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    if (error < 0)
        return error;
    config_drop(&logind.config);
    logind.config = c;
    return 0;
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
    logind.questions = map_new();
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
    {MSG_LOGIN_BEGIN, on_begin},     {MSG_LOGIN_STEP, on_step},
    {MSG_LOGIN_CANCEL, on_cancel},   {MSG_ROUTE_ANSWER, on_route_answer},
    {MSG_PAM_ANSWER, on_pam_answer},
};

const struct role_spec logind_spec = {
    .role = LOGIND,
    .user = "_troika-logind",
    .jail_may = JAIL_FILES_READ | JAIL_FILES_WRITE | JAIL_LOCK,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .config = take_config,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
};
