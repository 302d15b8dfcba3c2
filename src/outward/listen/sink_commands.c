/* listen/sink_commands.c - the commands of the sink: one row each, with the phases it is legal in.
 *
 * Commands are read strictly first; what only a forgiving reader takes is a finding, and is taken. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "mail/notify.h"
#include "outward/listen/sink_state.h"

enum {
    LINE_USUAL_BYTES_MAX = 510,     /* RFC 5321 4.5.3.1.4 */
    LINE_EXTENDED_BYTES_MAX = 1510, /* with what extensions add: RFC 3461 4.4 and 4.3, 1870, 6531 */
    RECIPIENTS_MANY = 100,
};

struct command_call {
    struct sink *sink;
    const struct smtp_command *command;
    struct arena *arena; /* for the command */
};

static void say(struct sink *s, enum step step, enum reply_name row, struct str about)
{
    struct answer a = answer_row(step, row, about);

    (void)sink_answer(s, &a);
}

static bool say_good(struct sink *s, enum step step, enum reply_name row, struct str about)
{
    struct answer a = answer_row(step, row, about);

    return sink_answer(s, &a);
}

/* ---- EHLO, HELO, LHLO ---- */

static void judge_literal(struct sink *s, struct str name)
{
    struct str inside = str_sub(name, 1, name.n - 1);

    if (str_starts_nocase(inside, STR("IPv6:")))
        inside = str_skip(inside, 5);
    judge_tell(&s->judge, FOUND_NAME_LITERAL, name);
    if (!str_eq_nocase(inside, str_c(s->ip)))
        judge_printf(&s->judge, FOUND_NAME_LITERAL_OTHER, "%.*s is not %s", STR_ARG(name), s->ip);
}

static void judge_name(struct sink *s, struct str name)
{
    if (str_starts(name, STR("[")) && str_ends(name, STR("]")) && domain_valid(name, false)) {
        judge_literal(s, name);
    } else if (domain_valid(name, false)) {
        if (s->names_ask)
            s->events->on_name(s->arg, name);
    } else if (domain_valid(name, true) && str_find(name, '.') == name.n &&
               str_find(name, '_') == name.n) {
        judge_tell(&s->judge, FOUND_NAME_SHORT, name);
    } else {
        judge_tell(&s->judge, FOUND_NAME_SYNTAX, name);
    }
}

static bool is_foreign(const struct sink *s, enum smtp_verb v)
{
    return s->options->lmtp != (v == VERB_LHLO);
}

static void cmd_hello(struct command_call *c)
{
    struct sink *s = c->sink;
    bool extended = c->command->verb != VERB_HELO;
    struct answer a = answer_row(extended ? STEP_HELLO : STEP_HELO, REPLY_HELLO, STR_NONE);
    struct buf lines = buf_init(8 * KIB);

    if (is_foreign(s, c->command->verb)) {
        judge_tell(&s->judge, FOUND_WRONG_HELLO, c->command->word);
        say(s, STEP_OTHER, REPLY_OTHER_PROTOCOL,
            s->options->lmtp ? STR("this is LMTP, say LHLO") : STR("this is SMTP, say EHLO"));
        return;
    }
    judge_name(s, c->command->text);
    if (!extended && !s->hello_tried)
        judge_tell(&s->judge, FOUND_HELO_OLD, STR_NONE);
    s->hello_tried = s->hello_tried || extended;
    transaction_end(s);
    buf_add(&lines, s->options->hostname);
    if (extended)
        sink_offer(s, &lines);
    else
        s->offered_count = 0;
    a.lines = buf_str(&lines);
    s->refused = !sink_answer(s, &a);
    if (s->refused)
        s->offered_count = 0;
    s->helo_only = !extended;
    s->phase = s->refused ? FRESH : READY;
    s->was_plain = false;
    buf_free(&lines);
}

/* ---- STARTTLS ---- */

