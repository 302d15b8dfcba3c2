/* smtpd/session.c - one SMTP conversation, from greeting to goodbye.
 *
 *   FRESH --EHLO--> READY --MAIL--> SENDER --RCPT--> RECIPIENTS --DATA--> CONTENT
 *                     ^               |                  |                   |
 *                     +---- RSET, EHLO, stored, refused: txn_end() ----------+
 *   RECIPIENTS --BDAT--> CONTENT --taken--> CHUNKS --BDAT--> CONTENT; RSET from CHUNKS, too
 *   any of them --QUIT, 421--> CLOSED
 *
 * The facts of each phase are in session_check(). Waiting is apart from the phase: FOR_ROUTE in
 * SENDER and RECIPIENTS; FOR_TLS in FRESH; FOR_NAME in RECIPIENTS, after DATA or BDAT; FOR_CREDIT in
 * CONTENT and CHUNKS; FOR_STORED in CONTENT; FOR_OWNER after MAIL and at the end of CONTENT; FOR_LIMIT
 * as FOR_ROUTE; FOR_VERIFY wherever VRFY is legal; FOR_ETRN in READY. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "daemon/smtpd/state.h"

enum {
    NAME_DIGITS = 13,
    ASKED_BYTES_MAX = 1024,
    AUTHORS_BYTES_MAX = 16 * 1024,
    SAID_BYTES_MAX = 16 * 1024
};

/* What each phase promises; run after every step. */
void session_check(const struct session *s)
{
    bool in_txn = s->phase & IN_TXN;

    check(in_txn == (s->txn != NULL));
    if (s->phase == FRESH)
        check(!s->helo);
    if (in_txn)
        check(s->helo);
    if (s->phase == SENDER)
        check(s->txn->accepted_count == 0);
    if (s->phase & (RECIPIENTS | TAKING))
        check(s->txn->accepted_count > 0 && s->txn->recipients.count > 0);
    if (s->phase & (SENDER | RECIPIENTS))
        check(!s->txn->begun && !s->txn->ended && s->txn->content_bytes == 0);
    if (s->attempt)
        check(s->phase == READY && !s->account[0]);
    check((s->waiting == FOR_LOGIN) == (s->attempt && !s->attempt->challenged));
    if (s->waiting == FOR_ROUTE)
        check(s->phase & (SENDER | RECIPIENTS));
    if (s->waiting == FOR_TLS)
        check(s->phase == FRESH && !s->secure);
    check(s->secure == (s->secured != NULL));
    if (s->waiting == FOR_NAME)
        check(s->phase == RECIPIENTS && s->naming == NAME_ASKED);
    if (s->waiting == FOR_OWNER)
        check(s->account[0] && (s->phase == SENDER || (s->phase == CONTENT && s->txn->ended)));
    if (s->waiting == FOR_LIMIT)
        check(s->account[0] && s->phase & (SENDER | RECIPIENTS));
    if (s->waiting == FOR_VERIFY)
        check(s->phase & ANY_COMMAND);
    if (s->waiting == FOR_ETRN)
        check(s->phase == READY);
    if (s->waiting == FOR_CREDIT)
        check(s->phase & TAKING && s->txn->begun && s->txn->unacknowledged_bytes > 0);
    if (s->waiting == FOR_STORED)
        check(s->phase == CONTENT && s->txn->begun && s->txn->ended);
    if (s->phase == CONTENT && s->txn->ended)
        check(s->waiting != FOR_CLIENT); /* the answer is due */
    check((s->naming == NAME_KNOWN) == (s->client_name != NULL));
    check((s->naming == NAME_UNKNOWN) == (s->nameless_why != NULL));
    if (s->phase & TAKING && s->txn->refusal)
        check(!s->txn->begun && s->txn->content.n == 0);
    if (s->chunk.open && s->chunk.left == 0)
        check(s->waiting == FOR_NAME || s->phase == CLOSED); /* the answer is due */
    if (s->phase == CHUNKS)
        check(s->txn->chunked && !s->txn->ended);
    if (s->phase == CONTENT && s->txn->chunked)
        check(s->chunk.open != s->txn->ended);
}

/* ---- life ---- */

static void keep_text(char *to, size_t room, struct str text)
{
    size_t n = MIN_OF(text.n, room - 1);

    for (size_t i = 0; i < n; i++)
        to[i] = text.p[i];
    to[n] = '\0';
}

