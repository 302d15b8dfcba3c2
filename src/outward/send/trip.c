/* outward/send/trip.c - the message on its way: one server after another until one of them has it.
 *
 *   trip_run_all -> a trip for all recipients, or with --direct one for each of their domains:
 *     next_server -> client_new -> on_ready: the message as this server takes it -> client_send
 *                 -> on_end before that: the next server, unless it was the login that failed
 *                 -> on_result for each recipient, QUIT, on_end: the trip is over
 *
 * Trips come one after another, so a dialogue that is watched can be read. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/sendmail.h"
#include "mail/drop.h"
#include "nexthop/lookup.h"
#include "outward/send/send.h"

/* Another server is at hand, or our own is not there: then nobody waits a minute. */
enum { CONNECT_S = 10, GREETING_S = 5, LOCAL_PATIENCE_PERCENT = 20, CODE_NONE = -1 };

struct trip {
    struct sending *s;
    struct str domain;   /* of --direct, or empty */
    size_t first, count; /* in s->outcomes */
    struct str *recipients;
    struct notify *notify;

    size_t next; /* of s->servers */
    struct lookup *lookup;
    struct buf notes;

    struct client *client;
    struct timer silence; /* until it greets */
    struct str host;      /* its name, or address */
    uint16_t port;
    bool sent; /* a message was begun: every recipient has its result */
    bool over;
    int code; /* CODE_NONE, or why nothing more is tried: it was printed */
};

static void next_server(struct trip *t);

/* ---- outcomes ---- */

static struct outcome *outcome_of(struct trip *t, size_t i)
{
    return &t->s->outcomes[t->first + i];
}

static void describe_server(struct trip *t, struct outcome *o)
{
    struct str peer = t->client ? client_peer(t->client) : STR_NONE;

    o->server[0] = '\0';
    if (!t->client)
        return;
    bool named = t->host.n > 0 && !str_starts(peer, t->host);

    o->port = t->port;
    (void)snprintf(o->server, sizeof o->server, "%.*s%s%.*s%s",
                   named ? (int)MIN_OF(t->host.n, (size_t)255) : 0, t->host.p, named ? " [" : "",
                   (int)MIN_OF(peer.n, (size_t)PEER_BYTES_MAX - 1), peer.p, named ? "]" : "");
}

/* The same for every recipient that has none yet. */
static void fail_all(struct trip *t, const struct status *st, enum explain_step step, int error)
{
    for (size_t i = 0; i < t->count; i++) {
        struct outcome *o = outcome_of(t, i);

        if (o->st.class != 0)
            continue;
        o->st = *st;
        o->step = step;
        o->error = error;
        o->alone = false;
        describe_server(t, o);
    }
}

static void trip_over(struct trip *t)
{
    t->over = true;
}

/* ---- the session ---- */

static void note_session(struct trip *t)
{
    struct sending *s = t->s;
    struct buf tls = buf_init(PEER_BYTES_MAX - 1);
    const char *mechanism = client_mechanism(t->client);

    client_print_tls(t->client, &tls);
    (void)snprintf(s->tls_words, sizeof s->tls_words, "%s", buf_c(&tls));
    (void)snprintf(s->mechanism, sizeof s->mechanism, "%s", mechanism ? mechanism : "");
    if (tls.n > 0)
        report_note(s, "TLS: %s", s->tls_words);
    if (mechanism)
        report_note(s, _("logged in with %s"), mechanism);
    buf_free(&tls);
}

static struct client_message message_of(const struct trip *t)
{
    const struct sending *s = t->s;

    return (struct client_message){
        .sender = s->sender,
        .recipients = t->recipients,
        .recipient_count = t->count,
        .notify = t->notify,
        .ret = s->ret,
        .envid = s->envid,
        .body = s->body,
        .utf8 = compose_needs_utf8(s->compose) ? UTF8_HEADER : UTF8_UNSAID,
        .size = s->bytes,
        .content_fd = s->fd,
        .content_bytes = s->bytes,
    };
}

/* The standard lets a server take five minutes for its greeting. A person may wonder before. */
static void on_silence(void *arg)
{
    struct trip *t = arg;

    if (t->client && client_step(t->client) == STEP_GREETING)
        fail(
            t->s->line, 0,
            _("%.*s is connected, but has not greeted yet. If it waits for TLS from the first byte "
              "on, as port 465 does, say smtps://"),
            STR_ARG(t->host));
}