static void cmd_starttls(struct command_call *c)
{
    struct sink *s = c->sink;
    struct answer a = answer_row(STEP_STARTTLS, REPLY_START_TLS, STR_NONE);

    if (s->secured) {
        judge_tell(&s->judge, FOUND_SEQUENCE, STR("STARTTLS"));
        say(s, STEP_OTHER, REPLY_TLS_UP, STR_NONE);
    } else if (!sink_offers(s, "STARTTLS")) {
        judge_tell(&s->judge, FOUND_NOT_OFFERED, STR("STARTTLS"));
        say(s, STEP_OTHER, REPLY_NOT_IMPLEMENTED, STR_NONE);
    } else {
        a.then = THEN_TLS;
        if (sink_answer(s, &a))
            sink_shake(s);
    }
}

/* ---- AUTH ---- */

static void login_over(struct sink *s, bool accepted)
{
    struct str user = login_user(s->login);

    s->events->on_login(s->arg, s->mechanism->name, user, accepted);
    if (accepted) {
        memcpy(s->user, user.p, user.n);
        s->user[user.n] = '\0';
    }
    login_free(&s->login);
    s->lines.bytes_max = COMMAND_LINE_BYTES_MAX;
    s->phase = READY;
}

static void login_go(struct sink *s, bool has_response, struct str response)
{
    static const struct {
        enum reply_name row;
        bool malformed;
    } ends[] = {
        [LOGIN_GOOD] = {REPLY_LOGGED_IN, false},
        [LOGIN_REFUSED] = {REPLY_LOGIN_REFUSED, false},
        [LOGIN_MALFORMED] = {REPLY_LOGIN_SYNTAX, true},
    };
    struct buf challenge = buf_init(LOGIN_MESSAGE_BYTES_MAX);
    struct buf text = buf_init(2 * LOGIN_MESSAGE_BYTES_MAX);
    enum login_step r = login_step(s->login, has_response, response, &challenge);

    if (r == LOGIN_CHALLENGE) {
        base64_put(&text, buf_str(&challenge));
        struct answer a = answer_row(STEP_AUTH, REPLY_CHALLENGE, STR_NONE);

        a.lines = buf_str(&text);
        s->phase = LOGIN;
        if (!sink_answer(s, &a))
            login_over(s, false);
    } else {
        if (ends[r].malformed)
            judge_tell(&s->judge, FOUND_LOGIN_MALFORMED, str_c(s->mechanism->name));
        bool good = say_good(s, STEP_AUTH, ends[r].row, login_user(s->login));
        login_over(s, good && r == LOGIN_GOOD);
    }
    buf_free(&challenge);
    buf_free(&text);
}

static void login_take(struct sink *s, bool given, struct str text)
{
    struct buf bytes = buf_init(LOGIN_MESSAGE_BYTES_MAX);

    if (str_eq_c(text, "=") && s->phase != LOGIN) { /* RFC 4954 4: an empty initial response */
        login_go(s, true, STR_NONE);
    } else if (given && !base64_get(&bytes, text)) {
        judge_printf(&s->judge, FOUND_LOGIN_MALFORMED, "%s: no base64", s->mechanism->name);
        say(s, STEP_AUTH, REPLY_LOGIN_SYNTAX, STR_NONE);
        login_over(s, false);
    } else {
        login_go(s, given, buf_str(&bytes));
    }
    buf_wipe(&bytes);
}

void sink_login_line(struct sink *s, struct str line)
{
    bool cancels = str_eq_c(line, "*");

    s->events->on_line(s->arg, false, cancels ? line : STR("****"));
    s->verb = VERB_AUTH;
    if (cancels) {
        say(s, STEP_AUTH, REPLY_LOGIN_CANCELLED, STR_NONE);
        login_over(s, false);
    } else {
        login_take(s, true, line);
    }
}

/* Is the mechanism in the line that was offered? */
static bool is_offered(const struct sink *s, struct str mechanism)
{
    struct buf all = buf_init(256);
    bool found = false;

    for (size_t i = 0; i < s->options->offer_count; i++) {
        struct str offer = s->options->offers[i];

        if (!str_eq_nocase(str_cut_word(&offer), STR("AUTH")))
            continue;
        if (offer.n == 0)
            login_mechanisms(&all, s->options->password.n > 0);
        for (struct str rest = offer.n > 0 ? offer : buf_str(&all); rest.n > 0;)
            found = str_eq_nocase(str_cut_word(&rest), mechanism) || found;
    }
    buf_free(&all);
    return found && sink_offers(s, "AUTH");
}

