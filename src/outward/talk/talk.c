/* outward/talk/talk.c - see talk.h. */
// SPDX-License-Identifier: ISC
#include "outward/talk/talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "outward/talk/mask.h"

enum {
    SILENCE_SHOWN_S = 5, /* from then on the prompt tells how long it is */
    SILENCE_BELL_S = 10, /* some servers hang up after 15 */
    CHUNK_BYTES = 64 * 1024,
};

uint64_t talk_now_us(const struct talk *t)
{
    return clock_monotonic_us(loop_clock(t->loop));
}

struct str talk_server(const struct talk *t)
{
    return t->wire ? wire_peer(t->wire) : t->target.host;
}

bool talk_waits(const struct talk *t)
{
    return t->state == TALK_CONNECTING || t->state == TALK_SECURING ||
           (t->state == TALK_OPEN && exchange_awaits(&t->exchange)) || t->login || t->content;
}

void talk_end(struct talk *t, int code)
{
    t->code = t->code ? t->code : code;
    t->over = true;
    if (t->editor)
        editor_stop(t->editor);
    loop_stop(t->loop);
}

static void refresh(struct talk *t)
{
    if (t->editor && !t->asking) {
        editor_secret(t->editor,
                      t->state == TALK_OPEN && exchange_in_login(&t->exchange) && !t->login);
        editor_redraw(t->editor);
    }
}

/* ---- silence ---- */

static uint64_t silence_us(const struct talk *t)
{
    return talk_now_us(t) - t->heard_us;
}

static void keep_alive(struct talk *t)
{
    if (t->keep_us > 0 && silence_us(t) >= t->keep_us && !talk_waits(t) && t->held_count == 0 &&
        t->exchange.mode == MODE_COMMANDS)
        talk_say(t, STR("NOOP"), false);
}

/* In time before the server hangs up, as far as that is known. */
static uint64_t bell_s(const struct talk *t)
{
    uint64_t limit_s = t->silence_us / US_PER_S;

    return limit_s > SILENCE_SHOWN_S ? MAX_OF(limit_s - SILENCE_SHOWN_S, (uint64_t)SILENCE_SHOWN_S)
                                     : SILENCE_BELL_S;
}

static void ring_bell(struct talk *t)
{
    unsigned s = (unsigned)bell_s(t);

    if (t->bell_rung || silence_us(t) < s * US_PER_S || t->keep_us > 0)
        return;
    t->bell_rung = true;
    if (t->silence_us > 0)
        show_words(&t->show, SHOW_LATER,
                   _("silent for %u s; this server hung up after %u s before. NOOP (or /keepalive) "
                     "lets it wait"),
                   s, (unsigned)(t->silence_us / US_PER_S));
    else
        show_words(&t->show, SHOW_LATER,
                   _("silent for %u s; some servers hang up after 15. NOOP (or /keepalive) lets "
                     "them wait"),
                   s);
}

/* When another whole second of silence is over, at a terminal: the prompt counts them. */
static void on_second(void *arg)
{
    struct talk *t = arg;

    timer_set(t->loop, &t->second, US_PER_S - silence_us(t) % US_PER_S, on_second, t);
    if (t->state != TALK_OPEN)
        return;
    keep_alive(t);
    if (talk_waits(t) || silence_us(t) < SILENCE_SHOWN_S * US_PER_S)
        return;
    if (t->editor) {
        ring_bell(t);
        editor_redraw(t->editor);
    }
}

static void something_happened(struct talk *t)
{
    t->heard_us = talk_now_us(t);
    t->bell_rung = false;
}

/* "smtp 7 s> ", "data> " */
const char *talk_prompt(void *arg)
{
    static const char *const names[] = {"smtp", "lmtp", "pop3"};
    static char text[128];
    struct talk *t = arg;
    unsigned s = (unsigned)(silence_us(t) / US_PER_S);
    char after[64] = "";

    if (t->asking)
        return _("password> ");
    if (t->state == TALK_CLOSED)
        return _("(closed)> ");
    if (t->state != TALK_OPEN)
        return "... ";
    if (exchange_in_login(&t->exchange) && !t->login)
        return _("login, not shown> ");
    if (t->exchange.mode == MODE_CONTENT)
        return s < SILENCE_SHOWN_S ? _("message, a dot ends it> ") : _("message (silent)> ");
    if (s >= SILENCE_SHOWN_S && t->silence_us > 0 && t->silence_us / US_PER_S > s)
        snprintf(after, sizeof(after), _(" silent %u s, %u left"), s,
                 (unsigned)(t->silence_us / US_PER_S) - s);
    else if (s >= SILENCE_SHOWN_S)
        snprintf(after, sizeof(after), _(" silent %u s"), s);
    snprintf(text, sizeof(text), "%s%s%s> ", names[t->exchange.protocol],
             t->exchange.secured ? "+tls" : "", after);
    return text;
}

