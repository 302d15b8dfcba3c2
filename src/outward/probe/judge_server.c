/* outward/probe/judge_server.c - servers: reached or not, their manners, what they offer, open relays. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "mail/explain.h"
#include "outward/probe/judge.h"

enum { SLOW_S = 5 };
#define SIZE_SMALL ((uint64_t)10 * 1000 * 1000)

/* ---- reached? ---- */

static bool no_route(const struct fact_server *s)
{
    int error = s->steps[TALK_CONNECT].error;

    return s->address->ip.sa.ss_family == AF_INET6 &&
           (error == -ENETUNREACH || error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT ||
            error == -EHOSTUNREACH || error == -EACCES);
}

static bool connected(const struct fact_server *s)
{
    return s->steps[TALK_CONNECT].tried && s->steps[TALK_CONNECT].error == 0;
}

static void find_unreachable(const struct facts *f, const struct fact_server *s,
                             struct findings *to)
{
    int error = s->steps[TALK_CONNECT].error;
    struct explanation e = explain_connection(error, s->port);
    bool alone = f->subject == SUBJECT_HOST && f->server_count == 1;

    find_as(to, alone ? SEVERITY_BROKEN : SEVERITY_WARNING, FINDING_SERVER_UNREACHABLE, s->name,
            str_c(strerror(-error)), e.meaning);
}

struct reached { /* of the servers for mail, or for mail programs */
    size_t tried, connected;
};

static struct reached count(const struct facts *f, bool submission)
{
    struct reached r = {0};

    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (s->submission != submission || !s->steps[TALK_CONNECT].tried || no_route(s))
            continue;
        r.tried++;
        r.connected += connected(s);
    }
    return r;
}

static void judge_reach(const struct facts *f, struct findings *to)
{
    struct reached mail = count(f, false), programs = count(f, true);
    bool one = f->server_count == 1;

    if (mail.tried > 0 && mail.connected == 0 && f->subject == SUBJECT_DOMAIN)
        find(to, FINDING_MX_UNREACHABLE, f->domain, STR_NONE, NULL);
    if (programs.tried > 0 && programs.connected == 0 && !one)
        find(to, FINDING_SUBMISSION_UNREACHABLE, f->host_count > 0 ? f->hosts[0].name : f->domain,
             STR_NONE, NULL);
    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (!s->steps[TALK_CONNECT].tried || connected(s))
            continue;
        if (no_route(s))
            find(to, FINDING_IPV6_NOT_TRIED, s->name, STR_NONE, NULL);
        else if (!s->submission || one)
            find_unreachable(f, s, to);
    }
}

/* ---- greeting and EHLO ---- */

static struct str seconds_words(struct findings *to, uint64_t us)
{
    return arena_printf(to->arena, "%llu s", (unsigned long long)(us / US_PER_S));
}

static void judge_greeting_words(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *r = &s->steps[TALK_GREETING];
    struct str rest = str_sub(r->text, 0, str_find(r->text, '\n'));
    struct str name = str_cut_word(&rest);

    if (r->us > SLOW_S * US_PER_S)
        find(to, FINDING_GREETING_SLOW, s->name, seconds_words(to, r->us), NULL);
    if (str_find(name, '.') == name.n && !str_starts(name, STR("[")))
        find(to, FINDING_GREETING_NAME, s->name, name, NULL);
}

static bool judge_greeting(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *r = &s->steps[TALK_GREETING];
    struct str words = reply_words(to, r);

    if (r->code / 100 == 2)
        judge_greeting_words(s, to);
    else if (r->error == -EPROTO || r->code / 100 == 3)
        find(to, FINDING_NOT_SMTP, s->name, words, NULL);
    else if (r->error == -ETIMEDOUT)
        find(to, FINDING_SERVER_SILENT, s->name, words, fact_step_word(TALK_GREETING));
    else if (r->code / 100 == 4)
        find_reply(to, FINDING_SERVER_LATER, s->name, r, TALK_GREETING);
    else if (r->code > 0 || r->error < 0)
        find_reply(to, FINDING_SERVER_REFUSES, s->name, r, TALK_GREETING);
    return r->code / 100 == 2;
}

static void judge_hello(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *ehlo = &s->steps[TALK_EHLO], *helo = &s->steps[TALK_HELO];

    if (helo->tried && helo->code >= 400)
        find_reply(to, FINDING_HELO_REFUSED, s->name, helo, TALK_HELO);
    else if (ehlo->tried && ehlo->code >= 400)
        find_reply(to, FINDING_EHLO_REFUSED, s->name, ehlo, TALK_EHLO);
}

/* Where it ended, if that was not the end. */
static void judge_end(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *r = &s->steps[s->last];
    const char *step = fact_step_word(s->last);

    if (s->last <= TALK_GREETING || s->last == TALK_TLS || s->last == TALK_QUIT || r->error == 0)
        return;
    if (r->error == -ETIMEDOUT)
        find(to, FINDING_SERVER_SILENT, s->name, STR_NONE, step);
    else if (r->error == -EPROTO)
        find(to, FINDING_NOT_SMTP, s->name, reply_words(to, r), NULL);
    else
        find(to, FINDING_HUNG_UP, s->name, STR_NONE, step);
}

/* ---- what it offers ---- */

static bool shows_password(struct str mechanisms)
{
    while (mechanisms.n > 0) {
        struct str one = str_cut_word(&mechanisms);

        if (str_eq_nocase(one, STR("PLAIN")) || str_eq_nocase(one, STR("LOGIN")))
            return true;
    }
    return false;
}

