/* outward/talk/login.c - `auth`: the whole login, with all of its base64, done for a person.
 *
 *   login_begin --AUTH MECHANISM--> challenges and responses --2xx, +OK--> in
 *   POP3 without SASL: USER --+OK--> PASS --+OK--> in
 * The password is asked for before anything is said: no server waits for the typing. */
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "cli/cli.h"
#include "outward/send/secret.h"
#include "outward/talk/talk.h"

enum { INITIAL_BYTES_MAX = 450, LINE_BYTES = 2 * SASL_MESSAGE_BYTES_MAX };

struct login {
    struct sasl *sasl; /* NULL: USER and PASS */
    struct buf password, user;
    struct buf waiting; /* an initial response that was too long for the line of AUTH */
    bool has_waiting, said_pass;
};

static void login_free(struct login *l)
{
    sasl_free(&l->sasl);
    secret_wipe(&l->password);
    buf_free(&l->user);
    buf_wipe(&l->waiting);
    free(l);
}

void login_drop(struct talk *t)
{
    struct login *l = t->login;

    t->login = NULL;
    if (l)
        login_free(l);
}

static void give_up(struct talk *t, const char *mechanism, const char *why)
{
    show_words(&t->show, SHOW_BAD, "%s: %s", mechanism, why);
    login_drop(t);
}

/* ---- what goes over the line ---- */

static void say_base64(struct talk *t, const char *before, struct str bytes)
{
    struct buf line = buf_init(LINE_BYTES);

    (void)buf_room(&line, LINE_BYTES);
    (void)buf_add_c(&line, before);
    if (*before && bytes.n == 0)
        (void)buf_add_char(&line, '=');
    else
        base64_put(&line, bytes);
    talk_say(t, buf_str(&line), false);
    buf_wipe(&line);
}

static void say_verb(struct talk *t, const char *verb, struct str argument)
{
    struct buf line = buf_init(LINE_BYTES);

    (void)buf_room(&line, LINE_BYTES);
    (void)buf_add_c(&line, verb);
    (void)buf_add(&line, argument);
    talk_say(t, buf_str(&line), false);
    buf_wipe(&line);
}

static void say_response(struct talk *t, struct str challenge)
{
    struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct login *l = t->login;

    if (l->has_waiting) {
        l->has_waiting = false;
        say_base64(t, "", buf_str(&l->waiting));
        return;
    }
    if (sasl_step(l->sasl, challenge, &response) == SASL_SAY) {
        say_base64(t, "", buf_str(&response));
    } else {
        show_words(&t->show, SHOW_BAD,
                   _("the server does not prove that it knows the password, or talks nonsense; the "
                     "login is given up"));
        talk_say(t, STR("*"), false);
    }
    buf_wipe(&response);
}

static void say_auth(struct talk *t, const char *mechanism)
{
    struct buf line = buf_init(128);
    struct login *l = t->login;

    (void)buf_printf(&line, "AUTH %s", mechanism);
    if (sasl_client_first(l->sasl)) {
        struct buf response = buf_init(SASL_MESSAGE_BYTES_MAX);
        bool good = sasl_step(l->sasl, STR_NONE, &response) == SASL_SAY;

        l->has_waiting = good && response.n * 4 / 3 > INITIAL_BYTES_MAX;
        if (l->has_waiting)
            (void)buf_add(&l->waiting, buf_str(&response));
        else if (good)
            (void)buf_add_char(&line, ' ');
        if (good && !l->has_waiting)
            say_base64(t, buf_c(&line), buf_str(&response));
        else if (good)
            talk_say(t, buf_str(&line), false);
        else
            give_up(t, mechanism, _("cannot be begun with what is known"));
        buf_wipe(&response);
    } else {
        talk_say(t, buf_str(&line), false);
    }
    buf_free(&line);
}

/* ---- answers ---- */

static void challenged(struct talk *t)
{
    struct buf challenge = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct str text = str_trim(buf_str(&t->answer.text));

    if (!t->login->sasl || !base64_get(&challenge, text)) {
        show_words(&t->show, SHOW_BAD, _("that is no challenge in base64; the login is given up"));
        talk_say(t, STR("*"), false);
    } else {
        say_response(t, buf_str(&challenge));
    }
    buf_wipe(&challenge);
}

static void accepted(struct talk *t)
{
    struct login *l = t->login;

    if (!l->sasl && !l->said_pass) {
        l->said_pass = true;
        say_verb(t, "PASS ", buf_str(&l->password));
        return;
    }
    if (l->sasl && !sasl_accepted(l->sasl))
        show_words(&t->show, SHOW_BAD,
                   _("the server let us in without proof that it knows the password: do not trust "
                     "it"));
    login_drop(t);
}

bool login_heard(struct talk *t)
{
    bool challenge = t->answer.kind == ANSWER_CHALLENGE || t->answer.code / 100 == 3;

    if (!t->login)
        return false;
    if (challenge) {
        challenged(t);
    } else if (answer_positive(&t->answer)) {
        accepted(t);
    } else {
        struct str error = t->login->sasl ? sasl_server_error(t->login->sasl) : STR_NONE;

        if (error.n > 0)
            show_words(&t->show, SHOW_BAD, _("the server says: %.*s"), STR_ARG(error));
        login_drop(t);
    }
    return true;
}

