/* listen/sink.c - one session of the sink.
 *
 *   FRESH --EHLO--> READY --MAIL--> SENDER --RCPT--> RECIPIENTS --DATA--> CONTENT
 *     ^               ^               |                  |                   |
 *     |               +---- RSET, EHLO, the end of the content: transaction_end()
 *     +-- SHAKING <--STARTTLS-- READY --AUTH--> LOGIN --> READY
 *   RECIPIENTS --BDAT--> CONTENT --taken--> CHUNKS --BDAT--> CONTENT
 *   any of them --QUIT, 421, an order to hang up--> CLOSED
 *
 * A transition happens only if the sender was really told so: an order may turn any answer around.
 * The facts of each phase are in sink_check(). */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "outward/listen/sink_state.h"

enum {
    PLAIN_BYTES_ENOUGH = 16 * 1024, /* unsaid: nothing more is listened to */
    LINES_SHOWN_MAX = 30,
};

const char sink_usual_offers[] =
    "PIPELINING, SIZE 104857600, 8BITMIME, SMTPUTF8, CHUNKING, BINARYMIME, DSN, "
    "ENHANCEDSTATUSCODES, STARTTLS, AUTH";

/* What each phase promises; run after every step. */
static void sink_check(const struct sink *s)
{
    check(!(s->phase & IN_TRANSACTION) || s->transaction);
    check(!(s->phase & (FRESH | READY | LOGIN | SHAKING)) || !s->transaction);
    if (s->phase & SENDER)
        check(s->transaction->recipient_count == 0);
    if (s->phase & (RECIPIENTS | CONTENT | CHUNKS) && s->verdict_count == 0)
        check(s->transaction->recipient_count > 0);
    check((s->phase == LOGIN) == (s->login != NULL));
    check(!s->waits || s->says);
}

/* ---- life ---- */

static void on_told(void *arg, enum finding what, struct str detail)
{
    struct sink *s = arg;

    s->events->on_found(s->arg, what, detail);
}

struct sink *sink_new(const struct sink_options *o, const struct sink_client *client,
                      const struct sink_events *events, void *arg, uint64_t now_us)
{
    struct sink *s = mem_new(sizeof *s);

    *s = (struct sink){.options = o,
                       .events = events,
                       .arg = arg,
                       .names_ask = client->names_ask,
                       .now_us = now_us,
                       .phase = FRESH,
                       .step = STEP_ANY,
                       .lines = {.bytes_max = COMMAND_LINE_BYTES_MAX},
                       .saying = {.plain = buf_init(SINK_OUT_BYTES_MAX),
                                  .odd = buf_init(SINK_OUT_BYTES_MAX),
                                  .again = buf_init(KIB)}};
    s->judge = (struct judge){.tell = on_told, .arg = s};
    (void)snprintf(s->ip, sizeof s->ip, "%.*s", STR_ARG(client->ip));
    return s;
}

void sink_free(struct sink **sp)
{
    struct sink *s = *sp;

    if (!s)
        return;
    transaction_free(s);
    login_free(&s->login);
    buf_free(&s->saying.plain);
    buf_free(&s->saying.odd);
    buf_free(&s->saying.again);
    free(s);
    *sp = NULL;
}

void transaction_free(struct sink *s)
{
    struct transaction *t = s->transaction;

    s->transaction = NULL;
    s->verdict_at = s->verdict_count = 0;
    if (s->phase & IN_TRANSACTION)
        s->phase = READY;
    if (!t)
        return;
    letter_free(&t->letter);
    arena_free(&t->arena);
    free(t);
}

/* Whatever had come of a message is told to be lost. */
void transaction_end(struct sink *s)
{
    if (s->transaction && s->transaction->begun)
        content_lost(s);
    else
        transaction_free(s);
}

bool sink_quit(const struct sink *s)
{
    return s->quit;
}

void sink_tell(struct sink *s, enum finding what, struct str detail)
{
    judge_tell(&s->judge, what, detail);
}

/* ---- what is offered ---- */

static struct str keyword_of(struct str offer)
{
    return str_cut_word(&offer);
}

bool sink_offers(const struct sink *s, const char *keyword)
{
    for (size_t i = 0; i < s->offered_count; i++)
        if (str_eq_nocase(str_c(s->offered[i]), str_c(keyword)))
            return true;
    return false;
}

static bool may_offer(const struct sink *s, struct str keyword)
{
    if (str_eq_nocase(keyword, STR("STARTTLS")))
        return s->options->tls_can && !s->secured;
    if (str_eq_nocase(keyword, STR("AUTH")))
        return s->user[0] == '\0';
    return true;
}