/* ---- saying ---- */

bool talk_can_say(struct talk *t)
{
    if (t->state == TALK_OPEN)
        return true;
    show_words(&t->show, SHOW_BAD, "%s",
               t->state == TALK_CLOSED ? _("there is no connection; /reconnect makes one")
                                       : _("the connection does not stand yet"));
    return false;
}

void talk_say_bytes(struct talk *t, struct str bytes)
{
    if (bytes.n == 0)
        return;
    exchange_said(&t->exchange, bytes, talk_now_us(t));
    if (!wire_write(t->wire, bytes))
        show_words(&t->show, SHOW_BAD, _("the server takes nothing: what was said last is lost"));
    something_happened(t);
    t->silent_us = 0;
}

void talk_say(struct talk *t, struct str line, bool typed)
{
    struct buf shown = buf_init(2 * EDITOR_LINE_BYTES_MAX), bytes = buf_init(line.n + 2);
    bool masked = mask_line(line, t->state == TALK_OPEN && exchange_in_login(&t->exchange), &shown);

    if (masked && typed && t->editor && !exchange_in_login(&t->exchange)) {
        editor_rub_out(t->editor, line);
        typed = false;
    }
    show_said(&t->show, buf_str(&shown), typed);
    if (str_eq_nocase(str_trim(line), STR("QUIT")) && t->exchange.mode == MODE_COMMANDS)
        t->said_quit = true;
    (void)buf_room(&bytes, line.n + 2); /* never moved: nothing of a secret is left behind */
    (void)buf_add(&bytes, line);
    (void)buf_add(&bytes, STR("\r\n"));
    talk_say_bytes(t, buf_str(&bytes));
    buf_wipe(&bytes);
    buf_free(&shown);
}

/* ---- lines that wait ---- */

/* A password that was pasted behind other lines does not stay on the screen. */
static void hide_held(struct talk *t, struct str line)
{
    struct buf shown = buf_init(2 * EDITOR_LINE_BYTES_MAX);

    if (t->editor && !exchange_in_login(&t->exchange) && mask_line(line, false, &shown)) {
        editor_rub_out(t->editor, line);
        show_words(&t->show, SHOW_SENT, "%s", buf_c(&shown));
    }
    buf_free(&shown);
}

static void hold(struct talk *t, struct str line)
{
    hide_held(t, line);
    if (t->held_count == HELD_LINES_MAX || !buf_add(&t->held, line) ||
        !buf_add_char(&t->held, '\n')) {
        show_words(&t->show, SHOW_BAD, _("too much is waiting for the server; that line is lost"));
        return;
    }
    t->held_count++;
}

static void drop_held(struct talk *t)
{
    if (t->held_count > 0)
        show_words(&t->show, SHOW_LATER,
                   n_("%zu line that was to follow is not sent: it would make no sense now",
                      "%zu lines that were to follow are not sent: they would make no sense now",
                      t->held_count),
                   t->held_count);
    t->held_count = 0;
    buf_wipe(&t->held);
}

/* Commands of ours that talk want all answers first: a template is made of them. */
static bool must_wait(const struct talk *t, struct str line)
{
    struct str verb, arguments;

    if (t->state == TALK_OPEN && exchange_awaits(&t->exchange) &&
        local_cut(line, t->exchange.protocol == EXCHANGE_POP3, &verb, &arguments) &&
        local_waits(verb))
        return true;
    return t->state == TALK_CONNECTING || t->state == TALK_SECURING ||
           (t->state == TALK_OPEN && exchange_holds(&t->exchange)) || t->login || t->content ||
           t->asking;
}

