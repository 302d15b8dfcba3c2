/* smtpd/commands.c - the commands of SMTP: a row says when one is legal, a handler does its work.
 * RFC 5321 4.1.1. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "daemon/smtpd/state.h"
#include "wire/parameter.h"
#include "wire/xclient.h"

/* In LMTP each recipient is answered for, and all of it must fit into what we may say at once. */
enum { LMTP_RECIPIENTS_MAX = 200 };

static uint64_t recipients_max(const struct session *s)
{
    uint64_t max = s->config->recipients_max;

    return s->lmtp ? MIN_OF(max, (uint64_t)LMTP_RECIPIENTS_MAX) : max;
}

static struct reply hello(struct session *s, struct str name, bool extended)
{
    struct str helo = s->xclient_helo ? str_c(s->xclient_helo) : name;

    txn_end(s); /* RFC 5321 4.1.4: like RSET */
    free(s->helo);
    s->helo = mem_copy(helo.p, helo.n);
    s->extended = extended;
    s->phase = READY;
    return (struct reply){.kind = REPLY_LINES, .row = REPLY_HELLO};
}

static struct reply cmd_helo(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    struct reply r = hello(s, c->text, false);

    r.about = s->config->hostname;
    return r;
}

static struct reply cmd_ehlo(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    struct reply r = hello(s, c->text, true);
    struct buf keywords = buf_init(KIB);

    auth_keywords(s, &keywords);
    r.about = arena_printf(
        scratch,
        "%.*s greets %.128s\nPIPELINING\nSIZE %llu\n8BITMIME\n"
        "ENHANCEDSTATUSCODES\nDSN\nSMTPUTF8\nCHUNKING\nBINARYMIME\nLIMITS RCPTMAX=%llu\n"
        "X-RCPTLIMIT %llu%s%s%s\nHELP%s",
        STR_ARG(s->config->hostname), s->helo, (unsigned long long)s->config->message_bytes_max,
        (unsigned long long)recipients_max(s), (unsigned long long)recipients_max(s),
        buf_c(&keywords), policy_offers_etrn(s) ? "\nETRN" : "",
        starttls_offered(s) ? "\nSTARTTLS" : "",
        s->may_xclient ? "\nXCLIENT " XCLIENT_ATTRIBUTES : "");
    buf_free(&keywords);
    return r;
}

/* ---- parameters ---- */

/* What the parameters of one MAIL or RCPT wish. */
struct wishes {
    struct arena *arena; /* of the command */
    bool may_auth;       /* AUTH is offered */
    uint64_t size;       /* 0: not said */
    enum body body;
    bool smtputf8;
    enum notify_return ret;
    struct str envid;
    struct notify notify;
};

enum { AUTH_BYTES_MAX = 500 }; /* RFC 4954 5 */

/* Each returns REPLY_OK or what is wrong. */
static enum reply_name take_size(struct str value, struct wishes *w)
{
    size_t digits = 0;

    while (digits < value.n && char_is_digit(value.p[digits]))
        digits++;
    if (value.n == 0 || value.n > 20 || digits < value.n)
        return REPLY_SYNTAX;
    if (!str_u64(value, &w->size))
        w->size = UINT64_MAX; /* RFC 1870 3: up to 20 digits are a number */
    return REPLY_OK;
}

static enum reply_name take_body(struct str value, struct wishes *w)
{
    static const char *const words[BODY_COUNT] = {
        [BODY_7BIT] = "7BIT", [BODY_8BIT] = "8BITMIME", [BODY_BINARY] = "BINARYMIME"};

    for (enum body body = 0; body < BODY_COUNT; body++) {
        if (str_eq_nocase(value, str_c(words[body]))) {
            w->body = body;
            return REPLY_OK;
        }
    }
    return REPLY_BAD_PARAMETER;
}

static enum reply_name take_smtputf8(struct str value, struct wishes *w)
{
    w->smtputf8 = value.p == NULL;
    return w->smtputf8 ? REPLY_OK : REPLY_SYNTAX;
}

static enum reply_name take_ret(struct str value, struct wishes *w)
{
    return notify_return_parse(value, &w->ret) ? REPLY_OK : REPLY_SYNTAX;
}