static void on_ready(void *arg)
{
    struct trip *t = arg;
    struct sending *s = t->s;

    timer_stop(&t->silence);

    if (t->sent) {
        client_quit(t->client);
        return;
    }
    note_session(t);
    t->code = message_write(s, message_encoding(s, client_offers(t->client)));
    if (t->code != EX_OK) {
        trip_over(t);
        return;
    }
    t->code = CODE_NONE;
    if (s->notify != 0 && !client_has_dsn(t->client))
        fail(s->line, 0, _("%.*s sends no reports on delivery; a failure is told all the same"),
             STR_ARG(t->host));
    struct client_message m = message_of(t);

    t->sent = true;
    progress_begin(&s->progress, &clock_system, _("sending"));
    client_send(t->client, &m);
}

static void on_result(void *arg, size_t i, const struct status *st)
{
    struct trip *t = arg;
    struct outcome *o = outcome_of(t, i);

    o->st = *st;
    o->step = client_step(t->client);
    o->error = client_error(t->client);
    o->alone = true;
    describe_server(t, o);
}

static void on_message_end(void *arg)
{
    struct trip *t = arg;

    progress_clear(&t->s->progress);
    client_quit(t->client);
}

/* What is no fault of the one server may be better at the next one. A login that was refused will
 * be again, and some providers count. */
static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct trip *t = arg;
    enum explain_step step = client_step(t->client);
    int error = client_error(t->client);

    (void)next_hop_failed;
    timer_stop(&t->silence);
    progress_clear(&t->s->progress);
    if (t->sent || status_done(st)) {
        trip_over(t);
        return;
    }
    fail_all(t, st, step, error);
    if (step == STEP_AUTH) {
        trip_over(t);
        return;
    }
    report_note(t->s, "%s", st->text);
    client_free(&t->client);
    next_server(t);
}

static void on_line(void *arg, bool sent, struct str line)
{
    struct trip *t = arg;

    report_line(t->s, sent, line);
}

static void on_sent(void *arg, uint64_t bytes)
{
    struct trip *t = arg;

    progress_at(&t->s->progress, bytes, t->s->bytes);
    for (size_t i = 0; i < t->count; i++)
        outcome_of(t, i)->unanswered = bytes >= t->s->bytes;
}

static const struct client_events events = {.on_ready = on_ready,
                                            .on_result = on_result,
                                            .on_message_end = on_message_end,
                                            .on_end = on_end,
                                            .on_line = on_line,
                                            .on_sent = on_sent};

/* ---- one server after another ---- */

static void forget_outcomes(struct trip *t)
{
    for (size_t i = 0; i < t->count; i++)
        outcome_of(t, i)->st.class = 0;
}

static void try_server(struct trip *t, const struct sock_address *to, struct str host, bool last)
{
    struct sending *s = t->s;
    struct client_options o = {
        .hostname = s->hostname,
        .lmtp = s->target.protocol == TARGET_LMTP,
        .timeout_scale_percent = s->way == WAY_QUEUE ? LOCAL_PATIENCE_PERCENT : 100,
        .connect_timeout_s = last ? 0 : CONNECT_S,
        .tls = s->tls,
        .tls_context = s->tls_context,
        .tls_host = host,
        .tls_implicit = s->target.tls == TARGET_TLS_IMPLICIT,
        .login = s->logs_in ? &s->login : NULL,
    };

    forget_outcomes(t);
    t->host = arena_copy(&s->arena, host);
    t->port = to->sa.ss_family == AF_UNIX ? 0 : sock_address_port(to);
    int error = client_new(s->loop, to, &o, &events, t, &t->client);

    if (error < 0) {
        struct status st = reply_status(REPLY_NO_CONNECTION, str_c(strerror(-error)));

        fail_all(t, &st, STEP_CONNECT, error);
        next_server(t);
        return;
    }
    if (s->target.tls != TARGET_TLS_IMPLICIT)
        timer_set(s->loop, &t->silence, GREETING_S * US_PER_S, on_silence, t);
}

