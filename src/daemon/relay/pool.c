// SPDX-License-Identifier: ISC
#include "daemon/relay/pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/relay/security.h"
#include "mail/reply.h"
#include "nexthop/lookup.h"

enum {
    HOST_BYTES_MAX = 400,
    TRIED_BYTES_MAX = 800,
    DETAIL_BYTES_MAX = 1500,
    TLS_BYTES_MAX = 1000,
};

struct hop { /* exists while it is used */
    struct str name;
    char *name_memory;
    struct list idle; /* sessions that wait for a job, the last used at the end */
    size_t use_count;
};

struct session {
    struct list link; /* in pool.sessions */
    struct list idle; /* in hop.idle, or alone */
    struct pool *pool;
    struct hop *hop;
    struct client *client;
    struct sock_address address;
    struct buf host; /* "mx.example.org (192.0.2.1:25)", or only the address */
    bool secure;
    bool outdated;   /* what it began under does not hold any more */
    struct job *job; /* under way, or NULL */
    bool reused;     /* the job is not the first one of this session */
    bool quitting;
    struct timer idle_timer;
};

struct attempt { /* to find a server for a job that answers; ends with the job */
    struct list link;
    struct pool *pool;
    struct hop *hop;
    struct job *job;
    struct lookup *lookup; /* NULL: the next hop is a Unix socket, asked for by this: */
    uint64_t ticket;
    bool waits;         /* for the password */
    struct buf tried;   /* what became of each, for people */
    struct status last; /* of the servers that failed; class 0: none did */
    bool next_hop_failed;
};

struct pool {
    struct loop *loop;
    struct dns *dns;
    const struct own *own;
    struct pool_events events;
    void *arg;
    struct config *config;
    struct secrets secrets;
    struct tls_context *tls;
    struct map *hops;
    struct list sessions, attempts;
    size_t job_count;
    uint64_t last_ticket;
    bool stopping, stopped;
    struct timer stop_timer;
};

/* ---- next hops ---- */

static struct hop *hop_get(struct pool *p, struct str name)
{
    struct hop *h = map_get(p->hops, name);

    if (h)
        return h;
    h = mem_new(sizeof *h);
    h->name_memory = mem_copy(name.p, name.n);
    h->name = str_n(h->name_memory, name.n);
    list_init(&h->idle);
    (void)map_put(p->hops, h->name, h);
    return h;
}

static void hop_release(struct pool *p, struct hop *h)
{
    if (--h->use_count > 0)
        return;
    (void)map_remove(p->hops, h->name);
    free(h->name_memory);
    free(h);
}

/* ---- the end of a job ---- */

static void check_stopped(struct pool *p)
{
    if (!p->stopping || p->stopped || p->job_count > 0)
        return;
    p->stopped = true;
    timer_stop(&p->stop_timer);
    p->events.on_stopped(p->arg);
}

static void attempt_free(struct attempt *a)
{
    a->job->attempt = NULL;
    lookup_free(&a->lookup);
    list_remove(&a->link);
    hop_release(a->pool, a->hop);
    buf_free(&a->tried);
    free(a);
}

static void note_tls(struct job *j, const struct session *s)
{
    struct buf tls = buf_init(TLS_BYTES_MAX);

    client_print_tls(s->client, &tls);
    j->held.tls = arena_copy(&j->held.arena, buf_str(&tls));
    buf_free(&tls);
}

/* s: the session that brought the results, or NULL. */
static void note_detail(struct pool *p, struct job *j, const struct session *s)
{
    uint64_t us = clock_monotonic_us(loop_clock(p->loop)) - j->started_us;
    struct buf detail = buf_init(DETAIL_BYTES_MAX);

    j->held.reports = s && client_has_dsn(s->client);
    if (s) {
        j->held.host = arena_copy(&j->held.arena, buf_str(&s->host));
        note_tls(j, s);
        line_u64(&detail, "reused", s->reused);
        if (client_mechanism(s->client))
            line_c(&detail, "auth", client_mechanism(s->client));
    }
    line_u64(&detail, "ms", us / 1000);
    line_u64(&detail, "size", j->message.size);
    if (s && s->secure)
        line_u64(&detail, "dnssec", 1);
    if (s && client_greeting_host(s->client).n > 0)
        line_str(&detail, "greeted", client_greeting_host(s->client));
    if (j->attempt && j->attempt->tried.n > 0)
        line_str(&detail, "tried", buf_str(&j->attempt->tried));
    j->held.detail = arena_copy(&j->held.arena, buf_str(&detail));
    buf_free(&detail);
}