static void judge_logins(const struct fact_server *s, struct findings *to)
{
    const struct fact_offers *o = fact_offers_of(s);

    if (!s->implicit_tls && shows_password(s->plain.auth))
        find(to, FINDING_AUTH_PLAIN_TEXT, s->name, s->plain.auth, NULL);
    if (s->submission && o->said && o->auth.n == 0)
        find(to, FINDING_AUTH_NONE, s->name, STR_NONE, NULL);
    if (s->submission && s->secured.auth.n > 0)
        find(to, FINDING_SUBMISSION_FOUND, s->name, s->secured.auth, NULL);
}

static void judge_offers(const struct fact_server *s, struct findings *to)
{
    const struct fact_offers *o = fact_offers_of(s);
    struct buf missing = buf_init(128);

    if (o->said && s->full && !o->pipelining)
        buf_add_c(&missing, "PIPELINING");
    if (o->said && s->full && !o->eightbit)
        buf_printf(&missing, "%s8BITMIME", missing.n > 0 ? ", " : "");
    if (missing.n > 0)
        find(to, FINDING_EXTENSIONS_MISSING, s->name, arena_copy(to->arena, buf_str(&missing)),
             NULL);
    if (s->full && o->size_max > 0 && o->size_max < SIZE_SMALL)
        find(to, FINDING_SIZE_SMALL, s->name,
             arena_printf(to->arena, "%.1f MB", (double)o->size_max / 1e6), NULL);
    buf_free(&missing);
}

/* ---- what it tells, and whom it takes mail for ---- */

static void judge_leaks(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *known = &s->steps[TALK_VRFY_POSTMASTER];
    const struct fact_reply *nobody = &s->steps[TALK_VRFY_NOBODY];
    const struct fact_reply *list = &s->steps[TALK_EXPN];
    /* 252 for everybody tells nothing; 550 for one and not for the other does. */
    bool knows = known->code / 100 == 2 && nobody->code >= 550 && nobody->code <= 553;

    if (knows)
        find(to, FINDING_VRFY_LEAK, s->name, reply_words(to, known), NULL);
    if (list->code == 250)
        find(to, FINDING_EXPN_LEAK, s->name, reply_words(to, list), NULL);
}

static void judge_recipients(const struct fact_server *s, struct findings *to)
{
    const struct fact_reply *bounce = &s->steps[TALK_BOUNCE];
    const struct fact_reply *postmaster = &s->steps[TALK_POSTMASTER];

    if (bounce->code / 100 == 5)
        find_reply(to, FINDING_BOUNCE_REFUSED, s->name, bounce, TALK_BOUNCE);
    if (postmaster->code / 100 == 5)
        find_reply(to, FINDING_POSTMASTER_REFUSED, s->name, postmaster, TALK_POSTMASTER);
    if (bounce->code / 100 == 4)
        find_reply(to, FINDING_GREYLISTED, s->name, bounce, TALK_BOUNCE);
    else if (postmaster->code / 100 == 4)
        find_reply(to, FINDING_GREYLISTED, s->name, postmaster, TALK_POSTMASTER);
    if (s->steps[TALK_NOBODY].code / 100 == 2)
        find(to, FINDING_TAKES_ANYBODY, s->name, STR_NONE, NULL);
}

/* How each form looks; sure: it is a relay also where every local part is taken. */
static const struct form {
    const char *words;
    bool sure;
} forms[RELAY_FORM_COUNT] = {
    [RELAY_STRANGER] = {"RCPT TO:<somebody@elsewhere>", true},
    [RELAY_EMPTY] = {"MAIL FROM:<> RCPT TO:<somebody@elsewhere>", true},
    [RELAY_LOCAL] = {"MAIL FROM:<somebody@here> RCPT TO:<somebody@elsewhere>", true},
    [RELAY_PERCENT] = {"RCPT TO:<somebody%elsewhere@here>", false},
    [RELAY_QUOTED] = {"RCPT TO:<\"somebody@elsewhere\"@here>", false},
    [RELAY_ROUTE] = {"RCPT TO:<@here:somebody@elsewhere>", true},
    [RELAY_BANG] = {"RCPT TO:<elsewhere!somebody@here>", false},
};

static void judge_relay(const struct fact_server *s, struct findings *to)
{
    bool anybody = s->steps[TALK_NOBODY].code / 100 == 2 || !s->steps[TALK_NOBODY].tried;
    bool refused = false;

    for (size_t i = 0; i < RELAY_FORM_COUNT; i++) {
        const struct fact_reply *r = &s->relay[i];

        if (r->code / 100 == 2 && (forms[i].sure || !anybody)) {
            find(to, s->address->is_public ? FINDING_RELAY_OPEN : FINDING_RELAY_INSIDE, s->name,
                 str_c(forms[i].words), NULL);
            return;
        }
        refused = refused || (forms[i].sure && r->code / 100 == 5);
    }
    if (refused)
        find(to, FINDING_RELAY_GOOD, s->name, STR_NONE, NULL);
}

void judge_manners(const struct facts *f, const struct fact_server *s, struct findings *to)
{
    judge_logins(s, to);
    judge_offers(s, to);
    judge_leaks(s, to);
    if (!s->submission)
        judge_recipients(s, to);
    judge_relay(s, to);
    judge_end(s, to);
}

void judge_servers(const struct facts *f, struct findings *to)
{
    judge_reach(f, to);
    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (!connected(s))
            continue;
        bool greeted = s->implicit_tls && !s->tls.secured ? false : judge_greeting(s, to);
        if (greeted)
            judge_hello(s, to);
        judge_tls(f, s, to);
        if (greeted)
            judge_manners(f, s, to);
    }
}
