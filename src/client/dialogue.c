/* client/dialogue.c - the machine of client/dialogue.h: one row for each thing a server may be
 * answering, one column for each class of reply. 421 ends the session wherever it comes. */
// SPDX-License-Identifier: ISC
#include "client/dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "mail/idn.h"
#include "mail/reply.h"
#include "wire/parameter.h"

enum { PATH_ADDRESS_BYTES_MAX = 254 }; /* RFC 5321 4.5.3.1.3, without < > */

enum recipient_state {
    RECIPIENT_OPEN,
    RECIPIENT_ACCEPTED,
    RECIPIENT_DONE,
    RECIPIENT_UNSAID, /* done without a RCPT, so no reply is for it */
};
enum say { SAY_RSET, SAY_MAIL, SAY_RCPT, SAY_DATA, SAY_NOTHING };

struct answer {
    enum dialogue_expect to; /* EXPECT_COUNT: to nothing we said */
    uint16_t code;
    struct str text;
};
typedef void answer_fn(struct dialogue *d, const struct answer *a);

static const char *awaited_name(enum dialogue_expect what);

/* ---- what the server says, as an outcome ---- */

static struct status answer_status(const struct answer *a)
{
    struct status st = status_from_reply(a->code, a->text);

    /* The reply code decides: a server that says "250 5.1.1" has taken the message. */
    if (st.class != a->code / 100) {
        st.class = (uint8_t)(a->code / 100);
        st.subject = st.detail = 0;
    }
    return st;
}

/* The server as a whole refuses: nothing is known about any recipient, so never for good. */
static struct status answer_later(const struct answer *a)
{
    struct status st = answer_status(a);

    st.class = 4;
    return st;
}

/* ---- the queue of what is awaited ---- */

static void expect(struct dialogue *d, enum dialogue_expect what)
{
    check(d->expected_count < DIALOGUE_PIPELINE_MAX);
    d->expected[(d->expected_first + d->expected_count++) % DIALOGUE_PIPELINE_MAX] = (uint8_t)what;
}

static enum dialogue_expect expected_take(struct dialogue *d)
{
    enum dialogue_expect what = d->expected[d->expected_first];

    d->expected_first = (d->expected_first + 1) % DIALOGUE_PIPELINE_MAX;
    d->expected_count--;
    return what;
}

static void said_shown(struct dialogue *d, struct str shown, enum dialogue_expect what)
{
    if (d->events->on_said)
        d->events->on_said(d->arg, shown);
    buf_add(&d->out, STR("\r\n"));
    check(!d->out.full);
    if (what != EXPECT_COUNT) /* BDAT is answered behind its content */
        expect(d, what);
}

/* The command that was added to `out` since `from` is whole. */
static void said(struct dialogue *d, size_t from, enum dialogue_expect what)
{
    said_shown(d, str_skip(buf_str(&d->out), from), what);
}

static void say(struct dialogue *d, const char *word, struct str argument,
                enum dialogue_expect what)
{
    size_t from = d->out.n;

    buf_add_c(&d->out, word);
    buf_add(&d->out, argument);
    said(d, from, what);
}

/* ---- recipients ---- */

static bool in_message(const struct dialogue *d)
{
    return d->recipient_states != NULL;
}

static void result(struct dialogue *d, size_t i, const struct status *st)
{
    if (d->recipient_states[i] >= RECIPIENT_DONE)
        return;
    if (d->recipient_states[i] == RECIPIENT_ACCEPTED)
        d->accepted_count--;
    d->recipient_states[i] = RECIPIENT_DONE;
    d->open_count--;
    d->events->on_result(d->arg, i, st);
}

static void result_all(struct dialogue *d, const struct status *st)
{
    for (size_t i = 0; d->open_count > 0 && i < d->message.recipient_count; i++)
        result(d, i, st);
}

static void result_batch(struct dialogue *d, const struct status *st)
{
    for (size_t i = d->batch_first; i < d->batch_end; i++)
        result(d, i, st);
}

