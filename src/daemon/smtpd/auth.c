/* smtpd/auth.c - AUTH: who logs in. RFC 4954.
 *
 * Here is only the wire: which mechanisms are offered, base64, how an exchange ends. What is said
 * in it goes to logind as bytes, and is wiped: this process holds no password longer than its line.
 *
 *   none --AUTH--> FOR_LOGIN --challenge--> challenged --line--> FOR_LOGIN --done--> none */
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "daemon/smtpd/state.h"

enum { EXCHANGE_BYTES_MAX = 12288 /* RFC 4954 4 */, RESPONSE_BYTES_MAX = EXCHANGE_BYTES_MAX };

/* ---- mechanisms ---- */

static bool may_be_plain(const struct session *s)
{
    return s->secure || s->listen->plain_auth;
}

static bool may_be_cram(const struct session *s)
{
    return s->listen->cram_md5;
}

/* Users of this machine have a password and no keys: a program that chose SCRAM would fail. */
static bool may_be_scram(const struct session *s)
{
    if (str_eq_c(s->listen->scram, "default"))
        return !config_has_user_logins(s->config);
    return str_eq_c(s->listen->scram, "yes");
}

static bool is_bound(const struct session *s)
{
    return s->binding_bytes > 0 && may_be_scram(s);
}

static bool is_certified(const struct session *s)
{
    return s->certificate != NULL;
}

/* In the order of EHLO. */
static const struct mechanism {
    const char *name;
    bool (*offered)(const struct session *s);
} mechanisms[] = {
    {"PLAIN", may_be_plain},          {"LOGIN", may_be_plain},
    {"CRAM-MD5", may_be_cram},        {"SCRAM-SHA-1", may_be_scram},
    {"SCRAM-SHA-256", may_be_scram},  {"SCRAM-SHA-1-PLUS", is_bound},
    {"SCRAM-SHA-256-PLUS", is_bound}, {"EXTERNAL", is_certified},
};

static const struct mechanism *mechanism_find(struct str name)
{
    for (size_t i = 0; i < countof(mechanisms); i++) {
        if (str_eq_nocase(name, str_c(mechanisms[i].name)))
            return &mechanisms[i];
    }
    return NULL;
}

bool auth_is_offered(const struct session *s)
{
    return s->listen && !str_eq_c(s->listen->auth, "off");
}

bool auth_is_missing(const struct session *s)
{
    return s->listen && str_eq_c(s->listen->auth, "required") && !s->account[0];
}

static void keyword(const struct session *s, const char *start, struct buf *to)
{
    buf_add_c(to, start);
    for (size_t i = 0, count = 0; i < countof(mechanisms); i++) {
        if (mechanisms[i].offered(s))
            buf_printf(to, "%s%s", count++ > 0 ? " " : "", mechanisms[i].name);
    }
}

void auth_keywords(const struct session *s, struct buf *to)
{
    if (!auth_is_offered(s) || s->account[0] || starttls_missing(s))
        return;
    keyword(s, "\nAUTH ", to);
    if (s->listen->old_auth_line)
        keyword(s, "\nAUTH=", to);
}

/* ---- the exchange ---- */

static void attempt_free(struct session *s)
{
    free(s->attempt);
    s->attempt = NULL;
    s->waiting = FOR_CLIENT;
    s->lines.bytes_max = COMMAND_BYTES_MAX;
}

void auth_end(struct session *s)
{
    if (!s->attempt)
        return;
    s->world->login_cancel(s->arg);
    attempt_free(s);
}

static bool ask(struct session *s, const struct session_login *step)
{
    s->attempt->challenged = false;
    s->waiting = FOR_LOGIN;
    if (s->world->login_ask(s->arg, step))
        return true;
    attempt_free(s);
    return false;
}

static struct reply begin(struct session *s, const char *mechanism, bool has_response,
                          struct str response)
{
    struct session_login step = {.mechanism = str_c(mechanism),
                                 .has_response = has_response,
                                 .response = response,
                                 .client = str_c(s->ip),
                                 .binding = str_n(s->binding, s->binding_bytes),
                                 .certificate = str_c(s->certificate)};

    s->attempt = mem_new(sizeof *s->attempt);
    for (size_t i = 0; mechanism[i] && i < MECHANISM_BYTES_MAX; i++)
        s->attempt->mechanism[i] = mechanism[i];
    s->lines.bytes_max = EXCHANGE_BYTES_MAX;
    return ask(s, &step) ? reply_later() : reply(REPLY_LOGIN_LATER);
}

