/* logind/exchange.c - see exchange.h. */
// SPDX-License-Identifier: ISC
#include "daemon/logind/exchange.h"

#include <errno.h>
#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"

enum { LOGIN_BYTES_MAX = ADDRESS_BYTES_MAX, TEXT_BYTES = 128, FAKE_SALT_BYTES = 16 };
enum { CHALLENGES_MAX = 4 }; /* SCRAM has three; PLAIN without a response has no end */
enum { HEARD_MAX = CHALLENGES_MAX + 2, HEARD_BYTES_MAX = 16 * 1024 };

struct heard { /* what a step of GNU SASL was given */
    bool has_response;
    struct buf response;
};

/* A session of its own that is told the same, and broken off when it asks about the login. */
struct rehearsal {
    bool on;    /* it is this one that asks */
    bool asked; /* about a login that can be one */
    struct arena arena;
    struct address login;
    bool has_password;
    struct buf password;
};

struct mechanism {
    const char *name;
    const char *prompts[2];                                       /* instead of GNU SASL's */
    const struct scram_keys *(*keys)(const struct credential *c); /* SCRAM */
    bool bound, certified;
};

struct exchanges {
    const struct exchange_world *world;
    Gsasl *library;
};

struct exchange {
    struct exchanges *all;
    const struct mechanism *mechanism; /* NULL: there is no such one */
    Gsasl_session *session;
    struct buf client, binding, certificate;
    size_t step_count;
    bool finished; /* the mechanism is satisfied, only its last word is still to be heard */
    char *challenge;
    struct heard heard[HEARD_MAX];
    size_t heard_count;
    struct rehearsal rehearsal;

    bool looked; /* the account has been looked up */
    char login[LOGIN_BYTES_MAX + 1];
    struct credential credential;
    struct scram_keys fake; /* what a login that has none is shown */
    enum reply_name refusal;
    const char *why; /* NULL: nothing speaks against it so far */
    uint64_t pause_s;
    bool guessed; /* a password was tried: a failure counts */
};

static const struct scram_keys *sha1_keys(const struct credential *c)
{
    return &c->sha1;
}

static const struct scram_keys *sha256_keys(const struct credential *c)
{
    return &c->sha256;
}

static const struct mechanism mechanisms[] = {
    {.name = "PLAIN"},
    {.name = "LOGIN", .prompts = {"Username:", "Password:"}},
    {.name = "CRAM-MD5"},
    {.name = "SCRAM-SHA-1", .keys = sha1_keys},
    {.name = "SCRAM-SHA-256", .keys = sha256_keys},
    {.name = "SCRAM-SHA-1-PLUS", .keys = sha1_keys, .bound = true},
    {.name = "SCRAM-SHA-256-PLUS", .keys = sha256_keys, .bound = true},
    {.name = "EXTERNAL", .certified = true},
};

static const struct mechanism *mechanism_find(struct str name)
{
    for (size_t i = 0; i < countof(mechanisms); i++) {
        if (str_eq_c(name, mechanisms[i].name))
            return &mechanisms[i];
    }
    return NULL;
}

/* ---- the account ---- */

static void refuse(struct exchange *x, enum reply_name row, const char *why)
{
    if (x->why)
        return; /* the first reason is the reason */
    x->refusal = row;
    x->why = why;
}

/* "Bob" and "bob@Example.ORG" are bob@example.org. False: nobody can be called that. */
static bool login_read(const struct exchange *x, struct str said, struct arena *a,
                       struct address *ret)
{
    const struct exchange_world *w = x->all->world;
    struct parse_error error;
    struct str domain = w->domain(w->arg);

    if (said.n > LOGIN_BYTES_MAX)
        return false;
    if (str_find(said, '@') == said.n && domain.n > 0)
        said = arena_printf(a, "%.*s@%.*s", STR_ARG(said), STR_ARG(domain));
    if (!address_parse(said, a, ret, &error))
        return false;

    char *local = arena_c(a, ret->local);

    for (size_t i = 0; i < ret->local.n; i++)
        local[i] = char_lower(local[i]);
    ret->local = str_n(local, ret->local.n);
    return true;
}

static void login_keep(struct exchange *x, struct str login)
{
    size_t n = MIN_OF(login.n, (size_t)LOGIN_BYTES_MAX);

    memcpy(x->login, login.p, n);
    x->login[n] = '\0';
}

