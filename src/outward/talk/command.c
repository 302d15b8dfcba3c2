/* outward/talk/command.c - troika talk: its options, and who talks. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "outward/outward.h"
#include "outward/talk/talk.h"

enum { PATH_BYTES_MAX = 4096, HOSTNAME_BYTES_MAX = 256, TIMEOUT_S_MAX = 86400 };

/* ---- where to ---- */

static int find_target(struct talk *t)
{
    const char *text = t->line->argument_count > 0 ? t->line->arguments[0] : "localhost:25";
    struct buf error = buf_init(4 * KIB);
    int code = load_providers(t->line, &t->arena, &t->providers);

    if (t->line->argument_count > 1)
        code = fail(t->line, EX_USAGE, _("one TARGET only; see --help"));
    if (code == EX_OK && !target_parse(&t->arena, str_c(text), &t->providers, &t->target, &error))
        code = fail(t->line, EX_USAGE, "%s", buf_c(&error));
    else if (code == EX_OK && t->target.protocol == TARGET_IMAP)
        code = fail(t->line, EX_USAGE, _("%s: talk speaks SMTP, LMTP and POP3, not IMAP"), text);
    buf_free(&error);
    return code;
}

static int find_from(struct talk *t)
{
    struct sock_address found[2];
    struct buf text = buf_init(128);
    const char *bind = t->line->bind;

    if (!bind)
        return EX_OK;
    (void)buf_printf(&text, strchr(bind, ':') && bind[0] != '[' ? "[%s]:0" : "%s:0", bind);
    size_t n = sock_address_parse(buf_str(&text), found);

    buf_free(&text);
    if (n != 1)
        return fail(
            t->line, EX_USAGE,
            _("--bind %s: give one address of this machine, such as 192.0.2.1 or 2001:db8::1"),
            bind);
    t->from = found[0];
    t->has_from = true;
    return EX_OK;
}

static int find_timeout(struct talk *t)
{
    uint64_t s = TIMEOUT_S_DEFAULT;

    if (t->line->timeout && (!str_u64(str_c(t->line->timeout), &s) || s == 0 || s > TIMEOUT_S_MAX))
        return fail(t->line, EX_USAGE, _("--timeout %s: a number of seconds, 1 to %d"),
                    t->line->timeout, TIMEOUT_S_MAX);
    t->timeout_us = s * US_PER_S;
    return EX_OK;
}

static int find_roots(struct talk *t)
{
    t->tls_context = tls_client_context_before_jail();
    if (!t->tls_context)
        return fail(t->line, EX_OSERR, _("TLS cannot work here"));
    if (!t->line->roots) {
        (void)tls_trust_system_before_jail(t->tls_context); /* without any it is told of each */
        return EX_OK;
    }
    int count = tls_trust_before_jail(t->tls_context, t->line->roots);

    return count > 0 ? EX_OK
                     : fail(t->line, EX_NOINPUT, "--roots %s: %s", t->line->roots,
                            count == -EBADMSG || count == 0 ? _("no certificates in PEM")
                                                            : strerror(-count));
}

static int open_transcript(struct talk *t)
{
    const char *path = t->line->transcript;

    if (!path)
        return EX_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    t->show.transcript = fd < 0 ? NULL : fdopen(fd, "a");
    return t->show.transcript ? EX_OK
                              : fail(t->line, EX_CANTCREAT, "%s: %s", path, strerror(errno));
}

/* ---- the person ---- */

/* Folders that are missing are made, as the XDG base directories want it: for the user alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
}

static const char *history_path(char path[PATH_BYTES_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;

    if (state && state[0] == '/')
        n = snprintf(path, PATH_BYTES_MAX, "%s/troika/talk-history", state);
    else if (home && home[0] == '/')
        n = snprintf(path, PATH_BYTES_MAX, "%s/.local/state/troika/talk-history", home);
    if (n < 0 || n >= PATH_BYTES_MAX)
        return NULL;
    make_folders(path);
    return path;
}

static void complete_line(void *arg, struct arena *a, struct str line, struct completion *ret)
{
    struct talk *t = arg;

    complete(a, line, &t->exchange, ret);
}

static const struct editor_events editor_events = {talk_prompt, complete_line};

static int open_editor(struct talk *t)
{
    char path[PATH_BYTES_MAX];

    /* Letters of the terminal: without a locale they are most probably UTF-8. */
    if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    int error = editor_new(t->loop, history_path(path), &editor_events, t, &t->editor);

    if (error < 0)
        return fail(t->line, EX_OSERR, _("the terminal: %s"), strerror(-error));
    t->show.editor = t->editor;
    return EX_OK;
}