/* Content is content, and what answers a challenge may be anything but `expect 334`. */
static bool is_ours(const struct talk *t, struct str line, struct str *verb, struct str *arguments)
{
    bool open = t->state == TALK_OPEN;

    if (open && (t->exchange.mode == MODE_CONTENT || t->exchange.mode == MODE_CHUNK))
        return false;
    return local_cut(line, t->exchange.protocol == EXCHANGE_POP3, verb, arguments) &&
           (!open || !exchange_in_login(&t->exchange) || str_ends(*verb, STR("expect")));
}

static void run_typed(struct talk *t, struct str line)
{
    struct str verb, arguments;

    if (is_ours(t, line, &verb, &arguments))
        local_run(t, verb, arguments);
    else if (talk_can_say(t))
        talk_say(t, line, !t->releasing);
}

/* Commands of ours may wait for the person and so run turns of the loop: never from within one. */
static bool leave_to_converse(struct talk *t, struct str line)
{
    struct str verb, arguments;

    if (!t->editor || t->conversing || !is_ours(t, line, &verb, &arguments))
        return false;
    editor_stop(t->editor);
    return true;
}

/* In this order: what waits already goes first. */
static void release_held(struct talk *t)
{
    while (t->held_count > 0) {
        struct str all = buf_str(&t->held);
        struct str line = str_sub(all, 0, str_find(all, '\n'));

        if (must_wait(t, line) || leave_to_converse(t, line))
            return;
        char *copy = mem_copy(line.p, line.n);
        size_t n = line.n;

        t->held_count--;
        buf_wipe_front(&t->held, n + 1);
        t->releasing = true;
        run_typed(t, str_n(copy, n));
        t->releasing = false;
        explicit_bzero(copy, n);
        free(copy);
    }
}

/* The history holds commands, no content and no secrets. */
static void remember(struct talk *t, struct str line)
{
    struct buf shown = buf_init(2 * EDITOR_LINE_BYTES_MAX);

    if (t->editor && t->exchange.mode == MODE_COMMANDS && !exchange_in_login(&t->exchange) &&
        !mask_line(line, false, &shown))
        editor_remember(t->editor, buf_c(&shown));
    buf_free(&shown);
}

void talk_release(struct talk *t)
{
    t->conversing = true;
    release_held(t);
    t->conversing = false;
    refresh(t);
}

void talk_typed(struct talk *t, struct str line)
{
    struct str verb, arguments;
    bool ours = is_ours(t, line, &verb, &arguments);

    remember(t, line);
    if (ours && !local_waits(verb))
        run_typed(t, line);
    else if (t->held_count > 0 || must_wait(t, line))
        hold(t, line);
    else
        run_typed(t, line);
    refresh(t);
}

/* ---- hearing ---- */

static uint16_t code_shown(const struct talk *t, enum answer_event event)
{
    if (event == ANSWER_NONSENSE)
        return 0;
    if (t->answer.pop3)
        return t->answer.kind == ANSWER_ERR ? 550 : 250;
    return t->answer.code;
}

static void keep_last(struct talk *t)
{
    struct str text = buf_str(&t->answer.text);
    static const char *const kinds[] = {"", "+OK", "-ERR", "+"};

    buf_reset(&t->last);
    do {
        struct str line = str_cut(&text, '\n');

        if (t->answer.kind == ANSWER_CODE)
            (void)buf_printf(&t->last, "%u%c", t->answer.code, text.n > 0 ? '-' : ' ');
        else if (t->last.n == 0)
            (void)buf_printf(&t->last, "%s ", kinds[t->answer.kind]);
        if (t->answer.name.n > 0 && t->last.n < 8)
            (void)buf_printf(&t->last, "[%.*s] ", (int)t->answer.name.n, t->answer.name.p);
        (void)buf_add(&t->last, line);
        (void)buf_add_char(&t->last, '\n');
    } while (text.n > 0);
}

/* --ehlo: who wants it said by itself has said so. */
static void say_hello(struct talk *t)
{
    static const char *const verbs[] = {"EHLO ", "LHLO ", "CAPA"};
    struct buf line = buf_init(KIB);

    if (t->line->ehlo) {
        (void)buf_add_c(&line, verbs[t->exchange.protocol]);
        (void)buf_add_c(&line, t->exchange.protocol == EXCHANGE_POP3 ? "" : t->line->ehlo);
        talk_say(t, buf_str(&line), false);
    }
    buf_free(&line);
}