static void take_user(struct session *s, const struct session_user *user)
{
    s->local = s->may_relay = true;
    s->trusted = user->trusted;
    s->uid = user->uid;
    keep_text(s->login, sizeof s->login, user->login);
}

void session_take_ip(struct session *s, struct str ip)
{
    keep_text(s->ip, sizeof s->ip, ip);
}

void session_take_proxy(struct session *s, struct str ip)
{
    keep_text(s->proxy, sizeof s->proxy, ip);
}

struct session *session_new(const struct session_world *world, void *arg,
                            const struct config *config, const struct session_client *client)
{
    struct session *s = mem_new(sizeof *s);

    *s = (struct session){.world = world,
                          .arg = arg,
                          .config = config,
                          .lines = {.bytes_max = COMMAND_BYTES_MAX},
                          .phase = FRESH,
                          .lmtp = client->listen && str_eq_c(client->listen->protocol, "lmtp"),
                          .may_relay = client->rights.may_relay,
                          .may_xclient = client->rights.may_xclient,
                          .listen = client->listen,
                          .started_us = clock_monotonic_us(world->clock)};
    s->active_us = s->started_us;
    session_take_ip(s, client->user ? STR("local") : client->ip);
    session_take_proxy(s, client->proxy);
    if (client->user)
        take_user(s, client->user);
    base32_put(s->name, NAME_DIGITS, client->number);
    return s;
}

void session_free(struct session **s)
{
    if (!*s)
        return;
    policy_cancel(*s);
    txn_end(*s);
    auth_end(*s);
    free((*s)->certificate);
    free((*s)->helo);
    free((*s)->xclient_helo);
    free((*s)->client_name);
    free((*s)->nameless_why);
    free((*s)->secured);
    chunk_forget(*s);
    free(*s);
    *s = NULL;
}

void txn_begin(struct session *s, struct str sender)
{
    s->txn = mem_new(sizeof *s->txn);
    s->txn->content = buf_init(0);
    s->txn->authors = buf_init(AUTHORS_BYTES_MAX);
    s->txn->asked = buf_init(ASKED_BYTES_MAX);
    s->txn->asked_orcpt = buf_init(ASKED_BYTES_MAX);
    recipients_init(&s->txn->recipients);
    s->txn->sender = arena_copy(&s->txn->arena, sender);
    s->phase = SENDER;
}

void txn_end(struct session *s)
{
    if (!s->txn)
        return;
    policy_cancel(s);
    if (s->txn->begun || s->waiting == FOR_ROUTE)
        s->world->cancel(s->arg);
    if (s->txn->limited)
        s->world->limit_end(s->arg);
    s->waiting = FOR_CLIENT;
    buf_free(&s->txn->authors);
    buf_free(&s->txn->content);
    buf_free(&s->txn->asked);
    buf_free(&s->txn->asked_orcpt);
    recipients_free(&s->txn->recipients);
    arena_free(&s->txn->arena);
    free(s->txn);
    s->txn = NULL;
    if (s->phase & IN_TXN)
        s->phase = READY;
}

bool session_waits(const struct session *s)
{
    return s->waiting != FOR_CLIENT;
}

bool session_ended(const struct session *s)
{
    return s->phase == CLOSED;
}

size_t session_bytes(const struct session *s)
{
    return s->txn
               ? s->txn->content.room + s->txn->arena.bytes + recipients_bytes(&s->txn->recipients)
               : 0;
}

struct str session_name(const struct session *s)
{
    return str_n(s->name, NAME_DIGITS);
}

const char *session_why_ended(const struct session *s)
{
    return s->phase == CLOSED ? reply_table[s->last_reply].name : "";
}

/* ---- saying things ---- */

void client_line(const struct session *s, struct buf *to)
{
    line_c(to, "client", s->ip);
    name_line(s, to);
    if (s->proxy[0])
        line_c(to, "proxy", s->proxy);
    if (s->local)
        line_u64(to, "uid", s->uid);
    if (s->account[0])
        line_c(to, "login", s->account);
    else if (s->local && s->login[0])
        line_c(to, "login", s->login);
    starttls_line(s, to);
}