static void on_lookup(void *arg, const struct lookup_server *server, const struct status *st,
                      bool next_hop_failed)
{
    struct trip *t = arg;
    struct buf ip = buf_init(64);

    (void)next_hop_failed;
    if (!server) {
        if (t->notes.n > 0)
            report_note(t->s, "%s", buf_c(&t->notes));
        fail_all(t, st, STEP_CONNECT, 0); /* of those it was at, that is known already */
        trip_over(t);
        return;
    }
    sock_address_print_ip(&ip, &server->address);
    try_server(t, &server->address, server->host.n > 0 ? server->host : buf_str(&ip), server->last);
    buf_free(&ip);
}

static void next_server(struct trip *t)
{
    struct sending *s = t->s;

    if (t->lookup) {
        lookup_next(t->lookup);
    } else if (t->next < s->server_count) {
        t->next++;
        try_server(t, &s->servers[t->next - 1], s->target.host, t->next == s->server_count);
    } else {
        trip_over(t);
    }
}

/* ---- a trip ---- */

static struct trip *trip_new(struct sending *s, size_t first, size_t count)
{
    struct trip *t = arena_alloc(&s->arena, sizeof *t);

    *t = (struct trip){.s = s,
                       .first = first,
                       .count = count,
                       .recipients = arena_alloc(&s->arena, count * sizeof *t->recipients),
                       .notify = arena_alloc(&s->arena, count * sizeof *t->notify),
                       .notes = buf_init(4 * KIB),
                       .code = CODE_NONE};
    for (size_t i = 0; i < count; i++) {
        t->recipients[i] = s->outcomes[first + i].to;
        t->notify[i].when = s->notify;
    }
    return t;
}

static void trip_done(struct trip *t)
{
    timer_stop(&t->silence);
    client_free(&t->client);
    lookup_free(&t->lookup);
    buf_free(&t->notes);
}

static void run(struct trip *t)
{
    next_server(t);
    while (!t->over && interrupt_seen() == 0)
        loop_turn(t->s->loop, true);
    progress_clear(&t->s->progress);
}

static int trip_run(struct sending *s, struct str domain, size_t first, size_t count)
{
    struct trip *t = trip_new(s, first, count);
    struct lookup_world world = {.dns = s->dns,
                                 .private_too = s->line->allow_private ||
                                                (s->config && s->config->private_next_hops),
                                 .smtp_port = s->config ? (uint16_t)s->config->dns.smtp_port : 25};

    t->host = t->domain = domain;
    if (domain.n > 0)
        t->lookup = lookup_new(&world, arena_printf(&s->arena, "@%.*s", STR_ARG(domain)), &t->notes,
                               on_lookup, t);
    run(t);
    int code = t->code;

    if (code == CODE_NONE && interrupt_seen() == 0)
        report_outcomes(s, first, count);
    trip_done(t);
    return code == CODE_NONE ? EX_OK : code;
}

/* ---- --direct: a trip for each domain ---- */

static struct str domain_of(const struct outcome *o)
{
    return str_skip(o->to, str_find_last(o->to, '@') + 1);
}

/* Those of one domain stand together, in the order in which the domains came. */
static void group(struct sending *s)
{
    for (size_t i = 0; i < s->outcome_count; i++) {
        size_t end = i + 1;

        for (size_t k = i + 1; k < s->outcome_count; k++) {
            if (!str_eq_nocase(domain_of(&s->outcomes[k]), domain_of(&s->outcomes[i])))
                continue;
            struct outcome moved = s->outcomes[k];

            memmove(&s->outcomes[end + 1], &s->outcomes[end], (k - end) * sizeof moved);
            s->outcomes[end++] = moved;
        }
        i = end - 1;
    }
}

static int run_direct(struct sending *s)
{
    int code = way_dns(s);

    group(s);
    for (size_t i = 0, end; i < s->outcome_count && code == EX_OK; i = end) {
        struct str domain = domain_of(&s->outcomes[i]);

        for (end = i + 1; end < s->outcome_count; end++) {
            if (!str_eq_nocase(domain_of(&s->outcomes[end]), domain))
                break;
        }
        code = trip_run(s, domain, i, end - i);
        if (interrupt_seen() != 0)
            break;
    }
    return code;
}

/* ---- --queue: by the socket of our own server, or into its folder ---- */

static bool queue_server(struct sending *s)
{
    char path[4200];

    (void)snprintf(path, sizeof path, "%.*s/submit.sock", STR_ARG(s->config->state));
    s->server_count = 1;
    s->target.host = s->hostname;
    return sock_address_unix(path, &s->servers[0]);
}

