/* cli/main.c - the `troika` command, also under the names sendmail, mailq and newaliases. */
// SPDX-License-Identifier: ISC
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/sendmail.h"

/* What talks to the servers of others is a program of its own: it takes more libraries than all
 * the rest, and every `sendmail` would wait for them. */
static const struct command commands[] = {
#define COMMAND_TROIKA(name, options, usage, summary, help)                                        \
    {#name, options, usage, summary, help, run_##name, NULL},
#define COMMAND_OUTWARD(name, options, usage, summary, help)                                       \
    {#name, options, usage, summary, help, NULL, "outward"},
#define COMMAND(program, ...) COMMAND_##program(__VA_ARGS__)
#include "cli/commands.def"
#undef COMMAND
};

/* `newaliases` is `troika aliases build`. */
static int newaliases_main(int argc, char **argv)
{
    struct command_line line = {.config_path = config_default_path(), .command = "aliases"};
    char *verb[] = {(char[]){"build"}, NULL};
    const struct command *aliases = command_named(commands, countof(commands), line.command);
    int code = command_options(aliases, &line, argc, argv);

    if (code)
        return code < 0 ? EX_OK : code;
    if (line.argument_count > 0)
        return fail(&line, EX_USAGE, "newaliases takes no arguments");
    line.argument_count = 1;
    line.arguments = verb;
    return run_aliases(&line);
}

/* Programs and people find us by names that are older than we are. */
static const struct face {
    const char *name;
    int (*run)(int argc, char **argv);
} faces[] = {{"sendmail", sendmail_main}, {"mailq", mailq_main}, {"newaliases", newaliases_main}};

static const struct face *find_face(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path;

    for (size_t i = 0; i < countof(faces); i++) {
        if (name && strcmp(faces[i].name, name) == 0)
            return &faces[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct face *face = find_face(argv[0]);

    language_start();
    return face ? face->run(argc, argv) : command_main(commands, countof(commands), argc, argv);
}
