/* logind/exchange.h - one SASL exchange, the server's side of it: responses in, challenges out.
 *
 * GNU SASL does the mechanisms; here is who somebody is, whether they may try now, and that every
 * answer costs the same work whether the account exists or not. Pure but for the random numbers of
 * GNU SASL: accounts, passwords and limits come from a struct exchange_world. What that cannot
 * know without asking others it may find out before the step: exchange_asks tells what it will
 * want to know. RFC 4422, 4616, 5802, 2195, 9266. */
// SPDX-License-Identifier: ISC
#pragma once

#include "login/credential.h"
#include "mail/reply.h"

struct exchange_world {
    void *arg;
    struct str (*domain)(void *arg); /* of logins that are said without one; or empty */
    /* 1, 0, or -errno. own: the account's own address where the login is a further one of it, else
     * untouched; lives until the next call. */
    int (*find)(void *arg, const struct address *login, struct address *own,
                struct credential *ret);
    /* Slow. Also asked for an empty credential: then it is the time that counts. 1, 0, or -errno. */
    int (*matches)(void *arg, const struct credential *c, struct str password);
    /* 32 bytes that are always the same for a name, and which nobody can guess. */
    void (*fake)(void *arg, struct str login, uint8_t ret[32]);
    uint64_t (*pause_s)(void *arg, struct str login, struct str client); /* 0: it may try */
    void (*failed)(void *arg, struct str login, struct str client);
    void (*succeeded)(void *arg, struct str login, struct str client);
};

/* Strings are copied. */
struct exchange_begin {
    struct str mechanism;
    struct str client;      /* its address */
    struct str binding;     /* of its TLS connection (tls-exporter), or empty */
    struct str certificate; /* the address in it, or empty */
};

struct exchange_answer {
    bool done;
    struct str challenge; /* not done: what is to be answered; lives until the next call */
    struct status status; /* done: class 2, or the refusal */
    struct str login;     /* done: who it is, or wanted to be */
    const char *why;      /* done: of a refusal, for the log; constant */
};

struct exchanges; /* what all of them share */
struct exchange;

int exchanges_new(const struct exchange_world *world, struct exchanges **ret); /* or -errno */
void exchanges_free(struct exchanges **all);

struct exchange *exchange_new(struct exchanges *all, const struct exchange_begin *begin);
void exchange_free(struct exchange **x);              /* NULL is fine */
struct str exchange_client(const struct exchange *x); /* as it was begun with */
/* What the step with this response is going to want to know, said before it is taken. False: there
 * is nothing new. Lives until the next call. */
struct exchange_question {
    struct address login; /* find will be asked about it */
    struct str password;  /* so will matches; p NULL: it will not */
};
bool exchange_asks(struct exchange *x, bool has_response, struct str response,
                   struct exchange_question *ret);
/* The next response, or none: the client waits for a challenge. After done there is no other. */
void exchange_step(struct exchange *x, bool has_response, struct str response,
                   struct exchange_answer *ret);