static void job_done(struct pool *p, struct job *j)
{
    check(j->open_count == 0);
    if (j->attempt)
        attempt_free(j->attempt);
    p->job_count--;
    p->events.on_done(p->arg, j);
}

/* ---- sessions ---- */

static void session_free(struct session *s)
{
    timer_stop(&s->idle_timer);
    list_remove(&s->idle);
    list_remove(&s->link);
    client_free(&s->client);
    hop_release(s->pool, s->hop);
    buf_free(&s->host);
    free(s);
}

static void session_quit(void *arg)
{
    struct session *s = arg;

    timer_stop(&s->idle_timer);
    list_remove(&s->idle);
    s->quitting = true;
    client_quit(s->client); /* may end it at once */
}

static void session_rest(struct session *s)
{
    if (s->pool->stopping || s->outdated || client_message_count(s->client) >= POOL_MESSAGES_MAX ||
        !client_takes_more(s->client)) {
        session_quit(s);
        return;
    }
    list_add(&s->hop->idle, &s->idle);
    timer_set(s->pool->loop, &s->idle_timer, POOL_IDLE_S * US_PER_S, session_quit, s);
}

/* Something that answers with our own name and words, on an address of this host: mail sent there
 * would come back, whatever port was redirected where. */
static bool greeted_by_ourselves(const struct session *s)
{
    const struct pool *p = s->pool;
    struct status smtp = reply_status(REPLY_GREETING, p->config->hostname);
    struct status lmtp = reply_status(REPLY_GREETING_LMTP, p->config->hostname);
    struct str heard = client_greeting(s->client);

    return own_has(p->own, &s->address) &&
           (str_eq_c(heard, smtp.text) || str_eq_c(heard, lmtp.text));
}

static void fail_as_loop(struct pool *p, struct job *j)
{
    bool by_dns = str_starts(j->held.next_hop, STR("@"));
    struct status st = by_dns ? reply_status(REPLY_LOOP_BY_DNS, str_skip(j->held.next_hop, 1))
                              : reply_status(REPLY_LOOP_OWN_LISTENER, j->held.next_hop);

    job_fail(j, &st, status_try_later(&st));
    job_done(p, j);
}

static void on_ready(void *arg)
{
    struct session *s = arg;
    struct pool *p = s->pool;
    struct job *j = s->job;

    if (j && j->open_count > 0 && !greeted_by_ourselves(s)) {
        client_send(s->client, &j->message);
        return;
    }
    if (j)
        note_detail(p, j, s);
    s->job = NULL;
    s->reused = true;
    if (j && j->open_count > 0) {
        session_quit(s);
        fail_as_loop(p, j);
    } else {
        session_rest(s);
        if (j)
            job_done(p, j);
    }
    check_stopped(p);
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    struct session *s = arg;

    job_result(s->job, i, st);
}

static void on_message_end(void *arg)
{
    /* on_ready or on_end comes next and knows what becomes of the session. */
}

static void attempt_begin(struct pool *p, struct hop *h, struct job *j);
static void attempt_failed(struct attempt *a, struct str host, const struct status *st,
                           bool next_hop_failed);

/* Are the results nothing but the end of the session, said of everybody? */
static bool nobody_answered_for(const struct job *j, const struct status *st)
{
    for (size_t i = 0; i < j->held.recipient_count; i++) {
        const struct status *r = &j->held.results[i];

        if (r->class != 0 && (r->code != st->code || strcmp(r->text, st->text) != 0))
            return false;
    }
    return true;
}

/* The job of a session that is over. If it was the server that failed, and not a recipient that was
 * refused, it is the next server's turn. The message is untouched when the server has not answered
 * to it: a session that was used before had just run out. */
static void job_after_end(struct pool *p, struct hop *h, struct job *j, const struct status *st,
                          bool next_hop_failed, bool untouched, bool reused)
{
    if (j->attempt && next_hop_failed && nobody_answered_for(j, st)) {
        job_results_forget(j);
        attempt_failed(j->attempt, j->held.host, st, next_hop_failed);
    } else if (untouched && reused && !p->stopping) {
        job_results_forget(j);
        attempt_begin(p, h, j);
    } else {
        job_fail(j, st, next_hop_failed);
        job_done(p, j);
    }
}

