/* listen/probe_alone.c - until `troika probe DOMAIN` is merged: only --listen. */
// SPDX-License-Identifier: ISC
#include "cli/cli.h"

int run_probe(const struct command_line *l)
{
    if (!l->listen)
        return fail(l, EX_USAGE, "--listen is wanted");
    return run_probe_listen(l);
}