void sink_offer(struct sink *s, struct buf *lines)
{
    s->offered_count = 0;
    for (size_t i = 0; i < s->options->offer_count && s->offered_count < SINK_OFFERS_MAX; i++) {
        struct str offer = s->options->offers[i], word = keyword_of(offer);

        if (!may_offer(s, word))
            continue;
        (void)snprintf(s->offered[s->offered_count++], sizeof s->offered[0], "%.*s", STR_ARG(word));
        buf_printf(lines, "\n%.*s", STR_ARG(offer));
        if (str_eq_nocase(offer, STR("AUTH"))) {
            buf_add_char(lines, ' ');
            login_mechanisms(lines, s->options->password.n > 0);
        }
    }
}

/* ---- answers ---- */

struct answer answer_row(enum step step, enum reply_name row, struct str about)
{
    return (struct answer){.step = step,
                           .status = reply_status(row, about),
                           .bare = reply_table[row].enhanced[0] == '\0'};
}

static void print_right(struct buf *to, const struct answer *a)
{
    struct str lines = a->lines;

    if (lines.n == 0) {
        reply_print(to, &a->status, !a->bare);
        return;
    }
    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');

        buf_printf(to, "%u%c%.*s\r\n", a->status.code, lines.n > 0 ? '-' : ' ', STR_ARG(line));
    }
}

static void print_ordered(struct buf *to, const struct misdeed *d)
{
    buf_printf(to, "%u %.*s%s%.*s\r\n", d->code, STR_ARG(d->enhanced), d->enhanced.n > 0 ? " " : "",
               STR_ARG(d->text));
}

static void without_cr(struct buf *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] != '\r')
            b->p[n++] = b->p[i];
    buf_cut(b, n);
}

/* Everything that an order does to the bytes of an answer. */
static void print_answer(struct buf *to, const struct answer *a, const struct misdeed *d,
                         uint16_t code)
{
    for (uint64_t i = 1; i < d->lines; i++)
        buf_printf(to, "%u-line %llu\r\n", code, (unsigned long long)i);
    if (d->line_bytes > 0) {
        buf_printf(to, "%u ", code);
        for (uint64_t i = 4; i < d->line_bytes; i++)
            buf_add_char(to, 'x');
        buf_add_c(to, "\r\n");
    } else if (d->replied) {
        print_ordered(to, d);
    } else {
        print_right(to, a);
    }
    if (d->garbage) {
        buf_reset(to);
        buf_add(to, STR("\x16\xff\xfe\x00<html>this is no SMTP</html>\r\n\x80\x81\r\n"));
    }
    if (d->inject.n > 0)
        buf_printf(to, "%.*s\r\n", STR_ARG(d->inject));
    if (d->bare_lf)
        without_cr(to);
    if (d->end == KIND_HALF)
        buf_cut(to, to->n / 2);
}

void sink_line_out(struct sink *s, struct str line)
{
    s->events->on_line(s->arg, true, line);
}

static void show_lines(struct sink *s, struct str bytes)
{
    for (size_t i = 0; bytes.n > 0; i++) {
        struct str line = str_cut(&bytes, '\n');

        if (i == LINES_SHOWN_MAX) {
            sink_line_out(s, STR("..."));
            return;
        }
        if (str_ends(line, STR("\r")))
            line.n--;
        sink_line_out(s, line);
    }
}

static enum then then_of(const struct answer *a, const struct misdeed *d, uint16_t code, bool good)
{
    switch (d->end) {
    case KIND_CUT:
    case KIND_HALF:
    case KIND_HANG_UP:
        return THEN_HANG_UP;
    case KIND_RESET:
        return THEN_RESET;
    case KIND_SILENCE:
        return THEN_SILENCE;
    default:
        return code == 421 ? THEN_HANG_UP : good ? a->then : THEN_ON;
    }
}

static bool is_mute(const struct misdeed *d)
{
    return d->end == KIND_CUT || d->end == KIND_RESET || d->end == KIND_SILENCE;
}

static void say_odd(struct sink *s, const struct misdeed *d, uint16_t code, struct buf *bytes,
                    enum then then)
{
    s->waits = true;
    s->saying.delay_us = d->delay_us;
    s->saying.drip_us = d->drip_us;
    s->saying.then = then;
    buf_add(&s->saying.odd, buf_str(bytes));
    if (d->endless) {
        buf_reset(&s->saying.odd);
        buf_printf(&s->saying.again, "%u-and so on\r\n", code);
    }
    if (d->endless || d->drip_us > 0)
        show_lines(s, d->endless ? buf_str(&s->saying.again) : buf_str(bytes));
}