/* The server has looked at the login and said no. */
static bool login_was_refused(const struct session *s, const struct status *st)
{
    return client_step(s->client) == STEP_AUTH && st->code >= 500;
}

static struct status refused_status(const struct status *st)
{
    struct buf words = buf_init(STATUS_TEXT_BYTES_MAX);

    buf_printf(&words, "%u %s", st->code, st->text);
    struct status ret = reply_status(REPLY_LOGIN_NOT_TAKEN, buf_str(&words));
    buf_free(&words);
    return ret;
}

static void log_refused(const struct session *s, const struct config_hop *hop,
                        const struct status *st)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "login-refused");
    line_str(&line, "next-hop", s->hop->name);
    line_str(&line, "host", buf_str(&s->host));
    line_str(&line, "login", hop->login);
    line_u64(&line, "code", st->code);
    line_c(&line, "reply", st->text);
    line_c(&line, "then", "its mail waits; mend login or password-file");
    log_line(LEVEL_WARNING, buf_str(&line));
    buf_free(&line);
}

/* Its other servers would say the same, and count it against the account. */
static void login_refused(struct session *s, const struct status *st)
{
    struct pool *p = s->pool;
    struct hop *h = s->hop;
    struct job *j = s->job;
    struct config_hop hop = config_hop(p->config, h->name);
    struct status why = refused_status(st);

    log_refused(s, &hop, st);
    h->use_count++;
    session_free(s);
    if (j) {
        job_fail(j, &why, true);
        job_done(p, j);
    }
    hop_release(p, h);
    check_stopped(p);
}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct session *s = arg;
    struct pool *p = s->pool;
    struct hop *h = s->hop;
    struct job *j = s->job;
    bool untouched = !client_message_touched(s->client);
    bool reused = s->reused;

    if (j)
        note_detail(p, j, s);
    if (login_was_refused(s, st)) {
        login_refused(s, st);
        return;
    }
    h->use_count++; /* while the job may go on */
    session_free(s);
    if (j)
        job_after_end(p, h, j, st, next_hop_failed, untouched, reused);
    hop_release(p, h);
    check_stopped(p);
}

static const struct client_events client_events = {on_ready, on_result, on_message_end, on_end,
                                                   NULL};

static bool is_unix(const struct hop *h)
{
    return str_starts(h->name, STR("unix:"));
}

static void name_server(struct buf *to, const struct lookup_server *server)
{
    bool named = server->host.n > 0;

    if (named)
        buf_printf(to, "%.*s (", STR_ARG(server->host));
    sock_address_print(to, &server->address);
    if (named)
        buf_add_char(to, ')');
}

static struct sasl_login login_at(const struct pool *p, const struct config_hop *hop)
{
    const struct secret *secret = secret_find(&p->secrets, hop->password_file);

    return (struct sasl_login){.user = hop->login,
                               .password = secret ? secret->password : STR_NONE,
                               .plain_anyway = hop->unprotected};
}

/* socket: connected already, and taken; or 0. */
static int session_connect(struct pool *p, struct hop *h, struct job *j,
                           const struct lookup_server *server, int socket)
{
    struct buf ip = buf_init(HOST_BYTES_MAX);
    sock_address_print_ip(&ip, &server->address);
    struct config_hop hop = config_hop(p->config, h->name);
    struct sasl_login login = login_at(p, &hop);
    struct client_options options = {.hostname = p->config->hostname,
                                     .lmtp = config_speaks_lmtp(p->config, h->name),
                                     .one_transaction = hop.limit_count > 0,
                                     .timeout_scale_percent = 100,
                                     .connect_timeout_s = server->last ? 0 : POOL_CONNECT_S,
                                     .tls = security_policy(hop),
                                     .tls_context = p->tls,
                                     .tls_implicit = hop.implicit_tls,
                                     .login = hop.login.n > 0 ? &login : NULL,
                                     .socket = socket,
                                     .tls_host = server->host.n > 0 ? server->host : buf_str(&ip)};
    struct session *s = mem_new(sizeof *s);
    int error = client_new(p->loop, &server->address, &options, &client_events, s, &s->client);

    buf_free(&ip);
    if (error < 0) {
        free(s);
        return error;
    }
    list_init(&s->idle);
    list_add(&p->sessions, &s->link);
    s->pool = p;
    s->hop = h;
    s->address = server->address;
    s->host = buf_init(HOST_BYTES_MAX);
    name_server(&s->host, server);
    s->secure = server->secure;
    s->job = j;
    h->use_count++;
    return 0;
}