struct reply cmd_auth(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    const struct mechanism *m = mechanism_find(c->mechanism);
    struct buf response = buf_init(RESPONSE_BYTES_MAX);
    struct reply r;

    if (!auth_is_offered(s))
        return reply(REPLY_NOT_IMPLEMENTED);
    if (s->account[0])
        return reply(REPLY_ALREADY_LOGGED_IN);
    if (m && m->offered == may_be_plain && !may_be_plain(s))
        return reply(REPLY_ENCRYPTION_REQUIRED);
    if (!m || !m->offered(s))
        return reply_about(REPLY_UNKNOWN_MECHANISM, c->mechanism);
    /* "=" is an empty response, which is not the same as none */
    if (str_eq(c->response, STR("=")) || base64_get(&response, c->response))
        r = begin(s, m->name, c->response.p != NULL, buf_str(&response));
    else
        r = reply(REPLY_LOGIN_SYNTAX);
    buf_wipe(&response);
    return r;
}

static struct reply next_response(struct session *s, struct str line)
{
    struct buf response = buf_init(RESPONSE_BYTES_MAX);
    struct reply r = reply(REPLY_LOGIN_SYNTAX);

    if (base64_get(&response, line)) {
        struct session_login step = {.has_response = true, .response = buf_str(&response)};

        r = ask(s, &step) ? reply_later() : reply(REPLY_LOGIN_LATER);
    }
    buf_wipe(&response);
    return r;
}

/* A line that is no answer to the challenge. */
static struct reply broken_off(enum line_event e)
{
    if (e == LINE_TOO_LONG)
        return reply(REPLY_LOGIN_LINE_TOO_LONG);
    return reply(e == LINE_BARE_NEWLINE ? REPLY_BARE_NEWLINE : REPLY_LOGIN_CANCELLED);
}

void auth_line(struct session *s, enum line_event e, struct str line, struct buf *out)
{
    bool answers = e == LINE_READY && !str_eq(line, STR("*"));
    struct reply r = answers ? next_response(s, line) : broken_off(e);

    session_say(s, r, out);
    if (r.kind != REPLY_LATER)
        auth_end(s);
}

/* ---- answers ---- */

void session_challenged(struct session *s, struct str challenge, struct buf *out)
{
    struct buf text = buf_init(2 * EXCHANGE_BYTES_MAX);

    if (s->waiting != FOR_LOGIN)
        return;
    s->active_us = clock_monotonic_us(s->world->clock);
    s->waiting = FOR_CLIENT;
    s->attempt->challenged = true;
    base64_put(&text, challenge);
    s->last_reply = REPLY_CHALLENGE;
    buf_printf(out, "%u %s\r\n", reply_table[REPLY_CHALLENGE].code, buf_c(&text));
    buf_free(&text);
    session_check(s);
}

void session_logged_in(struct session *s, struct str login)
{
    size_t n = MIN_OF(login.n, sizeof s->account - 1);

    for (size_t i = 0; i < n; i++)
        s->account[i] = login.p[i];
    s->account[n] = '\0';
}

static void note_login(struct session *s, const char *mechanism)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "login");
    line_str(&line, "session", session_name(s));
    client_line(s, &line);
    line_c(&line, "mechanism", mechanism);
    s->world->note(s->arg, buf_str(&line));
    buf_free(&line);
}

void session_login_done(struct session *s, const struct status *st, struct str login,
                        struct str why, struct buf *out)
{
    struct attempt a;

    if (s->waiting != FOR_LOGIN)
        return;
    a = *s->attempt;
    s->active_us = clock_monotonic_us(s->world->clock);
    attempt_free(s);
    if (status_done(st) && login.n > 0 && login.n < sizeof s->account) {
        session_logged_in(s, login);
        note_login(s, a.mechanism);
        session_say(s, reply_about(REPLY_LOGGED_IN, login), out);
    } else {
        a.tried = login;
        a.why = why;
        s->refused = &a;
        session_say(s, reply_refusal(st, REPLY_LOGIN_LATER), out);
        s->refused = NULL;
    }
    session_check(s);
}

void auth_refusal_line(const struct session *s, struct buf *to)
{
    const struct attempt *a = s->refused ? s->refused : s->attempt;

    if (!a)
        return;
    line_c(to, "mechanism", a->mechanism);
    if (a->tried.n > 0)
        line_str(to, "tried", a->tried);
    if (a->why.n > 0)
        line_str(to, "why", a->why);
}

void session_identified(struct session *s, struct str binding, struct str certificate)
{
    s->binding_bytes = MIN_OF(binding.n, sizeof s->binding);
    for (size_t i = 0; i < s->binding_bytes; i++)
        s->binding[i] = binding.p[i];
    free(s->certificate);
    s->certificate = certificate.n > 0 ? mem_copy(certificate.p, certificate.n) : NULL;
}
