/* cli/command.c - the subcommand that was asked for: finds it, reads its options, runs it. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"

enum option_kind { OPTION_HELP, OPTION_FLAG, OPTION_MAYBE, OPTION_TEXT, OPTION_LIST };
static const struct option_row {
    const char *name;
    size_t offset; /* of its field in struct command_line */
    enum option_kind kind;
    const char *value; /* name of its value in the help, or NULL */
    const char *words;
} option_rows[] = {
    {"help", 0, OPTION_HELP, NULL, N_("show this help")},
#define OPTION(kind, field, name, value, words)                                                    \
    {name, offsetof(struct command_line, field), OPTION_##kind, value, words},
#include "cli/options.def"
#undef OPTION
};

static const int option_arguments[] = {
    [OPTION_HELP] = no_argument,        [OPTION_FLAG] = no_argument,
    [OPTION_MAYBE] = optional_argument, [OPTION_TEXT] = required_argument,
    [OPTION_LIST] = required_argument,
};

int fail(const struct command_line *l, int code, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    if (l->face)
        fprintf(stderr, "%s: ", l->face);
    else
        fprintf(stderr, "troika%s%s: ", l->command ? " " : "", l->command ? l->command : "");
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return code;
}

static bool word_in(const char *words, const char *word)
{
    struct str rest = str_c(words);

    while (rest.n) {
        if (str_eq_c(str_cut_word(&rest), word))
            return true;
    }
    return false;
}

static bool takes(const struct command *c, const struct option_row *o)
{
    return o->kind == OPTION_HELP || word_in(c->options, o->name);
}

/* Columns of "NAME VALUE" in the help: the widest of this command. */
static int options_width(const struct command *c)
{
    size_t width = 0;

    for (size_t i = 0; i < countof(option_rows); i++) {
        const struct option_row *o = &option_rows[i];

        if (takes(c, o))
            width = MAX_OF(width, strlen(o->name) + 1 + strlen(o->value ? o->value : ""));
    }
    return (int)width;
}

static void print_help(const struct command *c)
{
    int width = options_width(c);

    printf(_("usage: troika %s %s\n\n%s\n"), c->name, c->usage, _(c->summary));
    if (*c->help)
        printf("\n%s\n", _(c->help));
    printf("\n%s\n", _("options:"));
    for (size_t i = 0; i < countof(option_rows); i++) {
        const struct option_row *o = &option_rows[i];

        if (takes(c, o))
            printf("  --%s %-*s  %s\n", o->name, width - (int)strlen(o->name) - 1,
                   o->value ? o->value : "", _(o->words));
    }
}

static void print_overview(const struct command *commands, size_t count, FILE *to)
{
    fprintf(to, "usage: troika COMMAND [OPTIONS] [ARGUMENTS]\n\n");
    for (size_t i = 0; i < count; i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, _(commands[i].summary));
    fprintf(to,
            "\n`troika COMMAND --help` says more; troika(1) and troika.conf(5) are the manual.\n");
}

const struct command *command_named(const struct command *commands, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static const struct option_row *find_option(const char *name)
{
    for (size_t i = 0; i < countof(option_rows); i++) {
        if (strcmp(option_rows[i].name, name) == 0)
            return &option_rows[i];
    }
    return NULL;
}

static void set_option(struct command_line *l, const struct option_row *o, const char *value)
{
    void *field = (char *)l + o->offset;

    if (o->kind == OPTION_FLAG) {
        *(bool *)field = true;
    } else if (o->kind == OPTION_TEXT || o->kind == OPTION_MAYBE) {
        *(const char **)field = value ? value : "";
    } else {
        struct option_list *list = field;

        list->items = mem_resize(list->items, (list->count + 1) * sizeof(*list->items));
        list->items[list->count++] = value;
    }
}

int command_options(const struct command *c, struct command_line *l, int argc, char **argv)
{
    struct option longs[countof(option_rows) + 1] = {0};

    for (size_t i = 0; i < countof(option_rows); i++) {
        longs[i].name = option_rows[i].name;
        longs[i].has_arg = option_arguments[option_rows[i].kind];
    }
    opterr = 0;
    for (;;) {
        int index = -1;
        int got = getopt_long(argc, argv, ":c:hv", longs, &index);

        if (got < 0)
            break;
        const struct option_row *o = got == 'c'   ? find_option("config")
                                     : got == 'h' ? find_option("help")
                                     : got == 'v' ? find_option("verbose")
                                     : got == 0   ? &option_rows[index]
                                                  : NULL;
        if (got == ':')
            return fail(l, EX_USAGE, "%s wants a value; see --help", argv[optind - 1]);
        if (!o)
            return fail(l, EX_USAGE, "unknown option %s; see --help", argv[optind - 1]);
        if (!takes(c, o))
            return fail(l, EX_USAGE, "takes no --%s; see --help", o->name);
        if (o->kind == OPTION_HELP) {
            print_help(c);
            return -1;
        }
        set_option(l, o, optarg);
    }
    l->argument_count = argc - optind;
    l->arguments = argv + optind;
    return 0;
}

static void forget_options(struct command_line *l)
{
#define FORGET_FLAG(field)
#define FORGET_TEXT(field)
#define FORGET_MAYBE(field)
#define FORGET_LIST(field) free(l->field.items);
#define OPTION(kind, field, name, value, words) FORGET_##kind(field)
#include "cli/options.def"
#undef OPTION
#undef FORGET_FLAG
#undef FORGET_TEXT
#undef FORGET_MAYBE
#undef FORGET_LIST
}

static const struct command *find_command(const struct command_line *l, const char *name,
                                          const struct command *commands, size_t count)
{
    const struct command *c = command_named(commands, count, name);

    if (!c)
        fail(l, EX_USAGE, "there is no command %s; `troika --help` lists them", name);
    return c;
}

/* The other program reads the options itself. */
static int run_elsewhere(const struct command_line *l, const struct command *c, char **argv)
{
    char program[4200] = "";

    if (libexec_path(l, c->program, program, sizeof(program)))
        execv(program, argv);
    return fail(l, EX_UNAVAILABLE, "%s: %s; a part of Troika is not installed", program,
                strerror(errno));
}

int command_main(const struct command *commands, size_t count, int argc, char **argv)
{
    struct command_line line = {.config_path = config_default_path()};

    if (argc < 2) {
        print_overview(commands, count, stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        print_overview(commands, count, stdout);
        return EX_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_version(&line);
    if (strcmp(argv[1], "help") == 0) {
        const struct command *asked = find_command(&line, argv[2], commands, count);

        if (asked)
            print_help(asked);
        return asked ? EX_OK : EX_USAGE;
    }
    const struct command *c = find_command(&line, argv[1], commands, count);

    if (!c)
        return EX_USAGE;
    line.command = c->name;
    if (!c->run)
        return run_elsewhere(&line, c, argv);
    int code = command_options(c, &line, argc - 1, argv + 1);

    if (code)
        return code < 0 ? EX_OK : code;
    code = c->run(&line);
    forget_options(&line);
    if (fflush(stdout) < 0 || ferror(stdout))
        return fail(&line, EX_IOERR, "standard output: %s", strerror(errno));
    return code;
}