static void batch_begin(struct dialogue *d, size_t first)
{
    uint64_t room = d->offers.recipients_max > 0 ? d->offers.recipients_max : UINT64_MAX;
    size_t end = first;

    for (; end < d->message.recipient_count && room > 0; end++)
        room -= d->recipient_states[end] == RECIPIENT_OPEN;
    d->batch_first = first;
    d->batch_end = end;
    if (d->phase != PHASE_OVER)
        d->phase = PHASE_ENVELOPE;
    d->say_next = d->transaction_open ? SAY_RSET : SAY_MAIL;
    if (d->open_count == 0)
        d->say_next = SAY_NOTHING;
}

static void message_end(struct dialogue *d)
{
    check(d->open_count == 0 && d->accepted_count == 0);
    free(d->recipient_states);
    d->recipient_states = NULL;
    d->message_count++;
    if (d->phase != PHASE_OVER)
        d->phase = PHASE_READY;
    d->events->on_message_end(d->arg);
}

static void pump(struct dialogue *d);

/* True: there are recipients left for another transaction. */
static bool next_batch(struct dialogue *d)
{
    if (d->open_count > 0 && (d->one_transaction || !dialogue_takes_more(d))) {
        struct status st = reply_status(REPLY_SESSION_FULL, STR_NONE);
        result_all(d, &st);
    }
    if (d->open_count == 0)
        return false;
    batch_begin(d, d->batch_end);
    pump(d);
    return true;
}

static void message_end_when_answered(struct dialogue *d)
{
    bool answered = d->expected_count == 0 && d->say_next == SAY_NOTHING;

    if (d->phase != PHASE_ENVELOPE && d->phase != PHASE_DOT)
        return;
    if (!answered || next_batch(d))
        return;
    message_end(d);
    if (d->phase == PHASE_READY && !in_message(d))
        d->events->on_ready(d->arg);
}

/* ---- the end ---- */

static void over(struct dialogue *d, const struct status *st, bool next_hop_failed)
{
    if (d->phase == PHASE_OVER)
        return;
    d->phase = PHASE_OVER;
    if (in_message(d)) {
        result_all(d, st);
        message_end(d);
    }
    d->events->on_over(d->arg, st, next_hop_failed);
}

bool dialogue_next_hop_failed(const struct dialogue *d)
{
    return d->phase < PHASE_READY || (d->phase == PHASE_ENVELOPE && !d->touched);
}

static void over_closing(struct dialogue *d, const struct answer *a)
{
    struct status st = answer_later(a);

    over(d, &st, d->phase < PHASE_READY || d->phase == PHASE_ENVELOPE);
}

static void nonsense(struct dialogue *d, const struct answer *a)
{
    struct buf about = buf_init(64);
    buf_printf(&about, "%u to %s", a->code, awaited_name(a->to));

    struct status st = reply_status(REPLY_BAD_DIALOGUE, buf_str(&about));
    buf_free(&about);
    over(d, &st, dialogue_next_hop_failed(d));
}

/* ---- greeting ---- */

static void say_ehlo(struct dialogue *d)
{
    d->phase = PHASE_HELLO;
    say(d, d->lmtp ? "LHLO " : "EHLO ", buf_str(&d->hostname), EXPECT_EHLO);
}

static void greeted(struct dialogue *d, const struct answer *a)
{
    struct str text = a->text;
    struct str first = str_cut(&text, '\n');

    buf_add(&d->greeting, str_sub(first, 0, DIALOGUE_GREETING_BYTES_MAX));
    say_ehlo(d);
}

static void no_service(struct dialogue *d, const struct answer *a)
{
    struct status st = answer_later(a);

    say(d, "QUIT", STR_NONE, EXPECT_QUIT);
    over(d, &st, true);
}

static void say_helo(struct dialogue *d, const struct answer *a)
{
    if (d->lmtp)
        no_service(d, a);
    else
        say(d, "HELO ", buf_str(&d->hostname), EXPECT_HELO);
}

/* Nothing is known against any recipient: it waits for a better day, or a better server. */
static void give_up(struct dialogue *d, enum explain_step step, const struct status *st)
{
    d->step = step;
    say(d, "QUIT", STR_NONE, EXPECT_QUIT);
    over(d, st, true);
}