static void session_use(struct session *s, struct job *j)
{
    timer_stop(&s->idle_timer);
    list_remove(&s->idle);
    s->job = j;
    client_send(s->client, &j->message);
}

/* The last one used. */
static struct session *idle_session(const struct hop *h)
{
    return list_empty(&h->idle) ? NULL : list_of(h->idle.prev, struct session, idle);
}

/* ---- attempts ---- */

/* One that said "later" leaves hope, whatever the others said. */
static void attempt_remember(struct attempt *a, const struct status *st, bool next_hop_failed)
{
    if (status_never(st) && status_try_later(&a->last))
        return;
    a->last = *st;
    a->next_hop_failed = next_hop_failed;
}

static void attempt_over(struct attempt *a, const struct status *st, bool next_hop_failed);

static void attempt_failed(struct attempt *a, struct str host, const struct status *st,
                           bool next_hop_failed)
{
    attempt_remember(a, st, next_hop_failed);
    buf_printf(&a->tried, "%s%.*s: %s", a->tried.n > 0 ? "; " : "", STR_ARG(host), st->text);
    if (a->lookup)
        lookup_next(a->lookup);
    else
        attempt_over(a, st, next_hop_failed); /* there is no other one */
}

static void attempt_over(struct attempt *a, const struct status *st, bool next_hop_failed)
{
    struct pool *p = a->pool;
    struct job *j = a->job;
    bool tried = a->last.class != 0;
    struct status why = tried ? a->last : *st;

    note_detail(p, j, NULL);
    job_fail(j, &why, tried ? a->next_hop_failed : next_hop_failed);
    job_done(p, j);
    check_stopped(p);
}

static void on_server(void *arg, const struct lookup_server *server, const struct status *st,
                      bool next_hop_failed)
{
    struct attempt *a = arg;

    if (!server) {
        attempt_over(a, st, next_hop_failed);
        return;
    }
    int error = session_connect(a->pool, a->hop, a->job, server, 0);
    if (error == 0)
        return;
    struct buf host = buf_init(HOST_BYTES_MAX);
    struct status why = reply_status(REPLY_NO_CONNECTION, str_c(strerror(-error)));
    name_server(&host, server);
    attempt_failed(a, buf_str(&host), &why, true);
    buf_free(&host);
}

/* False: there is no password. *wait: nothing is known of it yet. */
static bool has_password(const struct attempt *a, bool *wait, struct str *why)
{
    struct config_hop hop = config_hop(a->pool->config, a->hop->name);
    const struct secret *secret = secret_find(&a->pool->secrets, hop.password_file);

    *wait = hop.login.n > 0 && !secret;
    if (hop.login.n == 0 || !secret || secret->password.n > 0)
        return true;
    *why = secret->why;
    return false;
}

static void attempt_try(struct attempt *a)
{
    struct pool *p = a->pool;

    if (a->lookup) {
        lookup_next(a->lookup);
        return;
    }
    a->ticket = ++p->last_ticket;
    p->events.unix_connect(p->arg, a->ticket, a->hop->name);
}

static void attempt_go(struct attempt *a)
{
    struct str why = STR_NONE;
    bool good = has_password(a, &a->waits, &why);

    if (good && !a->waits)
        attempt_try(a);
    if (good)
        return;
    struct buf about = buf_init(STATUS_TEXT_BYTES_MAX);
    buf_printf(&about, "password-file: %.*s", STR_ARG(why));
    struct status st = reply_status(REPLY_LOGIN_IMPOSSIBLE, buf_str(&about));
    buf_free(&about);
    attempt_over(a, &st, true);
}

static void attempt_begin(struct pool *p, struct hop *h, struct job *j)
{
    struct lookup_world world = {.dns = p->dns,
                                 .own = p->own,
                                 .config = p->config,
                                 .private_too = p->config->private_next_hops,
                                 .smtp_port = (uint16_t)p->config->dns.smtp_port};
    struct attempt *a = mem_new(sizeof *a);

    *a = (struct attempt){.pool = p, .hop = h, .job = j, .tried = buf_init(TRIED_BYTES_MAX)};
    list_add(&p->attempts, &a->link);
    h->use_count++;
    j->attempt = a;
    if (!is_unix(h))
        a->lookup = lookup_new(&world, h->name, &a->tried, on_server, a);
    attempt_go(a);
}

/* ---- Unix sockets ---- */

