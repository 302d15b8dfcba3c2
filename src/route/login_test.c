// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "route/route.h"

#define S(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Accounts: alice and bob at a.test, robert a further address of bob's; users of the machine:
 * carl and bob, root is refused; wait and slow cannot be looked up. */
static enum account_answer account(void *arg, struct str local, struct str domain, struct arena *a,
                                   struct address *ret)
{
    bool robert = str_eq_nocase(local, STR("robert"));

    *ret = (struct address){robert ? STR("bob") : alias_key(a, local), domain};
    if (str_eq_c(local, "wait"))
        return ACCOUNT_TRY_LATER;
    return robert || str_eq_nocase(local, STR("alice")) || str_eq_nocase(local, STR("bob"))
               ? ACCOUNT_YES
               : ACCOUNT_NO;
}

static enum login_answer login(void *arg, struct str local, struct arena *a, struct str *ret)
{
    *ret = alias_key(a, local);
    if (str_eq_c(local, "slow"))
        return LOGIN_TRY_LATER;
    if (str_eq_c(local, "root"))
        return LOGIN_REFUSED;
    return str_eq_c(*ret, "carl") || str_eq_c(*ret, "bob") ? LOGIN_YES : LOGIN_NO;
}

static enum alias_answer alias(void *arg, const struct route_domain *domain, struct str key,
                               struct arena *a, struct alias *ret)
{
    fail_msg("aliases of the administrator are no logins");
    return ALIAS_NO;
}

static const struct route_domain domains[] = {
    {.name = S("a.test"),
     .accounts = true,
     .aliases = S("aliases"),
     .system_users = true,
     .user_logins = true},
    {.name = S("users.test"), .system_users = true, .user_logins = true},
    {.name = S("mail.test"), .accounts = true, .system_users = true},
};

static const struct route_table table = {.hostname = S("mx.test"),
                                         .domains = domains,
                                         .domain_count = countof(domains),
                                         .account = account,
                                         .login = login,
                                         .alias = alias};

static void whose_login(void **state)
{
    static const struct {
        const char *login;
        unsigned code;
        const char *mailbox, *own;
    } cases[] = {
        {"alice@a.test", 250, "a.test/alice", "alice@a.test"},
        {"ALICE@a.test", 250, "a.test/alice", "alice@a.test"},
        {"robert@a.test", 250, "a.test/bob", "bob@a.test"},
        {"bob@a.test", 250, "a.test/bob", "bob@a.test"}, /* the account comes first */
        {"carl@a.test", 250, "~carl", "carl@a.test"},
        {"Carl@a.test", 250, "~carl", "carl@a.test"},
        {"bob@users.test", 250, "~bob", "bob@users.test"},
        {"alice@users.test", 550, "", "alice@users.test"},
        {"carl@mail.test", 550, "", "carl@mail.test"}, /* gets mail, but does not log in */
        {"alice+tag@a.test", 550, "", "alice+tag@a.test"},
        {"carl+tag@a.test", 550, "", "carl+tag@a.test"},
        {"root@a.test", 550, "", "root@a.test"},
        {"nobody@a.test", 550, "", "nobody@a.test"},
        {"postmaster@a.test", 550, "", "postmaster@a.test"},
        {"alice@elsewhere.test", 550, "", "alice@elsewhere.test"},
        {"alice@mx.test", 550, "", "alice@mx.test"},
        {"alice", 550, "", "alice"},
        {"", 550, "", ""},
        {"wait@a.test", 451, "", "wait@a.test"},
        {"slow@a.test", 451, "", "slow@a.test"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct route_answer answer = {0};
        struct route_question q = {.recipient = str_c(cases[i].login)};

        route_login(&table, &q, &a, &answer);

        struct str mailbox = answer.target_count > 0 ? answer.targets[0].next_hop : STR("");

        if (answer.status.code != cases[i].code || !str_eq_c(answer.why, cases[i].own) ||
            !str_eq_c(mailbox, cases[i].mailbox))
            fail_msg("%s: %u %.*s %.*s", cases[i].login, answer.status.code, STR_ARG(mailbox),
                     STR_ARG(answer.why));
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whose_login)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
