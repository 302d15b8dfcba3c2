/* cli/user.c - troika user: the mail accounts of this server and how they log in. */
// SPDX-License-Identifier: ISC
#include "cli/user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { COLUMN = 32, MECHANISMS_MAX = 5 };

/* ---- what is printed ---- */

struct mechanism {
    const char *name;
    bool (*works)(const struct credential *c);
};

static bool has_password(const struct credential *c)
{
    return c->password[0];
}

static bool has_secret(const struct credential *c)
{
    return c->cram_secret[0];
}

static bool has_sha1(const struct credential *c)
{
    return c->sha1.set;
}

static bool has_sha256(const struct credential *c)
{
    return c->sha256.set;
}

static const struct mechanism mechanisms[] = {
    {"PLAIN", has_password},   {"LOGIN", has_password},       {"CRAM-MD5", has_secret},
    {"SCRAM-SHA-1", has_sha1}, {"SCRAM-SHA-256", has_sha256},
};

static bool any_mechanism(const struct credential *c)
{
    for (size_t i = 0; i < countof(mechanisms); i++)
        if (mechanisms[i].works(c))
            return true;
    return false;
}

static json_t *mechanisms_json(const struct credential *c)
{
    json_t *list = json_array();

    for (size_t i = 0; i < countof(mechanisms); i++)
        if (c->enabled && mechanisms[i].works(c))
            json_array_append_new(list, json_string(mechanisms[i].name));
    return list;
}

static void print_mechanisms(const struct credential *c)
{
    for (size_t i = 0; i < countof(mechanisms); i++)
        if (mechanisms[i].works(c))
            printf(" %s", mechanisms[i].name);
}

/* c: NULL when nobody knows. */
static const char *login_word(const struct credential *c)
{
    if (!c)
        return "unknown";
    if (!any_mechanism(c))
        return c->enabled ? "no" : "disabled";
    return c->enabled ? "yes" : "disabled";
}

static void print_login(const struct credential *c)
{
    printf("login: %s", login_word(c));
    if (c && c->enabled && any_mechanism(c)) {
        printf(",");
        print_mechanisms(c);
    }
    putchar('\n');
}

/* What was done, and how the account logs in now; c: NULL when that is not the subject. */
static void print_done(const struct user_command *u, const char *done, const struct credential *c)
{
    json_t *object;

    if (!u->line->json) {
        printf("%s %s\n", u->text, done);
        if (c)
            print_login(c);
        return;
    }
    object = json_pack("{s:o, s:s}", "address", json_text(str_c(u->text)), "done", done);
    if (c) {
        json_object_set_new(object, "login", json_string(login_word(c)));
        json_object_set_new(object, "mechanisms", mechanisms_json(c));
    }
    print_json(object);
}

int user_failed(const struct user_command *u, int error)
{
    if (error >= 0)
        return EX_OK;
    if (error == -EEXIST)
        return fail(u->line, EX_CANTCREAT, "%s exists already", u->text);
    if (error == -ENOENT)
        return fail(u->line, EX_NOUSER, "there is no account %s; `troika user list` shows them",
                    u->text);
    if (error == -EAGAIN)
        return fail(u->line, EX_TEMPFAIL, "somebody else is changing the accounts; try again");
    return fail(u->line, error == -EACCES || error == -EROFS ? EX_NOPERM : EX_IOERR,
                "the accounts: %s", strerror(-error));
}

/* ---- addresses ---- */

static const struct config_domain *find_domain(const struct config *c, struct str name)
{
    for (size_t i = 0; i < c->domain_count; i++) {
        if (str_eq_nocase(c->domains[i].name, name))
            return &c->domains[i];
    }
    return NULL;
}

const char *user_domain_problem(struct user_command *u, const struct address *address,
                                int *ret_code)
{
    const struct config_domain *d = find_domain(u->config, address->domain);
    const char *problem = accounts_name_problem(address);

    *ret_code = problem ? EX_DATAERR : EX_CONFIG;
    if (problem)
        return problem;
    if (!d)
        return arena_c(&u->arena,
                       arena_printf(&u->arena,
                                    "%s says nothing of %.*s; add: domain \"%.*s\" { accounts = "
                                    "yes }",
                                    u->line->config_path, STR_ARG(address->domain),
                                    STR_ARG(address->domain)));
    if (!d->accounts)
        return arena_c(&u->arena,
                       arena_printf(&u->arena, "%.*s: domain %.*s has no `accounts = yes`",
                                    STR_ARG(d->at), STR_ARG(d->name)));
    return NULL;
}

static int read_address(struct user_command *u, const char *text, bool is_new, struct address *ret)
{
    struct parse_error error;
    int code = EX_OK;

    u->text = text;
    if (!address_parse(str_c(text), &u->arena, ret, &error))
        return fail(u->line, EX_DATAERR, "%s: %s", text, error.text);
    const char *problem = is_new ? user_domain_problem(u, ret, &code) : NULL;

    return problem ? fail(u->line, code, "%s: %s", text, problem) : EX_OK;
}