static void look(struct exchange *x, struct str said)
{
    const struct exchange_world *w = x->all->world;
    struct arena a = ARENA_INIT;
    struct address login;
    bool good = login_read(x, said, &a, &login);
    struct address own = login;
    int found = good ? w->find(w->arg, &login, &own, &x->credential) : 0;

    login_keep(x, good ? address_text(&a, &own) : said);
    x->pause_s = w->pause_s(w->arg, str_c(x->login), buf_str(&x->client));
    if (x->pause_s > 0)
        refuse(x, REPLY_LOGIN_DELAYED, "too many failed tries");
    else if (found < 0)
        refuse(x, REPLY_LOGIN_LATER, "the login cannot be looked up now");
    else if (found == 0)
        refuse(x, REPLY_LOGIN_REFUSED, "no such login");
    else if (!x->credential.enabled)
        refuse(x, REPLY_LOGIN_REFUSED, "the account is disabled");
    if (found != 1 || x->pause_s > 0)
        credential_wipe(&x->credential);
    arena_free(&a);
}

/* Finds out, once, who it is that the client says to be. False: it cannot go on as that. */
static bool account_look(struct exchange *x, const char *said)
{
    if (!x->looked)
        look(x, str_c(said));
    x->looked = true;
    return !x->why;
}

/* Puts off are told at once; to find out that a login does not exist takes the whole way. */
static bool is_over(const struct exchange *x)
{
    return x->why && x->refusal != REPLY_LOGIN_REFUSED;
}

/* ---- what GNU SASL asks ---- */

/* Nobody may act as somebody else. */
static void authorize(struct exchange *x)
{
    const char *other = gsasl_property_fast(x->session, GSASL_AUTHZID);
    const char *self = gsasl_property_fast(x->session, GSASL_AUTHID);
    struct arena a = ARENA_INIT;
    struct address as;
    bool same = !other || !other[0] || (self && str_eq_c(str_c(other), self)) ||
                (login_read(x, str_c(other), &a, &as) && str_eq_c(address_text(&a, &as), x->login));

    arena_free(&a);
    if (!same)
        refuse(x, REPLY_LOGIN_REFUSED, "wants to act as another account");
}

static int validate_password(struct exchange *x)
{
    const struct exchange_world *w = x->all->world;
    const char *password = gsasl_property_fast(x->session, GSASL_PASSWORD);

    (void)account_look(x, gsasl_property_fast(x->session, GSASL_AUTHID));
    if (is_over(x))
        return GSASL_AUTHENTICATION_ERROR;

    int same = w->matches(w->arg, &x->credential, str_c(password));

    x->guessed = same >= 0;
    if (same < 0)
        refuse(x, REPLY_LOGIN_LATER, "the password cannot be checked now");
    else if (same == 0)
        refuse(x, REPLY_LOGIN_REFUSED, "wrong password");
    return x->why ? GSASL_AUTHENTICATION_ERROR : GSASL_OK;
}

static int validate_certificate(struct exchange *x)
{
    (void)account_look(x, buf_c(&x->certificate));
    return x->why ? GSASL_AUTHENTICATION_ERROR : GSASL_OK;
}

/* Whether it is the login or only the secret that is missing is not told apart. */
static int give_secret(struct exchange *x)
{
    (void)account_look(x, gsasl_property_fast(x->session, GSASL_AUTHID));
    if (is_over(x))
        return GSASL_AUTHENTICATION_ERROR;
    if (!x->credential.cram_secret[0] || x->why) {
        x->refusal = REPLY_LOGIN_WEAK;
        x->why = x->why ? x->why : "no secret for CRAM-MD5";
        return GSASL_AUTHENTICATION_ERROR;
    }
    x->guessed = true;
    return gsasl_property_set(x->session, GSASL_PASSWORD, x->credential.cram_secret);
}

/* What a login without keys is shown looks like any other, and never fits. */
static void keys_fake(struct exchange *x)
{
    const struct exchange_world *w = x->all->world;

    x->fake = (struct scram_keys){.set = true, .iterations = SCRAM_ITERATIONS};
    w->fake(w->arg, str_c(x->login), x->fake.salt);
    x->fake.salt_n = FAKE_SALT_BYTES;
    (void)gsasl_nonce((char *)x->fake.stored_key, sizeof x->fake.stored_key);
    (void)gsasl_nonce((char *)x->fake.server_key, sizeof x->fake.server_key);
}

static const struct scram_keys *keys_of(struct exchange *x)
{
    const struct scram_keys *keys = x->mechanism->keys(&x->credential);

    if (!x->looked)
        (void)account_look(x, gsasl_property_fast(x->session, GSASL_AUTHID));
    if (keys->set && !x->why)
        return keys;
    refuse(x, REPLY_LOGIN_REFUSED, "no keys for this mechanism");
    if (!x->fake.set)
        keys_fake(x);
    return &x->fake;
}

