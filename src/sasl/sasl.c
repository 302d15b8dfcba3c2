/* sasl/sasl.c - one exchange, see sasl.h.
 *
 * What GNU SASL holds of a password is overwritten before it is given back: it has no call for
 * that, but shows where it keeps its properties. */
// SPDX-License-Identifier: ISC
#include "sasl/sasl.h"

#include <errno.h>
#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/codec.h"
#include "sasl/internal.h"

enum {
    CHALLENGES_MAX = 4,
    BINDING_TEXT_BYTES_MAX = 256,
    ERROR_BYTES_MAX = 1024,
    HOST_BYTES_MAX = 255,
    /* RFC 7677 4 asks for 4096 at least; the server says how much work we do, so it has an end. */
    ITERATIONS_LEAST = 4096,
    ITERATIONS_MAX = 1000 * 1000,
};

struct sasl {
    const struct sasl_mechanism *mechanism;
    bool secured;
    Gsasl *library; /* NULL: the mechanism is our own */
    Gsasl_session *session;
    struct buf first; /* what our own mechanisms say */
    size_t step_count;
    bool done; /* nothing more is to be said */
    struct buf error;
};

/* ---- what cannot be said ---- */

static bool has_control(struct str s, bool blank_too)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < ' ' || c == 0x7f || (blank_too && c == ' '))
            return true;
    }
    return false;
}

