/* outward/talk/play.c - who talks when it is no person: a script on standard input, or a transcript that
 * is played again.
 *
 * script_advance goes through the lines as far as it can and stops where something must come first;
 * whatever happens calls it again. Lines of a dialogue are said as they stand there, so several C:
 * in a row are sent at once; plain lines wait for the answer to the one before. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "outward/talk/mask.h"
#include "outward/talk/script.h"
#include "outward/talk/talk.h"

enum { SCRIPT_BYTES_MAX = 64 * 1024 * 1024, HEARD_BYTES_MAX = 4 * 1024 * 1024 };

struct script {
    int fd; /* -1: all of it was read */
    bool reading, form_known, dialogue, replay, waited, ended;
    struct watch watch;
    struct buf text;
    size_t at, line_number;
    struct buf heard;   /* lines that no S: was compared with, a '\n' behind each */
    char mark;          /* of the last line that matched: '-' while its reply goes on */
    struct timer timer; /* of wait:, and of what does not come */
    bool timing, timed_out;
    bool masked; /* a login whose secrets were left out is played by login.c */
    size_t differs_words, differs_codes, same;
};

bool script_is_replay(const struct talk *t)
{
    return t->script && t->script->replay;
}

/* ---- reading ---- */

static void stop_reading(struct script *s)
{
    if (s->reading)
        watch_stop(&s->watch);
    s->reading = false;
    if (s->fd > STDIN_FILENO)
        (void)close(s->fd);
    s->fd = -1;
}

