/* cli/aliases.c - troika aliases, and newaliases: makes the maps of aliases and shows them. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "route/map/aliases.h"

enum { ERRORS_BYTES_MAX = 64 << 10 };

struct asked_for { /* what is shown of a map */
    const struct command_line *line;
    const struct config_domain *domain;
    struct str source;
    struct str name; /* empty: all */
    size_t shown;
};

/* ---- build ---- */

static void print_built(const struct command_line *l, const struct config_domain *d,
                        const struct aliases_built *built)
{
    if (l->json)
        print_json(json_pack("{s:o, s:o, s:I, s:I, s:I}", "domain", json_text(d->name), "file",
                             json_text(d->aliases), "aliases", (json_int_t)built->count, "longest",
                             (json_int_t)built->longest_bytes, "bytes", (json_int_t)built->bytes));
    else
        printf("%.*s: %zu aliases, longest %zu bytes, %zu bytes total\n", STR_ARG(d->aliases),
               built->count, built->longest_bytes, built->bytes);
}

static int build_code(int error)
{
    return error == -EINVAL                      ? EX_DATAERR
           : error == -EACCES || error == -EPERM ? EX_NOPERM
           : error == -ENOENT                    ? EX_NOINPUT
           : error == -EAGAIN || error == -EBUSY ? EX_TEMPFAIL
                                                 : EX_IOERR;
}

static int build(const struct command_line *l, const struct config_domain *d, int dir_fd)
{
    struct arena a = ARENA_INIT;
    struct buf errors = buf_init(ERRORS_BYTES_MAX);
    struct aliases_built built;
    int error = aliases_build(dir_fd, arena_c(&a, d->aliases), d->name, &built, &errors);

    if (error < 0)
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&errors)));
    else
        print_built(l, d, &built);
    buf_free(&errors);
    arena_free(&a);
    return error < 0 ? build_code(error) : EX_OK;
}

int check_aliases(const struct config *c, struct buf *errors)
{
    int code = EX_OK;

    for (size_t i = 0; i < c->domain_count; i++) {
        struct arena a = ARENA_INIT;
        const struct config_domain *d = &c->domains[i];
        struct aliases_built counted;

        if (d->aliases.n > 0 &&
            aliases_check(arena_c(&a, d->aliases), d->name, &counted, errors) < 0)
            code = EX_CONFIG;
        arena_free(&a);
    }
    return code;
}

/* ---- list, show ---- */

static json_t *targets_json(const struct alias *alias)
{
    struct buf text = buf_init(2 * KIB);
    json_t *targets = json_array();

    for (size_t i = 0; i < alias->target_count; i++) {
        buf_reset(&text);
        alias_target_print(&text, &alias->targets[i]);
        json_array_append_new(targets, json_text(buf_str(&text)));
    }
    buf_free(&text);
    return targets;
}

static void show_json(const struct asked_for *w, const struct alias *alias)
{
    static const char *const kinds[ALIAS_KIND_COUNT] = {
        [ALIAS_PLAIN] = "alias", [ALIAS_FORWARDED] = "forwarded", [ALIAS_MOVED] = "moved"};

    print_json(json_pack("{s:o, s:o, s:o, s:i, s:s, s:o}", "alias", json_text(alias->name),
                         "domain", json_text(w->domain->name), "file", json_text(w->source), "line",
                         (int)alias->line, "kind", kinds[alias->kind], "targets",
                         targets_json(alias)));
}

static void show(void *arg, const struct alias *alias)
{
    struct asked_for *w = arg;
    struct buf text = buf_init(2 * MIB);

    w->shown++;
    if (w->line->json) {
        show_json(w, alias);
        return;
    }
    alias_print(&text, alias);
    printf("%.*s:%u: %.*s\n", STR_ARG(w->source), alias->line, STR_ARG(buf_str(&text)));
    buf_free(&text);
}