static void no_tls(struct dialogue *d)
{
    struct status st = reply_status(REPLY_TLS_MISSING, buf_str(&d->plain_why));

    give_up(d, STEP_STARTTLS, &st);
}

/* ---- logging in ---- */

static void say_secretly(struct dialogue *d, struct buf *line, struct buf *shown,
                         enum dialogue_expect what)
{
    buf_add(&d->out, buf_str(line));
    d->out_is_secret = true;
    said_shown(d, buf_str(shown), what);
    buf_wipe(line);
    buf_free(shown);
}

/* By the best mechanism that is offered and has not failed; without any, why the last one has. */
static void say_auth(struct dialogue *d)
{
    struct buf line = buf_init(AUTH_LINE_BYTES_MAX);
    struct buf shown = buf_init(AUTH_COMMAND_BYTES_MAX);
    const char *why = NULL;

    d->phase = PHASE_LOGIN;
    if (auth_begin(&d->auth, buf_str(&d->offers.auth), &line, &shown, &why)) {
        say_secretly(d, &line, &shown, EXPECT_AUTH);
        return;
    }
    buf_wipe(&line);
    buf_free(&shown);
    if (d->refusal.class == 0)
        d->refusal = reply_status(REPLY_LOGIN_IMPOSSIBLE, str_c(why));
    give_up(d, STEP_AUTH, &d->refusal);
}

static void auth_challenged(struct dialogue *d, const struct answer *a)
{
    struct buf line = buf_init(AUTH_LINE_BYTES_MAX);
    struct buf shown = buf_init(AUTH_COMMAND_BYTES_MAX);
    const char *why = NULL;
    bool goes_on = auth_challenge(&d->auth, a->text, &line, &shown, &why);

    if (!goes_on)
        d->refusal = reply_status(REPLY_LOGIN_IMPOSSIBLE, str_c(why));
    say_secretly(d, &line, &shown, goes_on ? EXPECT_AUTH : EXPECT_AUTH_CANCEL);
}

static void auth_cancelled(struct dialogue *d, const struct answer *a)
{
    give_up(d, STEP_AUTH, &d->refusal);
}

static void auth_done(struct dialogue *d, const struct answer *a)
{
    if (!auth_believes(&d->auth)) {
        d->refusal = reply_status(REPLY_LOGIN_IMPOSSIBLE,
                                  STR("it has not proved that it knows the password"));
        give_up(d, STEP_AUTH, &d->refusal);
        return;
    }
    d->phase = PHASE_READY;
    d->events->on_ready(d->arg);
}

static void auth_not_taken(struct dialogue *d, const struct answer *a)
{
    d->refusal = answer_later(a);
    if (auth_refused(&d->auth, a->code))
        say_auth(d);
    else
        give_up(d, STEP_AUTH, &d->refusal);
}

static void session_ready(struct dialogue *d, const struct answer *a)
{
    if (!d->secured && d->plain_why.n == 0)
        buf_add_c(&d->plain_why, d->tls == TLS_NONE ? "off" : "not offered");
    if (!d->secured && d->tls >= TLS_REQUIRED) {
        no_tls(d);
        return;
    }
    if (d->auth.wanted) {
        say_auth(d);
        return;
    }
    d->phase = PHASE_READY;
    d->events->on_ready(d->arg);
}

static void hello_answered(struct dialogue *d, const struct answer *a)
{
    offers_parse(&d->offers, a->text);
    if (d->offers.has_starttls && d->tls != TLS_NONE && !d->secured)
        say(d, "STARTTLS", STR_NONE, EXPECT_STARTTLS);
    else
        session_ready(d, a);
}

static void tls_begins(struct dialogue *d, const struct answer *a)
{
    d->phase = PHASE_SECURING;
    d->events->on_secure(d->arg);
}

static void tls_refused(struct dialogue *d, const struct answer *a)
{
    struct str text = a->text;

    buf_printf(&d->plain_why, "refused with %u ", a->code);
    buf_add(&d->plain_why, str_sub(str_cut(&text, '\n'), 0, DIALOGUE_WHY_BYTES_MAX / 2));
    session_ready(d, a);
}

