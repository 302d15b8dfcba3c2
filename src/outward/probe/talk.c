/* outward/probe/talk.c - see talk.h. */
// SPDX-License-Identifier: ISC
#include "outward/probe/talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/x509.h>

#include "base/check.h"
#include "client/offers.h"
#include "wire/smtp.h"

enum {
    IN_BYTES_MAX = 16 * 1024,
    OUT_BYTES_MAX = 16 * 1024,
    LINE_BYTES_MAX = 1024,
    RSA_BITS_MIN = 2048,
    DER_BYTES_MAX = 64 * 1024,
};

/* What a connection is for. */
enum purpose {
    PURPOSE_ALL,
    PURPOSE_PLAIN,   /* TLS has failed: once more, without it */
    PURPOSE_VERSION, /* does it take this version of TLS? */
};

struct talk {
    struct talk_world *world;
    struct fact_server *facts;
    struct str domain;
    void (*fn)(void *arg);
    void *arg;
    struct turn_work done;

    enum purpose purpose;
    enum tls_version version;
    struct stream *stream;
    struct tls *tls;
    struct reply_reader reader;
    size_t row; /* of the script */
    enum relay_form form;
    bool mail_taken;            /* of this form of relaying */
    uint64_t began_us;          /* the step */
    struct fact_reply scratch;  /* of connections for versions only */
    struct fact_offers offered; /* likewise */
};

/* ---- what was said ---- */

static uint64_t now(const struct talk *t)
{
    return clock_monotonic_us(loop_clock(t->world->loop));
}

static struct fact_offers *offers_now(struct talk *t)
{
    if (t->purpose == PURPOSE_VERSION)
        return &t->offered;
    return t->tls ? &t->facts->secured : &t->facts->plain;
}

static void take_offers(struct talk *t, struct str text)
{
    struct fact_offers *to = offers_now(t);
    struct client_offers o;

    offers_init(&o);
    offers_parse(&o, text);
    *to = (struct fact_offers){
        .said = true,
        .starttls = o.has_starttls,
        .pipelining = o.pipelining,
        .eightbit = o.has_8bitmime,
        .dsn = o.has_dsn,
        .has_size = o.has_size,
        .size_max = o.size_max,
        .auth = arena_copy(t->world->arena, buf_str(&o.auth)),
        .lines = arena_copy(t->world->arena, buf_str(&o.lines)),
    };
    offers_free(&o);
}

/* ---- the rows ---- */

static void print_hostname(const struct talk *t, struct buf *to)
{
    struct sock_address here = {.bytes = sizeof here.sa};

    if (t->world->hostname.n > 0) {
        buf_add(to, t->world->hostname);
        return;
    }
    (void)getsockname(stream_fd(t->stream), (struct sockaddr *)&here.sa, &here.bytes);
    buf_add_c(to, here.sa.ss_family == AF_INET6 ? "[IPv6:" : "[");
    sock_address_print_ip(to, &here);
    buf_add_char(to, ']');
}

static void say_ehlo(struct talk *t, struct buf *to)
{
    buf_add_c(to, "EHLO ");
    print_hostname(t, to);
}

static void say_helo(struct talk *t, struct buf *to)
{
    buf_add_c(to, "HELO ");
    print_hostname(t, to);
}

static void say_starttls(struct talk *t, struct buf *to)
{
    buf_add_c(to, "STARTTLS");
}

static void say_vrfy_postmaster(struct talk *t, struct buf *to)
{
    buf_add_c(to, "VRFY postmaster");
}

/* Nobody has such a name; no filter thinks badly of it either. */
static const char nobody[] = "troika-probe-nobody-8f3k2";

static void say_vrfy_nobody(struct talk *t, struct buf *to)
{
    buf_printf(to, "VRFY %s", nobody);
}

static void say_expn(struct talk *t, struct buf *to)
{
    buf_add_c(to, "EXPN postmaster");
}

static void say_bounce(struct talk *t, struct buf *to)
{
    buf_add_c(to, "MAIL FROM:<>");
}

static void say_postmaster(struct talk *t, struct buf *to)
{
    buf_printf(to, "RCPT TO:<postmaster@%.*s>", STR_ARG(t->domain));
}

static void say_nobody(struct talk *t, struct buf *to)
{
    buf_printf(to, "RCPT TO:<%s@%.*s>", nobody, STR_ARG(t->domain));
}

static void say_rset(struct talk *t, struct buf *to)
{
    buf_add_c(to, "RSET");
}