static struct attempt *attempt_of(struct pool *p, uint64_t ticket)
{
    list_each (at, &p->attempts) {
        struct attempt *a = list_of(at, struct attempt, link);

        if (a->ticket == ticket && !a->lookup)
            return a;
    }
    return NULL; /* its job has ended meanwhile */
}

void pool_unix_failed(struct pool *p, uint64_t ticket, int error)
{
    struct attempt *a = attempt_of(p, ticket);
    struct status why = reply_status(REPLY_NO_CONNECTION, str_c(strerror(error)));

    if (a)
        attempt_failed(a, a->hop->name, &why, true);
}

void pool_unix_open(struct pool *p, uint64_t ticket, int socket)
{
    struct attempt *a = attempt_of(p, ticket);
    struct arena scratch = ARENA_INIT;
    struct lookup_server server = {.last = true};

    if (!a) {
        (void)close(socket);
        return;
    }
    (void)sock_address_unix(arena_c(&scratch, str_skip(a->hop->name, 5)), &server.address);
    int error = session_connect(p, a->hop, a->job, &server, socket);
    arena_free(&scratch);
    if (error < 0)
        pool_unix_failed(p, ticket, -error);
}

/* ---- the doors ---- */

void pool_deliver(struct pool *p, struct job *j)
{
    struct hop *h = hop_get(p, j->held.next_hop);

    check(p->config);
    j->started_us = clock_monotonic_us(loop_clock(p->loop));
    p->job_count++;
    h->use_count++; /* while we are in here */
    struct session *idle = idle_session(h);
    if (idle)
        session_use(idle, j);
    else
        attempt_begin(p, h, j);
    hop_release(p, h);
}

struct pool *pool_new(struct loop *l, struct dns *dns, const struct own *own,
                      const struct pool_events *events, void *arg)
{
    struct pool *p = mem_new(sizeof *p);

    *p = (struct pool){
        .loop = l, .dns = dns, .own = own, .events = *events, .arg = arg, .hops = map_new()};
    list_init(&p->sessions);
    list_init(&p->attempts);
    secrets_init(&p->secrets);
    return p;
}

void pool_free(struct pool **p)
{
    struct pool *gone = *p;

    *p = NULL;
    if (!gone)
        return;
    timer_stop(&gone->stop_timer);
    list_each (at, &gone->sessions)
        session_free(list_of(at, struct session, link));
    list_each (at, &gone->attempts)
        attempt_free(list_of(at, struct attempt, link));
    map_free(&gone->hops);
    secrets_done(&gone->secrets);
    tls_context_free(&gone->tls);
    config_drop(&gone->config);
    free(gone);
}

/* How much TLS is wanted, and who logs in, may be another thing now. */
static void sessions_outdate(struct pool *p)
{
    list_each (at, &p->sessions) {
        struct session *s = list_of(at, struct session, link);
        s->outdated = true;
        if (!s->job && !s->quitting)
            session_quit(s);
    }
}

static void attempts_resume(struct pool *p)
{
    list_each (at, &p->attempts) {
        struct attempt *a = list_of(at, struct attempt, link);
        if (a->waits)
            attempt_go(a);
    }
}

void pool_config(struct pool *p, struct config *c)
{
    struct config *old = p->config;

    p->config = config_hold(c);
    if (old && !str_eq(old->tls.roots, c->tls.roots))
        log_event(LEVEL_WARNING, "restart-needed", "statement", "roots", NULL);
    secrets_keep(&p->secrets, c);
    if (old) {
        sessions_outdate(p);
        attempts_resume(p);
    }
    config_drop(&old);
}

void pool_secret(struct pool *p, struct str path, int fd, struct str why)
{
    if (fd >= 0)
        secrets_take(&p->secrets, path, fd);
    else
        secrets_missing(&p->secrets, path, why);
    attempts_resume(p);
}

void pool_tls(struct pool *p, struct tls_context *c)
{
    tls_context_free(&p->tls);
    p->tls = c;
}

static void stop_now(void *arg)
{
    struct pool *p = arg;

    if (p->stopped)
        return;
    p->stopped = true;
    p->events.on_stopped(p->arg);
}

void pool_stop(struct pool *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    list_each (at, &p->sessions) {
        struct session *s = list_of(at, struct session, link);
        if (!s->job && !s->quitting)
            session_quit(s);
    }
    timer_set(p->loop, &p->stop_timer, POOL_STOP_S * US_PER_S, stop_now, p);
    check_stopped(p);
}