static void judge_mechanism(struct sink *s, const struct login_mechanism *m)
{
    struct str name = str_c(m->name);

    if (m->shows_password && !s->secured)
        judge_tell(&s->judge, FOUND_PLAIN_PASSWORD, name);
    if (m->old)
        judge_tell(&s->judge, FOUND_LOGIN_OLD, name);
    else if (!m->shows_password)
        judge_tell(&s->judge, FOUND_LOGIN_GOOD, name);
}

static void cmd_auth(struct command_call *c)
{
    struct sink *s = c->sink;
    const struct login_mechanism *m = login_mechanism_find(c->command->mechanism);

    if (s->user[0] != '\0' || s->phase != READY) {
        judge_tell(&s->judge, FOUND_LOGIN_IN_MAIL, STR_NONE);
        say(s, STEP_OTHER, s->user[0] != '\0' ? REPLY_ALREADY_LOGGED_IN : REPLY_NESTED_MAIL,
            STR_NONE);
        return;
    }
    if (m)
        judge_mechanism(s, m);
    if (!is_offered(s, c->command->mechanism)) {
        judge_tell(&s->judge, FOUND_LOGIN_NOT_OFFERED, c->command->mechanism);
        m = NULL;
    }
    s->login = m ? login_new(m, s->options->password) : NULL;
    if (!s->login) {
        say(s, STEP_AUTH, REPLY_UNKNOWN_MECHANISM, c->command->mechanism);
        return;
    }
    s->mechanism = m;
    s->lines.bytes_max = LOGIN_LINE_BYTES_MAX;
    login_take(s, c->command->response.p != NULL, c->command->response);
}

/* ---- MAIL and RCPT ---- */

/* What each parameter needs to be offered. */
static const struct {
    enum smtp_verb verb;
    const char *key, *offer;
} parameters[] = {
    {VERB_MAIL, "SIZE", "SIZE"},
    {VERB_MAIL, "BODY", "8BITMIME"},
    {VERB_MAIL, "SMTPUTF8", "SMTPUTF8"},
    {VERB_MAIL, "RET", "DSN"},
    {VERB_MAIL, "ENVID", "DSN"},
    {VERB_MAIL, "AUTH", "AUTH"},
    {VERB_RCPT, "NOTIFY", "DSN"},
    {VERB_RCPT, "ORCPT", "DSN"},
    {VERB_MAIL, "REQUIRETLS", "REQUIRETLS"},
    {VERB_MAIL, "MT-PRIORITY", "MT-PRIORITY"},
    {VERB_MAIL, "BY", "DELIVERBY"},
    {VERB_MAIL, "HOLDFOR", "FUTURERELEASE"},
    {VERB_MAIL, "HOLDUNTIL", "FUTURERELEASE"},
    {VERB_RCPT, "RRVS", "RRVS"},
};

static bool is_said_offer(const struct sink *s, enum smtp_verb verb, struct str key)
{
    for (size_t i = 0; i < countof(parameters); i++)
        if (verb == parameters[i].verb && str_eq_nocase(key, str_c(parameters[i].key)))
            return sink_offers(s, parameters[i].offer) ||
                   (str_eq_c(key, "AUTH") && s->user[0] != '\0');
    return false;
}

/* NULL: they are all fine; else what is wrong. */
static const char *judge_parameters(struct sink *s, const struct smtp_command *c)
{
    for (size_t i = 0; i < c->parameter_count; i++) {
        if (!is_said_offer(s, c->verb, c->parameters[i].key)) {
            judge_printf(&s->judge, FOUND_NOT_OFFERED, "%s %.*s", smtp_verb_word(c->verb),
                         STR_ARG(c->parameters[i].key));
            return "a parameter that was not offered";
        }
    }
    return NULL;
}

static const struct smtp_parameter *parameter(const struct smtp_command *c, const char *key)
{
    for (size_t i = 0; i < c->parameter_count; i++)
        if (str_eq_nocase(c->parameters[i].key, str_c(key)))
            return &c->parameters[i];
    return NULL;
}

