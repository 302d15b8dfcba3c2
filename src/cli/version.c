/* cli/version.c - troika version. */
// SPDX-License-Identifier: ISC
#include <stdio.h>

#include "cli/cli.h"

int run_version(const struct command_line *l)
{
    if (l->argument_count)
        return fail(l, EX_USAGE, "takes no arguments; see --help");
    printf(l->json ? "{\"version\": \"%s\"}\n" : "troika %s\n", TROIKA_VERSION);
    return EX_OK;
}
