/* outward/send/pop_first.c - POP before SMTP: who has just read mail may send some. A login by POP3
 * (RFC 1939, RFC 5034), and nothing else.
 *
 *   GREETING -> CAPA -> (STLS -> handshake -> CAPA) -> AUTH, as long as it goes on --+
 *                                                   -> USER -> PASS ----------------+--> QUIT
 *                                                   -> APOP ------------------------+
 * Every reply goes to the state's handler; a handler that says nothing more ends it all. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/codec.h"
#include "io/stream.h"
#include "outward/send/send.h"
#include "wire/pop3.h"

enum {
    CONNECT_TIMEOUT_S = 30,
    ANSWER_TIMEOUT_S = 60,
    IN_BYTES_MAX = POP3_CHALLENGE_BYTES_MAX,
    OUT_BYTES_MAX = 64 * 1024,
    LINE_BYTES_MAX = 32 * 1024,
    CAPABILITIES_MAX = 100,
    MD5_BYTES = 16,
};

enum state { GREETING, CAPA, CAPA_LINES, STLS, SECURING, AUTH, USER, PASS, APOP, QUIT, DONE };

struct pop {
    struct sending *s;
    const struct server_target *to;
    enum tls_policy policy;
    struct stream *stream;
    struct tls *tls; /* of it, or NULL */
    struct timer timer;
    bool connected, secured;
    enum state state;
    struct pop3_capabilities can;
    size_t capability_count;
    struct buf timestamp; /* of the greeting; for APOP */
    struct sasl *sasl;
    char server[PEER_BYTES_MAX];
    bool last; /* no other address is known */
    int error; /* of the connection */
    int code;  /* once it is DONE */
};

/* ---- the end ---- */

static void over(struct pop *p, int code)
{
    p->state = DONE;
    p->code = code;
    timer_stop(&p->timer);
    stream_free(&p->stream);
    p->tls = NULL;
}

static void failed(struct pop *p, int code, const char *what, struct str why,
                   const struct explanation *e)
{
    if (p->state == DONE)
        return;
    fprintf(stderr, "troika %s: %s: ", p->s->line->command, what);
    (void)write_text(stderr, why);
    fprintf(stderr, "\n  %s: POP3, %s\n", _("at"), p->server);
    if (e && e->meaning)
        fprintf(stderr, "  %s: %s\n", _("this means"), _(e->meaning));
    if (e && e->causes)
        fprintf(stderr, "  %s: %s\n", _("causes"), _(e->causes));
    if (e && e->remedy)
        fprintf(stderr, "  %s: %s\n", _("what to try"), _(e->remedy));
    over(p, code);
}

static void lost(struct pop *p, const char *why)
{
    struct explanation e = explain_connection(p->error, p->to->port);

    if (!p->connected && !p->last) {
        over(p, EX_UNAVAILABLE);
        return;
    }
    failed(p, p->connected ? EX_TEMPFAIL : EX_UNAVAILABLE,
           p->connected ? _("connection lost") : _("cannot connect"), str_c(why),
           p->error != 0 ? &e : NULL);
}

static void on_timeout(void *arg)
{
    struct pop *p = arg;

    p->error = -ETIMEDOUT;
    lost(p, _("no answer in time"));
}

/* ---- saying ---- */

/* shown: for --verbose, where the line has a secret in it. */
static void say(struct pop *p, struct str line, const char *shown, enum state next)
{
    p->state = next;
    report_line(p->s, true, shown ? str_c(shown) : line);
    (void)stream_write(p->stream, line);
    (void)stream_write(p->stream, STR("\r\n"));
    timer_set(p->s->loop, &p->timer, ANSWER_TIMEOUT_S * US_PER_S, on_timeout, p);
}

static void say_secret(struct pop *p, const char *before, struct str secret, const char *shown,
                       enum state next)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    (void)buf_room(&line, LINE_BYTES_MAX); /* so that it is not moved */
    buf_add_c(&line, before);
    buf_add(&line, secret);
    say(p, buf_str(&line), shown, next);
    buf_wipe(&line);
}

/* ---- how to log in ---- */

static struct sasl_channel channel_of(const struct pop *p, char binding[TLS_BINDING_BYTES])
{
    struct sasl_channel c = {
        .service = "pop", .host = p->to->host, .port = p->to->port, .secured = p->secured};

    if (p->secured)
        c.binding = str_n(binding, tls_binding(p->tls, binding));
    return c;
}