static int give_base64(struct exchange *x, Gsasl_property property, const void *bytes, size_t n)
{
    struct buf text = buf_init(2 * TEXT_BYTES);

    base64_put(&text, str_n(bytes, n));

    int rc = gsasl_property_set(x->session, property, buf_c(&text));

    buf_wipe(&text);
    return rc;
}

static size_t key_bytes(const struct exchange *x)
{
    return x->mechanism->keys == sha1_keys ? 20 : 32;
}

static int give_iterations(struct exchange *x)
{
    const struct scram_keys *keys = keys_of(x);
    struct buf text = buf_init(TEXT_BYTES);

    if (is_over(x))
        return GSASL_AUTHENTICATION_ERROR;
    buf_add_u64(&text, keys->iterations);

    int rc = gsasl_property_set(x->session, GSASL_SCRAM_ITER, buf_c(&text));

    buf_free(&text);
    return rc;
}

static int give_salt(struct exchange *x)
{
    const struct scram_keys *keys = keys_of(x);

    return give_base64(x, GSASL_SCRAM_SALT, keys->salt, keys->salt_n);
}

static int give_stored_key(struct exchange *x)
{
    x->guessed = true;
    return give_base64(x, GSASL_SCRAM_STOREDKEY, keys_of(x)->stored_key, key_bytes(x));
}

static int give_server_key(struct exchange *x)
{
    return give_base64(x, GSASL_SCRAM_SERVERKEY, keys_of(x)->server_key, key_bytes(x));
}

static int give_binding(struct exchange *x)
{
    if (x->binding.n == 0)
        return GSASL_NO_CB_TLS_EXPORTER;
    return give_base64(x, GSASL_CB_TLS_EXPORTER, x->binding.p, x->binding.n);
}

static const struct {
    Gsasl_property property;
    int (*give)(struct exchange *x);
    bool scram;
    bool of_account; /* the login must be known to answer it */
} answers[] = {
    {GSASL_VALIDATE_SIMPLE, validate_password, false, true},
    {GSASL_VALIDATE_EXTERNAL, validate_certificate, false, true},
    {GSASL_PASSWORD, give_secret, false, true},
    {GSASL_SCRAM_ITER, give_iterations, true, true},
    {GSASL_SCRAM_SALT, give_salt, true, true},
    {GSASL_SCRAM_STOREDKEY, give_stored_key, true, true},
    {GSASL_SCRAM_SERVERKEY, give_server_key, true, true},
    {GSASL_CB_TLS_EXPORTER, give_binding, true, false},
};

/* In a rehearsal it is only noted who is asked about, and with which password. */
static int note_question(struct exchange *x, Gsasl_session *session, Gsasl_property property)
{
    struct rehearsal *r = &x->rehearsal;
    bool simple = property == GSASL_VALIDATE_SIMPLE;
    bool external = property == GSASL_VALIDATE_EXTERNAL;
    struct str said =
        external ? buf_str(&x->certificate) : str_c(gsasl_property_fast(session, GSASL_AUTHID));

    if (!r->asked) {
        r->asked = login_read(x, said, &r->arena, &r->login);
        r->has_password = simple;
        if (simple)
            buf_add_c(&r->password, gsasl_property_fast(session, GSASL_PASSWORD));
    }
    return GSASL_AUTHENTICATION_ERROR;
}

static int on_question(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
    struct exchange *x = gsasl_callback_hook_get(library);
    Gsasl_session *before = x->session;
    int rc = GSASL_NO_CALLBACK;

    x->session = session; /* it may still be being made, or be that of a rehearsal */
    for (size_t i = 0; i < countof(answers); i++) {
        if (answers[i].property != property || answers[i].scram != (x->mechanism->keys != NULL))
            continue;
        rc = x->rehearsal.on && answers[i].of_account ? note_question(x, session, property)
                                                      : answers[i].give(x);
        break;
    }
    if (x->rehearsal.on)
        x->session = before;
    return rc;
}

/* ---- life ---- */

int exchanges_new(const struct exchange_world *world, struct exchanges **ret)
{
    struct exchanges *all = mem_new(sizeof *all);

    *all = (struct exchanges){.world = world};
    if (gsasl_init(&all->library) != GSASL_OK) {
        free(all);
        return -ENOMEM;
    }
    gsasl_callback_set(all->library, on_question);
    *ret = all;
    return 0;
}

void exchanges_free(struct exchanges **all)
{
    if (!*all)
        return;
    gsasl_done((*all)->library);
    free(*all);
    *all = NULL;
}

