/* listen/login.c - see login.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/login.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { STEPS_MAX = 6 };

static const struct login_mechanism mechanisms[] = {
    {"PLAIN", true, false, false},         {"LOGIN", true, false, true},
    {"XOAUTH2", true, false, false},       {"OAUTHBEARER", true, false, false},
    {"CRAM-MD5", false, true, true},       {"SCRAM-SHA-1", false, true, false},
    {"SCRAM-SHA-256", false, true, false},
};

struct login {
    const struct login_mechanism *mechanism;
    struct buf password; /* empty: any */
    Gsasl *library;
    Gsasl_session *session;
    char user[LOGIN_USER_BYTES_MAX + 1];
    size_t user_bytes;
    size_t step_count;
    bool refusing; /* the error of RFC 7628 3.2.3 was told */
    bool finished; /* only an empty line is awaited */
};

const struct login_mechanism *login_mechanism_find(struct str name)
{
    for (size_t i = 0; i < countof(mechanisms); i++)
        if (str_eq_nocase(name, str_c(mechanisms[i].name)))
            return &mechanisms[i];
    return NULL;
}

void login_mechanisms(struct buf *to, bool password_known)
{
    size_t count = 0;

    for (size_t i = 0; i < countof(mechanisms); i++)
        if (password_known || !mechanisms[i].needs_password)
            buf_printf(to, "%s%s", count++ > 0 ? " " : "", mechanisms[i].name);
}

/* ---- GNU SASL ---- */

static void keep_user(struct login *l, struct str user)
{
    l->user_bytes = MIN_OF(user.n, (size_t)LOGIN_USER_BYTES_MAX);
    memcpy(l->user, user.p ? user.p : "", l->user_bytes);
}

static bool is_right(const struct login *l, struct str password)
{
    struct str wanted = buf_str(&l->password);

    return wanted.n == 0 || str_eq(wanted, password);
}

static int on_question(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
    struct login *l = gsasl_callback_hook_get(library);
    const char *user = gsasl_property_fast(session, GSASL_AUTHID);

    if (user)
        keep_user(l, str_c(user));
    if (property == GSASL_VALIDATE_SIMPLE)
        return is_right(l, str_c(gsasl_property_fast(session, GSASL_PASSWORD)))
                   ? GSASL_OK
                   : GSASL_AUTHENTICATION_ERROR;
    if (property == GSASL_PASSWORD)
        return gsasl_property_set(session, GSASL_PASSWORD, buf_c(&l->password));
    return GSASL_NO_CALLBACK;
}

static bool is_token(const struct login *l)
{
    return str_starts(str_c(l->mechanism->name), STR("XO")) ||
           str_starts(str_c(l->mechanism->name), STR("OA"));
}

static bool library_begin(struct login *l)
{
    if (gsasl_init(&l->library) != GSASL_OK)
        return false;
    gsasl_callback_set(l->library, on_question);
    gsasl_callback_hook_set(l->library, l);
    return gsasl_server_start(l->library, l->mechanism->name, &l->session) == GSASL_OK;
}

struct login *login_new(const struct login_mechanism *m, struct str password)
{
    struct login *l = mem_new(sizeof *l);

    *l = (struct login){.mechanism = m, .password = buf_init(LOGIN_MESSAGE_BYTES_MAX)};
    buf_add(&l->password, password);
    if ((m->needs_password && password.n == 0) || (!is_token(l) && !library_begin(l)))
        login_free(&l);
    return l;
}

void login_free(struct login **l)
{
    if (!*l)
        return;
    if ((*l)->session)
        gsasl_finish((*l)->session);
    if ((*l)->library)
        gsasl_done((*l)->library);
    buf_wipe(&(*l)->password);
    free(*l);
    *l = NULL;
}