static enum reply_name take_envid(struct str value, struct wishes *w)
{
    return xtext_parse(value, ENVID_BYTES_MAX, w->arena, &w->envid) ? REPLY_OK : REPLY_SYNTAX;
}

/* RFC 4954 5: who handed it to who hands it to us. Nobody is trusted with that; it only has to be
 * well-formed. */
static enum reply_name take_auth(struct str value, struct wishes *w)
{
    struct str said;

    if (!w->may_auth)
        return REPLY_BAD_PARAMETER;
    return xtext_parse(value, AUTH_BYTES_MAX, w->arena, &said) ? REPLY_OK : REPLY_SYNTAX;
}

static enum reply_name take_notify(struct str value, struct wishes *w)
{
    return notify_parse(value, &w->notify.when) ? REPLY_OK : REPLY_SYNTAX;
}

static enum reply_name take_orcpt(struct str value, struct wishes *w)
{
    return orcpt_parse(value, w->arena, &w->notify.orcpt) ? REPLY_OK : REPLY_SYNTAX;
}

static const struct parameter {
    enum smtp_verb verb;
    const char *key;
    enum reply_name (*take)(struct str value, struct wishes *w);
    const char *form;
} parameter_table[] = {
    {VERB_MAIL, "SIZE", take_size, "SIZE takes the number of bytes: SIZE=12345"},
    {VERB_MAIL, "BODY", take_body, "BODY is 7BIT, 8BITMIME or BINARYMIME here"},
    {VERB_MAIL, "SMTPUTF8", take_smtputf8, "SMTPUTF8 stands alone, without a value"},
    {VERB_MAIL, "RET", take_ret, "RET is FULL or HDRS"},
    {VERB_MAIL, "ENVID", take_envid,
     "ENVID takes up to 100 characters, others than ! to ~ without + and = written as +HH"},
    {VERB_MAIL, "AUTH", take_auth,
     "AUTH, where EHLO offers it, is <> or an address, with + and = written as +HH"},
    {VERB_RCPT, "NOTIFY", take_notify, "NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY"},
    {VERB_RCPT, "ORCPT", take_orcpt,
     "ORCPT is a type and an address, as in rfc822;bob@example.org, of up to 500 characters"},
};

static const struct parameter *parameter_find(enum smtp_verb verb, struct str key)
{
    for (size_t i = 0; i < countof(parameter_table); i++) {
        const struct parameter *p = &parameter_table[i];
        if (p->verb == verb && str_eq_nocase(key, str_c(p->key)))
            return p;
    }
    return NULL;
}

static struct reply unknown_parameter(enum smtp_verb verb, struct str key, struct arena *scratch)
{
    return reply_about(REPLY_BAD_PARAMETER,
                       arena_printf(scratch, "%s has no parameter %.*s here", smtp_verb_word(verb),
                                    (int)MIN_OF(key.n, (size_t)64), key.p));
}

static struct reply take_parameters(const struct smtp_command *c, struct wishes *w,
                                    struct arena *scratch)
{
    for (size_t i = 0; i < c->parameter_count; i++) {
        const struct parameter *p = parameter_find(c->verb, c->parameters[i].key);

        if (!p)
            return unknown_parameter(c->verb, c->parameters[i].key, scratch);

        enum reply_name r = p->take(c->parameters[i].value, w);

        if (r != REPLY_OK)
            return reply_about(r, str_c(p->form));
    }
    return reply(REPLY_OK);
}

/* ---- MAIL ---- */

static struct reply cmd_mail(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    struct wishes wish = {.arena = scratch, .may_auth = auth_is_offered(s)};
    struct reply r = take_parameters(c, &wish, scratch);
    struct status *refusal = arena_alloc(scratch, sizeof *refusal);

    if (auth_is_missing(s))
        return reply(REPLY_LOGIN_REQUIRED);
    if (r.row != REPLY_OK)
        return r;
    if (wish.size > s->config->message_bytes_max)
        return reply_about(
            REPLY_TOO_LARGE,
            arena_printf(scratch, "%llu", (unsigned long long)s->config->message_bytes_max));
    if (s->world->refuses(s->arg, refusal))
        return (struct reply){.kind = REPLY_STATUS, .status = refusal};

    txn_begin(s, address_text(scratch, &c->path));
    s->txn->body = wish.body;
    s->txn->smtputf8 = wish.smtputf8;
    s->txn->ret = wish.ret;
    s->txn->envid = arena_copy(&s->txn->arena, wish.envid);
    return policy_mail(s);
}