static void say_response(struct pop *p, struct str response, const char *mechanism)
{
    struct buf coded = buf_init(LINE_BYTES_MAX), before = buf_init(KIB), shown = buf_init(KIB);

    (void)buf_room(&coded, LINE_BYTES_MAX);
    base64_put(&coded, response);
    if (mechanism) {
        buf_printf(&before, "AUTH %s ", mechanism);
        if (response.n == 0) /* RFC 5034 4: an empty one is said so */
            buf_add_char(&coded, '=');
    }
    buf_printf(&shown, "%s***", buf_c(&before));
    say_secret(p, buf_c(&before), buf_str(&coded), buf_c(&shown), AUTH);
    buf_wipe(&coded);
    buf_free(&before);
    buf_free(&shown);
}

static bool begin_sasl(struct pop *p, const char *mechanism)
{
    char binding[TLS_BINDING_BYTES];
    struct sasl_channel channel = channel_of(p, binding);
    struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);

    sasl_free(&p->sasl);
    bool can = sasl_new(mechanism, &p->s->login, &channel, &p->sasl) == 0;

    if (can && sasl_client_first(p->sasl)) {
        can = sasl_step(p->sasl, STR(""), &response) == SASL_SAY;
        if (can)
            say_response(p, buf_str(&response), mechanism);
    } else if (can) {
        struct buf line = buf_init(KIB);

        buf_printf(&line, "AUTH %s", mechanism);
        say(p, buf_str(&line), NULL, AUTH);
        buf_free(&line);
    }
    buf_wipe(&response);
    return can;
}

/* RFC 1939 7: MD5 of the timestamp and the password, in hexadecimal. */
static bool say_apop(struct pop *p)
{
    struct buf text = buf_init(LINE_BYTES_MAX), line = buf_init(KIB);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    (void)buf_room(&text, LINE_BYTES_MAX);
    buf_add(&text, buf_str(&p->timestamp));
    buf_add(&text, p->s->login.password);
    bool can = !text.full && EVP_Digest(text.p, text.n, digest, &n, EVP_md5(), NULL) == 1 &&
               n == MD5_BYTES;

    buf_printf(&line, "APOP %.*s ", STR_ARG(p->to->user));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&line, "%02x", digest[i]);
    if (can) {
        struct buf shown = buf_init(KIB);

        buf_printf(&shown, "APOP %.*s ***", STR_ARG(p->to->user));
        say(p, buf_str(&line), buf_c(&shown), APOP);
        buf_free(&shown);
    }
    buf_wipe(&text);
    buf_wipe(&line);
    return can;
}

static bool may_show_password(const struct pop *p)
{
    return p->secured || p->s->login.plain_anyway;
}

/* Without SASL: over TLS the password itself, which every server can check; else, if there is a
 * timestamp, APOP. */
static bool log_in_simply(struct pop *p)
{
    const struct sasl_login *login = &p->s->login;
    bool wanted = login->mechanism.n == 0 && login->token.n == 0 &&
                  pop3_argument_valid(p->to->user) && pop3_argument_valid(login->password);

    if (wanted && p->timestamp.n > 0 && !p->secured)
        return say_apop(p);
    if (!wanted || !may_show_password(p))
        return false;
    say_secret(p, "USER ", p->to->user, NULL, USER);
    return true;
}

static void log_in(struct pop *p)
{
    char binding[TLS_BINDING_BYTES];
    struct sasl_channel channel = channel_of(p, binding);
    const char *why = NULL;
    const char *mechanism =
        *p->can.sasl ? sasl_choose(str_c(p->can.sasl), STR_NONE, &p->s->login, &channel, &why)
                     : NULL;

    if (mechanism && begin_sasl(p, mechanism))
        return;
    if (log_in_simply(p))
        return;
    failed(p, EX_NOPERM, _("cannot log in by POP3"),
           str_c(why ? _(why)
                     : _("the password would be seen by everybody on the way: there is no TLS. "
                         "Try pops://, or --insecure")),
           NULL);
}

/* ---- the states ---- */

static void refused(struct pop *p, enum explain_step step, const struct pop3_reply *r)
{
    struct explanation e = explain_pop3(step, false, r->code, r->text);
    bool later =
        str_starts_nocase(r->code, STR("SYS/TEMP")) || str_eq_nocase(r->code, STR("LOGIN-DELAY"));

    failed(p,
           later               ? EX_TEMPFAIL
           : step == STEP_AUTH ? EX_NOPERM
                               : EX_UNAVAILABLE,
           _("the POP3 server refuses"), r->text, &e);
}

static void say_quit(struct pop *p)
{
    report_note(p->s, _("logged in by POP3"));
    say(p, STR("QUIT"), NULL, QUIT);
}