/* ---- envelope ---- */

static void reset_done(struct dialogue *d, const struct answer *a)
{
    d->transaction_open = false;
}

static void sender_ok(struct dialogue *d, const struct answer *a)
{
    d->touched = true;
    d->transaction_open = true;
}

static void sender_refused(struct dialogue *d, const struct answer *a)
{
    struct status st = answer_status(a);

    d->touched = true;
    d->say_next = SAY_NOTHING;
    result_all(d, &st);
}

/* Which recipient a reply to RCPT is for: replies come in the order of the commands. */
static size_t recipient_answered(struct dialogue *d)
{
    while (d->recipient_states[d->answer_recipient] == RECIPIENT_UNSAID)
        d->answer_recipient++;
    return d->answer_recipient++;
}

static void recipient_ok(struct dialogue *d, const struct answer *a)
{
    size_t i = recipient_answered(d);

    if (d->recipient_states[i] != RECIPIENT_OPEN)
        return;
    d->recipient_states[i] = RECIPIENT_ACCEPTED;
    d->accepted_count++;
}

static void recipient_refused(struct dialogue *d, const struct answer *a)
{
    size_t i = recipient_answered(d);
    struct status st = answer_status(a);

    /* RFC 5321 4.5.3.1.10: 552 after others were taken means "too many", not "never". */
    if (a->code == 552 && d->accepted_count > 0) {
        st.class = 4;
        st.subject = 5;
        st.detail = 3;
    }
    result(d, i, &st);
}

static void content_begins(struct dialogue *d, const struct answer *a)
{
    if (d->accepted_count > 0) {
        d->phase = PHASE_CONTENT;
        return;
    }
    if (d->lmtp) { /* RFC 2033 4.2: it must not; and nobody would be answered for */
        nonsense(d, a);
        return;
    }
    buf_add(&d->out, STR(".\r\n"));
    expect(d, EXPECT_EMPTY_DOT);
}

static void data_refused(struct dialogue *d, const struct answer *a)
{
    struct status st = answer_status(a);

    result_batch(d, &st);
}

/* RFC 2033 4.2: one reply for each recipient that was accepted, in their order. */
static void recipient_judged(struct dialogue *d, const struct status *st)
{
    while (d->recipient_states[d->judge_recipient] != RECIPIENT_ACCEPTED)
        d->judge_recipient++;
    result(d, d->judge_recipient, st);
    if (d->accepted_count > 0)
        expect(d, EXPECT_DOT);
}

static void content_judged(struct dialogue *d, const struct answer *a)
{
    struct status st = answer_status(a);

    d->transaction_open = false;
    if (d->lmtp)
        recipient_judged(d, &st);
    else
        result_batch(d, &st);
}

static void quit_done(struct dialogue *d, const struct answer *a)
{
    struct status st = status_make(0, 2, 0, 0, STR("quit"));

    over(d, &st, false);
}