/* RFC 4616 2: no NUL. RFC 5802 5.1, RFC 2195 with RFC 5034 4: prepared with SASLprep. */
static bool can_be_prepared(struct str s)
{
    struct arena a = ARENA_INIT;
    char *copy = arena_c(&a, s);
    char *prepared = NULL;
    bool good = gsasl_saslprep(copy, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK;

    if (prepared)
        explicit_bzero(prepared, strlen(prepared));
    gsasl_free(prepared);
    explicit_bzero(copy, s.n);
    arena_free(&a);
    return good;
}

static bool can_be_said(const struct sasl_mechanism *m, const struct sasl_login *login)
{
    if (has_control(login->user, false) || has_control(login->authzid, false) ||
        has_control(login->token, true) || str_find(login->password, '\0') < login->password.n)
        return false;
    if (login->user.n + login->authzid.n + login->token.n + login->password.n >
        SASL_MESSAGE_BYTES_MAX / 2)
        return false;
    return m->shows_secret || m->certificate ||
           (can_be_prepared(login->user) && can_be_prepared(login->password));
}

/* ---- life ---- */

static void give(struct sasl *s, Gsasl_property property, struct str value)
{
    struct arena a = ARENA_INIT;
    char *copy = arena_c(&a, value);

    (void)gsasl_property_set(s->session, property, copy);
    explicit_bzero(copy, value.n);
    arena_free(&a);
}

/* Only for -PLUS: GNU SASL 2.2 cannot say "y", that it would have been possible (RFC 5802 6). */
static void give_binding(struct sasl *s, const struct sasl_channel *channel)
{
    struct buf text = buf_init(BINDING_TEXT_BYTES_MAX);

    base64_put(&text, channel->binding);
    if (s->mechanism->binding && text.n > 0 && !text.full)
        give(s, GSASL_CB_TLS_EXPORTER, buf_str(&text));
    buf_wipe(&text);
}

static int begin_library(struct sasl *s, const struct sasl_login *login,
                         const struct sasl_channel *channel)
{
    if (gsasl_init(&s->library) != GSASL_OK)
        return -ENOMEM;
    if (gsasl_client_start(s->library, s->mechanism->name, &s->session) != GSASL_OK)
        return -ENOMEM;
    give(s, GSASL_AUTHID, login->user);
    if (login->authzid.n > 0 || s->mechanism->certificate)
        give(s, GSASL_AUTHZID, login->authzid);
    if (s->mechanism->password)
        give(s, GSASL_PASSWORD, login->password);
    give(s, GSASL_SERVICE, str_c(channel->service));
    give_binding(s, channel);
    return 0;
}

static int begin(struct sasl *s, const struct sasl_login *login, const struct sasl_channel *channel)
{
    if (!s->mechanism->token)
        return begin_library(s, login, channel);
    if (str_eq_c(STR("XOAUTH2"), s->mechanism->name))
        xoauth2_print(&s->first, login);
    else
        oauthbearer_print(&s->first, login, channel);
    return s->first.full ? -EINVAL : 0;
}

int sasl_new(const char *mechanism, const struct sasl_login *login,
             const struct sasl_channel *channel, struct sasl **ret)
{
    const struct sasl_mechanism *m = sasl_mechanism_find(str_c(mechanism));

    check(m);
    if (!can_be_said(m, login) || has_control(channel->host, true))
        return -EINVAL;
    struct sasl *s = mem_new(sizeof *s);
    *s = (struct sasl){.mechanism = m,
                       .secured = channel->secured,
                       .first = buf_init(SASL_MESSAGE_BYTES_MAX),
                       .error = buf_init(ERROR_BYTES_MAX)};
    int error = begin(s, login, channel);
    if (error < 0)
        sasl_free(&s);
    else
        *ret = s;
    return error;
}

static void wipe_property(struct sasl *s, Gsasl_property property)
{
    const char *held = gsasl_property_fast(s->session, property);

    if (held)
        explicit_bzero((void *)(uintptr_t)held, strlen(held));
}

void sasl_free(struct sasl **sp)
{
    static const Gsasl_property secret[] = {GSASL_PASSWORD, GSASL_SCRAM_SALTED_PASSWORD,
                                            GSASL_CB_TLS_EXPORTER};
    struct sasl *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    for (size_t i = 0; s->session && i < countof(secret); i++)
        wipe_property(s, secret[i]);
    if (s->session)
        gsasl_finish(s->session);
    if (s->library)
        gsasl_done(s->library);
    buf_wipe(&s->first);
    buf_free(&s->error);
    free(s);
}

/* ---- steps ---- */

bool sasl_client_first(const struct sasl *s)
{
    return s->mechanism->client_first;
}

/* "r=...,s=...,i=4096": the one figure of the server that costs us time. */
static bool work_is_bounded(const struct sasl *s, struct str challenge)
{
    uint64_t least = s->secured ? 1 : ITERATIONS_LEAST;

    while (challenge.n > 0) {
        struct str part = str_cut(&challenge, ',');
        uint64_t count;

        if (!str_starts(part, STR("i=")))
            continue;
        if (!str_u64(str_skip(part, 2), &count) || count < least || count > ITERATIONS_MAX)
            return false;
    }
    return true;
}

static enum sasl_step step_library(struct sasl *s, struct str challenge, struct buf *response)
{
    char *said = NULL;
    size_t n = 0;

    if (s->mechanism->proves && s->step_count == 2 && !work_is_bounded(s, challenge))
        return SASL_REFUSE;
    int rc = gsasl_step(s->session, challenge.n > 0 ? challenge.p : "", challenge.n, &said, &n);
    if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE)
        buf_add(response, str_n(said, n));
    if (said)
        explicit_bzero(said, n);
    gsasl_free(said);
    s->done = rc == GSASL_OK;
    return (rc == GSASL_OK || rc == GSASL_NEEDS_MORE) && !response->full ? SASL_SAY : SASL_REFUSE;
}

/* RFC 7628 3.2.3: the answer to an error is a single control-A; XOAUTH2 wants nothing. */
static enum sasl_step step_token(struct sasl *s, struct str challenge, struct buf *response)
{
    if (s->step_count == 1) {
        buf_add(response, buf_str(&s->first));
        return SASL_SAY;
    }
    buf_add(&s->error, str_sub(str_trim(challenge), 0, ERROR_BYTES_MAX));
    if (!str_eq_c(STR("XOAUTH2"), s->mechanism->name))
        buf_add_char(response, '\001');
    s->done = true;
    return SASL_SAY;
}

enum sasl_step sasl_step(struct sasl *s, struct str challenge, struct buf *response)
{
    buf_reset(response);
    s->step_count++;
    if (s->done || s->step_count > CHALLENGES_MAX || challenge.n > SASL_MESSAGE_BYTES_MAX)
        return SASL_REFUSE;
    return s->mechanism->token ? step_token(s, challenge, response)
                               : step_library(s, challenge, response);
}

bool sasl_accepted(const struct sasl *s)
{
    return !s->mechanism->proves || s->done;
}

struct str sasl_server_error(const struct sasl *s)
{
    return buf_str(&s->error);
}
