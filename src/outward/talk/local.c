// SPDX-License-Identifier: ISC
#include "outward/talk/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "outward/talk/script.h"
#include "outward/talk/talk.h"

enum { BDAT_BYTES_DEFAULT = 64 * 1024, BDAT_BYTES_MAX = 16 * 1024 * 1024, KEEP_S_DEFAULT = 10 };

/* ---- what they do ---- */

static void do_help(struct talk *t, struct str arguments);

static bool is_mechanism(const struct talk *t, struct str word)
{
    static const char *const known[] = {"PLAIN",       "LOGIN",   "CRAM-MD5", "DIGEST-MD5",
                                        "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "ANONYMOUS",
                                        "USER",        "GSSAPI",  "NTLM"};
    struct str offered = STR_NONE;

    (void)exchange_offers(&t->exchange, t->exchange.protocol == EXCHANGE_POP3 ? "SASL" : "AUTH",
                          &offered);
    while (offered.n > 0)
        if (str_eq_nocase(word, str_cut_word(&offered)))
            return true;
    for (size_t i = 0; i < countof(known); i++)
        if (str_eq_nocase(word, str_c(known[i])))
            return true;
    return str_starts_nocase(word, STR("SCRAM-"));
}

static void do_auth(struct talk *t, struct str arguments)
{
    struct str first = str_cut_word(&arguments), second = str_cut_word(&arguments);
    bool is_user = second.n == 0 && !is_mechanism(t, first);

    if (talk_can_say(t))
        login_begin(t, is_user ? STR_NONE : first, is_user ? first : second);
}

static void do_starttls(struct talk *t, struct str arguments)
{
    if (!talk_can_say(t))
        return;
    if (t->exchange.secured)
        show_words(&t->show, SHOW_LATER, _("the connection is encrypted already"));
    else
        talk_say(t, t->exchange.protocol == EXCHANGE_POP3 ? STR("STLS") : STR("STARTTLS"), false);
}

static void do_tls(struct talk *t, struct str arguments)
{
    if (!talk_can_say(t))
        return;
    if (t->exchange.secured)
        show_words(&t->show, SHOW_LATER, _("the connection is encrypted already"));
    else
        talk_secure(t);
}

static void do_data(struct talk *t, struct str arguments)
{
    if (!talk_can_say(t))
        return;
    if (!t->exchange.has_sender)
        show_words(&t->show, SHOW_LATER, _("no MAIL was taken in this session yet"));
    content_data(t, str_trim(arguments));
}

static void do_bdat(struct talk *t, struct str arguments)
{
    struct str file = str_cut_word(&arguments), size = str_trim(arguments);
    uint64_t bytes = BDAT_BYTES_DEFAULT;

    if (file.n == 0)
        show_words(&t->show, SHOW_BAD, _("which file? /bdat FILE [BYTES]"));
    else if (size.n > 0 && (!str_u64(size, &bytes) || bytes == 0 || bytes > BDAT_BYTES_MAX))
        show_words(&t->show, SHOW_BAD, _("%.*s: the size of a chunk is 1 to %d bytes"),
                   STR_ARG(size), BDAT_BYTES_MAX);
    else if (talk_can_say(t))
        content_bdat(t, file, bytes);
}

static void turn(struct talk *t, struct str arguments, bool *what, const char *name)
{
    struct str word = str_trim(arguments);

    if (word.n == 0)
        *what = !*what;
    else if (str_eq_nocase(word, STR("on")) || str_eq_nocase(word, STR("off")))
        *what = str_eq_nocase(word, STR("on"));
    else {
        show_words(&t->show, SHOW_BAD, _("%.*s: say on or off"), STR_ARG(word));
        return;
    }
    show_words(&t->show, SHOW_DIM, *what ? _("%s: on") : _("%s: off"), name);
}

static void do_timing(struct talk *t, struct str arguments)
{
    turn(t, arguments, &t->show.times, "timing");
}

/* "550", "550 5.1.1 words", "5.1.1": what it would mean as an answer. */
static void explain_code(struct talk *t, struct str arguments)
{
    struct str rest = arguments, word = str_cut_word(&rest);
    uint64_t code = 0;

    if (!str_u64(word, &code)) {
        struct status enhanced = {0};

        if (status_parse_enhanced(word, &enhanced))
            code = enhanced.class == 2 ? 250 : enhanced.class == 4 ? 450 : 550;
        rest = arguments;
    }
    if (code < 200 || code > 599) {
        show_words(&t->show, SHOW_BAD, _("%.*s: on, off, or a code such as 550 or 5.7.1"),
                   STR_ARG(word));
        return;
    }
    struct status st = status_from_reply((uint16_t)code, rest);
    struct explanation e = explain_reply(STEP_ANY, &st);
    bool explains = t->show.explains;

    t->show.explains = true;
    show_words(&t->show, SHOW_PLAIN, "%.*s: %s", STR_ARG(arguments), _(e.meaning));
    show_explanation(&t->show, &e, code >= 400);
    t->show.explains = explains;
}

static void do_explain(struct talk *t, struct str arguments)
{
    if (arguments.n > 0 && !str_eq_nocase(arguments, STR("on")) &&
        !str_eq_nocase(arguments, STR("off")))
        explain_code(t, arguments);
    else
        turn(t, arguments, &t->show.explains, "explain");
}

