/* sasl/choose.c - the mechanisms, the best first, and which one is to be tried.
 *
 * Those come first that tell a server nothing it could use elsewhere. Over TLS PLAIN comes before
 * CRAM-MD5: a server that offers that must keep the password itself, and mostly has it for few. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "base/translate.h"
#include "sasl/internal.h"

static const struct sasl_mechanism mechanisms[] = {
    {.name = "EXTERNAL", .certificate = true, .client_first = true},
    {.name = "OAUTHBEARER", .token = true, .shows_secret = true, .client_first = true},
    {.name = "XOAUTH2", .token = true, .shows_secret = true, .client_first = true},
    {.name = "SCRAM-SHA-256-PLUS",
     .password = true,
     .binding = true,
     .client_first = true,
     .proves = true},
    {.name = "SCRAM-SHA-1-PLUS",
     .password = true,
     .binding = true,
     .client_first = true,
     .proves = true},
    {.name = "SCRAM-SHA-256", .password = true, .client_first = true, .proves = true},
    {.name = "SCRAM-SHA-1", .password = true, .client_first = true, .proves = true},
    {.name = "PLAIN", .password = true, .shows_secret = true, .client_first = true},
    {.name = "LOGIN", .password = true, .shows_secret = true},
    {.name = "CRAM-MD5", .password = true, .weak = true},
};

const struct sasl_mechanism *sasl_mechanism_find(struct str name)
{
    for (size_t i = 0; i < countof(mechanisms); i++) {
        if (str_eq_nocase(name, str_c(mechanisms[i].name)))
            return &mechanisms[i];
    }
    return NULL;
}

static bool has_word(struct str words, const char *word)
{
    for (struct str w = str_cut_word(&words); w.n > 0; w = str_cut_word(&words)) {
        if (str_eq_nocase(w, str_c(word)))
            return true;
    }
    return false;
}

/* Has the login what it takes? A certificate alone is a login only when nothing else is there. */
static bool fits(const struct sasl_mechanism *m, const struct sasl_login *login,
                 const struct sasl_channel *channel)
{
    bool asked_for = login->mechanism.n > 0;

    if (m->certificate)
        return channel->client_certificate &&
               (asked_for || (login->password.n == 0 && login->token.n == 0));
    if (m->token)
        return login->token.n > 0;
    return login->password.n > 0 && (asked_for || login->token.n == 0) &&
           (!m->binding || channel->binding.n > 0);
}

static bool shows_too_much(const struct sasl_mechanism *m, const struct sasl_login *login,
                           const struct sasl_channel *channel)
{
    return m->shows_secret && !channel->secured && !login->plain_anyway;
}

/* Why nothing of what is offered fits, from the most particular reason on. */
static const char *nothing_fits(struct str offered, struct str tried,
                                const struct sasl_login *login, const struct sasl_channel *channel,
                                bool too_open)
{
    if (str_trim(tried).n > 0)
        return N_("no other way to log in is offered that could be tried");
    if (too_open)
        return N_("the server offers only ways to log in that would show the password, and the "
                  "connection is not secured by TLS");
    if (str_trim(offered).n == 0)
        return channel->secured ? N_("the server offers no login here")
                                : N_("the server offers no login here without TLS");
    if (login->mechanism.n > 0)
        return N_("the server does not offer the way to log in that was asked for, or it needs "
                  "what is not there");
    if (login->token.n > 0)
        return N_("the server takes no OAuth 2 token");
    if (login->password.n == 0)
        return N_("there is no password");
    return N_("the server offers no way to log in that is known here");
}

const char *sasl_choose(struct str offered, struct str tried, const struct sasl_login *login,
                        const struct sasl_channel *channel, const char **why)
{
    const struct sasl_mechanism *found = NULL;
    bool too_open = false;

    for (size_t i = 0; i < countof(mechanisms); i++) {
        const struct sasl_mechanism *m = &mechanisms[i];

        if (!has_word(offered, m->name) || has_word(tried, m->name) || !fits(m, login, channel))
            continue;
        if (login->mechanism.n > 0 && !str_eq_nocase(login->mechanism, str_c(m->name)))
            continue;
        if (shows_too_much(m, login, channel))
            too_open = true;
        else if (!found || (m->weak && !channel->secured && found->shows_secret))
            found = m;
    }
    if (!found)
        *why = nothing_fits(offered, tried, login, channel, too_open);
    return found ? found->name : NULL;
}