static void say_quit(struct talk *t, struct buf *to)
{
    buf_add_c(to, "QUIT");
}

/* "here": the domain, or the server where only a server was given. */
static struct str here(const struct talk *t)
{
    return t->domain.n > 0 ? t->domain : t->facts->host->name;
}

static void say_relay_mail(struct talk *t, struct buf *to)
{
    buf_add_c(to, "MAIL FROM:<");
    if (t->form == RELAY_LOCAL) {
        buf_printf(to, "postmaster@%.*s", STR_ARG(here(t)));
    } else if (t->form != RELAY_EMPTY) {
        buf_add_c(to, "postmaster@");
        print_hostname(t, to);
    }
    buf_add_char(to, '>');
}

static void say_relay_rcpt(struct talk *t, struct buf *to)
{
    struct str us = here(t), them = t->world->elsewhere;

    buf_add_c(to, "RCPT TO:<");
    if (t->form == RELAY_PERCENT)
        buf_printf(to, "%s%%%.*s@%.*s", nobody, STR_ARG(them), STR_ARG(us));
    else if (t->form == RELAY_QUOTED)
        buf_printf(to, "\"%s@%.*s\"@%.*s", nobody, STR_ARG(them), STR_ARG(us));
    else if (t->form == RELAY_ROUTE)
        buf_printf(to, "@%.*s:%s@%.*s", STR_ARG(us), nobody, STR_ARG(them));
    else if (t->form == RELAY_BANG)
        buf_printf(to, "%.*s!%s@%.*s", STR_ARG(them), nobody, STR_ARG(us));
    else
        buf_printf(to, "%s@%.*s", nobody, STR_ARG(them));
    buf_add_char(to, '>');
}

/* ---- when they are said ---- */

static bool always(const struct talk *t)
{
    return true;
}

static bool ehlo_failed(const struct talk *t)
{
    return t->facts->steps[TALK_EHLO].code >= 400 && t->purpose != PURPOSE_VERSION;
}

static bool starttls_offered(const struct talk *t)
{
    const struct fact_offers *o = t->purpose == PURPOSE_VERSION ? &t->offered : &t->facts->plain;

    return !t->facts->implicit_tls && t->purpose != PURPOSE_PLAIN && o->starttls && t->world->tls;
}

static bool tls_begins(const struct talk *t)
{
    const struct fact_reply *r =
        t->purpose == PURPOSE_VERSION ? &t->scratch : &t->facts->steps[TALK_STARTTLS];

    return starttls_offered(t) && r->code == 220;
}

static bool secured(const struct talk *t)
{
    return !t->facts->implicit_tls && t->tls;
}

static bool full(const struct talk *t)
{
    return t->facts->full && t->purpose != PURPOSE_VERSION;
}

static bool full_mail(const struct talk *t)
{
    return full(t) && !t->facts->submission;
}

static bool bounce_taken(const struct talk *t)
{
    return full_mail(t) && t->domain.n > 0 && t->facts->steps[TALK_BOUNCE].code / 100 == 2;
}

static bool has_here(const struct talk *t)
{
    return full(t) && (t->form < RELAY_LOCAL || here(t).n > 0);
}

static bool relay_begun(const struct talk *t)
{
    return has_here(t) && t->mail_taken;
}

static const struct row {
    enum fact_step step;
    bool (*wanted)(const struct talk *t);
    void (*say)(struct talk *t, struct buf *to); /* NULL: nothing; it is waited for */
} script[] = {
    {TALK_CONNECT, always, NULL},
    {TALK_GREETING, always, NULL},
    {TALK_EHLO, always, say_ehlo},
    {TALK_HELO, ehlo_failed, say_helo},
    {TALK_STARTTLS, starttls_offered, say_starttls},
    {TALK_TLS, tls_begins, NULL},
    {TALK_EHLO_SECURED, secured, say_ehlo},
    {TALK_VRFY_POSTMASTER, full_mail, say_vrfy_postmaster},
    {TALK_VRFY_NOBODY, full_mail, say_vrfy_nobody},
    {TALK_EXPN, full_mail, say_expn},
    {TALK_BOUNCE, full_mail, say_bounce},
    {TALK_POSTMASTER, bounce_taken, say_postmaster},
    {TALK_NOBODY, bounce_taken, say_nobody},
    {TALK_RSET, full_mail, say_rset},
    {TALK_RELAY_MAIL, has_here, say_relay_mail},
    {TALK_RELAY_RCPT, relay_begun, say_relay_rcpt},
    {TALK_RELAY_RSET, has_here, say_rset},
    {TALK_QUIT, always, say_quit},
};