static void note_refusal(struct session *s, const struct status *st)
{
    struct buf line = buf_init(LINE_BYTES_MAX);
    struct buf said = buf_init(STATUS_TEXT_BYTES_MAX + 32);

    line_c(&line, "event", "refused");
    line_str(&line, "session", session_name(s));
    client_line(s, &line);
    if (s->helo)
        line_c(&line, "helo", s->helo);
    if (s->txn)
        line_address(&line, "from", s->txn->sender);
    if (s->txn && s->txn->asked.n > 0)
        line_address(&line, "to", buf_str(&s->txn->asked));
    auth_refusal_line(s, &line);
    buf_printf(&said, "%u ", st->code);
    if (st->class != 0) {
        status_print_enhanced(&said, st);
        buf_add_char(&said, ' ');
    }
    buf_add_c(&said, st->text);
    line_str(&line, "reply", buf_str(&said));
    s->world->note(s->arg, buf_str(&line));
    buf_free(&said);
    buf_free(&line);
}

static void say_row(struct session *s, enum reply_name row, struct str about, struct buf *out)
{
    struct status st = reply_status(row, about);

    s->last_reply = row;
    if (st.code >= 400 && row != REPLY_SHUTTING_DOWN)
        note_refusal(s, &st);
    reply_print(out, &st, reply_table[row].enhanced[0] != '\0');
}

/* Counted whatever the mistake is: who only sends garbage, or tries names, is cut off too. Not a
 * local user: a list may have many names that are gone. */
static bool one_error_too_many(struct session *s, unsigned code)
{
    if (code < 500 || s->local)
        return false;
    s->errors++;
    return s->errors > s->config->errors_max;
}

static void say_status(struct session *s, const struct status *st, bool enhanced, struct buf *out)
{
    if (st->code >= 400)
        note_refusal(s, st);
    if (one_error_too_many(s, st->code))
        session_close(s, REPLY_TOO_MANY_ERRORS, out);
    else
        reply_print(out, st, enhanced);
}

/* Several lines under the code of a row; see buf limits in help.c. */
static void say_lines(enum reply_name row, struct str lines, struct buf *out)
{
    const struct reply_row *r = &reply_table[row];

    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');

        buf_printf(out, "%u%c%s%s%.*s\r\n", r->code, lines.n > 0 ? '-' : ' ', r->enhanced,
                   r->enhanced[0] ? " " : "", STR_ARG(line));
    }
}

void session_say(struct session *s, struct reply r, struct buf *out)
{
    if (r.kind == REPLY_LATER)
        return;
    if (r.kind == REPLY_STATUS) {
        say_status(s, r.status, true, out);
    } else if (r.kind == REPLY_LINES) {
        s->last_reply = r.row;
        say_lines(r.row, r.about, out);
    } else if (one_error_too_many(s, reply_table[r.row].code)) {
        session_close(s, REPLY_TOO_MANY_ERRORS, out);
    } else {
        say_row(s, r.row, r.about, out);
    }
}

enum reply_name session_greeting(const struct session *s)
{
    return s->lmtp ? REPLY_GREETING_LMTP : REPLY_GREETING;
}

void session_greet(struct session *s, struct buf *out)
{
    if (session_is_mute(s)) {
        starttls_begin(s); /* TLS speaks first */
        return;
    }
    say_row(s, session_greeting(s), s->config->hostname, out);
    name_ask(s);
}

void session_close(struct session *s, enum reply_name why, struct buf *out)
{
    struct str about = why == REPLY_TOO_MANY_FROM_YOU ? str_c(s->ip) : s->config->hostname;

    if (s->phase == CLOSED)
        return;
    say_row(s, why, about, out);
    policy_cancel(s);
    txn_end(s);
    auth_end(s);
    s->waiting = FOR_CLIENT;
    s->phase = CLOSED;
    session_check(s);
}

void session_stop(struct session *s, struct buf *out)
{
    s->stopping = true;
    if (s->phase != CONTENT)
        session_close(s, REPLY_SHUTTING_DOWN, out);
}

void session_tick(struct session *s, struct buf *out)
{
    if (s->waiting == FOR_NAME)
        name_late(s, out);

    uint64_t now = clock_monotonic_us(s->world->clock); /* not before what came just now */

    if (s->waiting != FOR_CLIENT && s->waiting != FOR_TLS)
        return; /* it is we who are slow */
    if (now - s->started_us > s->config->session_timeout_us)
        session_close(s, REPLY_SESSION_TIMEOUT, out);
    else if (now - s->active_us > s->config->idle_timeout_us)
        session_close(s, REPLY_IDLE_TIMEOUT, out);
}

/* ---- commands ---- */

