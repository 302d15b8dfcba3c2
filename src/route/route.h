/* route/route.h - where a recipient goes, and why. Pure: tables in, a decision out.
 *
 * Order: address literal and own names; a local domain (aliases, accounts, users of
 * this machine, postmaster); a `route`;
 * the smarthost; else by DNS. A recipient outside the local domains is only taken from those who
 * may relay; the administrator's aliases may lead anywhere (docs/design/0006-aliases.md). Older
 * routing syntaxes inside a local part (a%b, a!b, "a@b") are never followed
 * and never make a local name (mail/address.h local_part_routes). */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/address.h"
#include "mail/envelope.h"
#include "mail/reply.h"
#include "route/alias.h"

struct route_domain {
    struct str name;
    bool accounts;
    struct str at;      /* "troika.conf:12" */
    struct str aliases; /* the file's name, for reasons: "aliases"; empty: there is none */
    bool system_users;
    bool user_logins; /* of system_users: they log in, by PAM */
};
struct route_via {
    struct str domain; /* ".d" matches below it; the longest match wins */
    struct str via;
    struct str at;
};

enum account_answer { ACCOUNT_NO, ACCOUNT_YES, ACCOUNT_TRY_LATER };
enum login_answer {
    LOGIN_NO,
    LOGIN_YES,
    LOGIN_REFUSED, /* root or a system user */
    LOGIN_TRY_LATER
};
enum alias_answer { ALIAS_NO, ALIAS_YES, ALIAS_TRY_LATER };

struct route_table {
    struct str hostname;
    const struct route_domain *domains;
    size_t domain_count;
    const struct route_via *routes;
    size_t route_count;
    struct str smarthost, smarthost_at;
    struct str config_name;      /* for reasons: "troika.conf" */
    const struct str *addresses; /* of this machine, as inet_ntop(3) prints them */
    size_t address_count;
    /* Is there such an account? local is unquoted, compared as the account database does. ret: the
     * account's own address, another one when this is one of its further addresses. */
    enum account_answer (*account)(void *arg, struct str local, struct str domain, struct arena *a,
                                   struct address *ret);
    /* Is there such a user of this machine? Asked for domains with system_users only; ret: the
     * login as the system writes it. */
    enum login_answer (*login)(void *arg, struct str local, struct arena *a, struct str *ret);
    /* Asked for domains with aliases only; key: alias_key. Strings of ret live in the arena. */
    enum alias_answer (*alias)(void *arg, const struct route_domain *domain, struct str key,
                               struct arena *a, struct alias *ret);
    void *arg;
};

struct route_question {
    struct str sender, recipient; /* printed addresses, without < > */
    bool may_relay;
};

struct route_failure { /* a target of an alias that gets no mail while others do */
    struct str at;     /* "aliases:12" */
    struct str address, why;
};

struct route_answer {
    struct status status; /* class 2, or the refusal to give at RCPT */
    struct target *targets;
    size_t target_count;
    struct str why; /* for people: which statement decided, or why not; of an alias the whole
                       expansion, a line each, indented by two blanks a level */
    struct route_failure *failures;
    size_t failure_count;
};

/* Strings of the answer live in the arena. The table has names in lower case. A mailbox is
 * "DOMAIN/USER" in lower case with everything outside a-z 0-9 . _ + = ~ - as %xx, or "postmaster",
 * or "~LOGIN": that of a user of this machine. */
void route_decide(const struct route_table *t, const struct route_question *q, struct arena *a,
                  struct route_answer *ret);

/* May the login q->sender, a full address, send as each of q->recipient, one a line? Its own are:
 * itself, with and without a +tag, and what leads to its mailbox through aliases, but for mailboxes
 * of others. Class 2, or a refusal whose why is the first that is not. */
enum { ROUTE_OWNED_MAX = 50 };
void route_owner(const struct route_table *t, const struct route_question *q, struct arena *a,
                 struct route_answer *ret);
/* Whose login is q->recipient, a full address? Class 2 with the one mailbox that is theirs, as in
 * a target of route_decide, and why is the account's own address; or a refusal. Aliases of the
 * administrator are no logins, and neither is an address with a +tag. */
void route_login(const struct route_table *t, const struct route_question *q, struct arena *a,
                 struct route_answer *ret);
/* What a person asks for with VRFY or EXPN: an address, or a name of any domain here. As
 * route_decide, but why is the address it was taken for. */
void route_verify(const struct route_table *t, const struct route_question *q, struct arena *a,
                  struct route_answer *ret);