static size_t row_of(enum fact_step step)
{
    size_t i = 0;

    while (script[i].step != step)
        i++;
    return i;
}

/* Where what comes of this step is kept. The first answer to MAIL and RSET of a relay form is
 * nobody's interest. */
static struct fact_reply *reply_now(struct talk *t)
{
    enum fact_step step = script[t->row].step;

    if (t->purpose == PURPOSE_VERSION)
        return &t->scratch;
    return step == TALK_RELAY_RCPT ? &t->facts->relay[t->form] : &t->facts->steps[step];
}

/* ---- going on ---- */

static void on_bytes(void *arg, struct buf *in);
static void on_end(void *arg, enum stream_end why, int error);
static void on_connected(void *arg);
static void on_secured(void *arg);
static const struct stream_events events = {on_bytes, NULL, on_end};

static void tell_done(void *arg)
{
    struct talk *t = arg;

    t->fn(t->arg);
}

static void hang_up(struct talk *t, bool politely)
{
    t->tls = NULL;
    if (t->stream && politely)
        stream_finish(&t->stream);
    else
        stream_free(&t->stream);
}

static void step_begins(struct talk *t, size_t row)
{
    struct fact_reply *r;

    t->row = row;
    t->began_us = now(t);
    r = reply_now(t);
    *r = (struct fact_reply){.tried = true};
    if (t->purpose == PURPOSE_VERSION)
        return;
    t->facts->last = script[row].step;
    if (t->world->on_step)
        t->world->on_step(t->world->arg, t->facts, script[row].step);
}

static void connect_to(struct talk *t)
{
    struct sock_address to = fact_server_address(t->facts);
    struct fact_reply *r;

    hang_up(t, false);
    reply_reader_free(&t->reader);
    reply_reader_init(&t->reader);
    t->form = 0;
    t->mail_taken = false;
    step_begins(t, row_of(TALK_CONNECT));
    int error = stream_connect(t->world->loop, (const struct sockaddr *)&to.sa, to.bytes,
                               TALK_CONNECT_S * US_PER_S, on_connected, &events, t, IN_BYTES_MAX,
                               OUT_BYTES_MAX, &t->stream);
    if (error == 0)
        return;
    r = reply_now(t);
    r->error = error;
    turn_want(t->world->loop, TURN_COMMIT, &t->done);
}

/* The next version that has not been seen; false: all are known. */
static bool next_version(struct talk *t)
{
    const struct fact_tls *k = &t->facts->tls;

    for (enum tls_version v = 0; v < TLS_VERSION_COUNT; v++)
        if (k->versions[v] == VERSION_UNKNOWN && t->world->versions[v]) {
            t->version = v;
            return true;
        }
    return false;
}

static bool looks_at_versions(const struct talk *t)
{
    const struct fact_server *s = t->facts;

    return s->full && !t->world->gentle && (s->tls.secured || s->tls.failure) &&
           s->steps[TALK_CONNECT].error == 0;
}

/* A connection is over: the next one, or all is done. */
static void connection_over(struct talk *t)
{
    const struct fact_server *s = t->facts;
    bool again = t->purpose == PURPOSE_ALL && s->tls.failure && !s->implicit_tls;

    if (again) {
        t->purpose = PURPOSE_PLAIN;
        connect_to(t);
    } else if (looks_at_versions(t) && next_version(t)) {
        t->purpose = PURPOSE_VERSION;
        t->offered = (struct fact_offers){0};
        connect_to(t);
    } else {
        turn_want(t->world->loop, TURN_COMMIT, &t->done);
    }
}

static struct tls_context *context_now(const struct talk *t)
{
    return t->purpose == PURPOSE_VERSION ? t->world->versions[t->version] : t->world->tls;
}

static struct str server_name(const struct talk *t)
{
    return t->facts->host->name.n > 0 ? t->facts->host->name : t->facts->address->text;
}

static void tls_now(struct talk *t)
{
    step_begins(t, row_of(TALK_TLS));
    t->tls = tls_begin(t->stream, context_now(t), server_name(t), on_secured);
    stream_idle(t->stream, TALK_REPLY_S * US_PER_S);
}

static void say(struct talk *t, const struct row *row)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    row->say(t, &line);
    if (t->world->on_line)
        t->world->on_line(t->world->arg, t->facts, true, buf_str(&line));
    buf_add_c(&line, "\r\n");
    stream_write(t->stream, buf_str(&line));
    buf_free(&line);
}