static bool is_possible(const struct exchange *x)
{
    const struct mechanism *m = x->mechanism;

    return m && (!m->bound || x->binding.n > 0) && (!m->certified || x->certificate.n > 0);
}

struct exchange *exchange_new(struct exchanges *all, const struct exchange_begin *begin)
{
    struct exchange *x = mem_new(sizeof *x);

    *x = (struct exchange){.all = all,
                           .mechanism = mechanism_find(begin->mechanism),
                           .client = buf_init(TEXT_BYTES),
                           .binding = buf_init(TEXT_BYTES),
                           .certificate = buf_init(LOGIN_BYTES_MAX),
                           .rehearsal = {.password = buf_init(HEARD_BYTES_MAX)}};
    buf_add(&x->client, begin->client);
    buf_add(&x->binding, begin->binding);
    buf_add(&x->certificate, begin->certificate);
    gsasl_callback_hook_set(all->library, x);
    if (!is_possible(x) || gsasl_server_start(all->library, x->mechanism->name, &x->session))
        x->mechanism = NULL;
    return x;
}

static void rehearsal_forget(struct exchange *x)
{
    struct rehearsal *r = &x->rehearsal;

    arena_free(&r->arena);
    buf_wipe(&r->password);
    r->asked = r->has_password = false;
}

struct str exchange_client(const struct exchange *x)
{
    return buf_str(&x->client);
}

static void challenge_free(struct exchange *x)
{
    gsasl_free(x->challenge);
    x->challenge = NULL;
}

void exchange_free(struct exchange **x)
{
    if (!*x)
        return;
    if ((*x)->mechanism)
        gsasl_finish((*x)->session);
    challenge_free(*x);
    rehearsal_forget(*x);
    for (size_t i = 0; i < (*x)->heard_count; i++)
        buf_wipe(&(*x)->heard[i].response);
    credential_wipe(&(*x)->credential);
    buf_free(&(*x)->client);
    buf_free(&(*x)->binding);
    buf_free(&(*x)->certificate);
    explicit_bzero(*x, sizeof **x);
    free(*x);
    *x = NULL;
}

/* ---- steps ---- */

static struct status refusal_status(const struct exchange *x)
{
    struct buf pause = buf_init(TEXT_BYTES);
    uint64_t minutes = (x->pause_s + 59) / 60;

    if (x->pause_s < 60)
        buf_printf(&pause, "%u seconds", (unsigned)x->pause_s);
    else
        buf_printf(&pause, "%u minute%s", (unsigned)minutes, minutes > 1 ? "s" : "");

    struct status st = reply_status(x->refusal, buf_str(&pause));

    buf_free(&pause);
    return st;
}

static void answer_refusal(struct exchange *x, struct exchange_answer *ret)
{
    const struct exchange_world *w = x->all->world;

    if (x->guessed)
        w->failed(w->arg, str_c(x->login), buf_str(&x->client));
    *ret = (struct exchange_answer){
        .done = true, .status = refusal_status(x), .login = str_c(x->login), .why = x->why};
}

static void answer_success(struct exchange *x, struct exchange_answer *ret)
{
    const struct exchange_world *w = x->all->world;

    w->succeeded(w->arg, str_c(x->login), buf_str(&x->client));
    *ret = (struct exchange_answer){.done = true,
                                    .status = reply_status(REPLY_LOGGED_IN, str_c(x->login)),
                                    .login = str_c(x->login)};
}

/* What an error of GNU SASL means, unless there was a reason before it. */
static void judge(struct exchange *x, int rc)
{
    switch (rc) {
    case GSASL_MECHANISM_PARSE_ERROR:
    case GSASL_MECHANISM_CALLED_TOO_MANY_TIMES:
    case GSASL_BASE64_ERROR:
    case GSASL_SASLPREP_ERROR:
    case GSASL_NO_AUTHID:
        refuse(x, REPLY_LOGIN_SYNTAX, "malformed");
        break;
    case GSASL_MALLOC_ERROR:
    case GSASL_CRYPTO_ERROR:
        refuse(x, REPLY_LOGIN_LATER, "trouble in GNU SASL");
        break;
    default:
        refuse(x, REPLY_LOGIN_REFUSED, x->guessed ? "wrong password" : "the mechanism failed");
    }
}

static int session_step(struct exchange *x, Gsasl_session *session, bool has_response,
                        struct str response, char **challenge, size_t *n)
{
    gsasl_callback_hook_set(x->all->library, x);
    return gsasl_step(session, has_response ? (response.n > 0 ? response.p : "") : NULL, response.n,
                      challenge, n);
}