/* The address is an account's own one. */
static int need_account(const struct user_command *u)
{
    struct address own;
    int found = accounts_find(u->accounts, u->address.local, u->address.domain, &own);
    struct buf text = buf_init(2 * ADDRESS_BYTES_MAX);

    if (found <= 0)
        return user_failed(u, found < 0 ? found : -ENOENT);
    if (found == ACCOUNT_FOUND)
        return EX_OK;
    address_print(&text, &own);
    fail(u->line, EX_NOUSER, "%s is only an address of %s, whose password counts", u->text,
         buf_c(&text));
    buf_free(&text);
    return EX_NOUSER;
}

/* ---- verbs ---- */

/* enabled = false: without a password. Then what an account of this name had long ago goes, too. */
static int store_credential(const struct user_command *u, const struct credential *c)
{
    if (c->enabled)
        return credentials_set(u->credentials, &u->address, c);
    int error = credentials_remove(u->credentials, &u->address);

    return error == -ENOENT ? 0 : error;
}

static int store_account(const struct user_command *u, const struct credential *c)
{
    int error = accounts_begin(u->accounts);

    if (error == 0)
        error = accounts_add(u->accounts, &u->address);
    if (error == 0)
        error = store_credential(u, c);
    return error == 0 ? accounts_commit(u->accounts) : error;
}

static int make_credential(const struct user_command *u, bool may_be_none, struct credential *ret)
{
    struct new_password password;
    int code = user_read_password(u, may_be_none, &password), error = 0;

    *ret = (struct credential){0};
    if (code == EX_OK && password.n > 0)
        error = credential_make(str_n(password.text, password.n), u->line->cram_md5, ret);
    explicit_bzero(&password, sizeof password);
    return code == EX_OK && error < 0
               ? fail(u->line, EX_OSERR, "the password cannot be hashed: %s", strerror(-error))
               : code;
}

static int add(struct user_command *u)
{
    struct address own;
    struct credential c;
    int found = accounts_find(u->accounts, u->address.local, u->address.domain, &own);

    if (found != ACCOUNT_FOUND_NONE) /* before anybody types a password */
        return user_failed(u, found < 0 ? found : -EEXIST);
    int code = make_credential(u, true, &c);

    if (code == EX_OK)
        code = user_failed(u, store_account(u, &c));
    if (code == EX_OK)
        print_done(u,
                   c.enabled ? "added; mail for it is taken from now on"
                             : "added; mail for it is taken from now on, it cannot log in before "
                               "`troika user passwd`",
                   c.enabled ? &c : NULL);
    credential_wipe(&c);
    return code;
}

static int passwd(struct user_command *u)
{
    struct credential old = {.enabled = true}, c = {0};
    int code = need_account(u);

    if (code == EX_OK)
        code = make_credential(u, false, &c);
    if (code == EX_OK)
        code = user_failed(
            u, credentials_find(u->credentials, u->address.local, u->address.domain, &old));
    c.enabled = old.enabled;
    if (code == EX_OK)
        code = user_failed(u, credentials_set(u->credentials, &u->address, &c));
    if (code == EX_OK)
        print_done(u,
                   c.enabled ? "has a new password"
                             : "has a new password; it stays disabled until `troika user enable`",
                   &c);
    credential_wipe(&c);
    credential_wipe(&old);
    return code;
}

static int set_enabled(struct user_command *u, bool enabled, const char *done)
{
    struct credential c = {0};
    int code = need_account(u);

    if (code == EX_OK)
        code = user_failed(
            u, credentials_find(u->credentials, u->address.local, u->address.domain, &c));
    c.enabled = enabled;
    if (code == EX_OK)
        code = user_failed(u, credentials_set(u->credentials, &u->address, &c));
    if (code == EX_OK)
        print_done(u, done, &c);
    credential_wipe(&c);
    return code;
}

static int disable(struct user_command *u)
{
    return set_enabled(u, false, "cannot log in any more; mail for it still arrives");
}

static int enable(struct user_command *u)
{
    return set_enabled(u, true, "is not disabled any more");
}

/* Who may log in goes first: what stays when this is cut short is a mailbox. */
static int rm(struct user_command *u)
{
    int error = credentials_remove(u->credentials, &u->address);

    if (error == 0 || error == -ENOENT)
        error = accounts_remove(u->accounts, &u->address);
    if (error == 0)
        print_done(u, "removed; its mail stays where it is", NULL);
    return user_failed(u, error);
}

static int add_aliases(struct user_command *u)
{
    struct address further;
    int code = user_failed(u, accounts_begin(u->accounts));

    for (int i = 2; code == EX_OK && i < u->line->argument_count; i++) {
        code = read_address(u, u->line->arguments[i], true, &further);
        if (code == EX_OK)
            code = user_failed(u, accounts_add_alias(u->accounts, &u->address, &further));
    }
    return code == EX_OK ? user_failed(u, accounts_commit(u->accounts)) : code;
}