static void do_transcript(struct talk *t, struct str arguments)
{
    if (str_eq_c(arguments, "off") || arguments.n == 0) {
        show_words(&t->show, SHOW_DIM,
                   t->show.transcript ? _("the transcript is closed")
                                      : _("there is no transcript"));
        show_done(&t->show);
        return;
    }
    char *path = arena_c(&t->arena, arguments);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    show_done(&t->show);
    t->show.transcript = fd < 0 ? NULL : fdopen(fd, "a");
    if (!t->show.transcript) {
        show_words(&t->show, SHOW_BAD, "%s: %s", path, strerror(errno));
        return;
    }
    show_words(&t->show, SHOW_DIM, _("transcript of %.*s in %s; `troika talk --replay` plays it"),
               STR_ARG(t->target.host), path);
}

/* In quotes or not, with escapes, and nothing is added. */
static void do_raw(struct talk *t, struct str arguments)
{
    struct buf bytes = buf_init(SCRIPT_SAID_BYTES_MAX), shown = buf_init(64 * KIB);
    const char *why = NULL;

    if (arguments.n >= 2 && str_starts(arguments, STR("\"")) && str_ends(arguments, STR("\"")))
        arguments = str_sub(arguments, 1, arguments.n - 1);
    if (!script_unescape(arguments, &bytes, &why)) {
        show_words(&t->show, SHOW_BAD, "%s", _(why));
    } else if (talk_can_say(t)) {
        show_words(&t->show, SHOW_SENT, n_("%zu byte", "%zu bytes", bytes.n), bytes.n);
        talk_say_bytes(t, buf_str(&bytes));
    }
    buf_wipe(&bytes);
    buf_free(&shown);
}

static void do_expect(struct talk *t, struct str arguments)
{
    if (!script_expect(t, arguments) && !t->editor)
        talk_end(t, EX_PROTOCOL);
}

static void do_offers(struct talk *t, struct str arguments)
{
    struct str rest = buf_str(&t->exchange.offers);

    if (rest.n == 0)
        show_words(&t->show, SHOW_LATER, _("the server has not said what it offers: say %s"),
                   t->exchange.protocol == EXCHANGE_POP3   ? "CAPA"
                   : t->exchange.protocol == EXCHANGE_LMTP ? "LHLO"
                                                           : "EHLO");
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');

        show_words(&t->show, SHOW_PLAIN, "%.*s", STR_ARG(line));
    }
}

static void do_keepalive(struct talk *t, struct str arguments)
{
    uint64_t s = KEEP_S_DEFAULT;

    if (str_eq_c(arguments, "off"))
        s = 0;
    else if (arguments.n > 0 && !str_u64(arguments, &s)) {
        show_words(&t->show, SHOW_BAD, _("%.*s: how many seconds, or off"), STR_ARG(arguments));
        return;
    }
    t->keep_us = s * US_PER_S;
    if (s > 0)
        show_words(&t->show, SHOW_DIM, _("NOOP is said after each %u s of silence"), (unsigned)s);
    else
        show_words(&t->show, SHOW_DIM, _("nothing is said by itself"));
}

static void do_reconnect(struct talk *t, struct str arguments)
{
    struct buf error = buf_init(4 * KIB);
    struct server_target target = t->target;

    if (arguments.n > 0 && !target_parse(&t->arena, arena_copy(&t->arena, arguments), &t->providers,
                                         &target, &error)) {
        show_words(&t->show, SHOW_BAD, "%s", buf_c(&error));
    } else if (target.protocol != t->target.protocol) {
        show_words(&t->show, SHOW_BAD,
                   _("that is another protocol; start another `troika talk` for it"));
    } else {
        talk_close(t, t->state != TALK_CLOSED);
        t->target = target;
        talk_connect(t);
    }
    buf_free(&error);
}

static void do_close(struct talk *t, struct str arguments)
{
    if (t->state != TALK_CLOSED)
        show_words(&t->show, SHOW_DIM, _("closed, without a goodbye"));
    talk_close(t, t->state != TALK_CLOSED);
}

static void do_exit(struct talk *t, struct str arguments)
{
    talk_end(t, EX_OK);
}

/* ---- the table ---- */

static void (*const runs[])(struct talk *t, struct str arguments) = {
#define LOCAL(name, word, usage, help, completes, waits) do_##name,
#include "outward/talk/local.def"
#undef LOCAL
};

void local_run(struct talk *t, struct str verb, struct str arguments)
{
    size_t i = local_find(verb);

    if (i < local_count)
        runs[i](t, arguments);
    else
        show_words(&t->show, SHOW_BAD, _("there is no %.*s here; /help lists what there is"),
                   STR_ARG(verb));
}

/* ---- help ---- */

static void help_overview(struct talk *t)
{
    show_words(
        &t->show, SHOW_PLAIN,
        _("Whatever you type goes to the server as it is, with CRLF behind it; Tab completes "
          "what it offers. These commands are ours:"));
    for (size_t i = 0; i < local_count; i++)
        show_words(&t->show, SHOW_PLAIN, "%s%s%s: %s", locals[i].name, *locals[i].usage ? " " : "",
                   locals[i].usage, _(locals[i].help));
    show_words(&t->show, SHOW_PLAIN,
               _("A message by hand: EHLO %s, MAIL FROM:<you@your.domain>, "
                 "RCPT TO:<somebody@some.domain>, DATA, header, blank line, text, a dot; QUIT."),
               t->hostname);
}

static void do_help(struct talk *t, struct str arguments)
{
    size_t i = local_find(arguments);

    if (arguments.n == 0)
        help_overview(t);
    else if (i == local_count)
        show_words(&t->show, SHOW_BAD, _("there is no %.*s here; /help lists what there is"),
                   STR_ARG(arguments));
    else
        show_words(&t->show, SHOW_PLAIN, "%s %s: %s", locals[i].name, locals[i].usage,
                   _(locals[i].help));
}