/* ---- the beginning ---- */

/* At a terminal without options the password is typed hidden while the session is watched. */
static bool ask_password(struct talk *t, struct str user, struct buf *to)
{
    struct str host = t->target.host;

    if (t->editor && !secret_given(t->line) && !getenv("TROIKA_PASSWORD")) {
        bool answered;

        show_words(&t->show, SHOW_PLAIN, _("the password of %.*s (not shown):"), STR_ARG(user));
        t->asking = true;
        do { /* an empty line is no password */
            enum editor_event e = editor_line(t->editor, true, to);

            answered = e == EDITOR_LINE;
        } while (answered && to->n == 0);
        t->asking = false;
        if (!answered)
            show_words(&t->show, SHOW_DIM, _("no password, so nothing is said"));
        return answered;
    }
    if (t->editor)
        editor_lend(t->editor);
    int code = secret_password(t->line, user, host, to);

    if (t->editor)
        editor_take_back(t->editor);
    return code == EX_OK;
}

static const char *mechanism_of(struct talk *t, const struct sasl_login *login,
                                const struct sasl_channel *channel, const char **why)
{
    struct str offered = STR_NONE;
    bool pop3 = t->exchange.protocol == EXCHANGE_POP3;

    *why = NULL;
    if (!t->exchange.greeted_back && !pop3 && login->mechanism.n == 0)
        *why = N_("the server has not said what it offers: say EHLO first");
    else if (!exchange_offers(&t->exchange, pop3 ? "SASL" : "AUTH", &offered) &&
             login->mechanism.n == 0)
        *why = N_("the server offers no login here; perhaps after STARTTLS");
    if (*why)
        return NULL;
    return sasl_choose(login->mechanism.n > 0 ? login->mechanism : offered, STR_NONE, login,
                       channel, why);
}

static void begin_sasl(struct talk *t, struct str mechanism, struct str token)
{
    char binding[TLS_BINDING_BYTES];
    const struct tls *tls = wire_tls(t->wire);
    struct sasl_login login = {.user = buf_str(&t->login->user),
                               .password = buf_str(&t->login->password),
                               .token = token,
                               .mechanism = mechanism,
                               .plain_anyway = mechanism.n > 0};
    struct sasl_channel channel = {.service =
                                       t->exchange.protocol == EXCHANGE_POP3 ? "pop" : "smtp",
                                   .host = t->target.host,
                                   .port = t->target.port,
                                   .secured = t->exchange.secured,
                                   .binding = str_n(binding, tls ? tls_binding(tls, binding) : 0)};
    const char *why;
    const char *name = mechanism_of(t, &login, &channel, &why);

    if (!name) {
        show_words(&t->show, SHOW_BAD, "%s", _(why));
        if (!t->exchange.secured && mechanism.n == 0)
            show_words(&t->show, SHOW_PLAIN,
                       _("`/starttls` first; or name the mechanism, then the password goes in the "
                         "open: /auth PLAIN"));
        login_drop(t);
        return;
    }
    if (sasl_new(name, &login, &channel, &t->login->sasl) < 0) {
        give_up(t, name, _("cannot say that login or password"));
        return;
    }
    say_auth(t, name);
}

/* POP3 without SASL; "USER" asks for it by name. */
static bool wants_user(const struct talk *t, struct str mechanism)
{
    struct str words;

    return t->exchange.protocol == EXCHANGE_POP3 &&
           (str_eq_nocase(mechanism, STR("USER")) ||
            (mechanism.n == 0 && !exchange_offers(&t->exchange, "SASL", &words)));
}

static void begin_user(struct talk *t, struct str mechanism)
{
    if (!t->exchange.secured && mechanism.n == 0) {
        show_words(&t->show, SHOW_PLAIN,
                   _("USER and PASS would show the password to everybody on the way: `/starttls` "
                     "first, or `/auth USER` if you mean it"));
        login_drop(t);
        return;
    }
    say_verb(t, "USER ", buf_str(&t->login->user));
}

void login_begin(struct talk *t, struct str mechanism, struct str user)
{
    struct buf token = secret_init();

    login_drop(t);
    if (user.n == 0)
        user = t->target.user.n > 0 ? t->target.user : str_c(t->line->user);
    if (user.n == 0) {
        show_words(&t->show, SHOW_BAD, _("who logs in? /auth [MECHANISM] USER"));
        buf_free(&token);
        return;
    }
    struct login *l = mem_new(sizeof(*l)); /* not t->login yet: the server may hang up meanwhile */

    l->user = buf_init(SASL_MESSAGE_BYTES_MAX);
    l->password = secret_init();
    l->waiting = buf_init(SASL_MESSAGE_BYTES_MAX);
    (void)buf_add(&l->user, user);
    bool known = secret_token(t->line, &token) == EX_OK &&
                 (token.n > 0 || ask_password(t, buf_str(&l->user), &l->password));

    if (known && t->state == TALK_OPEN) {
        t->login = l;
        if (wants_user(t, mechanism))
            begin_user(t, mechanism);
        else
            begin_sasl(t, mechanism, buf_str(&token));
    } else {
        login_free(l);
    }
    secret_wipe(&token);
}