static void on_greeting(struct pop *p, const struct pop3_reply *r)
{
    if (r->kind != POP3_OK) {
        refused(p, STEP_GREETING, r);
        return;
    }
    buf_add(&p->timestamp, pop3_timestamp(r->text));
    say(p, STR("CAPA"), NULL, CAPA);
}

static void tls_missing(struct pop *p)
{
    failed(p, EX_PROTOCOL, _("no TLS"),
           str_c(_("the POP3 server does not offer STLS; try pops://")), NULL);
}

static void capabilities_known(struct pop *p)
{
    bool unsaid = p->capability_count == 0 && p->policy >= TLS_REQUIRED;

    if (!p->secured && p->policy != TLS_NONE && (p->can.stls || unsaid))
        say(p, STR("STLS"), NULL, STLS);
    else if (!p->secured && p->policy >= TLS_REQUIRED)
        tls_missing(p);
    else
        log_in(p);
}

static void on_capa(struct pop *p, const struct pop3_reply *r)
{
    p->can = (struct pop3_capabilities){0};
    p->capability_count = 0;
    if (r->kind == POP3_OK)
        p->state = CAPA_LINES;
    else /* a server of before RFC 2449; STLS may be there nevertheless */
        capabilities_known(p);
}

static void on_secured(void *arg)
{
    struct pop *p = arg;
    struct tls_peer peer;
    struct buf trouble = buf_init(KIB), words = buf_init(KIB);

    p->secured = true;
    tls_peer(p->tls, &peer);
    tls_peer_print(&words, &peer);
    report_note(p->s, "TLS: %s", buf_c(&words));
    if (tls_peer_trouble(&peer, p->to->host, &trouble) && p->policy == TLS_VERIFIED)
        failed(p, EX_PROTOCOL, _("the certificate of the POP3 server is not good enough"),
               buf_str(&trouble), NULL);
    else if (p->state == SECURING && p->to->tls != TARGET_TLS_IMPLICIT)
        say(p, STR("CAPA"), NULL, CAPA);
    else if (p->state == SECURING)
        p->state = GREETING;
    buf_free(&trouble);
    buf_free(&words);
}

static void secure(struct pop *p)
{
    p->state = SECURING;
    timer_set(p->s->loop, &p->timer, ANSWER_TIMEOUT_S * US_PER_S, on_timeout, p);
    p->tls = tls_begin(p->stream, p->s->tls_context, p->to->host, on_secured);
}

static void on_stls(struct pop *p, const struct pop3_reply *r)
{
    if (r->kind == POP3_OK)
        secure(p);
    else if (p->policy >= TLS_REQUIRED)
        tls_missing(p);
    else
        log_in(p);
}

static void answer_challenge(struct pop *p, struct str text)
{
    struct buf challenge = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);

    if (base64_get(&challenge, text) &&
        sasl_step(p->sasl, buf_str(&challenge), &response) == SASL_SAY)
        say_response(p, buf_str(&response), NULL);
    else
        say(p, STR("*"), NULL, AUTH); /* RFC 5034 4: never mind */
    buf_free(&challenge);
    buf_wipe(&response);
}

/* The mailbox is somebody else's for a moment, but the password was right (RFC 2449 8.1.1). */
static bool is_in(const struct pop3_reply *r)
{
    return r->kind == POP3_OK || (r->kind == POP3_ERR && str_eq_nocase(r->code, STR("IN-USE")));
}

static void on_auth(struct pop *p, const struct pop3_reply *r)
{
    if (r->kind == POP3_CHALLENGE)
        answer_challenge(p, r->text);
    else if (r->kind == POP3_OK && !sasl_accepted(p->sasl))
        failed(p, EX_NOPERM, _("cannot log in by POP3"),
               str_c(_("the server did not prove that it knows the password")), NULL);
    else if (is_in(r))
        say_quit(p);
    else
        refused(p, STEP_AUTH, r);
}

static void on_user(struct pop *p, const struct pop3_reply *r)
{
    if (r->kind == POP3_OK)
        say_secret(p, "PASS ", p->s->login.password, "PASS ***", PASS);
    else
        refused(p, STEP_AUTH, r);
}

static void on_pass(struct pop *p, const struct pop3_reply *r)
{
    if (is_in(r))
        say_quit(p);
    else
        refused(p, STEP_AUTH, r);
}

static void on_quit(struct pop *p, const struct pop3_reply *r)
{
    (void)r;
    over(p, EX_OK);
}

static void (*const handlers[])(struct pop *p, const struct pop3_reply *r) = {
    [GREETING] = on_greeting, [CAPA] = on_capa, [STLS] = on_stls, [AUTH] = on_auth,
    [USER] = on_user,         [PASS] = on_pass, [APOP] = on_pass, [QUIT] = on_quit,
};