/* Ctrl-C forgets a line; twice with nothing typed it leaves. */
static void converse(struct talk *t)
{
    struct buf line = buf_init(EDITOR_LINE_BYTES_MAX);
    int broken = 0;

    (void)buf_room(&line, EDITOR_LINE_BYTES_MAX); /* never moved: it may be a password */
    show_words(&t->show, SHOW_DIM, _("/help lists what is understood here; Ctrl-D leaves"));
    while (!t->over) {
        bool secret = t->state == TALK_OPEN && exchange_in_login(&t->exchange) && !t->login;
        enum editor_event event = editor_line(t->editor, secret, &line);

        broken = event == EDITOR_BROKEN ? broken + 1 : 0;
        if (event == EDITOR_LINE)
            talk_typed(t, buf_str(&line));
        else if (event == EDITOR_BROKEN && broken == 1)
            show_words(&t->show, SHOW_DIM, _("Ctrl-C again, or Ctrl-D, leaves"));
        else if (event != EDITOR_STOP)
            talk_end(t, EX_OK);
        explicit_bzero(line.p, line.room);
        talk_release(t);
        if (editor_has_keys(t->editor) && t->wire && wire_stands(t->wire) &&
            wire_unsent(t->wire) < HANDLED_BYTES_MAX)
            continue; /* pasted: goes out together */
        loop_turn(t->loop, false);
    }
    buf_wipe(&line);
}

/* ---- all of it ---- */

static const char *own_name(struct talk *t, char name[HOSTNAME_BYTES_MAX])
{
    if (t->line->ehlo)
        return t->line->ehlo;
    if (gethostname(name, HOSTNAME_BYTES_MAX - 1) < 0)
        return "localhost";
    return name;
}

static int talk_by(struct talk *t)
{
    bool person = !t->line->replay && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int code = person ? open_editor(t) : script_open(t, t->line->replay);

    if (code != EX_OK)
        return code;
    talk_connect(t);
    if (person) {
        converse(t);
    } else {
        script_advance(t);
        while (!t->over)
            loop_turn(t->loop, true);
    }
    return t->code;
}

static int prepare(struct talk *t)
{
    int (*const steps[])(struct talk *) = {find_target, find_from, find_timeout, find_roots,
                                           open_transcript};
    int code = EX_OK;

    for (size_t i = 0; i < countof(steps) && code == EX_OK; i++)
        code = steps[i](t);
    if (code == EX_OK && loop_new(&clock_system, &t->loop) < 0)
        code = fail(t->line, EX_OSERR, _("no event loop: %s"), strerror(errno));
    return code;
}

static void clear(struct talk *t)
{
    if (t->loop) {
        talk_close(t, false);
        timer_stop(&t->second);
        editor_free(&t->editor);
        t->show.editor = NULL;
        script_free(&t->script);
        loop_free(&t->loop);
    }
    exchange_free(&t->exchange);
    answer_free(&t->answer);
    show_done(&t->show);
    tls_context_free(&t->tls_context);
    buf_wipe(&t->held);
    buf_free(&t->last);
    arena_free(&t->arena);
}

int run_talk(const struct command_line *l)
{
    static const enum exchange_protocol protocols[] = {[TARGET_SMTP] = EXCHANGE_SMTP,
                                                       [TARGET_LMTP] = EXCHANGE_LMTP,
                                                       [TARGET_POP] = EXCHANGE_POP3,
                                                       [TARGET_IMAP] = EXCHANGE_SMTP};
    struct talk *t = mem_new(sizeof(*t));
    char name[HOSTNAME_BYTES_MAX] = "";

    t->line = l;
    t->held = buf_init(MIB);
    t->last = buf_init(2 * ANSWER_TEXT_BYTES_MAX);
    t->hostname = own_name(t, name);
    show_init(&t->show, l->json);
    int code = prepare(t);

    exchange_init(&t->exchange, protocols[t->target.protocol]);
    answer_init(&t->answer, t->target.protocol == TARGET_POP);
    if (code == EX_OK)
        code = talk_by(t);
    clear(t);
    free(t);
    return code;
}