/* The next row of the script that is wanted; it ends with QUIT. */
static void go_on(struct talk *t)
{
    size_t row = t->row + 1;

    if (script[t->row].step == TALK_RELAY_RSET && t->form + 1 < RELAY_FORM_COUNT) {
        t->form++;
        t->mail_taken = false;
        row = row_of(TALK_RELAY_MAIL);
    }
    while (!script[row].wanted(t))
        row++;
    if (script[row].step == TALK_TLS) {
        tls_now(t);
        return;
    }
    step_begins(t, row);
    stream_idle(t->stream, TALK_REPLY_S * US_PER_S);
    if (script[row].say)
        say(t, &script[row]);
}

static void quit(struct talk *t)
{
    t->form = RELAY_FORM_COUNT - 1;
    t->row = row_of(TALK_QUIT) - 1;
    go_on(t);
}

/* ---- what comes ---- */

/* The first server of a host that greets is gone through in full. */
static bool claims(struct talk *t)
{
    struct talk_world *w = t->world;

    if (w->gentle)
        return false;
    for (size_t i = 0; i < w->talked_count && !t->facts->submission; i++)
        if (w->talked_to[i] == t->facts->host)
            return false;
    if (!t->facts->submission && w->talked_count < w->talked_max)
        w->talked_to[w->talked_count++] = t->facts->host;
    return true;
}

static void on_connected(void *arg)
{
    struct talk *t = arg;
    struct fact_reply *r = reply_now(t);

    r->us = now(t) - t->began_us;
    if (t->facts->implicit_tls && t->world->tls)
        tls_now(t);
    else
        go_on(t);
}

static bool key_is_weak(const struct chain *c)
{
    EVP_PKEY *key = X509_get0_pubkey(c->list[0]);

    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
           EVP_PKEY_get_bits(key) < RSA_BITS_MIN;
}