static const struct step {
    const char *command;
    enum explain_step step;
    uint16_t timeout_s; /* RFC 5321 4.5.3.2; nobody waits long for the answer to QUIT */
    answer_fn *on[4];   /* by reply class: 2, 3, 4, 5 */
} steps[EXPECT_COUNT] = {
    [EXPECT_GREETING] = {"the greeting",
                         STEP_GREETING,
                         300,
                         {greeted, nonsense, no_service, no_service}},
    [EXPECT_EHLO] = {"EHLO", STEP_HELLO, 300, {hello_answered, nonsense, no_service, say_helo}},
    [EXPECT_HELO] = {"HELO", STEP_HELLO, 300, {session_ready, nonsense, no_service, no_service}},
    [EXPECT_STARTTLS] = {"STARTTLS",
                         STEP_STARTTLS,
                         120,
                         {tls_begins, nonsense, tls_refused, tls_refused}},
    [EXPECT_AUTH] = {"AUTH",
                     STEP_AUTH,
                     300,
                     {auth_done, auth_challenged, auth_not_taken, auth_not_taken}},
    [EXPECT_AUTH_CANCEL] = {"the end of AUTH",
                            STEP_AUTH,
                            60,
                            {auth_cancelled, auth_cancelled, auth_cancelled, auth_cancelled}},
    [EXPECT_RSET] = {"RSET", STEP_OTHER, 300, {reset_done, nonsense, nonsense, nonsense}},
    [EXPECT_MAIL] = {"MAIL FROM",
                     STEP_MAIL,
                     300,
                     {sender_ok, nonsense, sender_refused, sender_refused}},
    [EXPECT_RCPT] = {"RCPT TO",
                     STEP_RCPT,
                     300,
                     {recipient_ok, nonsense, recipient_refused, recipient_refused}},
    [EXPECT_DATA] = {"DATA",
                     STEP_DATA,
                     120,
                     {nonsense, content_begins, data_refused, data_refused}},
    [EXPECT_DOT] = {"the message",
                    STEP_CONTENT,
                    600,
                    {content_judged, nonsense, content_judged, content_judged}},
    [EXPECT_EMPTY_DOT] = {"an empty message",
                          STEP_CONTENT,
                          600,
                          {content_judged, nonsense, content_judged, content_judged}},
    [EXPECT_QUIT] = {"QUIT", STEP_QUIT, 10, {quit_done, quit_done, quit_done, quit_done}},
};

/* ---- saying ---- */