/* The step that is missing before a command that is not legal now. */
enum reply_name what_is_missing(const struct session *s, enum smtp_verb verb)
{
    if (s->phase == CHUNKS)
        return REPLY_CHUNKS_UNDER_WAY;
    if (s->phase == FRESH)
        return s->lmtp ? REPLY_SAY_LHLO : REPLY_SAY_HELLO;
    if (s->phase == READY)
        return starttls_missing(s) ? REPLY_START_TLS_FIRST : REPLY_NEED_MAIL;
    if (verb == VERB_MAIL || verb == VERB_XCLIENT || verb == VERB_AUTH || verb == VERB_ETRN)
        return REPLY_NESTED_MAIL;
    return REPLY_NEED_RCPT;
}

/* RFC 2033 4.1: LHLO is LMTP's alone, EHLO and HELO are not. */
static const char *is_foreign(const struct session *s, enum smtp_verb verb)
{
    if (s->lmtp && (verb == VERB_EHLO || verb == VERB_HELO))
        return "this is LMTP, say LHLO";
    return !s->lmtp && verb == VERB_LHLO ? "this is SMTP, say EHLO" : NULL;
}

static struct reply command_run(struct session *s, struct str line, struct smtp_command *c,
                                struct arena *scratch)
{
    struct parse_error error = {.text = ""};
    enum smtp_syntax syntax = smtp_command_parse(line, s->config->strict, scratch, c, &error);
    const char *foreign = is_foreign(s, c->verb);

    if (foreign)
        return reply_about(REPLY_OTHER_PROTOCOL, str_c(foreign));
    if (syntax != SYNTAX_OK)
        return reply_about(smtp_syntax_reply(syntax), str_c(error.text));
    if (!(command_table[c->verb].phases & s->phase))
        return reply(what_is_missing(s, c->verb));
    if (starttls_missing(s) && !command_table[c->verb].plain_too)
        return reply(REPLY_START_TLS_FIRST);

    enum reply_name utf8 = utf8_judge(s, c);

    if (utf8 != REPLY_OK)
        return reply(utf8);
    return command_table[c->verb].run(s, c, scratch);
}

static void hang_up(struct session *s)
{
    txn_end(s);
    s->phase = CLOSED;
}

static void command(struct session *s, struct str line, struct buf *out)
{
    struct arena scratch = ARENA_INIT;
    struct smtp_command c;
    struct reply r = command_run(s, line, &c, &scratch);
    bool hello = c.verb == VERB_HELO || c.verb == VERB_EHLO || c.verb == VERB_LHLO;

    /* RFC 2034 3: no enhanced code in answers to HELO and EHLO, but for a bad name, where all the
     * world has one. */
    if (hello && r.kind == REPLY_ROW) {
        struct status st = reply_status(r.row, r.about);

        say_status(s, &st, r.row == REPLY_SYNTAX, out);
    } else {
        session_say(s, r, out);
    }
    if (c.verb != VERB_BDAT)
        chunk_forget(s);
    chunk_answer(s, out);
    if (r.kind == REPLY_ROW && r.row == REPLY_CHUNK_SYNTAX)
        hang_up(s); /* what comes next is content, and must not be read as commands */
    arena_free(&scratch);
}

static bool is_login(struct str line)
{
    struct str word = str_cut_word(&line);

    return str_eq_nocase(word, STR("AUTH"));
}

static size_t line_feed(struct session *s, struct str in, struct buf *out)
{
    struct str line;
    size_t used;
    bool goes_on = s->lines.skipping;
    enum line_event e = line_read(&s->lines, in, &line, &used);

    if (!goes_on) /* of a line that is too long only the start is ever seen */
        s->long_login = is_login(str_sub(in, 0, s->lines.bytes_max));

    if (s->attempt && e != LINE_MORE) {
        auth_line(s, e, line, out);
        return used;
    }
    switch (e) {
    case LINE_MORE:
        break;
    case LINE_READY:
        command(s, line, out);
        break;
    case LINE_BARE_NEWLINE:
        session_say(s, reply(REPLY_BARE_NEWLINE), out);
        break;
    case LINE_TOO_LONG:
        session_say(s, reply(s->long_login ? REPLY_LOGIN_LINE_TOO_LONG : REPLY_LINE_TOO_LONG), out);
        break;
    }
    return used;
}