static void heard_answer(struct talk *t)
{
    struct heard h = exchange_heard(&t->exchange, &t->answer, talk_now_us(t));

    keep_last(t);
    show_answer(&t->show, &t->answer, h.step, h.verb, h.us, h.unasked);
    if (h.gate_refused)
        drop_held(t);
    if (h.step == STEP_GREETING && answer_positive(&t->answer))
        say_hello(t);
    if (h.step == STEP_AUTH)
        (void)login_heard(t);
    if (h.step == STEP_DATA || h.step == STEP_CONTENT)
        content_heard(t, h.step);
    if (h.secures && t->state == TALK_OPEN)
        talk_secure(t);
}

static void on_bytes(void *arg, struct buf *in)
{
    struct talk *t = arg;

    while (t->state == TALK_OPEN) {
        struct str line;
        size_t used;

        if (!answer_goes_on(&t->answer))
            t->answer.lists = exchange_lists(&t->exchange);
        enum answer_event event = answer_read(&t->answer, buf_str(in), &line, &used);

        if (event == ANSWER_MORE)
            break;
        if (!exchange_awaits(&t->exchange))
            t->silent_us = silence_us(t);
        something_happened(t);
        show_heard(&t->show, line, code_shown(t, event));
        if (t->script)
            script_heard_line(t, line);
        buf_drop_front(in, used);
        if (event == ANSWER_REPLY)
            heard_answer(t);
    }
    release_held(t);
    refresh(t);
    if (t->script)
        script_advance(t);
}

static void on_drained(void *arg)
{
    struct talk *t = arg;

    content_drained(t);
    if (t->script)
        script_advance(t);
}

/* ---- the connection ---- */

static void show_connected(struct talk *t)
{
    struct buf time = buf_init(64);

    show_time(&time, talk_now_us(t) - t->began_us);
    show_words(&t->show, SHOW_DIM, _("connected to %.*s in %s"), (int)talk_server(t).n,
               talk_server(t).p, buf_c(&time));
    show_event(&t->show, json_pack("{s:s, s:o, s:I}", "event", "connected", "address",
                                   json_text(talk_server(t)), "us",
                                   (json_int_t)(talk_now_us(t) - t->began_us)));
    buf_free(&time);
}

static void stands(struct talk *t)
{
    t->state = TALK_OPEN;
    something_happened(t);
    release_held(t);
    refresh(t);
    if (t->script)
        script_advance(t);
}

static void on_connected(void *arg)
{
    struct talk *t = arg;

    show_connected(t);
    answer_reset(&t->answer);
    exchange_connected(&t->exchange, talk_now_us(t));
    if (t->target.tls == TARGET_TLS_IMPLICIT) {
        t->state = TALK_OPEN;
        talk_secure(t);
    } else {
        stands(t);
    }
}

/* What it proves, or why it proves nothing. */
static void show_peer(struct talk *t, uint64_t us)
{
    struct buf time = buf_init(64), trouble = buf_init(1024), until = buf_init(64);
    struct tls_peer p;

    tls_peer(wire_tls(t->wire), &p);
    bool bad = tls_peer_trouble(&p, t->target.host, &trouble);

    show_time(&time, us);
    day_print(&until, p.not_after_us / US_PER_S / 86400);
    show_words(&t->show, SHOW_GOOD, _("%s: encrypted with %s, %s"), buf_c(&time), p.version,
               p.cipher);
    if (p.has_certificate)
        show_words(&t->show, SHOW_DIM, _("certificate %s of %s, until %s"), p.subject, p.issuer,
                   buf_c(&until));
    if (bad)
        show_words(&t->show, SHOW_BAD,
                   _("it does not prove that this is %.*s: %s. Say no password here"),
                   STR_ARG(t->target.host), buf_c(&trouble));
    else
        show_words(&t->show, SHOW_GOOD, _("it proves that this is %.*s"), STR_ARG(t->target.host));
    show_event(&t->show,
               json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:o, s:I}", "event", "secured",
                         "version", p.version, "cipher", p.cipher, "subject", p.subject, "issuer",
                         p.issuer, "until", json_text(buf_str(&until)), "verified", !bad, "trouble",
                         json_text(buf_str(&trouble)), "us", (json_int_t)us));
    buf_free(&time);
    buf_free(&trouble);
    buf_free(&until);
}