static const char *take_size(struct sink *s, const struct smtp_command *c, struct transaction *t)
{
    const struct smtp_parameter *p = parameter(c, "SIZE");

    if (!p) {
        if (sink_offers(s, "SIZE"))
            judge_tell(&s->judge, FOUND_SIZE_UNSAID, STR_NONE);
        return NULL;
    }
    t->size_is_said = true;
    return str_u64(p->value, &t->size_said) ? NULL : "SIZE is a number of bytes: SIZE=1234";
}

static const char *take_body(struct sink *s, const struct smtp_command *c, struct transaction *t)
{
    static const struct {
        const char *value;
        enum body_said body;
    } values[] = {
        {"7BIT", BODY_SAID_7BIT}, {"8BITMIME", BODY_SAID_8BIT}, {"BINARYMIME", BODY_SAID_BINARY}};
    const struct smtp_parameter *p = parameter(c, "BODY");

    for (size_t i = 0; p && i < countof(values); i++)
        if (str_eq_nocase(p->value, str_c(values[i].value)))
            t->body = values[i].body;
    if (t->body == BODY_SAID_BINARY && !sink_offers(s, "BINARYMIME")) {
        judge_tell(&s->judge, FOUND_NOT_OFFERED, STR("MAIL BODY=BINARYMIME"));
        return "BINARYMIME was not offered";
    }
    return !p || t->body != BODY_UNSAID ? NULL : "BODY is 7BIT, 8BITMIME or BINARYMIME";
}

static void judge_address(struct sink *s, const struct smtp_command *c, bool smtputf8)
{
    const struct address *a = &c->path;

    if (c->utf8 && !smtputf8)
        judge_tell(&s->judge, FOUND_ADDRESS_UTF8, a->local);
    if (a->domain.n > 0 && a->domain.p[0] != '[' && str_find(a->domain, '.') == a->domain.n)
        judge_tell(&s->judge, FOUND_SENDER_LOCAL, a->domain);
}

uint64_t sink_size_offered(const struct sink *s)
{
    uint64_t size = 0;

    for (size_t i = 0; i < s->options->offer_count; i++) {
        struct str offer = s->options->offers[i];

        if (str_eq_nocase(str_cut_word(&offer), STR("SIZE")))
            (void)str_u64(str_trim(offer), &size);
    }
    return size > 0 ? size : UINT64_MAX;
}

static void transaction_begin(struct sink *s, const struct smtp_command *c, struct transaction *t)
{
    t->sender = address_text(&t->arena, &c->path);
    s->transaction = t;
    s->phase = SENDER;
}

static void transaction_drop(struct transaction **t)
{
    arena_free(&(*t)->arena);
    free(*t);
    *t = NULL;
}

static void cmd_mail(struct command_call *c)
{
    struct sink *s = c->sink;
    struct transaction *t = mem_new(sizeof *t);
    struct str printed = address_text(c->arena, &c->command->path);

    judge_message(&s->judge);
    if (sink_offers(s, "STARTTLS") && !s->secured)
        judge_tell(&s->judge, FOUND_TLS_UNUSED, STR_NONE);

    const char *wrong = judge_parameters(s, c->command);

    wrong = wrong ? wrong : take_size(s, c->command, t);
    wrong = wrong ? wrong : take_body(s, c->command, t);
    t->smtputf8 = parameter(c->command, "SMTPUTF8") != NULL;
    judge_address(s, c->command, t->smtputf8);
    s->refused = true;
    if (wrong) {
        say(s, STEP_MAIL, REPLY_BAD_PARAMETER, str_c(wrong));
    } else if (t->size_said > sink_size_offered(s)) {
        judge_printf(&s->judge, FOUND_SIZE_OVER, "%llu", (unsigned long long)t->size_said);
        say(s, STEP_MAIL, REPLY_TOO_LARGE,
            arena_printf(c->arena, "%llu", (unsigned long long)sink_size_offered(s)));
    } else {
        struct answer a = answer_row(STEP_MAIL, REPLY_SENDER_OK, printed);

        a.about = printed;
        s->refused = !sink_answer(s, &a);
    }
    if (s->refused)
        transaction_drop(&t);
    else
        transaction_begin(s, c->command, t);
}

