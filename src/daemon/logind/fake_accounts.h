/* logind/fake_accounts.h - a world of exchanges for tests; a header only, because a test program is
 * one file. bob@example.test has everything (password "secret"), and robert@ as a further address;
 * hashed@ has only a password, off@ is disabled, error@ cannot be read now, nor the password of
 * hung@ be checked, waiting@ has to wait. What is done is counted. */
// SPDX-License-Identifier: ISC
#pragma once

#include <errno.h>
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "daemon/logind/exchange.h"

struct fake_accounts {
    struct exchange_world world;
    struct exchanges *all;
    size_t found_count, matched_count, failed_count, succeeded_count, faked_count;
    char found[ADDRESS_BYTES_MAX + 8]; /* the last one that was looked for */
    char matched[512];                 /* the last password */
    struct credential bob;
};

static inline struct str fake_domain(void *arg)
{
    return STR("example.test");
}

static inline int fake_find(void *arg, const struct address *login, struct address *own,
                            struct credential *ret)
{
    struct fake_accounts *f = arg;

    f->found_count++;
    (void)snprintf(f->found, sizeof f->found, "%.*s@%.*s", STR_ARG(login->local),
                   STR_ARG(login->domain));
    if (!str_eq(login->domain, STR("example.test")))
        return 0;
    if (str_eq_c(login->local, "error"))
        return -EIO;
    if (str_eq_c(login->local, "robert"))
        *own = (struct address){STR("bob"), STR("example.test")};
    if (str_eq_c(login->local, "hashed") || str_eq_c(login->local, "hung"))
        *ret = (struct credential){.enabled = true, .password = "secret"};
    else if (str_eq_c(login->local, "robert"))
        *ret = f->bob;
    else if (str_eq_c(login->local, "bob") || str_eq_c(login->local, "off"))
        *ret = f->bob;
    else
        return 0;
    ret->enabled = !str_eq_c(login->local, "off");
    return 1;
}

static inline int fake_matches(void *arg, const struct credential *c, struct str password)
{
    struct fake_accounts *f = arg;

    f->matched_count++;
    (void)snprintf(f->matched, sizeof f->matched, "%.*s", STR_ARG(password));
    if (strncmp(f->found, "hung@", 5) == 0)
        return -EAGAIN;
    return c->enabled && c->password[0] && str_eq_c(password, c->password);
}

static inline void fake_fake(void *arg, struct str login, uint8_t ret[32])
{
    struct fake_accounts *f = arg;

    f->faked_count++;
    memset(ret, login.n > 0 ? (uint8_t)login.p[0] : 0, 32);
}

static inline uint64_t fake_pause(void *arg, struct str login, struct str client)
{
    return str_eq_c(login, "waiting@example.test") ? 90 : 0;
}

static inline void fake_failed(void *arg, struct str login, struct str client)
{
    ((struct fake_accounts *)arg)->failed_count++;
}

static inline void fake_succeeded(void *arg, struct str login, struct str client)
{
    ((struct fake_accounts *)arg)->succeeded_count++;
}

/* salt of 16 bytes "0123456789abcdef", 4096 rounds */
static inline void fake_keys(Gsasl_hash hash, struct scram_keys *ret)
{
    char salted[GSASL_HASH_MAX_SIZE], client[GSASL_HASH_MAX_SIZE];
    char server[GSASL_HASH_MAX_SIZE], stored[GSASL_HASH_MAX_SIZE];
    static const char salt[] = "0123456789abcdef";

    check(gsasl_scram_secrets_from_password(hash, "secret", 4096, salt, 16, salted, client, server,
                                            stored) == GSASL_OK);
    *ret = (struct scram_keys){.set = true, .iterations = 4096, .salt_n = 16};
    memcpy(ret->salt, salt, 16);
    memcpy(ret->stored_key, stored, gsasl_hash_length(hash));
    memcpy(ret->server_key, server, gsasl_hash_length(hash));
}

static inline void fake_accounts_init(struct fake_accounts *f)
{
    *f = (struct fake_accounts){.world = {.arg = f,
                                          .domain = fake_domain,
                                          .find = fake_find,
                                          .matches = fake_matches,
                                          .fake = fake_fake,
                                          .pause_s = fake_pause,
                                          .failed = fake_failed,
                                          .succeeded = fake_succeeded},
                                .bob = {.password = "secret", .cram_secret = "secret"}};
    fake_keys(GSASL_HASH_SHA1, &f->bob.sha1);
    fake_keys(GSASL_HASH_SHA256, &f->bob.sha256);
    check(exchanges_new(&f->world, &f->all) == 0);
}

/* A step, of which exchange_asks must have told what it wants to know: no more and no less. */
static inline void fake_step(struct fake_accounts *f, struct exchange *x, bool has_response,
                             struct str response, struct exchange_answer *ret)
{
    size_t found = f->found_count, matched = f->matched_count;
    struct exchange_question q = {.password = STR_NONE};
    struct arena a = ARENA_INIT;
    bool asks = exchange_asks(x, has_response, response, &q);
    struct str login =
        asks ? arena_printf(&a, "%.*s@%.*s", STR_ARG(q.login.local), STR_ARG(q.login.domain))
             : STR_NONE;
    struct str password = arena_copy(&a, q.password);

    check(f->found_count == found && f->matched_count == matched);
    exchange_step(x, has_response, response, ret);
    check(f->found_count - found == asks);
    if (asks)
        check(str_eq_c(login, f->found));
    if (asks && f->matched_count > matched)
        check(str_eq_c(str_sub(password, 0, sizeof f->matched - 1), f->matched));
    arena_free(&a);
}
