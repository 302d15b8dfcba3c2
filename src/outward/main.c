/* outward/main.c - the commands that talk to the servers of others: libexec/troika/outward, which
 * `troika` becomes for them. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "cli/cli.h"

static const struct command commands[] = {
#define COMMAND_TROIKA(...)
#define COMMAND_OUTWARD(name, options, usage, summary, help)                                       \
    {#name, options, usage, summary, help, run_##name, NULL},
#define COMMAND(program, ...) COMMAND_##program(__VA_ARGS__)
#include "cli/commands.def"
#undef COMMAND
};

int main(int argc, char **argv)
{
    language_start();
    return command_main(commands, countof(commands), argc, argv);
}