static bool is_twice(const struct transaction *t, struct str address)
{
    for (size_t i = 0; i < t->recipient_count; i++)
        if (str_eq_nocase(t->recipients[i], address))
            return true;
    return false;
}

static void cmd_rcpt(struct command_call *c)
{
    struct sink *s = c->sink;
    struct transaction *t = s->transaction;
    struct str address = address_text(&t->arena, &c->command->path);
    const char *wrong = judge_parameters(s, c->command);
    struct answer a = answer_row(STEP_RCPT, REPLY_RECIPIENT_OK, address);

    judge_address(s, c->command, t->smtputf8);
    if (is_twice(t, address))
        judge_tell(&s->judge, FOUND_TWICE, address);
    if (t->recipient_count == SINK_RECIPIENTS_MAX)
        a = answer_row(STEP_RCPT, REPLY_TOO_MANY_RECIPIENTS, STR_NONE);
    else if (wrong)
        a = answer_row(STEP_RCPT, REPLY_BAD_PARAMETER, str_c(wrong));
    a.about = address;
    if (!sink_answer(s, &a) || a.status.code >= 300) {
        s->refused = true;
        return;
    }
    t->recipients[t->recipient_count++] = address;
    if (t->recipient_count == RECIPIENTS_MANY + 1)
        judge_tell(&s->judge, FOUND_MANY, STR_NONE);
    s->phase = RECIPIENTS;
}

/* ---- the message ---- */

static void cmd_data(struct command_call *c)
{
    struct sink *s = c->sink;
    struct answer a = answer_row(STEP_DATA, REPLY_SEND_CONTENT, STR_NONE);

    if (s->transaction->body == BODY_SAID_BINARY) {
        judge_tell(&s->judge, FOUND_BINARY_DATA, STR_NONE);
        a = answer_row(STEP_DATA, REPLY_BINARY_BY_DATA, STR_NONE);
    }
    if (sink_answer(s, &a) && a.status.code == 354)
        content_begin(s, false);
    else
        s->refused = true;
}

static void cmd_bdat(struct command_call *c)
{
    struct sink *s = c->sink;

    if (!sink_offers(s, "CHUNKING"))
        judge_tell(&s->judge, FOUND_NOT_OFFERED, STR("BDAT"));
    judge_tell(&s->judge, FOUND_BY_CHUNKS, STR_NONE);
    chunk_begin(s, c->command);
}

/* ---- the rest ---- */

static void cmd_rset(struct command_call *c)
{
    transaction_end(c->sink);
    c->sink->refused = false;
    say(c->sink, STEP_RSET, REPLY_OK, STR_NONE);
}

static void cmd_quit(struct command_call *c)
{
    struct answer a = answer_row(STEP_QUIT, REPLY_BYE, c->sink->options->hostname);

    transaction_end(c->sink);
    c->sink->quit = true;
    a.then = THEN_HANG_UP;
    (void)sink_answer(c->sink, &a);
}

static void cmd_noop(struct command_call *c)
{
    say(c->sink, STEP_OTHER, REPLY_OK, STR_NONE);
}

static void cmd_help(struct command_call *c)
{
    say(c->sink, STEP_OTHER, REPLY_HELP, STR("this is troika probe --listen: it takes any mail"));
}

static void cmd_vrfy(struct command_call *c)
{
    say(c->sink, STEP_OTHER, REPLY_CANNOT_VERIFY, STR_NONE);
}

static void cmd_old(struct command_call *c)
{
    judge_tell(&c->sink->judge, FOUND_OLD_COMMAND, c->command->word);
    say(c->sink, STEP_OTHER, REPLY_NOT_IMPLEMENTED, STR_NONE);
}

static void cmd_odd(struct command_call *c)
{
    judge_tell(&c->sink->judge, FOUND_NOT_OFFERED, c->command->word);
    say(c->sink, STEP_OTHER, REPLY_NOT_IMPLEMENTED, STR_NONE);
}