static void on_secured(void *arg)
{
    struct talk *t = arg;
    bool greeting =
        t->target.tls == TARGET_TLS_IMPLICIT && !t->exchange.secured && t->exchange.count > 0;

    show_peer(t, talk_now_us(t) - t->began_us);
    answer_reset(&t->answer);
    exchange_secured(&t->exchange, greeting, talk_now_us(t));
    if (!greeting && !t->line->ehlo && t->exchange.protocol != EXCHANGE_POP3)
        show_words(&t->show, SHOW_DIM, _("what was said before counts no more: say %s again"),
                   t->exchange.protocol == EXCHANGE_LMTP ? "LHLO" : "EHLO");
    if (!greeting) {
        t->state = TALK_OPEN;
        say_hello(t);
    }
    stands(t);
}

void talk_secure(struct talk *t)
{
    t->state = TALK_SECURING;
    t->began_us = talk_now_us(t);
    wire_secure(t->wire, t->tls_context, t->target.host);
}

void talk_close(struct talk *t, bool hang_up_said)
{
    if (hang_up_said && t->wire)
        show_event(&t->show, json_pack("{s:s, s:b}", "event", "closed", "by_server", 0));
    login_drop(t);
    content_drop(t);
    wire_free(&t->wire);
    t->state = TALK_CLOSED;
    t->exchange.mode = MODE_COMMANDS;
    answer_reset(&t->answer);
}

static void explain_end(struct talk *t, int error, const char *words)
{
    uint16_t port = t->target.port;
    struct explanation e = explain_connection(error, port);

    show_words(&t->show, SHOW_BAD, "%.*s: %s", STR_ARG(talk_server(t)),
               words ? words : strerror(-error));
    show_words(&t->show, SHOW_PLAIN, "%s", _(e.meaning));
    show_explanation(&t->show, &e, true);
    show_event(&t->show, json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "event", "failed", "error",
                                   words ? words : strerror(-error), "meaning", e.meaning, "causes",
                                   e.causes, "remedy", e.remedy));
}

/* The server ended it, with or without a word. */
static void hung_up(struct talk *t)
{
    uint64_t silence = MAX_OF(silence_us(t), t->silent_us); /* it may have said goodbye */

    show_event(&t->show, json_pack("{s:s, s:b}", "event", "closed", "by_server", 1));
    if (t->said_quit) {
        show_words(&t->show, SHOW_DIM, _("the server has closed the connection"));
        return;
    }
    if (!exchange_awaits(&t->exchange) && silence > 2 * US_PER_S)
        t->silence_us = silence;
    show_words(&t->show, SHOW_BAD, _("the server has hung up, after %u s of silence"),
               (unsigned)(silence / US_PER_S));
    if (t->editor)
        show_words(&t->show, SHOW_PLAIN, _("/reconnect connects again"));
}

static void on_end(void *arg, int error, const char *words)
{
    struct talk *t = arg;
    bool connecting = t->state == TALK_CONNECTING, securing = t->state == TALK_SECURING;

    if (connecting || securing || error)
        explain_end(t, error ? error : -ECONNRESET, words);
    else
        hung_up(t);
    drop_held(t);
    talk_close(t, false);
    if (t->said_quit && !error && !t->script)
        talk_end(t, EX_OK);
    else if (connecting || securing)
        t->code = t->script ? EX_UNAVAILABLE : t->code;
    refresh(t);
    if (t->script)
        script_advance(t);
}

static void on_failed(void *arg, struct str address, int error)
{
    struct talk *t = arg;

    show_words(&t->show, SHOW_DIM, _("%.*s: %s; the next address is tried"), STR_ARG(address),
               strerror(-error));
}

static const struct wire_events wire_events = {on_connected, on_secured, on_bytes,
                                               on_drained,   on_end,     on_failed};

void talk_connect(struct talk *t)
{
    t->began_us = t->heard_us = talk_now_us(t);
    t->said_quit = false;
    t->silent_us = 0;
    if (!t->second.fn)
        timer_set(t->loop, &t->second, US_PER_S, on_second, t);
    show_words(&t->show, SHOW_DIM, _("connecting to %.*s, port %u"), STR_ARG(t->target.host),
               t->target.port);
    int error = wire_new(t->loop, t->target.host, t->target.port, t->has_from ? &t->from : NULL,
                         &wire_events, t, &t->wire);

    t->state = error ? TALK_CLOSED : TALK_CONNECTING;
    if (error) {
        explain_end(t, error, error == -ENOENT ? _("there is no such host") : NULL);
        t->code = t->script ? EX_NOHOST : t->code;
    }
    refresh(t);
}
