/* outward/outward.h - what the commands that talk to the servers of others share. */
// SPDX-License-Identifier: ISC
#pragma once

#include "cli/cli.h"

/* providers: all files of them (provider/load.h), or an exit code after the errors were printed. */
struct providers;
int load_providers(const struct command_line *l, struct arena *a, struct providers *ret);
/* Whom to ask for names: --resolver, or the resolvers of the system. EX_OK, or an exit code after
 * the error was printed. The caller frees it. */
struct loop;
struct dns;
int command_dns(const struct command_line *l, struct loop *loop, struct dns **ret);
/* The same, and answers are validated from these trust anchors on (dns/dns.h). */
int command_dns_anchored(const struct command_line *l, struct loop *loop, struct str anchors,
                         struct dns **ret);

/* troika probe --listen: the whole of it, see outward/listen/listen.c */
int run_probe_listen(const struct command_line *line);