static int alias(struct user_command *u)
{
    const char *done = arena_c(&u->arena, arena_printf(&u->arena, "leads to %s", u->text));
    int code = need_account(u);

    if (code == EX_OK)
        code = add_aliases(u);
    for (int i = 2; code == EX_OK && i < u->line->argument_count; i++) {
        u->text = u->line->arguments[i];
        print_done(u, done, NULL);
    }
    return code;
}

static void print_account(void *arg, const struct address *address, const struct address *alias_of)
{
    struct user_command *u = arg;
    struct credential c = {.enabled = true};
    struct str text = address_text(&u->arena, address), of = address_text(&u->arena, alias_of);
    bool known = u->credentials &&
                 credentials_find(u->credentials, address->local, address->domain, &c) >= 0;

    if (!u->line->json && of.n > 0)
        printf("%-*.*s leads to %.*s\n", COLUMN, STR_ARG(text), STR_ARG(of));
    else if (of.n > 0)
        print_json(json_pack("{s:o, s:o}", "address", json_text(text), "alias_of", json_text(of)));
    else if (u->line->json)
        print_json(json_pack("{s:o, s:s, s:o}", "address", json_text(text), "login",
                             login_word(known ? &c : NULL), "mechanisms", mechanisms_json(&c)));
    else {
        printf("%-*.*s ", COLUMN, STR_ARG(text));
        print_login(known ? &c : NULL);
    }
    credential_wipe(&c);
}

static int list(struct user_command *u)
{
    struct str domain = str_c(u->line->argument_count > 1 ? u->line->arguments[1] : "");

    return user_failed(u, accounts_list(u->accounts, domain, print_account, u));
}

/* ---- which verb ---- */

enum verb_flags { OF_ACCOUNT = 1, IS_NEW = 2, WRITES = 4 };
struct verb {
    const char *name;
    int arguments_min, arguments_max; /* behind the name */
    unsigned flags;
    int (*run)(struct user_command *u);
    const char *form;
};

static const struct verb verbs[] = {
    {"add", 1, 1, OF_ACCOUNT | IS_NEW | WRITES, add, "add bill@example.org"},
    {"passwd", 1, 1, OF_ACCOUNT | WRITES, passwd, "passwd bill@example.org"},
    {"disable", 1, 1, OF_ACCOUNT | WRITES, disable, "disable bill@example.org"},
    {"enable", 1, 1, OF_ACCOUNT | WRITES, enable, "enable bill@example.org"},
    {"rm", 1, 1, OF_ACCOUNT | WRITES, rm, "rm bill@example.org"},
    {"alias", 2, 1000, OF_ACCOUNT | WRITES, alias, "alias bill@example.org info@example.org"},
    {"import", 1, 1, WRITES, user_import, "import FILE"},
    {"list", 0, 1, 0, list, "list example.org"},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < countof(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* Without the right to read passwords a list shows the rest. */
static int open_databases(struct user_command *u, bool write)
{
    char accounts[4200], credentials[4200];
    int code = EX_OK;

    snprintf(accounts, sizeof(accounts), "%.*s/accounts", STR_ARG(u->config->state));
    snprintf(credentials, sizeof(credentials), "%.*s/credentials", STR_ARG(u->config->state));
    if (write)
        code = make_accounts_folder(u->line, u->config, accounts);
    if (code == EX_OK && write)
        code = make_credentials_folder(u->line, u->config, credentials);
    if (code == EX_OK)
        code = user_failed(u, accounts_open(accounts, write, &u->accounts));
    if (code != EX_OK)
        return code;
    int error = credentials_open(credentials, write, &u->credentials);

    return write ? user_failed(u, error) : EX_OK;
}

static int run_verb(struct user_command *u, const struct verb *v)
{
    int code = EX_OK;

    if (v->flags & OF_ACCOUNT)
        code = read_address(u, u->line->arguments[1], v->flags & IS_NEW, &u->address);
    if (code == EX_OK)
        code = open_databases(u, v->flags & WRITES);
    if (code == EX_OK)
        code = v->run(u);
    accounts_close(&u->accounts);
    credentials_close(&u->credentials);
    arena_free(&u->arena);
    return code;
}

int run_user(const struct command_line *l)
{
    const char *name = l->argument_count ? l->arguments[0] : "list";
    int arguments = l->argument_count ? l->argument_count - 1 : 0;
    const struct verb *v = find_verb(name);

    if (!v)
        return fail(l, EX_USAGE, "%s? one of add, passwd, disable, enable, rm, alias, import, list",
                    name);
    if (arguments < v->arguments_min || arguments > v->arguments_max)
        return fail(l, EX_USAGE, "as in: troika user %s; see --help", v->form);
    struct config *config = load_config(l, NULL);

    if (!config)
        return EX_CONFIG;
    struct user_command u = {.line = l, .config = config, .arena = ARENA_INIT};
    int code = run_verb(&u, v);

    config_drop(&config);
    return code;
}