/* False: there is nothing more for now. */
static bool read_some(struct talk *t)
{
    struct script *s = t->script;
    char *room = buf_room(&s->text, 64 * KIB);

    if (!room) {
        talk_end(t,
                 fail(t->line, EX_DATAERR, _("the script is over %d MiB"), SCRIPT_BYTES_MAX >> 20));
        return false;
    }
    ssize_t n = read(s->fd, room, 64 * KIB);

    if (n > 0)
        buf_added(&s->text, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        stop_reading(s);
    return n > 0;
}

static void on_readable(void *arg, unsigned what)
{
    struct talk *t = arg;

    (void)read_some(t);
    script_advance(t);
}

/* Files are always readable, and epoll knows none of them: they are read at once. */
static void begin_reading(struct talk *t)
{
    struct script *s = t->script;
    struct stat st;

    if (fstat(s->fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(s->fd))) {
        while (s->fd >= 0 && read_some(t))
            ;
        return;
    }
    s->reading = true;
    watch_start(t->loop, &s->watch, s->fd, WATCH_READ, on_readable, t);
}

int script_open(struct talk *t, const char *replay_path)
{
    struct script *s = mem_new(sizeof(*s));

    s->text = buf_init(SCRIPT_BYTES_MAX);
    s->heard = buf_init(HEARD_BYTES_MAX);
    s->replay = replay_path != NULL;
    s->fd = replay_path ? open(replay_path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    t->script = s;
    if (s->fd < 0)
        return fail(t->line, EX_NOINPUT, "%s: %s", replay_path, strerror(errno));
    if (s->replay)
        s->form_known = s->dialogue = true;
    begin_reading(t);
    return EX_OK;
}

void script_free(struct script **s)
{
    struct script *old = *s;

    if (!old)
        return;
    *s = NULL;
    stop_reading(old);
    timer_stop(&old->timer);
    buf_wipe(&old->text);
    buf_free(&old->heard);
    free(old);
}

/* The next line, not taken yet. False: there is none yet, or none any more. */
static bool peek_line(const struct script *s, struct str *ret)
{
    struct str rest = str_skip(buf_str(&s->text), s->at);
    size_t end = str_find(rest, '\n');

    if (rest.n == 0 || (end == rest.n && s->fd >= 0))
        return false;
    *ret = str_sub(rest, 0, end);
    return true;
}

static void take_line(struct script *s, struct str line)
{
    s->at = MIN_OF(s->at + line.n + 1, s->text.n);
    s->line_number++;
}

/* ---- waiting ---- */

static void on_time(void *arg)
{
    struct talk *t = arg;

    t->script->timing = false;
    t->script->timed_out = true;
    script_advance(t);
}

/* True: it is over. Else it is counted from the first call on. */
static bool time_is_over(struct talk *t, uint64_t us)
{
    struct script *s = t->script;

    if (s->timed_out) {
        s->timed_out = false;
        return true;
    }
    if (!s->timing)
        timer_set(t->loop, &s->timer, us, on_time, t);
    s->timing = true;
    return false;
}

static void time_stop(struct script *s)
{
    timer_stop(&s->timer);
    s->timing = s->timed_out = false;
}

static void failed(struct talk *t, const char *what, struct str wanted, struct str got)
{
    struct script *s = t->script;

    show_words(&t->show, SHOW_BAD, _("line %zu: %s"), s->line_number, what);
    show_words(&t->show, SHOW_BAD, _("  wanted: %.*s"), STR_ARG(wanted));
    if (got.p)
        show_words(&t->show, SHOW_BAD, _("  got:    %.*s"), STR_ARG(got));
    talk_end(t, fail(t->line, EX_PROTOCOL, _("line %zu: %s; wanted %.*s"), s->line_number, what,
                     STR_ARG(wanted)));
    s->ended = true;
}

/* ---- what was heard ---- */

void script_heard_line(struct talk *t, struct str line)
{
    struct script *s = t->script;

    if ((s->dialogue || !s->form_known) && !s->masked &&
        s->heard.n + line.n + 1 <= HEARD_BYTES_MAX) {
        (void)buf_add(&s->heard, line);
        (void)buf_add_char(&s->heard, '\n');
    }
}

static bool next_heard(const struct script *s, struct str *ret)
{
    struct str all = buf_str(&s->heard);

    *ret = str_sub(all, 0, str_find(all, '\n'));
    return all.n > 0;
}

static void drop_heard(struct script *s, struct str line)
{
    s->mark = line.n > 3 ? line.p[3] : ' ';
    buf_drop_front(&s->heard, line.n + 1);
}

/* What is left of a reply needs not be written. False: it is still coming. */
static bool hear_out(struct talk *t)
{
    struct script *s = t->script;
    struct str line;

    while (s->mark == '-') {
        if (!next_heard(s, &line))
            return t->state == TALK_CLOSED;
        drop_heard(s, line);
    }
    return true;
}

bool script_expect(struct talk *t, struct str pattern)
{
    struct str rest = buf_str(&t->last);
    struct buf open_pattern = buf_init(pattern.n + 1);
    bool found = false;

    (void)buf_add(&open_pattern, pattern);
    (void)buf_add_char(&open_pattern, '*');
    while (rest.n > 0 && !found) {
        struct str line = str_cut(&rest, '\n');

        found = script_matches(buf_str(&open_pattern), line);
    }
    buf_free(&open_pattern);
    if (found) {
        show_words(&t->show, SHOW_DIM, _("as expected"));
    } else if (t->script) {
        struct str all = buf_str(&t->last);

        failed(t, _("another answer was expected"), pattern, str_cut(&all, '\n'));
    } else {
        show_words(&t->show, SHOW_BAD, _("not as expected: %.*s"), STR_ARG(pattern));
    }
    return found;
}

/* ---- one line: true when it is done ---- */

static bool is_secret_lead(const struct talk *t)
{
    return t->script->replay && t->exchange.mode == MODE_COMMANDS;
}

/* A login of a transcript has *** where its secrets were: it is done anew, with a password that is
 * given now. */
static bool replay_login(struct talk *t, struct str line)
{
    struct str rest = line, verb = str_cut_word(&rest), mechanism = str_cut_word(&rest);

    if (str_eq_nocase(verb, STR("PASS")) || str_eq_nocase(verb, STR("APOP")))
        mechanism = STR("USER");
    else if (!str_eq_nocase(verb, STR("AUTH")))
        return false;
    t->script->masked = true;
    login_begin(t, mechanism, STR_NONE);
    if (!t->login) {
        talk_end(t, fail(t->line, EX_USAGE,
                         _("line %zu: the transcript does not tell the password; give the user in "
                           "the target and --password-file or the like"),
                         t->script->line_number));
        t->script->ended = true;
    }
    return true;
}

static bool say(struct talk *t, struct str text, bool raw)
{
    struct buf bytes = buf_init(SCRIPT_SAID_BYTES_MAX);
    const char *why = NULL;

    if (t->state == TALK_CLOSED) {
        failed(t, _("the connection is closed"), text, STR_NONE);
    } else if (!raw) {
        talk_say(t, text, false);
    } else if (script_unescape(text, &bytes, &why)) {
        show_said(&t->show, text, false);
        talk_say_bytes(t, buf_str(&bytes));
    } else {
        failed(t, _(why), text, STR_NONE);
    }
    buf_wipe(&bytes);
    return true;
}

static bool step_say(struct talk *t, struct str text, bool raw)
{
    struct script *s = t->script;

    if (t->state == TALK_CONNECTING || t->state == TALK_SECURING || t->login || !hear_out(t))
        return false;
    if (s->masked && mask_found(text))
        return true; /* of the login that was done anew */
    s->masked = false;
    s->mark = 0;
    if (is_secret_lead(t) &&
        (mask_found(text) || str_eq_nocase(str_sub(text, 0, 5), STR("AUTH "))) &&
        replay_login(t, text))
        return true;
    return say(t, text, raw);
}

/* The next line of the server against a pattern, as tests/dialog has it. */
static bool step_hear(struct talk *t, struct str text, bool raw)
{
    struct script *s = t->script;
    struct buf pattern = buf_init(SCRIPT_SAID_BYTES_MAX);
    const char *why = NULL;
    struct str line = STR_NONE;
    bool done = false;

    if (!raw)
        (void)buf_add(&pattern, text);
    else if (!script_unescape(text, &pattern, &why))
        failed(t, _(why), text, STR_NONE);
    while (!s->ended && next_heard(s, &line)) {
        bool matches = script_matches(buf_str(&pattern), line);
        bool goes_on = s->mark == '-';

        if (!matches && !goes_on) {
            failed(t, _("another answer was expected"), text, line);
            break;
        }
        drop_heard(s, line);
        if (matches) {
            done = true;
            break;
        }
    }
    buf_free(&pattern);
    if (done || s->ended)
        return true;
    if (t->state == TALK_CLOSED)
        failed(t, _("the server hung up"), text, STR_NONE);
    else if (time_is_over(t, t->timeout_us))
        failed(t, _("no answer in time"), text, STR_NONE);
    return s->ended;
}

/* ---- replay: all S: lines in a row against all that was heard ---- */

static bool line_in(struct str line, struct str lines)
{
    while (lines.n > 0)
        if (str_eq(str_cut(&lines, '\n'), line))
            return true;
    return false;
}

static bool code_in(struct str line, struct str lines)
{
    while (lines.n > 0)
        if (str_eq(str_sub(str_cut(&lines, '\n'), 0, 3), str_sub(line, 0, 3)))
            return true;
    return false;
}

static void show_missing(struct talk *t, struct str from, struct str in, char sign)
{
    while (from.n > 0) {
        struct str line = str_cut(&from, '\n');

        if (line_in(line, in))
            continue;
        bool code_differs = !code_in(line, in);

        t->script->differs_codes += code_differs;
        t->script->differs_words += !code_differs;
        show_words(&t->show, code_differs ? SHOW_BAD : SHOW_LATER, "%c %.*s", sign, STR_ARG(line));
    }
}

static void compare(struct talk *t, struct str recorded)
{
    struct script *s = t->script;
    struct str got = buf_str(&s->heard);
    size_t before = s->differs_codes + s->differs_words;

    show_missing(t, recorded, got, '-');
    show_missing(t, got, recorded, '+');
    s->same += before == s->differs_codes + s->differs_words;
    buf_reset(&s->heard);
}

/* How much of the script from the present line on is S: lines; their texts into `to`. */
static size_t recorded_lines(const struct script *s, struct buf *to)
{
    size_t lines = 0;
    struct str rest = str_skip(buf_str(&s->text), s->at);

    while (rest.n > 0) {
        struct script_line l = script_parse(str_cut(&rest, '\n'), true);

        if (l.kind != SCRIPT_HEAR && l.kind != SCRIPT_HEAR_RAW && l.kind != SCRIPT_NOTHING)
            break;
        lines++;
        if (l.kind == SCRIPT_NOTHING)
            continue;
        const char *why;

        if (l.kind == SCRIPT_HEAR)
            (void)buf_add(to, l.text);
        else
            (void)script_unescape(l.text, to, &why);
        (void)buf_add_char(to, '\n');
    }
    return lines;
}

static bool step_compare(struct talk *t)
{
    struct script *s = t->script;
    struct buf recorded = buf_init(SCRIPT_BYTES_MAX);
    struct str line;
    bool complete = t->state == TALK_CLOSED ||
                    (t->state == TALK_OPEN && s->heard.n > 0 && !talk_waits(t) &&
                     !answer_goes_on(&t->answer)) ||
                    (t->state == TALK_SECURING && s->heard.n > 0) || s->masked;

    if (t->login || (!complete && !time_is_over(t, t->timeout_us)))
        return false;
    size_t lines = recorded_lines(s, &recorded);

    if (s->masked)
        buf_reset(&s->heard);
    else
        compare(t, buf_str(&recorded));
    for (size_t i = 1; i < lines && peek_line(s, &line); i++) /* the last is taken by the caller */
        take_line(s, line);
    buf_free(&recorded);
    return true;
}

/* ---- the rest ---- */

static bool step_closed(struct talk *t)
{
    if (t->state == TALK_CLOSED)
        return true;
    if (time_is_over(t, t->timeout_us))
        failed(t, _("the server did not hang up"), STR("closed:"), STR_NONE);
    return t->script->ended;
}

static bool step_wait(struct talk *t, struct str text)
{
    uint64_t s;

    if (!str_u64(str_trim(text), &s)) {
        failed(t, _("that is no number of seconds"), text, STR_NONE);
        return true;
    }
    return time_is_over(t, s * US_PER_S);
}

/* Comments of plain scripts are comments only between messages. */
static bool is_comment(const struct talk *t, struct str line)
{
    return t->exchange.mode == MODE_COMMANDS && (line.n == 0 || line.p[0] == '#');
}

static bool step_typed(struct talk *t, struct str line)
{
    if (t->state == TALK_CONNECTING || t->state == TALK_SECURING)
        return false;
    if (t->state == TALK_OPEN && t->exchange.mode != MODE_CHUNK && talk_waits(t)) {
        if (!time_is_over(t, t->timeout_us))
            return false;
        failed(t, _("no answer in time"), line, STR_NONE);
        return true;
    }
    if (is_comment(t, line))
        return true;
    struct str verb, arguments;

    if (t->state == TALK_CLOSED &&
        !local_cut(line, t->exchange.protocol == EXCHANGE_POP3, &verb, &arguments))
        failed(t, _("the connection is closed"), line, STR_NONE);
    else
        talk_typed(t, line);
    return true;
}

static bool step(struct talk *t, struct script_line l)
{
    switch (l.kind) {
    case SCRIPT_NOTHING:
        return true;
    case SCRIPT_SKIPPED:
        show_words(&t->show, SHOW_DIM, _("line %zu is for Troika's own tests, and is left out"),
                   t->script->line_number);
        return true;
    case SCRIPT_TYPED:
        return step_typed(t, l.text);
    case SCRIPT_SAY:
    case SCRIPT_SAY_RAW:
        return step_say(t, l.text, l.kind == SCRIPT_SAY_RAW);
    case SCRIPT_HEAR:
    case SCRIPT_HEAR_RAW:
        return t->script->replay ? step_compare(t)
                                 : step_hear(t, l.text, l.kind == SCRIPT_HEAR_RAW);
    case SCRIPT_CLOSED:
        return step_closed(t);
    case SCRIPT_WAIT:
        return step_wait(t, l.text);
    case SCRIPT_BAD:
        failed(t, _("a line of a dialogue begins with S: or C: (or #, closed:, wait:)"), l.text,
               STR_NONE);
        return true;
    }
    return true;
}

/* After the last line: what is awaited may still come. */
static void finish(struct talk *t)
{
    struct script *s = t->script;

    if (s->fd >= 0 || (talk_waits(t) && t->state != TALK_CLOSED && !time_is_over(t, t->timeout_us)))
        return;
    s->ended = true;
    if (s->replay)
        show_words(&t->show, SHOW_PLAIN,
                   _("replayed: %zu answers the same, %zu lines with other words, %zu with another "
                     "code"),
                   s->same, s->differs_words, s->differs_codes);
    talk_end(t, s->differs_codes > 0 ? EX_PROTOCOL : EX_OK);
}

static void learn_form(struct script *s, struct str line)
{
    if (s->form_known || str_trim(line).n == 0 || line.p[0] == '#')
        return;
    s->form_known = true;
    s->dialogue = script_is_dialogue(line);
}

void script_advance(struct talk *t)
{
    struct script *s = t->script;
    struct str line;

    if (s->waited) /* we are on the stack already */
        return;
    s->waited = true;
    while (!t->over && !s->ended && peek_line(s, &line)) {
        learn_form(s, line);
        size_t number = s->line_number++;
        struct script_line l = script_parse(line, s->dialogue || !s->form_known);
        char *copy = mem_copy(l.text.p, l.text.n); /* what is read meanwhile may move it */
        size_t n = l.text.n;

        l.text = str_n(copy, n);
        bool done = step(t, l);

        explicit_bzero(copy, n);
        free(copy);
        if (!done) {
            s->line_number = number;
            break;
        }
        time_stop(s);
        if (peek_line(s, &line)) /* the same, or the last of those that were compared */
            s->at = MIN_OF(s->at + line.n + 1, s->text.n);
    }
    s->waited = false;
    if (!t->over && !s->ended && !peek_line(s, &line))
        finish(t);
}