/* ---- RCPT ---- */

struct reply rcpt_route(struct session *s)
{
    struct txn *t = s->txn;

    if (!s->world->route_ask(s->arg, may_relay(s), t->sender, buf_str(&t->asked))) {
        buf_reset(&t->asked);
        return reply(REPLY_ROUTER_AWAY);
    }
    s->waiting = FOR_ROUTE;
    return reply_later();
}

static struct reply cmd_rcpt(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    struct txn *t = s->txn;
    struct address to = c->path;
    struct wishes wish = {.arena = scratch};
    struct reply r = take_parameters(c, &wish, scratch);

    if (r.row != REPLY_OK)
        return r;
    if (t->recipients.count >= s->config->recipients_max || /* rows: an alias may be many */
        t->accepted_count >= recipients_max(s))
        return reply(REPLY_TOO_MANY_RECIPIENTS);
    if (s->world->tight(s->arg))
        return reply(REPLY_BUSY);
    if (to.domain.n == 0) /* <postmaster> is ours: RFC 5321 4.5.1 */
        to.domain = s->config->hostname;

    buf_reset(&t->asked);
    address_print(&t->asked, &to);
    t->asked_when = wish.notify.when;
    buf_reset(&t->asked_orcpt);
    (void)buf_add(&t->asked_orcpt, wish.notify.orcpt);
    return policy_rcpt(s);
}

/* ---- the rest ---- */

static struct reply cmd_data(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    if (s->txn->body == BODY_BINARY)
        return reply(REPLY_BINARY_BY_DATA);
    if (name_is_due(s)) {
        s->waiting = FOR_NAME;
        return reply_later();
    }
    content_begin(s);
    return reply(REPLY_SEND_CONTENT);
}

static struct reply cmd_rset(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    txn_end(s);
    return reply(REPLY_OK);
}

static struct reply cmd_noop(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    return reply(REPLY_OK);
}

static struct reply cmd_quit(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    txn_end(s);
    s->phase = CLOSED;
    return reply_about(REPLY_BYE, s->config->hostname);
}

static struct reply cmd_vrfy(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    return policy_verify(s, c->text, false);
}

static struct reply cmd_expn(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    return policy_verify(s, c->text, true);
}

/* ---- what older documents tell of ---- */

static struct reply cmd_terminal(struct session *s, const struct smtp_command *c,
                                 struct arena *scratch)
{
    return reply(REPLY_NO_TERMINALS);
}

static struct reply cmd_turn(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    return reply(REPLY_NO_TURN);
}

static struct reply cmd_etrn(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    return policy_etrn(s, c->text);
}

static struct reply cmd_noted(struct session *s, const struct smtp_command *c,
                              struct arena *scratch)
{
    return reply(REPLY_NOTED);
}

enum { HELP_BYTES_MAX = 32 * 1024 };

static struct reply cmd_help(struct session *s, const struct smtp_command *c, struct arena *scratch)
{
    struct buf text = buf_init(HELP_BYTES_MAX);
    struct reply r = reply(REPLY_NO_HELP);

    if (help_print(&text, c->text))
        r = (struct reply){
            .kind = REPLY_LINES, .row = REPLY_HELP, .about = arena_copy(scratch, buf_str(&text))};
    buf_free(&text);
    return r;
}