static int show_map(struct asked_for *w, int dir_fd)
{
    struct arena a = ARENA_INIT;
    struct aliases *map = aliases_open(dir_fd, w->domain->name);
    struct alias alias;
    int found =
        aliases_find(map, w->name.n ? alias_key(&a, w->name) : STR("postmaster"), &a, &alias);

    w->source = aliases_source(map);
    if (found > 0 && w->name.n)
        show(w, &alias);
    else if (found >= 0 && w->name.n == 0)
        found = aliases_list(map, show, w);
    int code = found >= 0         ? EX_OK
               : found == -ENOENT ? fail(w->line, EX_NOINPUT,
                                         "the aliases of %.*s were never built; run newaliases",
                                         STR_ARG(w->domain->name))
                                  : fail(w->line, build_code(found), "the aliases of %.*s: %s",
                                         STR_ARG(w->domain->name), strerror(-found));
    aliases_close(&map);
    arena_free(&a);
    return code;
}

/* ---- the verbs ---- */

static bool wants(const struct config_domain *d, struct str domain)
{
    return d->aliases.n > 0 && (domain.n == 0 || str_eq_nocase(d->name, domain));
}

static int for_each(const struct command_line *l, const struct config *c, struct str name,
                    struct str domain, int dir_fd)
{
    bool building = strcmp(l->arguments[0], "build") == 0;
    size_t domains = 0, shown = 0;
    int code = EX_OK;

    for (size_t i = 0; i < c->domain_count; i++) {
        struct asked_for asked = {.line = l, .domain = &c->domains[i], .name = name};

        if (!wants(&c->domains[i], domain))
            continue;
        int one = building ? build(l, &c->domains[i], dir_fd) : show_map(&asked, dir_fd);

        code = MAX_OF(code, one);
        domains++;
        shown += asked.shown;
    }
    /* Package scripts run newaliases whatever is configured: nothing to build is no failure. */
    if (domains == 0)
        return fail(l, building && !domain.n ? EX_OK : EX_CONFIG,
                    "%s names no aliases%s%.*s; add: domain \"example.org\" { aliases = "
                    "\"/etc/aliases\" }",
                    l->config_path, domain.n ? " of " : "", STR_ARG(domain));
    if (code == EX_OK && name.n && shown == 0)
        return fail(l, EX_NOUSER, "there is no alias %.*s; `troika aliases list` shows them",
                    STR_ARG(name));
    return code;
}

static int run_verb(const struct command_line *l, const struct config *c, int dir_fd)
{
    const char *verb = l->arguments[0];
    struct str what = str_c(l->argument_count > 1 ? l->arguments[1] : "");
    bool show_one = strcmp(verb, "show") == 0, list = strcmp(verb, "list") == 0;

    if ((!show_one && !list && strcmp(verb, "build") != 0) ||
        l->argument_count > (strcmp(verb, "build") == 0 ? 1 : 2))
        return fail(l, EX_USAGE, "%s? build, list [DOMAIN] or show NAME", verb);
    if (show_one && what.n == 0)
        return fail(l, EX_USAGE, "which alias? troika aliases show staff");
    size_t at = str_find_last(what, '@');
    struct str name = show_one ? str_sub(what, 0, at) : STR_NONE;
    struct str domain = show_one ? str_skip(what, MIN_OF(at + 1, what.n)) : what;

    return for_each(l, c, name, domain, dir_fd);
}

int run_aliases(const struct command_line *l)
{
    char list[] = "list";
    char *without_verb[] = {list, NULL};
    struct command_line line = *l;
    struct config *config = load_config(l, NULL);
    char folder[4200];
    int code = EX_OK;

    if (!config)
        return EX_CONFIG;
    if (line.argument_count == 0) {
        line.argument_count = 1;
        line.arguments = without_verb;
    }
    snprintf(folder, sizeof(folder), "%.*s/accounts", STR_ARG(config->state));
    if (strcmp(line.arguments[0], "build") == 0)
        code = make_accounts_folder(l, config, folder);
    int dir_fd = code == EX_OK ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (code == EX_OK && dir_fd < 0)
        code = fail(l, build_code(-errno), "%s: %s", folder, strerror(errno));
    if (code == EX_OK)
        code = run_verb(&line, config, dir_fd);
    if (dir_fd >= 0)
        close(dir_fd);
    config_drop(&config);
    return code;
}