/* Those the server did not take now; it will, from the file. */
static int leave(struct sending *s, const struct str *later, size_t count)
{
    struct buf why = buf_init(4 * KIB);
    void *content = mmap(NULL, s->bytes, PROT_READ, MAP_PRIVATE, s->fd, 0);
    struct mail m = {.config = s->config,
                     .sender = s->sender,
                     .body_8bit = s->body != BODY_7BIT,
                     .notify = s->notify,
                     .ret = s->ret,
                     .envid = s->envid,
                     .recipients = later,
                     .recipient_count = count,
                     .content = str_n(content, s->bytes)};
    int code = EX_OK;

    if (content == MAP_FAILED)
        return fail(s->line, EX_OSERR, "%s", strerror(errno));
    if (submit_drop(&m, &why) < 0)
        code = fail(s->line, EX_TEMPFAIL,
                    _("not sent: the server takes no mail now, and it cannot be left for it: %s"),
                    buf_c(&why));
    (void)munmap(content, s->bytes);
    buf_free(&why);
    return code;
}

static int leave_what_is_for_later(struct sending *s)
{
    struct status left =
        status_make(250, 2, 0, 0, STR("left for the server, which takes it later"));
    struct str *later = arena_alloc(&s->arena, s->outcome_count * sizeof *later);
    size_t count = 0;

    for (size_t i = 0; i < s->outcome_count; i++) {
        if (s->outcomes[i].st.class == 4)
            later[count++] = s->outcomes[i].to;
    }
    for (size_t at = 0; at < count; at += DROP_RECIPIENTS_MAX) {
        int code = leave(s, later + at, MIN_OF(count - at, (size_t)DROP_RECIPIENTS_MAX));

        if (code != EX_OK)
            return code;
    }
    for (size_t i = 0; i < s->outcome_count; i++) {
        if (s->outcomes[i].st.class == 4)
            s->outcomes[i].st = left;
    }
    return EX_OK;
}

static int run_by_queue(struct sending *s)
{
    struct trip *t = trip_new(s, 0, s->outcome_count);

    if (queue_server(s))
        run(t);
    struct status none = reply_status(REPLY_NO_CONNECTION, STR("the server is not running"));

    fail_all(t, &none, STEP_CONNECT, 0);
    int code = t->code == CODE_NONE ? EX_OK : t->code;

    trip_done(t);
    if (code == EX_OK && interrupt_seen() == 0)
        code = leave_what_is_for_later(s);
    report_outcomes(s, 0, s->outcome_count);
    return code;
}

/* ---- the doors ---- */

static void on_interrupt(void *arg, int signal)
{
    struct sending *s = arg;

    s->interrupted = signal;
}

/* It may have changed its mind, so this only warns. */
static void warn_of_limits(const struct sending *s)
{
    const struct provider *p = s->target.provider;

    if (p && p->recipients_max > 0 && s->outcome_count > p->recipients_max)
        fail(s->line, 0, _("%.*s is known to take at most %llu recipients of a message, not %zu"),
             STR_ARG(p->title), (unsigned long long)p->recipients_max, s->outcome_count);
    if (p && p->message_bytes_max > 0 && s->bytes > p->message_bytes_max)
        fail(s->line, 0, _("%.*s is known to take messages of at most %llu bytes, not %llu"),
             STR_ARG(p->title), (unsigned long long)p->message_bytes_max,
             (unsigned long long)s->bytes);
}

int trip_run_all(struct sending *s)
{
    int code = s->tls != TLS_NONE ? way_tls_context(s) : EX_OK;

    if (code != EX_OK)
        return code;
    if (interrupt_begin(s->loop, on_interrupt, s) < 0)
        return fail(s->line, EX_OSERR, "%s", strerror(errno));
    code = message_write(s, COMPOSE_8BIT); /* what most servers take; mistakes show before */
    if (code == EX_OK)
        warn_of_limits(s);
    if (code == EX_OK && s->pop_first)
        code = pop_first_run(s);
    if (code == EX_OK && s->way == WAY_DIRECT)
        code = run_direct(s);
    else if (code == EX_OK && s->way == WAY_QUEUE)
        code = run_by_queue(s);
    else if (code == EX_OK)
        code = trip_run(s, STR_NONE, 0, s->outcome_count);
    s->interrupted = interrupt_seen();
    interrupt_end();
    return code;
}
