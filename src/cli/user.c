/* cli/user.c - troika user: the mail accounts of this server. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
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
        print_json(json_pack("{s:o}", "address", json_text(address)));
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
static int read_address(const struct command_line *l, const struct config *c, bool is_new,
                        struct arena *arena, struct address *ret)
{
    struct parse_error error;
    const char *text = l->argument_count > 1 ? l->arguments[1] : NULL;

    if (!text)
        return fail(l, EX_USAGE, "which address? troika user %s bill@example.org", l->arguments[0]);
    if (!address_parse(str_c(text), arena, ret, &error))
        return fail(l, EX_DATAERR, "%s: %s", text, error.text);
    if (!is_new)
        return EX_OK;
    const char *problem = accounts_name_problem(ret);

    if (problem)
        return fail(l, EX_DATAERR, "%s: %s", text, problem);
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
        return fail(l, error == -EACCES ? EX_NOPERM : EX_IOERR, "the accounts: %s",
                    strerror(-error));
    if (done && !l->json)
        printf("%s %s\n", what, done);
    else if (done)
        print_json(json_pack("{s:o, s:s}", "address", json_text(str_c(what)), "done", done));
    return EX_OK;
}

static int add(const struct command_line *l, struct accounts *accounts, const struct address *a)
{
    return answer(l, accounts_add(accounts, a), "added; mail for it is taken from now on");
}

static int remove_account(const struct command_line *l, struct accounts *accounts,
                          const struct address *a)
{
    return answer(l, accounts_remove(accounts, a), "removed; its mail stays where it is");
}

static int list(const struct command_line *l, struct accounts *accounts, const struct address *a)
{
    struct str domain = str_c(l->argument_count > 1 ? l->arguments[1] : "");

    (void)a;
    return answer(l, accounts_list(accounts, domain, print_account, (void *)(uintptr_t)l), NULL);
}

struct verb {
    const char *name;
    bool writes;
    int (*run)(const struct command_line *l, struct accounts *accounts, const struct address *a);
};

static const struct verb *find_verb(const char *name)
{
    static const struct verb verbs[] = {
        {"add", true, add}, {"rm", true, remove_account}, {"list", false, list}};

    for (size_t i = 0; i < countof(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int run_verb(const struct command_line *l, const struct config *c, const struct verb *v)
{
    struct arena arena = ARENA_INIT;
    struct accounts *accounts = NULL;
    struct address address;
    char folder[4200];
    int code = EX_OK;

    snprintf(folder, sizeof(folder), "%.*s/accounts", STR_ARG(c->state));
    if (v->writes)
        code = read_address(l, c, v->run == add, &arena, &address);
    if (code == EX_OK && v->run == add)
        code = make_accounts_folder(l, c, folder);
    if (code == EX_OK)
        code = answer(l, accounts_open(folder, v->writes, &accounts), NULL);
    if (code == EX_OK)
        code = v->run(l, accounts, &address);
    accounts_close(&accounts);
    arena_free(&arena);
    if (code == EX_OK && v->run == add)
        share_with_router(folder);
    return code;
}

int run_user(const struct command_line *l)
{
    const char *name = l->argument_count ? l->arguments[0] : "list";
    const struct verb *v = find_verb(name);

    if (!v)
        return fail(l, EX_USAGE, "%s? one of add, rm, list", name);
    if (l->argument_count > 2)
        return fail(l, EX_USAGE, "%s: one at a time; see --help", name);
    struct config *config = load_config(l, NULL);

    if (!config)
        return EX_CONFIG;
    int code = run_verb(l, config, v);

    config_drop(&config);
    return code;
}
