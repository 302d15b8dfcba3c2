/* cli/check.c - troika check: the configuration as a whole, before anything starts. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"

static void print_result_json(const char *file, int error, struct str errors)
{
    json_t *list = json_array();

    while (errors.n) {
        struct str one = str_cut(&errors, '\n');

        if (one.n)
            json_array_append_new(list, json_text(one));
    }
    print_json(json_pack("{s:o, s:b, s:o}", "file", json_text(str_c(file)), "ok", error == 0,
                         "messages", list));
}

static int print_config(const struct command_line *l)
{
    struct config *config = load_config(l, NULL);

    if (!config)
        return EX_CONFIG;
    struct buf text = buf_init(4 * MIB);

    config_print(&text, config);
    fwrite(text.p, 1, text.n, stdout);
    buf_free(&text);
    config_drop(&config);
    return EX_OK;
}

/* What is wrong with a file that holds a password, and what would be right; empty: nothing, or who
 * asks may not look at it. */
static struct str password_trouble(struct arena *a, struct str path)
{
    struct stat st;

    if (stat(arena_c(a, path), &st) < 0)
        return errno == EACCES
                   ? STR_NONE
                   : arena_printf(a, "%.*s cannot be read: %s", STR_ARG(path), strerror(errno));
    if (!S_ISREG(st.st_mode))
        return arena_printf(a, "%.*s is no file; name one with the password in its first line",
                            STR_ARG(path));
    if (st.st_mode & S_IRWXO)
        return arena_printf(a, "everybody on this machine can read %.*s; say: chmod 600 %.*s",
                            STR_ARG(path), STR_ARG(path));
    return STR_NONE;
}

static bool check_password(struct str at, struct str path, struct buf *errors)
{
    struct arena a = ARENA_INIT;
    struct str trouble = path.n > 0 ? password_trouble(&a, path) : STR_NONE;

    if (trouble.n > 0)
        buf_printf(errors, "%.*s: password-file: %.*s\n", STR_ARG(at), STR_ARG(trouble));
    arena_free(&a);
    return trouble.n == 0;
}

static bool check_passwords(const struct config *c, struct buf *errors)
{
    bool good = check_password(c->smarthost.at, c->smarthost.password_file, errors);

    for (size_t i = 0; i < c->route_count; i++)
        good = check_password(c->routes[i].at, c->routes[i].password_file, errors) && good;
    return good;
}

int run_check(const struct command_line *l)
{
    const char *what = l->argument_count ? l->arguments[0] : "";
    if (l->argument_count == 1 && l->json)
        return fail(l, EX_USAGE, "--json goes with the check alone, not with %s", what);
    if (l->argument_count == 1 && strcmp(what, "statements") == 0)
        return run_manual(l);
    if (l->argument_count == 1 && strcmp(what, "print") == 0)
        return print_config(l);
    if (l->argument_count)
        return fail(l, EX_USAGE, "%s? `check`, `check print` or `check statements`", what);
    struct buf errors = buf_init(64 * KIB);
    int fd = -1;
    int error = config_check_file(l->config_path, &fd, &errors);
    struct config *config = NULL;

    /* A broken alias file, certificate or password file does not keep the server from running with the one before
     * it, so it is no part of the configuration; but a person who asks wants to know. */
    if (!error && config_load(fd, &config) == 0) {
        bool good = check_aliases(config, &errors) == EX_OK;

        good = check_passwords(config, &errors) && good;
        if (check_certificates(config, &errors) != EX_OK || !good)
            error = -EINVAL;
    }
    config_drop(&config);
    if (fd >= 0)
        close(fd);
    if (l->json)
        print_result_json(l->config_path, error, buf_str(&errors));
    else if (errors.n)
        fprintf(stderr, "%.*s\n", STR_ARG(str_trim(buf_str(&errors))));
    else if (error)
        fail(l, EX_CONFIG, "%s: %s", l->config_path, strerror(-error));
    if (!error && !l->json)
        printf("%s is fine\n", l->config_path);
    buf_free(&errors);
    return error ? EX_CONFIG : EX_OK;
}