bool sink_answer(struct sink *s, const struct answer *a)
{
    struct misdeed d;
    struct buf bytes = buf_init(SINK_OUT_BYTES_MAX);

    check(!s->waits);
    (void)misbehave_at(s->options->misbehave, a->step, a->about, &d);

    uint16_t code = d.replied ? d.code : a->status.code;
    bool told = !is_mute(&d) && d.end != KIND_HALF && !d.garbage && !d.endless;
    bool good = told && code / 100 == a->status.code / 100;
    enum then then = then_of(a, &d, code, good);

    if (!is_mute(&d))
        print_answer(&bytes, a, &d, code);
    s->code = told ? code : 0;
    s->step = a->step;
    s->answered = true;
    s->says = true;
    if (d.delay_us > 0 || d.drip_us > 0 || d.endless || then != THEN_ON) {
        say_odd(s, &d, code, &bytes, then);
    } else {
        buf_add(&s->saying.plain, buf_str(&bytes));
        show_lines(s, buf_str(&bytes));
    }
    buf_free(&bytes);
    return good;
}

const struct saying *sink_saying(struct sink *s)
{
    return s->says ? &s->saying : NULL;
}

void sink_shake(struct sink *s)
{
    struct misdeed d;

    (void)misbehave_at(s->options->misbehave, STEP_TLS, STR_NONE, &d);
    s->tls = d.end ? d.end : d.tls;
    s->phase = SHAKING;
}

void sink_said(struct sink *s)
{
    struct saying *y = &s->saying;
    enum then then = y->then;

    if (s->waits && y->again.n == 0 && y->drip_us == 0)
        show_lines(s, buf_str(&y->odd));
    buf_free(&y->plain);
    buf_free(&y->odd);
    y->delay_us = y->drip_us = 0;
    y->then = THEN_ON;
    s->says = s->waits = false;
    s->greeted = s->greeted || s->step == STEP_GREETING;
    if (then == THEN_HANG_UP || then == THEN_RESET || then == THEN_SILENCE) {
        s->verdict_at = s->verdict_count; /* nobody else hears of it */
        content_verdicts(s);
        transaction_end(s);
        login_free(&s->login);
        s->phase = CLOSED;
    } else {
        content_verdicts(s);
    }
    sink_check(s);
}

/* ---- the beginning ---- */

static void greet(struct sink *s)
{
    struct answer a =
        answer_row(STEP_GREETING, s->options->lmtp ? REPLY_GREETING_LMTP : REPLY_GREETING,
                   s->options->hostname);

    s->refused = !sink_answer(s, &a);
    if (!s->waits)
        s->greeted = true;
}

void sink_begin(struct sink *s, bool by_tls)
{
    if (by_tls) {
        s->says = s->waits = true;
        s->saying.then = THEN_TLS;
        sink_shake(s);
    } else {
        greet(s);
    }
    sink_check(s);
}

enum kind sink_tls(const struct sink *s)
{
    return s->tls;
}

void sink_secured(struct sink *s, struct str version, struct str name)
{
    check(s->phase == SHAKING);
    s->phase = FRESH;
    s->secured = s->new_tls = true;
    s->was_plain = s->greeted;
    s->hello_tried = s->helo_only = s->refused = false;
    s->offered_count = 0;
    s->lines = (struct line_reader){.bytes_max = COMMAND_LINE_BYTES_MAX};
    if (str_eq_c(version, "TLSv1") || str_eq_c(version, "TLSv1.1") ||
        str_starts(version, STR("SSL")))
        judge_tell(&s->judge, FOUND_TLS_OLD, version);
    if (name.n == 0)
        judge_tell(&s->judge, FOUND_TLS_NO_NAME, STR_NONE);
    if (!s->greeted)
        greet(s);
    sink_check(s);
}

void sink_tls_failed(struct sink *s, struct str why)
{
    judge_tell(&s->judge, FOUND_TLS_FAILED, why);
}

/* ---- bytes ---- */

