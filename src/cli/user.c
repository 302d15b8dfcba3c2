/* cli/user.c - troika user: the mail accounts of this server. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "login/account.h"

static void print_account(void *arg, struct str address)
{
    const struct command_line *l = arg;

    if (l->json)
        printf("{\"address\":\"%.*s\"}\n",
               STR_ARG(address)); /* account names need no escaping: account.h */
    else
        printf("%.*s\n", STR_ARG(address));
}

static const struct config_domain *find_domain(const struct config *c, struct str name)
{
    for (size_t i = 0; i < c->domain_count; i++) {
        if (str_eq_nocase(c->domains[i].name, name))
            return &c->domains[i];
    }
    return NULL;
}

/* The address of the first argument; EX_OK or the error printed. */
static int read_address(const struct command_line *l, const struct config *c, bool add,
                        struct arena *arena, struct address *ret)
{
    struct parse_error error;
    const char *text = l->argument_count > 1 ? l->arguments[1] : NULL;

    if (!text || l->argument_count > 2)
        return fail(l, EX_USAGE, "which address? troika user %s bill@example.org", l->arguments[0]);
    if (!address_parse(str_c(text), arena, ret, &error))
        return fail(l, EX_DATAERR, "%s: %s", text, error.text);
    if (!add)
        return EX_OK;
    const struct config_domain *d = find_domain(c, ret->domain);

    if (!d)
        return fail(l, EX_CONFIG,
                    "%s says nothing of %.*s; add: domain \"%.*s\" { accounts = yes }",
                    l->config_path, STR_ARG(ret->domain), STR_ARG(ret->domain));
    if (!d->accounts)
        return fail(l, EX_CONFIG, "%.*s: domain %.*s has no `accounts = yes`", STR_ARG(d->at),
                    STR_ARG(d->name));
    return EX_OK;
}

/* A database made by root must be readable for the router, whose group the folder has. */
static void share_with_router(const char *folder)
{
    char path[4300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/accounts.db", folder);
    if (geteuid() == 0 && stat(folder, &st) == 0 && chown(path, st.st_uid, st.st_gid) == 0)
        (void)chmod(path, 0640);
}

static int answer(const struct command_line *l, int error, const char *done)
{
    const char *what = l->argument_count > 1 ? l->arguments[1] : "";

    if (error == -EEXIST)
        return fail(l, EX_CANTCREAT, "%s exists already", what);
    if (error == -ENOENT)
        return fail(l, EX_NOUSER, "there is no account %s; `troika user list` shows them", what);
    if (error < 0)
        return fail(l, EX_IOERR, "%s: %s", what, strerror(-error));
    if (done && !l->json)
        printf("%s %s\n", what, done);
    else if (done)
        printf("{\"address\":\"%s\",\"done\":\"%s\"}\n", what, done);
    return EX_OK;
}

static int run_verb(const struct command_line *l, const struct config *c, const char *folder)
{
    const char *verb = l->argument_count ? l->arguments[0] : "list";
    bool add = strcmp(verb, "add") == 0;
    bool remove = strcmp(verb, "rm") == 0;
    struct arena arena = ARENA_INIT;
    struct address address;
    struct accounts *accounts = NULL;
    int code = EX_OK;

    if (!add && !remove && strcmp(verb, "list") != 0)
        return fail(l, EX_USAGE, "%s? one of add, rm, list", verb);
    if (add || remove)
        code = read_address(l, c, add, &arena, &address);
    if (code == EX_OK)
        code = answer(l, accounts_open(folder, add || remove, &accounts), NULL);
    if (code == EX_OK && add)
        code =
            answer(l, accounts_add(accounts, &address), "added; mail for it is taken from now on");
    else if (code == EX_OK && remove)
        code =
            answer(l, accounts_remove(accounts, &address), "removed; its mail stays where it is");
    else if (code == EX_OK)
        code = answer(l,
                      accounts_list(accounts, str_c(l->argument_count > 1 ? l->arguments[1] : ""),
                                    print_account, (void *)(uintptr_t)l),
                      NULL);
    accounts_close(&accounts);
    arena_free(&arena);
    if (add && code == EX_OK)
        share_with_router(folder);
    return code;
}

int run_user(const struct command_line *l)
{
    struct config *config = load_config(l, NULL);
    char folder[4200];

    if (!config)
        return EX_CONFIG;
    snprintf(folder, sizeof(folder), "%.*s", STR_ARG(config->state));
    int code = EX_OK;

    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        code = fail(l, EX_CANTCREAT, "%s: %s", folder, strerror(errno));
    snprintf(folder, sizeof(folder), "%.*s/accounts", STR_ARG(config->state));
    if (code == EX_OK && mkdir(folder, 0750) < 0 && errno != EEXIST)
        code = fail(l, EX_CANTCREAT, "%s: %s", folder, strerror(errno));
    if (code == EX_OK)
        code = run_verb(l, config, folder);
    config_drop(&config);
    return code;
}