const struct command command_table[VERB_COUNT] = {
    /*             legal in              runs      form, words */
    [VERB_HELO] = {ANY_COMMAND, cmd_helo, "HELO host.example.org",
                   "Says who you are, the old way. EHLO also tells what this server can do.", true},
    [VERB_EHLO] = {ANY_COMMAND, cmd_ehlo, "EHLO host.example.org",
                   "Says who you are and asks what this server can do.", true},
    [VERB_LHLO] = {ANY_COMMAND, cmd_ehlo, "LHLO host.example.org",
                   "EHLO of LMTP, where each recipient is answered for after the message.", true},
    [VERB_MAIL] =
        {READY, cmd_mail,
         "MAIL FROM:<you@your.domain> [SIZE=bytes] [BODY=8BITMIME] [SMTPUTF8] [RET=FULL] "
         "[ENVID=name]",
         "Starts a message. <> as the sender is for notifications. SMTPUTF8: addresses and header "
         "may have letters outside ASCII. RET and ENVID: what a report returns, and what it is "
         "called."},
    [VERB_RCPT] =
        {SENDER | RECIPIENTS, cmd_rcpt,
         "RCPT TO:<somebody@some.domain> [NOTIFY=SUCCESS,FAILURE,DELAY] [ORCPT=rfc822;address]",
         "Adds a recipient. Say it once for each. NOTIFY: what you want to be told of, or NEVER."},
    [VERB_DATA] = {RECIPIENTS, cmd_data, "DATA",
                   "Then the message follows: headers, a blank line, the text, a line with a dot."},
    [VERB_BDAT] = {ANY_COMMAND, cmd_bdat, "BDAT bytes [LAST]",
                   "So many bytes of the message follow, as they are. LAST: it ends there.", true},
    [VERB_RSET] = {ANY_COMMAND, cmd_rset, "RSET", "Forgets the message that was begun.", true},
    [VERB_NOOP] = {ANY_COMMAND, cmd_noop, "NOOP [anything]", "Does nothing.", true},
    [VERB_STARTTLS] = {ANY_COMMAND, cmd_starttls, "STARTTLS",
                       "Makes the connection secret; then say EHLO again.", true},
    [VERB_QUIT] = {ANY_COMMAND, cmd_quit, "QUIT", "Ends the session.", true},
    [VERB_HELP] = {ANY_COMMAND, cmd_help, "HELP [command or code]",
                   "Explains a command (HELP MAIL) or an answer (HELP 550, HELP 5.1.1).", true},
    [VERB_VRFY] = {ANY_COMMAND, cmd_vrfy, "VRFY name",
                   "Asks whether a mailbox exists. Strangers are told as little as `vrfy` says."},
    [VERB_EXPN] = {ANY_COMMAND, cmd_expn, "EXPN list",
                   "Asks who is on a list: where an alias leads. Not for strangers."},
    [VERB_XCLIENT] = {FRESH | READY, cmd_xclient, "XCLIENT ADDR=192.0.2.1 NAME=their.name",
                      "For proxies of ours: says who the client really is. Then all begins anew."},
    [VERB_AUTH] = {READY, cmd_auth, "AUTH mechanism [response]",
                   "Logs in. EHLO lists the mechanisms; what follows is base64, and * gives up."},
    [VERB_SEND] = {ANY_COMMAND, cmd_terminal, "SEND FROM:<you@your.domain>",
                   "Wrote to the terminal of a user. Not done here: MAIL reaches the mailbox."},
    [VERB_SOML] = {ANY_COMMAND, cmd_terminal, "SOML FROM:<you@your.domain>",
                   "Wrote to the terminal, or else the mailbox. Not done here: say MAIL."},
    [VERB_SAML] = {ANY_COMMAND, cmd_terminal, "SAML FROM:<you@your.domain>",
                   "Wrote to the terminal and the mailbox. Not done here: say MAIL."},
    [VERB_TURN] = {ANY_COMMAND, cmd_turn, "TURN",
                   "Made the sender the receiver. Not done here: anybody could fetch any mail."},
    [VERB_ETRN] = {READY, cmd_etrn, "ETRN some.domain, @some.domain or #host",
                   "Asks for mail that waits for a domain (with @ also for those below it) or a "
                   "server to be sent now. `etrn` says who may."},
    [VERB_ONEX] = {ANY_COMMAND, cmd_noted, "ONEX",
                   "Announces that there is one message only. Accepted, without effect."},
    [VERB_XUSR] = {ANY_COMMAND, cmd_noted, "XUSR",
                   "Announces that a user's program hands in mail. Accepted, without effect."},
};
