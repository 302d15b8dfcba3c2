/* cli/serve.c - troika serve: becomes the parent process. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int run_serve(const struct command_line *l)
{
    char parent[4200];
    char folder[4200];

    if (l->argument_count)
        return fail(l, EX_USAGE, "takes no arguments; see --help");
    if (!libexec_path(l, "parent", parent, sizeof(parent)))
        return fail(l, EX_UNAVAILABLE, "%s: %s; --libexec FOLDER says where the role programs are",
                    parent, strerror(errno));
    memcpy(folder, parent, sizeof(folder));
    char *const argv[] = {parent,
                          (char[]){"-c"},
                          (char *)(uintptr_t)l->config_path,
                          (char[]){"--libexec"},
                          dirname(folder),
                          NULL};

    execv(parent, argv);
    return fail(l, EX_OSERR, "%s: %s", parent, strerror(errno));
}