static struct str printed(struct talk *t, const struct chain *c,
                          void (*print)(const struct chain *c, struct buf *to))
{
    struct buf text = buf_init(KIB);

    print(c, &text);
    struct str copy = arena_copy(t->world->arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static void take_chain(struct talk *t, struct fact_tls *to)
{
    uint64_t wall_us = clock_now_us(loop_clock(t->world->loop));
    struct chain c;

    if (!tls_peer_chain(t->tls, &c))
        return;
    to->names = printed(t, &c, chain_print_names);
    to->kind = printed(t, &c, chain_print_kind);
    to->not_before_us = chain_not_before_us(&c);
    to->not_after_us = chain_not_after_us(&c);
    to->trouble = chain_trouble(&c, t->world->roots, wall_us);
    to->weak_key = key_is_weak(&c);
    for (size_t i = 0; i < c.count; i++) {
        struct buf der = buf_init(DER_BYTES_MAX);

        chain_print_der(&c, i, &der);
        to->certificates[to->certificate_count++] = arena_copy(t->world->arena, buf_str(&der));
        buf_free(&der);
    }
    chain_free(&c);
}

static void take_tls(struct talk *t)
{
    struct fact_tls *to = &t->facts->tls;
    struct tls_peer peer;

    tls_peer(t->tls, &peer);
    to->secured = true;
    to->version = arena_copy(t->world->arena, str_c(peer.version));
    to->cipher = arena_copy(t->world->arena, str_c(peer.cipher));
    to->name_matches = peer.name_matches;
    take_chain(t, to);
    for (enum tls_version v = 0; v < TLS_VERSION_COUNT; v++)
        if (strcmp(peer.version, tls_version_word(v)) == 0)
            to->versions[v] = VERSION_TAKEN;
}

static void version_known(struct talk *t, enum version_taken taken)
{
    t->facts->tls.versions[t->version] = taken;
    hang_up(t, true);
    connection_over(t);
}

static void on_secured(void *arg)
{
    struct talk *t = arg;

    if (t->purpose == PURPOSE_VERSION) {
        version_known(t, VERSION_TAKEN);
        return;
    }
    reply_now(t)->us = now(t) - t->began_us;
    take_tls(t);
    if (t->facts->implicit_tls)
        t->row = row_of(TALK_CONNECT);
    go_on(t);
}

/* What follows from a reply, beyond the next row. False: nothing more is to be said. */
static bool heard(struct talk *t, const struct fact_reply *r)
{
    enum fact_step step = script[t->row].step;
    bool good = r->code / 100 == 2;

    if (step == TALK_GREETING && good && t->purpose != PURPOSE_VERSION && !t->facts->full)
        t->facts->full = claims(t);
    if ((step == TALK_EHLO || step == TALK_EHLO_SECURED) && good)
        take_offers(t, r->text);
    if (step == TALK_RELAY_MAIL)
        t->mail_taken = good;
    if ((step == TALK_GREETING || step == TALK_HELO) && !good)
        return false;
    return r->code != 421;
}

/* A connection for a version that comes to no handshake teaches nothing. */
static bool no_version(const struct talk *t)
{
    enum fact_step step = script[t->row].step;

    return t->purpose == PURPOSE_VERSION &&
           ((step == TALK_EHLO && !t->offered.starttls) || step == TALK_QUIT ||
            (step == TALK_STARTTLS && t->scratch.code != 220));
}

static void on_reply(struct talk *t, uint16_t code, struct str text)
{
    struct fact_reply *r = reply_now(t);
    bool last = script[t->row].step == TALK_QUIT;

    r->code = code;
    r->text = arena_copy(t->world->arena, text);
    r->us = now(t) - t->began_us;
    bool more = heard(t, r);
    if (no_version(t)) {
        version_known(t, VERSION_UNCLEAR);
    } else if (last || code == 421) {
        hang_up(t, true);
        connection_over(t);
    } else if (more) {
        go_on(t);
    } else {
        quit(t);
    }
}

/* It broke: what of it is to be told later. */
static void broken(struct talk *t, int error, struct str text)
{
    struct fact_reply *r = reply_now(t);
    enum fact_step step = script[t->row].step;

    r->error = error;
    r->text = arena_copy(t->world->arena, text);
    r->us = now(t) - t->began_us;
    if (t->purpose == PURPOSE_VERSION) {
        bool refused = step == TALK_TLS && error != -ETIMEDOUT;

        version_known(t, refused ? VERSION_REFUSED : VERSION_UNCLEAR);
        return;
    }
    if (step == TALK_TLS)
        t->facts->tls.failure =
            error == -ETIMEDOUT ? "no answer in time" : tls_failure(t->tls, -error);
    hang_up(t, false);
    connection_over(t);
}

static void on_end(void *arg, enum stream_end why, int error)
{
    struct talk *t = arg;
    bool idle = why == STREAM_IDLE || why == STREAM_STALLED;

    broken(t,
           idle                                       ? -ETIMEDOUT
           : why == STREAM_EOF || error == ECONNRESET ? -EPIPE
                                                      : -error,
           STR_NONE);
}

/* One reply of what has come, or its lines for whoever looks on. */
static bool take_reply(struct talk *t, struct buf *in)
{
    const char *error = NULL;
    size_t used = 0;
    struct str all = buf_str(in);
    enum reply_event e = reply_read(&t->reader, all, &used, &error);
    struct str lines = str_sub(all, 0, used);

    while (t->world->on_line && t->purpose != PURPOSE_VERSION && lines.n > 0)
        t->world->on_line(t->world->arg, t->facts, false, str_trim(str_cut(&lines, '\n')));
    if (e == REPLY_BAD) {
        struct str shown = str_sub(all, 0, MIN_OF(str_find(all, '\n'), (size_t)100));

        broken(t, -EPROTO, str_trim(shown));
        return false;
    }
    buf_drop_front(in, used);
    if (e != REPLY_READY)
        return false;
    struct stream *before = t->stream;
    uint16_t code = t->reader.code;
    struct arena a = ARENA_INIT;
    struct str text = arena_copy(&a, buf_str(&t->reader.text));

    reply_reader_next(&t->reader);
    on_reply(t, code, text);
    arena_free(&a);
    return t->stream == before && t->stream && in->n > 0 && script[t->row].step != TALK_TLS;
}

static void on_bytes(void *arg, struct buf *in)
{
    struct talk *t = arg;

    while (take_reply(t, in)) {
    }
}

/* ---- the whole ---- */

struct talk *talk_new(struct talk_world *w, struct fact_server *to, struct str domain,
                      void (*fn)(void *arg), void *arg)
{
    struct talk *t = mem_new(sizeof *t);

    *t = (struct talk){.world = w,
                       .facts = to,
                       .domain = domain,
                       .fn = fn,
                       .arg = arg,
                       .done = {.fn = tell_done, .arg = t}};
    reply_reader_init(&t->reader);
    connect_to(t);
    return t;
}

void talk_free(struct talk **t)
{
    struct talk *gone = *t;

    *t = NULL;
    if (!gone)
        return;
    turn_forget(gone->world->loop, &gone->done);
    hang_up(gone, false);
    reply_reader_free(&gone->reader);
    free(gone);
}