static const struct command_row {
    unsigned phases;
    enum step step;
    void (*run)(struct command_call *c);
} commands[VERB_COUNT] = {
    [VERB_HELO] = {ANY_COMMAND, STEP_HELO, cmd_hello},
    [VERB_EHLO] = {ANY_COMMAND, STEP_HELLO, cmd_hello},
    [VERB_LHLO] = {ANY_COMMAND, STEP_HELLO, cmd_hello},
    [VERB_MAIL] = {READY, STEP_MAIL, cmd_mail},
    [VERB_RCPT] = {SENDER | RECIPIENTS, STEP_RCPT, cmd_rcpt},
    [VERB_DATA] = {RECIPIENTS, STEP_DATA, cmd_data},
    [VERB_BDAT] = {RECIPIENTS | CHUNKS, STEP_BDAT, cmd_bdat},
    [VERB_RSET] = {ANY_COMMAND, STEP_RSET, cmd_rset},
    [VERB_NOOP] = {ANY_COMMAND, STEP_OTHER, cmd_noop},
    [VERB_QUIT] = {ANY_COMMAND, STEP_QUIT, cmd_quit},
    [VERB_HELP] = {ANY_COMMAND, STEP_OTHER, cmd_help},
    [VERB_STARTTLS] = {FRESH | READY, STEP_STARTTLS, cmd_starttls},
    [VERB_VRFY] = {ANY_COMMAND, STEP_OTHER, cmd_vrfy},
    [VERB_EXPN] = {ANY_COMMAND, STEP_OTHER, cmd_vrfy},
    [VERB_XCLIENT] = {ANY_COMMAND, STEP_OTHER, cmd_odd},
    [VERB_AUTH] = {ANY_COMMAND & ~FRESH, STEP_AUTH, cmd_auth},
    [VERB_SEND] = {ANY_COMMAND, STEP_OTHER, cmd_old},
    [VERB_SOML] = {ANY_COMMAND, STEP_OTHER, cmd_old},
    [VERB_SAML] = {ANY_COMMAND, STEP_OTHER, cmd_old},
    [VERB_TURN] = {ANY_COMMAND, STEP_OTHER, cmd_old},
    [VERB_ETRN] = {ANY_COMMAND, STEP_OTHER, cmd_odd},
    [VERB_ONEX] = {ANY_COMMAND, STEP_OTHER, cmd_old},
    [VERB_XUSR] = {ANY_COMMAND, STEP_OTHER, cmd_old},
};

/* ---- lines ---- */

/* "AUTH PLAIN ****" */
static void show(struct sink *s, struct str line)
{
    struct str rest = line, verb = str_cut_word(&rest);
    struct buf masked = buf_init(COMMAND_LINE_BYTES_MAX + 16);
    struct str mechanism = str_cut_word(&rest);

    if (str_eq_nocase(verb, STR("AUTH")) && rest.n > 0) {
        buf_printf(&masked, "%.*s %.*s ****", STR_ARG(verb), STR_ARG(mechanism));
        line = buf_str(&masked);
    }
    s->events->on_line(s->arg, false, line);
    buf_free(&masked);
}

static bool is_hello(enum smtp_verb v)
{
    return v == VERB_EHLO || v == VERB_HELO || v == VERB_LHLO;
}

/* The name in EHLO has findings of its own. */
static enum smtp_syntax parse(struct sink *s, struct str line, struct arena *a,
                              struct smtp_command *c, struct parse_error *error)
{
    enum smtp_syntax strict = smtp_command_parse(line, true, a, c, error);

    if (strict == SYNTAX_OK || strict == SYNTAX_UNKNOWN_COMMAND)
        return strict;
    if (is_hello(c->verb)) {
        struct parse_error second;
        enum smtp_syntax lenient = smtp_command_parse(line, false, a, c, &second);

        if (lenient != SYNTAX_OK)
            judge_tell(&s->judge, FOUND_NAME_SYNTAX, c->text);
        return lenient;
    }
    judge_printf(&s->judge, FOUND_COMMAND_SYNTAX, "%s: %s", smtp_verb_word(c->verb), error->text);
    return smtp_command_parse(line, false, a, c, error);
}

