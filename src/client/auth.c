// SPDX-License-Identifier: ISC
#include "client/auth.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/translate.h"

enum { TRIED_BYTES_MAX = 400, MEMORY_BYTES_MAX = 64 * 1024 };

void auth_init(struct client_auth *a)
{
    *a = (struct client_auth){.memory = buf_init(MEMORY_BYTES_MAX),
                              .tried = buf_init(TRIED_BYTES_MAX),
                              .response = buf_init(SASL_MESSAGE_BYTES_MAX)};
}

void auth_free(struct client_auth *a)
{
    sasl_free(&a->sasl);
    buf_wipe(&a->memory);
    buf_wipe(&a->response);
    buf_free(&a->tried);
}

/* ---- what is copied ---- */

/* Everything in one piece of memory: it is laid out anew when a part of it changes. */
static void lay_out(struct client_auth *a, const struct sasl_login *login,
                    const struct sasl_channel *channel)
{
    struct buf memory = buf_init(MEMORY_BYTES_MAX);
    struct sasl_login l = *login;
    struct sasl_channel c = *channel;
    struct str *const parts[] = {&l.user,      &l.authzid, &l.password, &l.token,
                                 &l.mechanism, &c.host,    &c.binding};
    size_t at = 0;

    for (size_t i = 0; i < countof(parts); i++)
        buf_add(&memory, *parts[i]);
    if (memory.full) { /* no server takes such a login; sasl_choose finds nothing to try */
        buf_wipe(&memory);
        l = (struct sasl_login){0};
        c.host = c.binding = STR_NONE;
    }
    for (size_t i = 0; i < countof(parts); i++) {
        *parts[i] = str_sub(buf_str(&memory), at, at + parts[i]->n);
        at += parts[i]->n;
    }
    buf_wipe(&a->memory);
    a->memory = memory;
    a->login = l;
    a->channel = c;
}

void auth_login(struct client_auth *a, const struct sasl_login *login)
{
    struct sasl_channel none = {.service = "smtp"};

    a->wanted = true;
    lay_out(a, login, &none);
}

void auth_channel(struct client_auth *a, const struct sasl_channel *channel)
{
    lay_out(a, &a->login, channel);
}

/* ---- what is said ---- */

static void show(struct buf *shown, const char *what, bool secret)
{
    buf_reset(shown);
    buf_add_c(shown, what);
    if (secret)
        buf_add_c(shown, what[0] ? " ***" : "***");
}

/* RFC 4954 4: an empty initial response is "=". */
static void add_initial(struct client_auth *a, struct buf *line)
{
    struct buf text = buf_init(AUTH_LINE_BYTES_MAX);

    base64_put(&text, buf_str(&a->response));
    if (text.n == 0)
        buf_add_char(&text, '=');
    a->response_waits = line->n + 1 + text.n > AUTH_COMMAND_BYTES_MAX;
    if (!a->response_waits) {
        buf_add_char(line, ' ');
        buf_add(line, buf_str(&text));
        buf_wipe(&a->response);
    }
    buf_wipe(&text);
}

static bool exchange_begin(struct client_auth *a, struct str offered, const char **why)
{
    sasl_free(&a->sasl);
    a->mechanism = sasl_choose(offered, buf_str(&a->tried), &a->login, &a->channel, why);
    if (!a->mechanism)
        return false;
    if (sasl_new(a->mechanism, &a->login, &a->channel, &a->sasl) < 0) {
        *why = N_("the user or password has characters that cannot be said by this mechanism");
        a->mechanism = NULL;
        return false;
    }
    return true;
}

bool auth_begin(struct client_auth *a, struct str offered, struct buf *line, struct buf *shown,
                const char **why)
{
    buf_reset(line);
    if (!exchange_begin(a, offered, why))
        return false;
    buf_printf(line, "AUTH %s", a->mechanism);
    a->response_waits = false;
    bool first = sasl_client_first(a->sasl);
    if (first && sasl_step(a->sasl, STR_NONE, &a->response) != SASL_SAY) {
        *why = N_("this mechanism cannot begin here");
        return false;
    }
    show(shown, buf_c(line), false);
    if (first)
        add_initial(a, line);
    if (line->n > shown->n)
        buf_add_c(shown, " ***");
    return true;
}

static bool cancel(struct buf *line, struct buf *shown)
{
    buf_reset(line);
    buf_add_char(line, '*');
    show(shown, "*", false);
    return false;
}

/* The response to what the server said, into a->response. */
static bool respond(struct client_auth *a, struct str text, const char **why)
{
    struct buf challenge = buf_init(SASL_MESSAGE_BYTES_MAX);
    struct str first = str_trim(str_cut(&text, '\n'));
    bool good = base64_get(&challenge, first);

    if (!good)
        *why = N_("its challenge is not base64");
    else if (a->response_waits && challenge.n > 0)
        *why = N_("it challenges before we have said who we are");
    else if (!a->response_waits &&
             sasl_step(a->sasl, buf_str(&challenge), &a->response) != SASL_SAY)
        *why = N_("it does not prove that it knows the password, or its challenge makes no sense");
    buf_free(&challenge);
    a->response_waits = false;
    return !*why;
}

bool auth_challenge(struct client_auth *a, struct str text, struct buf *line, struct buf *shown,
                    const char **why)
{
    *why = NULL;
    if (!a->sasl)
        *why = N_("its challenge makes no sense");
    if (*why || !respond(a, text, why))
        return cancel(line, shown);
    buf_reset(line);
    base64_put(line, buf_str(&a->response));
    show(shown, "", a->response.n > 0);
    buf_wipe(&a->response);
    return true;
}

/* ---- the verdict ---- */

static void forget_secrets(struct client_auth *a)
{
    sasl_free(&a->sasl);
    buf_wipe(&a->response);
}

bool auth_believes(struct client_auth *a)
{
    a->done = a->sasl && !a->response_waits && sasl_accepted(a->sasl);
    forget_secrets(a);
    return a->done;
}

static void remember_tried(struct client_auth *a, const char *mechanism)
{
    buf_add_c(&a->tried, mechanism);
    buf_add_char(&a->tried, ' ');
}

/* Codes that are about the mechanism or the form of the command: RFC 4954 6, RFC 5321 4.2.4. */
static bool is_about_the_mechanism(uint16_t code)
{
    static const uint16_t codes[] = {432, 500, 501, 502, 503, 504, 534, 538};

    for (size_t i = 0; i < countof(codes); i++) {
        if (code == codes[i])
            return true;
    }
    return false;
}

bool auth_refused(struct client_auth *a, uint16_t code)
{
    static const char *const hidden[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256",
                                         "SCRAM-SHA-1", "CRAM-MD5"};
    bool shown = str_eq_c(STR("PLAIN"), a->mechanism) || str_eq_c(STR("LOGIN"), a->mechanism);
    bool again = is_about_the_mechanism(code);

    remember_tried(a, a->mechanism);
    if (code == 535) {
        again = !a->password_refused && !shown;
        a->password_refused = true;
        for (size_t i = 0; i < countof(hidden); i++)
            remember_tried(a, hidden[i]);
    }
    forget_secrets(a);
    return again;
}