/* Kept for the rehearsals of later steps. */
static void hear(struct exchange *x, bool has_response, struct str response)
{
    struct heard *h = &x->heard[x->heard_count++];

    check(x->heard_count <= HEARD_MAX);
    *h = (struct heard){.has_response = has_response, .response = buf_init(HEARD_BYTES_MAX)};
    buf_add(&h->response, response);
}

static int library_step(struct exchange *x, bool has_response, struct str response, size_t *n)
{
    challenge_free(x);
    *n = 0;
    if (!x->looked)
        hear(x, has_response, response);
    return session_step(x, x->session, has_response, response, &x->challenge, n);
}

/* LOGIN asks for the name also when it has come already. */
static bool asks_once_more(const struct exchange *x, bool has_response)
{
    return x->mechanism->prompts[0] && x->step_count == 0 && has_response;
}

/* ---- rehearsals ---- */

static int rehearse_one(struct exchange *x, Gsasl_session *session, bool has_response,
                        struct str response)
{
    char *challenge = NULL;
    size_t n = 0;
    int rc = session_step(x, session, has_response, response, &challenge, &n);

    gsasl_free(challenge);
    return rc;
}

static void rehearse(struct exchange *x, bool has_response, struct str response)
{
    Gsasl_session *session = NULL;
    int rc = GSASL_NEEDS_MORE;

    x->rehearsal.on = true;
    gsasl_callback_hook_set(x->all->library, x);
    if (gsasl_server_start(x->all->library, x->mechanism->name, &session) == GSASL_OK) {
        for (size_t i = 0; i < x->heard_count && rc == GSASL_NEEDS_MORE; i++)
            rc = rehearse_one(x, session, x->heard[i].has_response, buf_str(&x->heard[i].response));
        if (rc == GSASL_NEEDS_MORE && asks_once_more(x, has_response))
            rc = rehearse_one(x, session, false, STR_NONE);
        if (rc == GSASL_NEEDS_MORE)
            (void)rehearse_one(x, session, has_response, response);
        gsasl_finish(session);
    }
    x->rehearsal.on = false;
}

bool exchange_asks(struct exchange *x, bool has_response, struct str response,
                   struct exchange_question *ret)
{
    struct rehearsal *r = &x->rehearsal;

    rehearsal_forget(x);
    if (!x->mechanism || x->looked || x->finished || x->step_count == CHALLENGES_MAX)
        return false;
    rehearse(x, has_response, response);
    if (!r->asked)
        return false;
    *ret = (struct exchange_question){
        .login = r->login,
        .password = r->has_password ? str_n(buf_c(&r->password), r->password.n) : STR_NONE};
    return true;
}

/* ---- the steps themselves ---- */

/* Words that people know by sight stand for those of GNU SASL. */
static struct str challenge_words(const struct exchange *x, size_t n)
{
    const char *prompt = x->step_count < 2 ? x->mechanism->prompts[x->step_count] : NULL;

    return prompt ? str_c(prompt) : str_n(x->challenge, n);
}

static void take(struct exchange *x, int rc, size_t n, struct exchange_answer *ret)
{
    if (rc == GSASL_OK)
        authorize(x);
    else if (rc != GSASL_NEEDS_MORE)
        judge(x, rc);
    if (!is_over(x) && (rc == GSASL_NEEDS_MORE || (rc == GSASL_OK && n > 0 && !x->why))) {
        x->finished = rc == GSASL_OK;
        *ret = (struct exchange_answer){.challenge = challenge_words(x, n)};
        x->step_count++;
    } else if (x->why) {
        answer_refusal(x, ret);
    } else {
        answer_success(x, ret);
    }
}

void exchange_step(struct exchange *x, bool has_response, struct str response,
                   struct exchange_answer *ret)
{
    size_t n;

    rehearsal_forget(x);
    if (!x->mechanism) {
        x->refusal = REPLY_UNKNOWN_MECHANISM;
        x->why = "no such mechanism here";
        answer_refusal(x, ret);
    } else if (x->step_count == CHALLENGES_MAX) {
        refuse(x, REPLY_LOGIN_SYNTAX, "malformed");
        answer_refusal(x, ret);
    } else if (x->finished) {
        if (response.n > 0)
            refuse(x, REPLY_LOGIN_SYNTAX, "malformed");
        if (x->why)
            answer_refusal(x, ret);
        else
            answer_success(x, ret);
    } else {
        if (asks_once_more(x, has_response)) {
            (void)library_step(x, false, STR_NONE, &n);
            x->step_count++;
        }

        int rc = library_step(x, has_response, response, &n);

        take(x, rc, n, ret);
    }
}