static void judge_length(struct sink *s, enum smtp_verb verb, struct str line)
{
    size_t most = verb == VERB_MAIL || verb == VERB_RCPT ? LINE_EXTENDED_BYTES_MAX
                  : verb == VERB_AUTH                    ? LOGIN_LINE_BYTES_MAX
                                                         : LINE_USUAL_BYTES_MAX;

    if (line.n > most)
        judge_printf(&s->judge, FOUND_COMMAND_LONG, "%s: %zu", smtp_verb_word(verb), line.n + 2);
}

/* Over fresh TLS, with a certificate that was bad on order. */
static void judge_first_word(struct sink *s, enum smtp_verb verb)
{
    static const struct {
        enum kind kind;
        const char *words;
    } bad[] = {{KIND_TLS_EXPIRED, "it has expired"},
               {KIND_TLS_NAME, "it is for another name"},
               {KIND_TLS_SELF, "nobody has signed it"}};

    for (size_t i = 0; i < countof(bad); i++)
        if (s->tls == bad[i].kind)
            judge_tell(&s->judge, FOUND_TLS_ACCEPTED_BAD, str_c(bad[i].words));
    if (s->was_plain && !is_hello(verb) && verb != VERB_QUIT)
        judge_tell(&s->judge, FOUND_NO_EHLO_AGAIN, str_c(smtp_verb_word(verb)));
    s->new_tls = false;
}

static enum reply_name what_is_missing(const struct sink *s, enum smtp_verb verb)
{
    if (s->phase == CHUNKS)
        return REPLY_CHUNKS_UNDER_WAY;
    if (s->phase == FRESH)
        return s->options->lmtp ? REPLY_SAY_LHLO : REPLY_SAY_HELLO;
    if (s->phase == READY)
        return REPLY_NEED_MAIL;
    return verb == VERB_MAIL ? REPLY_NESTED_MAIL : REPLY_NEED_RCPT;
}

/* Not in its place: by mistake, because it was refused, or because it was said together with what
 * was refused. */
static void judge_place(struct sink *s, enum smtp_verb verb)
{
    struct str word = str_c(smtp_verb_word(verb));

    if (s->phase == CHUNKS && verb == VERB_DATA)
        judge_tell(&s->judge, FOUND_MIXED_CHUNKS, STR_NONE);
    else if (s->refused && !sink_offers(s, "PIPELINING"))
        judge_tell(&s->judge, FOUND_IGNORED_REPLY, word);
    else if (s->phase == FRESH && !s->was_plain && !s->refused)
        judge_tell(&s->judge, FOUND_NO_HELLO, word);
    else if (!s->refused && s->phase != FRESH) /* that was told with the first word over TLS */
        judge_tell(&s->judge, FOUND_SEQUENCE, word);
}

static void run(struct sink *s, const struct smtp_command *c, struct arena *a)
{
    const struct command_row *row = &commands[c->verb];

    if (row->phases & s->phase) {
        row->run(&(struct command_call){.sink = s, .command = c, .arena = a});
        return;
    }
    judge_place(s, c->verb);
    if (c->verb == VERB_BDAT) /* its content comes all the same */
        chunk_skip(s, c, what_is_missing(s, c->verb));
    else
        say(s, row->step, what_is_missing(s, c->verb), STR_NONE);
}

void sink_command(struct sink *s, struct str line)
{
    struct arena a = ARENA_INIT;
    struct smtp_command c;
    struct parse_error error;

    show(s, line);

    enum smtp_syntax syntax = parse(s, line, &a, &c, &error);

    s->verb = c.verb;
    judge_length(s, c.verb, line);
    if (s->new_tls)
        judge_first_word(s, c.verb);
    if (syntax == SYNTAX_UNKNOWN_COMMAND)
        judge_tell(&s->judge, FOUND_COMMAND_UNKNOWN, str_sub(line, 0, 60));
    if (syntax == SYNTAX_CHUNK) {
        struct answer x = answer_row(STEP_BDAT, REPLY_CHUNK_SYNTAX, str_c(error.text));

        x.then = THEN_HANG_UP;
        (void)sink_answer(s, &x);
    } else if (syntax != SYNTAX_OK) {
        say(s, c.verb == VERB_UNKNOWN ? STEP_OTHER : commands[c.verb].step,
            smtp_syntax_reply(syntax), str_c(error.text));
    } else {
        run(s, &c, &a);
    }
    arena_free(&a);
}