/* RFC 2920 3.1: these come last in a group. AUTH, for its answer decides what comes next. */
static bool is_waited_for(enum smtp_verb v)
{
    static const enum smtp_verb verbs[] = {VERB_EHLO, VERB_HELO, VERB_LHLO, VERB_DATA, VERB_VRFY,
                                           VERB_EXPN, VERB_TURN, VERB_QUIT, VERB_NOOP, VERB_AUTH};

    for (size_t i = 0; i < countof(verbs); i++)
        if (v == verbs[i])
            return true;
    return false;
}

void sink_did_not_wait(struct sink *s)
{
    struct str verb = str_c(smtp_verb_word(s->verb));

    if (!s->greeted)
        judge_tell(&s->judge, FOUND_EARLY, STR_NONE);
    else if (s->verb == VERB_STARTTLS)
        judge_tell(&s->judge, FOUND_BEHIND_STARTTLS, STR_NONE);
    else if (!sink_offers(s, "PIPELINING"))
        judge_tell(&s->judge, FOUND_PIPELINED, verb);
    else if (is_waited_for(s->verb))
        judge_tell(&s->judge, FOUND_PAST_SYNC, verb);
}

static void refuse_line(struct sink *s, enum finding what, enum reply_name row)
{
    struct answer a = answer_row(STEP_OTHER, row, STR_NONE);

    judge_tell(&s->judge, what, STR_NONE);
    s->verb = VERB_UNKNOWN;
    (void)sink_answer(s, &a);
}

static size_t line_feed(struct sink *s, struct str in)
{
    struct str line;
    size_t used;

    switch (line_read(&s->lines, in, &line, &used)) {
    case LINE_READY:
        if (s->phase == LOGIN)
            sink_login_line(s, line);
        else
            sink_command(s, line);
        break;
    case LINE_BARE_NEWLINE:
        s->events->on_line(s->arg, false, s->phase == LOGIN ? STR("****") : line);
        refuse_line(s, FOUND_COMMAND_NEWLINE, REPLY_BARE_NEWLINE);
        break;
    case LINE_TOO_LONG:
        s->events->on_line(s->arg, false, STR("..."));
        refuse_line(s, FOUND_COMMAND_LONG, REPLY_LINE_TOO_LONG);
        break;
    case LINE_MORE:
        break;
    }
    return used;
}

/* How much was used; 0: more must come first. */
static size_t step(struct sink *s, struct str in)
{
    s->answered = false;

    size_t used = s->skips                  ? chunk_skip_feed(s, in)
                  : s->phase != CONTENT     ? line_feed(s, in)
                  : s->transaction->chunked ? chunk_feed(s, in)
                                            : content_feed(s, in);

    if (used < in.n && s->answered)
        sink_did_not_wait(s);
    sink_check(s);
    return used;
}

size_t sink_feed(struct sink *s, struct str in, uint64_t now_us)
{
    size_t used = 0, n = 1;

    s->now_us = now_us;
    if (s->phase == CLOSED)
        return in.n; /* whatever it says now was said too late */
    if (s->waits && in.n > 0)
        sink_did_not_wait(s);
    while (used < in.n && n > 0 && !s->waits && s->phase != CLOSED && s->phase != SHAKING &&
           s->saying.plain.n < PLAIN_BYTES_ENOUGH) {
        n = step(s, str_skip(in, used));
        used += n;
    }
    return used;
}

/* ---- the end ---- */

/* RFC 5321 4.5.3.2: how long a client waits at least for the answer. */
static uint64_t patience_s(enum step s)
{
    return s == STEP_DOT ? 600 : s == STEP_DATA ? 120 : 300;
}

void sink_over(struct sink *s, enum sink_end why, uint64_t waited_us)
{
    bool by_sender = why == SINK_END_CLIENT || why == SINK_END_LOST;
    uint64_t waited_s = waited_us / US_PER_S;

    if (why == SINK_END_SILENT)
        judge_tell(&s->judge, FOUND_SILENT, STR_NONE);
    if (by_sender && waited_us > 0 && waited_s < patience_s(s->step))
        judge_printf(&s->judge, FOUND_IMPATIENT, "%s: %llu s of %llu", step_word(s->step),
                     (unsigned long long)waited_s, (unsigned long long)patience_s(s->step));
    if (by_sender && waited_us == 0 && s->phase & (CONTENT | CHUNKS))
        judge_tell(&s->judge, FOUND_HUNG_UP, STR_NONE);
    else if (by_sender && waited_us == 0 && !s->quit && s->phase & (ANY_COMMAND | LOGIN))
        judge_tell(&s->judge, FOUND_NO_QUIT, STR_NONE);
    transaction_end(s);
    login_free(&s->login);
    s->phase = CLOSED;
}