size_t session_feed(struct session *s, struct str in, struct buf *out)
{
    size_t total = 0;
    size_t enough = out->n + SAID_BYTES_MAX;

    s->active_us = clock_monotonic_us(s->world->clock);
    while (total < in.n && s->waiting == FOR_CLIENT && s->phase != CLOSED && out->n < enough) {
        struct str rest = str_skip(in, total);
        size_t used = s->chunk.open         ? chunk_feed(s, rest, out)
                      : s->phase == CONTENT ? content_feed(s, rest, out)
                                            : line_feed(s, rest, out);

        session_check(s);
        total += used;
        if (used == 0)
            break;
    }
    return s->phase == CLOSED ? in.n : total;
}

/* ---- answers ---- */

struct reply reply_refusal(const struct status *st, enum reply_name otherwise)
{
    if (st->code < 400 || st->code > 599)
        return reply(otherwise);
    return (struct reply){.kind = REPLY_STATUS, .status = st};
}

static struct reply routed(struct session *s, const struct status *st, struct str targets)
{
    if (!status_done(st))
        return reply_refusal(st, REPLY_ROUTER_AWAY);

    struct notify wish = {.when = s->txn->asked_when, .orcpt = buf_str(&s->txn->asked_orcpt)};

    if (!recipients_add(&s->txn->recipients, buf_str(&s->txn->asked), &wish, targets))
        return reply(REPLY_ROUTER_AWAY);
    s->txn->accepted_count++;
    s->phase = RECIPIENTS;
    if (reply_row_of(st) == &reply_table[REPLY_FORWARDED]) /* who moved tells where to */
        return (struct reply){.kind = REPLY_STATUS, .status = st};
    return reply_about(REPLY_RECIPIENT_OK, buf_str(&s->txn->asked));
}

void session_routed(struct session *s, const struct status *st, struct str targets, struct buf *out)
{
    if (s->waiting != FOR_ROUTE)
        return;
    s->active_us = clock_monotonic_us(s->world->clock);
    s->waiting = FOR_CLIENT;
    session_say(s, routed(s, st, targets), out);
    if (s->txn)
        buf_reset(&s->txn->asked);
    session_check(s);
}

/* RFC 2033 4.2: in LMTP there is an answer for each recipient that was accepted. They went into
 * one commit, so all of them are the same. */
void session_say_each(struct session *s, struct reply r, size_t recipient_count, struct buf *out)
{
    struct arena scratch = ARENA_INIT;
    size_t before = out->n;

    session_say(s, r, out);

    struct str answer = arena_copy(&scratch, str_skip(buf_str(out), before));

    for (size_t i = 1; s->lmtp && s->phase != CLOSED && i < recipient_count; i++)
        buf_add(out, answer);
    arena_free(&scratch);
}

void message_answer(struct session *s, struct reply r, struct buf *out)
{
    bool unfinished = s->txn->chunked && !s->chunk.last;

    session_say_each(s, r, unfinished ? 1 : s->txn->accepted_count, out);
    txn_end(s);
    if (s->stopping)
        session_close(s, REPLY_SHUTTING_DOWN, out);
    session_check(s);
}

void session_stored(struct session *s, const struct status *st, struct id id, struct buf *out)
{
    if (!(s->phase & TAKING) || !s->txn->begun)
        return;
    if (s->waiting == FOR_STORED) {
        struct id_text text = id_print(id);

        s->waiting = FOR_CLIENT;
        s->txn->begun = false; /* there is nothing left to cancel */
        s->active_us = clock_monotonic_us(s->world->clock);
        if (status_done(st))
            message_answer(s, reply_about(REPLY_ACCEPTED, str_c(text.p)), out);
        else
            message_answer(s, reply_refusal(st, REPLY_NOT_STORED), out);
        return;
    }
    /* It failed before its end, so its end is still to be read. A success that early is none. */
    struct status lost = reply_status(REPLY_NOT_STORED, STR_NONE);

    s->txn->begun = false;
    content_refuse(s, status_done(st) ? &lost : st);
    content_go_on(s, out);
}

void session_put_credit(struct session *s, uint64_t bytes, struct buf *out)
{
    if (!(s->phase & TAKING))
        return;
    s->txn->unacknowledged_bytes -= MIN_OF(bytes, s->txn->unacknowledged_bytes);
    if (s->waiting == FOR_CREDIT) {
        s->active_us = clock_monotonic_us(s->world->clock);
        content_go_on(s, out);
    }
    session_check(s);
}
