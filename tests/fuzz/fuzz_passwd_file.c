/* Any bytes as a file of accounts to import: an account that is taken has an address that mail can
 * have and either a usable password, one thing to check it with, or neither; what is wrong is said
 * in words that do no harm to a terminal. */
// links: base io mail wire config login
// SPDX-License-Identifier: ISC
#include <string.h>

#include "base/check.h"
#include "login/account.h"
#include "login/passwd_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_account(const struct passwd_line *l)
{
    const struct credential *c = &l->credential;
    struct prepared_password prepared;
    int kinds = (c->password[0] != '\0') + c->sha1.set + c->sha256.set;

    check(!accounts_name_problem(&l->address));
    check(kinds == (c->enabled ? 1 : 0));
    check(l->plain.n == 0 || !c->enabled);
    check(l->plain.n == 0 || !password_prepare(l->plain, &prepared));
    check(!c->password[0] || password_hash_known(c->password));
    check(c->sha1.salt_n <= sizeof c->sha1.salt && c->sha256.salt_n <= sizeof c->sha256.salt);
    check(!c->cram_secret[0]);
}

static void check_problem(const char *problem, const struct passwd_line *l)
{
    check(problem && *problem && !l->credential.enabled && !l->credential.password[0]);
    for (; *problem; problem++)
        check(*problem >= ' ' && *problem <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n((const char *)data, size);

    while (rest.n > 0) {
        struct arena a = ARENA_INIT;
        struct passwd_line line;
        const char *problem = NULL;
        enum passwd_read read = passwd_line_parse(str_cut(&rest, '\n'), &a, &line, &problem);

        if (read == PASSWD_ACCOUNT)
            check_account(&line);
        if (read == PASSWD_WRONG)
            check_problem(problem, &line);
        arena_free(&a);
    }
    return 0;
}