static void take_capability(struct pop *p, struct str line)
{
    if (!pop3_multi_line(&line))
        capabilities_known(p);
    else if (++p->capability_count > CAPABILITIES_MAX)
        failed(p, EX_PROTOCOL, _("not POP3"), str_c(_("capabilities without end")), NULL);
    else
        pop3_capability(&p->can, line);
}

static void converse(struct pop *p, struct str line)
{
    report_line(p->s, false, line);
    if (p->state == CAPA_LINES) {
        take_capability(p, line);
        return;
    }
    struct pop3_reply r = pop3_reply_parse(line);
    bool fits = r.kind != POP3_NONSENSE && (r.kind != POP3_CHALLENGE || p->state == AUTH);

    if (fits && handlers[p->state])
        handlers[p->state](p, &r);
    else
        failed(p, EX_PROTOCOL, _("not POP3"), line, NULL);
}

/* ---- the connection ---- */

static void on_bytes(void *arg, struct buf *in)
{
    struct pop *p = arg;

    while (p->state != DONE && p->state != SECURING) {
        struct str line;
        size_t used = 0;
        enum pop3_line got = pop3_line(buf_str(in), &line, &used);

        if (got == POP3_TOO_LONG)
            failed(p, EX_PROTOCOL, _("not POP3"), str_c(_("a line without end")), NULL);
        if (got != POP3_LINE)
            return;
        struct buf copy = buf_init(POP3_CHALLENGE_BYTES_MAX);

        buf_add(&copy, line);
        buf_drop_front(in, used);
        converse(p, buf_str(&copy));
        buf_free(&copy);
    }
}

static void on_end(void *arg, enum stream_end why, int error)
{
    struct pop *p = arg;

    if (p->state == QUIT) { /* as good as its answer */
        over(p, EX_OK);
        return;
    }
    p->error = why == STREAM_ERROR ? -error : p->connected ? -ECONNRESET : -ETIMEDOUT;
    if (p->state == SECURING) {
        p->error = -EPROTO;
        struct explanation e = explain_connection(p->error, p->to->port);

        failed(p, EX_PROTOCOL, _("the TLS handshake failed"), str_c(tls_failure(p->tls, error)),
               &e);
        return;
    }
    lost(p, why == STREAM_ERROR ? strerror(error) : _("closed by the other side"));
}

static const struct stream_events events = {.on_bytes = on_bytes, .on_end = on_end};

static void on_connected(void *arg)
{
    struct pop *p = arg;

    p->connected = true;
    timer_set(p->s->loop, &p->timer, ANSWER_TIMEOUT_S * US_PER_S, on_timeout, p);
    if (p->to->tls == TARGET_TLS_IMPLICIT)
        secure(p);
}

static int run(struct pop *p, const struct sock_address *server, bool last)
{
    struct buf peer = buf_init(128);

    p->state = GREETING;
    p->last = last;
    sock_address_print(&peer, server);
    (void)snprintf(p->server, sizeof p->server, "%.*s [%.*s]",
                   (int)MIN_OF(p->to->host.n, (size_t)200), p->to->host.p, STR_ARG(buf_str(&peer)));
    buf_free(&peer);
    int error = stream_connect(p->s->loop, (const struct sockaddr *)&server->sa, server->bytes,
                               CONNECT_TIMEOUT_S * US_PER_S, on_connected, &events, p, IN_BYTES_MAX,
                               OUT_BYTES_MAX, &p->stream);

    if (error < 0) {
        p->error = error;
        lost(p, strerror(-error));
    }
    while (p->state != DONE && interrupt_seen() == 0)
        loop_turn(p->s->loop, true);
    if (p->state != DONE)
        over(p, EX_TEMPFAIL);
    return p->code;
}

int pop_first_run(struct sending *s)
{
    struct sock_address servers[SERVERS_MAX];
    size_t count = 0;
    struct pop p = {
        .s = s, .to = &s->pop, .policy = way_policy(s, &s->pop, true), .timestamp = buf_init(KIB)};
    int code = way_resolve(s, &s->pop, servers, &count);

    if (code == EX_OK && p.policy != TLS_NONE)
        code = way_tls_context(s);
    for (size_t i = 0; code == EX_OK && i < count && !p.connected; i++)
        (void)run(&p, &servers[i], i + 1 == count);
    if (code == EX_OK)
        code = p.code;
    sasl_free(&p.sasl);
    buf_free(&p.timestamp);
    return code;
}