static enum login_step result_of(int rc)
{
    switch (rc) {
    case GSASL_OK:
        return LOGIN_GOOD;
    case GSASL_NEEDS_MORE:
        return LOGIN_CHALLENGE;
    case GSASL_AUTHENTICATION_ERROR:
    case GSASL_NO_CALLBACK:
        return LOGIN_REFUSED;
    default:
        return LOGIN_MALFORMED;
    }
}

/* Clients know LOGIN by these words, RFC 4954 has none: draft-murchison-sasl-login. */
static const char *login_prompt(const struct login *l)
{
    static const char *const prompts[] = {"Username:", "Password:"};

    return strcmp(l->mechanism->name, "LOGIN") == 0 && l->step_count < countof(prompts)
               ? prompts[l->step_count]
               : NULL;
}

static int library_step(struct login *l, bool has_response, struct str response,
                        struct buf *challenge)
{
    char *said = NULL;
    size_t said_bytes = 0;
    int rc = gsasl_step(l->session, has_response ? (response.n > 0 ? response.p : "") : NULL,
                        response.n, &said, &said_bytes);

    buf_reset(challenge);
    if (rc == GSASL_NEEDS_MORE && login_prompt(l))
        buf_add_c(challenge, login_prompt(l));
    else if (said)
        buf_add(challenge, str_n(said, said_bytes));
    gsasl_free(said);
    l->step_count++;
    return rc;
}

static enum login_step password_step(struct login *l, bool has_response, struct str response,
                                     struct buf *challenge)
{
    if (l->finished)
        return response.n == 0 ? LOGIN_GOOD : LOGIN_MALFORMED;
    /* LOGIN asks for the name also when it has come already. */
    if (has_response && l->step_count == 0 && login_prompt(l))
        (void)library_step(l, false, STR_NONE, challenge);

    enum login_step r = result_of(library_step(l, has_response, response, challenge));

    l->finished = r == LOGIN_GOOD && challenge->n > 0;
    return l->finished ? LOGIN_CHALLENGE : r;
}

/* ---- OAuth 2 ---- */

/* "user=bob^Aauth=Bearer token^A^A"; "n,a=bob,^Ahost=h^Aport=25^Aauth=Bearer token^A^A". */
static bool token_read(struct login *l, struct str response, struct str *token)
{
    bool bearer = str_starts(str_c(l->mechanism->name), STR("OA"));
    struct str first = str_cut(&response, '\1');

    *token = STR_NONE;
    if (bearer && !str_starts(first, STR("n,")))
        return false;
    if (bearer) {
        (void)str_cut(&first, ',');
        first = str_cut(&first, ',');
    }
    if (str_starts(first, bearer ? STR("a=") : STR("user=")))
        keep_user(l, str_skip(first, bearer ? 2 : 5));
    else if (!bearer || first.n > 0)
        return false;
    while (response.n > 0) {
        struct str pair = str_cut(&response, '\1');

        if (str_starts_nocase(pair, STR("auth=Bearer ")))
            *token = str_skip(pair, 12);
    }
    return token->n > 0;
}

static enum login_step token_step(struct login *l, bool has_response, struct str response,
                                  struct buf *challenge)
{
    struct str token;

    buf_reset(challenge);
    if (l->refusing)
        return LOGIN_REFUSED;
    if (!has_response)
        return LOGIN_CHALLENGE;
    if (!token_read(l, response, &token))
        return LOGIN_MALFORMED;
    if (is_right(l, token))
        return LOGIN_GOOD;
    l->refusing = true;
    buf_add_c(challenge, "{\"status\":\"invalid_token\"}");
    return LOGIN_CHALLENGE;
}

enum login_step login_step(struct login *l, bool has_response, struct str response,
                           struct buf *challenge)
{
    if (l->step_count >= STEPS_MAX || response.n > LOGIN_MESSAGE_BYTES_MAX)
        return LOGIN_MALFORMED;
    if (!is_token(l))
        return password_step(l, has_response, response, challenge);
    l->step_count++;
    return token_step(l, has_response, response, challenge);
}

struct str login_user(const struct login *l)
{
    return str_n(l->user, l->user_bytes);
}
