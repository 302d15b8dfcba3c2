/* route/test_table.h - one small table for the tests of owner.c and verify.c; a header only,
 * because a test program is one file.
 *
 * Accounts: alice and bob at a.test, bob at b.test, "wait" cannot be looked up. Aliases of a.test:
 * sales, info (of sales), bob (alice gets copies of bob's mail), postmaster, far. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/check.h"
#include "route/route.h"

static inline enum account_answer test_account(void *arg, struct str local, struct str domain,
                                               struct arena *a, struct address *ret)
{
    *ret = (struct address){local, domain};
    if (str_eq_c(local, "wait"))
        return ACCOUNT_TRY_LATER;
    if (str_eq_nocase(local, STR("bob")))
        return ACCOUNT_YES;
    return str_eq_nocase(local, STR("alice")) && str_eq_c(domain, "a.test") ? ACCOUNT_YES
                                                                            : ACCOUNT_NO;
}

static inline enum login_answer test_login(void *arg, struct str local, struct arena *a,
                                           struct str *ret)
{
    return LOGIN_NO;
}

static inline enum alias_answer test_alias(void *arg, const struct route_domain *domain,
                                           struct str key, struct arena *a, struct alias *ret)
{
    static const struct {
        const char *name;
        const char *to[2];
    } rows[] = {
        {"sales", {"alice@a.test", "bob@b.test"}}, {"info", {"sales@a.test", NULL}},
        {"bob", {"bob@a.test", "alice@a.test"}},   {"postmaster", {"alice@a.test", NULL}},
        {"far", {"x@elsewhere.test", NULL}},       {"gone", {"nobody@a.test", NULL}},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        if (!str_eq_c(key, rows[i].name))
            continue;
        *ret = (struct alias){.name = str_c(rows[i].name),
                              .targets = arena_alloc(a, 2 * sizeof *ret->targets)};
        for (size_t n = 0; n < 2 && rows[i].to[n]; n++) {
            struct parse_error error;
            struct address to;

            check(address_parse(str_c(rows[i].to[n]), a, &to, &error));
            ret->targets[ret->target_count++] = (struct alias_target){.to = to, .line = 1};
        }
        return ALIAS_YES;
    }
    return ALIAS_NO;
}

static const struct route_domain test_domains[] = {
    {.name = {"a.test", 6}, .accounts = true, .at = {"c:1", 3}, .aliases = {"aliases", 7}},
    {.name = {"b.test", 6}, .accounts = true, .at = {"c:2", 3}},
};

static const struct route_table test_table = {
    .hostname = {"mx.test", 7},
    .domains = test_domains,
    .domain_count = countof(test_domains),
    .config_name = {"c", 1},
    .account = test_account,
    .login = test_login,
    .alias = test_alias,
};