/* Nothing may reach the wire that could end a command: the next line would be ours to answer for. */
static bool address_sendable(struct str s)
{
    if (s.n > DIALOGUE_ADDRESS_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

/* To the next recipient that is to be said, or to DATA. */
static void say_recipients_from(struct dialogue *d, size_t i)
{
    while (i < d->batch_end && d->recipient_states[i] == RECIPIENT_UNSAID)
        i++;
    d->say_recipient = i;
    d->say_next = i < d->batch_end ? SAY_RCPT : SAY_DATA;
}

static const char *body_parameter(const struct dialogue *d)
{
    if (dialogue_sends_chunk(d))
        return " BODY=BINARYMIME";
    return d->message.body != BODY_7BIT && d->offers.has_8bitmime ? " BODY=8BITMIME" : "";
}

/* With a local part in UTF-8 the domain is in its own letters, too: the form that is typed and
 * compared by others. With one in ASCII it is in A-labels, which every server knows. */
static void add_path(struct dialogue *d, struct str address)
{
    struct buf readable = buf_init(PATH_ADDRESS_BYTES_MAX);

    if (!utf8_is_ascii(address))
        idn_print_readable(&readable, address);
    if (readable.n > 0 && !readable.full)
        address = buf_str(&readable);
    buf_printf(&d->out, "<%.*s>", STR_ARG(address));
    buf_free(&readable);
}

static bool wants_smtputf8(const struct dialogue *d)
{
    const struct dialogue_message *m = &d->message;
    bool utf8 = m->utf8 != UTF8_UNSAID || !utf8_is_ascii(m->sender);

    for (size_t i = 0; i < m->recipient_count && !utf8; i++)
        utf8 = !utf8_is_ascii(m->recipients[i]);
    return utf8 && d->offers.has_smtputf8;
}

static void say_mail(struct dialogue *d)
{
    size_t from = d->out.n;

    buf_add_c(&d->out, "MAIL FROM:");
    add_path(d, d->message.sender);
    if (d->offers.has_size &&
        !dialogue_converts(d)) /* which makes it larger, nobody knows how much */
        buf_printf(&d->out, " SIZE=%llu", (unsigned long long)d->message.size);
    buf_add_c(&d->out, body_parameter(d));
    d->smtputf8 = wants_smtputf8(d);
    if (d->smtputf8)
        buf_add(&d->out, STR(" SMTPUTF8"));
    if (d->offers.has_dsn)
        mail_wishes_print(&d->out, d->message.ret, d->message.envid);
    said(d, from, EXPECT_MAIL);
    d->mail_count++;
    say_recipients_from(d, d->batch_first);
}

static void say_rcpt(struct dialogue *d)
{
    size_t from = d->out.n;

    buf_add_c(&d->out, "RCPT TO:");
    add_path(d, d->message.recipients[d->say_recipient]);
    if (d->offers.has_dsn && d->message.notify)
        rcpt_wishes_print(&d->out, &d->message.notify[d->say_recipient], !d->smtputf8);
    said(d, from, EXPECT_RCPT);
    say_recipients_from(d, d->say_recipient + 1);
}

static bool batch_is_open(const struct dialogue *d)
{
    for (size_t i = d->batch_first; i < d->batch_end; i++) {
        if (d->recipient_states[i] < RECIPIENT_DONE)
            return true;
    }
    return false;
}

/* Everybody has been answered for, so there is a message only if somebody is to get it. */
static void say_chunk(struct dialogue *d)
{
    size_t from = d->out.n;

    if (!batch_is_open(d))
        return;
    buf_printf(&d->out, "BDAT %llu LAST", (unsigned long long)d->message.size);
    said(d, from, EXPECT_COUNT);
    d->phase = PHASE_CONTENT;
}

static void say_one(struct dialogue *d)
{
    switch ((enum say)d->say_next) {
    case SAY_RSET:
        say(d, "RSET", STR_NONE, EXPECT_RSET);
        d->say_next = SAY_MAIL;
        return;
    case SAY_MAIL:
        say_mail(d);
        return;
    case SAY_RCPT:
        say_rcpt(d);
        return;
    case SAY_DATA:
        d->say_next = SAY_NOTHING;
        if (dialogue_sends_chunk(d))
            say_chunk(d);
        else if (batch_is_open(d))
            say(d, "DATA", STR_NONE, EXPECT_DATA);
        return;
    case SAY_NOTHING:
        return;
    }
}

/* Says as much as may be said now: all of it with PIPELINING, else one command at a time. */
static void pump(struct dialogue *d)
{
    size_t window = d->offers.pipelining ? DIALOGUE_PIPELINE_MAX : 1;

    while (d->phase == PHASE_ENVELOPE && d->say_next != SAY_NOTHING && d->expected_count < window &&
           d->out.n + DIALOGUE_COMMAND_BYTES_MAX <= DIALOGUE_OUT_BYTES_MAX) {
        if (d->say_next == SAY_DATA && dialogue_sends_chunk(d) && d->expected_count > 0)
            return; /* the content would follow at once, whatever the answers will be */
        say_one(d);
    }
}

/* ---- what we refuse ourselves ---- */

/* RFC 6531 3.6: nothing is made ASCII that is not, so it goes no further. */
static void refuse_utf8(struct dialogue *d)
{
    const struct dialogue_message *m = &d->message;
    bool all = m->utf8 == UTF8_HEADER || !utf8_is_ascii(m->sender);

    if (d->offers.has_smtputf8)
        return;
    for (size_t i = 0; d->phase != PHASE_OVER && i < m->recipient_count; i++) {
        if (!all && utf8_is_ascii(m->recipients[i]))
            continue;
        const char *what = !utf8_is_ascii(m->recipients[i]) ? "the recipient"
                           : !utf8_is_ascii(m->sender)      ? "the sender"
                                                            : "the header";
        struct status st = reply_status(REPLY_NEEDS_SMTPUTF8, str_c(what));
        result(d, i, &st);
        d->recipient_states[i] = RECIPIENT_UNSAID;
    }
}

static void refuse_unsendable_recipients(struct dialogue *d)
{
    struct status st = reply_status(REPLY_RECIPIENT_SYNTAX, STR("address cannot be sent by SMTP"));

    for (size_t i = 0; d->phase != PHASE_OVER && i < d->message.recipient_count; i++) {
        if (address_sendable(d->message.recipients[i]))
            continue;
        result(d, i, &st);
        d->recipient_states[i] = RECIPIENT_UNSAID;
    }
}

static void refuse_unsendable_message(struct dialogue *d)
{
    if (!address_sendable(d->message.sender)) {
        struct status st = reply_status(REPLY_SENDER_SYNTAX, STR("address cannot be sent by SMTP"));
        result_all(d, &st);
    }
    if (d->offers.size_max > 0 && d->message.size > d->offers.size_max) {
        struct buf text = buf_init(STATUS_TEXT_BYTES_MAX);
        buf_printf(&text, "message of %llu bytes, the next server takes at most %llu",
                   (unsigned long long)d->message.size, (unsigned long long)d->offers.size_max);
        struct status st = status_make(552, 5, 3, 4, buf_str(&text));
        buf_free(&text);
        result_all(d, &st);
    }
}

/* ---- the doors ---- */

bool dialogue_sends_chunk(const struct dialogue *d)
{
    return d->message.body == BODY_BINARY && d->offers.has_chunking && d->offers.has_binarymime;
}

bool dialogue_converts(const struct dialogue *d)
{
    return d->message.body == BODY_BINARY && !dialogue_sends_chunk(d);
}

bool dialogue_takes_more(const struct dialogue *d)
{
    return d->offers.messages_max == 0 || d->mail_count < d->offers.messages_max;
}

static const char *awaited_name(enum dialogue_expect what)
{
    return what < EXPECT_COUNT ? steps[what].command : "nothing we said";
}

const char *dialogue_awaits(const struct dialogue *d)
{
    if (d->phase == PHASE_CONTENT)
        return "a block of the message";
    if (d->phase == PHASE_SECURING)
        return "the TLS handshake";
    return awaited_name(d->expected_count > 0 ? d->expected[d->expected_first] : EXPECT_COUNT);
}

static enum explain_step awaited_step(const struct dialogue *d)
{
    if (d->phase == PHASE_CONTENT)
        return STEP_CONTENT;
    if (d->phase == PHASE_SECURING)
        return STEP_TLS;
    return d->expected_count > 0 ? steps[d->expected[d->expected_first]].step : STEP_OTHER;
}

enum explain_step dialogue_step(const struct dialogue *d)
{
    return d->answering || d->phase == PHASE_OVER ? d->step : awaited_step(d);
}

uint64_t dialogue_timeout_s(const struct dialogue *d)
{
    if (d->phase == PHASE_CONTENT)
        return 180;
    if (d->phase == PHASE_SECURING)
        return 60;
    return d->expected_count > 0 ? steps[d->expected[d->expected_first]].timeout_s : 0;
}

void dialogue_init(struct dialogue *d, struct str hostname, enum tls_policy tls,
                   const struct dialogue_events *events, void *arg)
{
    *d = (struct dialogue){
        .events = events,
        .arg = arg,
        .hostname = buf_init(DIALOGUE_HOST_BYTES_MAX),
        .out = buf_init(DIALOGUE_OUT_BYTES_MAX),
        .greeting = buf_init(DIALOGUE_GREETING_BYTES_MAX),
        .tls = tls,
        .plain_why = buf_init(DIALOGUE_WHY_BYTES_MAX),
        .say_next = SAY_NOTHING,
    };
    offers_init(&d->offers);
    auth_init(&d->auth);
    buf_add(&d->hostname, str_sub(hostname, 0, DIALOGUE_HOST_BYTES_MAX));
    expect(d, EXPECT_GREETING);
}

void dialogue_free(struct dialogue *d)
{
    buf_free(&d->hostname);
    dialogue_out_taken(d);
    buf_free(&d->out);
    offers_free(&d->offers);
    auth_free(&d->auth);
    buf_free(&d->greeting);
    buf_free(&d->plain_why);
    free(d->recipient_states);
    d->recipient_states = NULL;
}

void dialogue_login(struct dialogue *d, const struct sasl_login *login)
{
    check(d->phase == PHASE_GREETING);
    auth_login(&d->auth, login);
}

void dialogue_tls_first(struct dialogue *d)
{
    check(d->phase == PHASE_GREETING && d->expected_count == 1 && d->tls >= TLS_REQUIRED);
    (void)expected_take(d);
    d->phase = PHASE_SECURING;
    d->tls_first = true;
}

void dialogue_out_taken(struct dialogue *d)
{
    if (d->out_is_secret)
        buf_wipe(&d->out);
    else
        buf_reset(&d->out);
    d->out_is_secret = false;
}

/* The server speaks out of turn. While we send content a refusal is believed, an acceptance of
 * what it has not got is not; and after either nobody knows where the other one stands. */
static void answer_unexpected(struct dialogue *d, const struct answer *a)
{
    if (d->phase != PHASE_CONTENT || a->code < 400) {
        nonsense(d, a);
        return;
    }
    struct status st = answer_status(a);
    over(d, &st, false);
}

void dialogue_reply(struct dialogue *d, uint16_t code, struct str text)
{
    struct answer a = {.to = EXPECT_COUNT, .code = code, .text = text};

    check(code >= 200 && code <= 599);
    if (d->phase == PHASE_OVER)
        return;
    d->step = awaited_step(d);
    d->answering = true;
    if (d->expected_count > 0)
        a.to = expected_take(d);
    if (a.to == EXPECT_QUIT)
        quit_done(d, &a);
    else if (code == 421)
        over_closing(d, &a);
    else if (a.to == EXPECT_COUNT)
        answer_unexpected(d, &a);
    else
        steps[a.to].on[code / 100 - 2](d, &a);
    pump(d);
    message_end_when_answered(d);
    d->answering = false;
}

void dialogue_send(struct dialogue *d, const struct dialogue_message *m)
{
    check(d->phase == PHASE_READY && !in_message(d) && m->recipient_count > 0);
    d->message = *m;
    d->recipient_states = mem_new(m->recipient_count);
    d->open_count = m->recipient_count;
    d->accepted_count = 0;
    d->answer_recipient = d->judge_recipient = 0;
    d->touched = false;
    d->phase = PHASE_ENVELOPE;
    refuse_unsendable_message(d);
    refuse_unsendable_recipients(d);
    refuse_utf8(d);
    batch_begin(d, 0);
    pump(d);
    message_end_when_answered(d);
}

void dialogue_content_sent(struct dialogue *d)
{
    check(d->phase == PHASE_CONTENT);
    d->phase = PHASE_DOT;
    expect(d, EXPECT_DOT);
}

void dialogue_secured(struct dialogue *d)
{
    check(d->phase == PHASE_SECURING);
    d->secured = true;
    offers_free(&d->offers);
    buf_reset(&d->plain_why);
    if (d->tls_first) {
        d->phase = PHASE_GREETING;
        expect(d, EXPECT_GREETING);
    } else {
        say_ehlo(d);
    }
}

void dialogue_again_plain(struct dialogue *d, const char *why)
{
    check(d->phase == PHASE_SECURING && d->expected_count == 0);
    d->phase = PHASE_GREETING;
    d->tls = TLS_NONE;
    offers_free(&d->offers);
    buf_reset(&d->greeting);
    dialogue_out_taken(d);
    buf_printf(&d->plain_why, "handshake failed: %s", why);
    expect(d, EXPECT_GREETING);
}

void dialogue_quit(struct dialogue *d)
{
    struct status st = status_make(0, 2, 0, 0, STR("quit"));

    check(!in_message(d));
    if (d->phase == PHASE_READY) {
        d->phase = PHASE_QUITTING;
        say(d, "QUIT", STR_NONE, EXPECT_QUIT);
    } else if (d->phase < PHASE_READY) {
        over(d, &st, false);
    }
}

void dialogue_lost(struct dialogue *d, const struct status *st)
{
    struct status quit = status_make(0, 2, 0, 0, STR("quit"));

    if (d->phase == PHASE_OVER)
        return;
    if (!d->answering)
        d->step = awaited_step(d);
    over(d, d->phase == PHASE_QUITTING ? &quit : st, dialogue_next_hop_failed(d));
}

static void silent(void *arg) {}

static void silent_result(void *arg, size_t i, const struct status *st) {}

static void silent_over(void *arg, const struct status *st, bool next_hop_failed) {}

void dialogue_stop(struct dialogue *d)
{
    static const struct dialogue_events none = {silent,      silent_result, silent,
                                                silent_over, NULL,          silent};

    d->events = &none;
    d->phase = PHASE_OVER;
}
