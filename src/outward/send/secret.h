/* outward/send/secret.h - passwords and tokens of the command line: from a prompt, a file, the environment
 * or a command; never from argv, never shown.
 *
 * Used by send, talk and probe. The options are --password-file, --password-env NAME,
 * --password-command COMMAND, --password-stdin, --token-command COMMAND. Without any the
 * environment TROIKA_PASSWORD counts, then the terminal is asked. It is the first line of what they
 * give; of standard input no more than that line is read. */
// SPDX-License-Identifier: ISC
#pragma once

#include "cli/cli.h"

enum { SECRET_BYTES_MAX = 12 * 1024 };

struct buf secret_init(void); /* never moved while it grows, so nothing of it is left behind */
/* The password for USER at HOST into *to (without its line end), or an exit code after the error was printed.
 * secret_wipe when done. */
int secret_password(const struct command_line *l, struct str user, struct str host, struct buf *to);
/* The OAuth token of --token-command; EX_OK with nothing when that was not given. */
int secret_token(const struct command_line *l, struct buf *to);
/* Was one of the options for passwords or tokens given? */
bool secret_given(const struct command_line *l);
void secret_wipe(struct buf *b);
