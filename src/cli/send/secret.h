/* cli/send/secret.h - passwords and tokens of the command line: from a prompt, a file, the environment
 * or a command; never from argv, never shown.
 *
 * Used by send, talk and probe. The options are --password-file, --password-env NAME,
 * --password-command COMMAND, --password-stdin, --token-command COMMAND. Without any the
 * environment TROIKA_PASSWORD counts, then the terminal is asked. */
// SPDX-License-Identifier: ISC
#pragma once

#include "cli/cli.h"

/* The password for USER at HOST into *to (without its line end), or an exit code after the error was printed.
 * secret_wipe when done. */
int secret_password(const struct command_line *l, struct str user, struct str host, struct buf *to);
/* The OAuth token of --token-command; EX_OK with nothing when that was not given. */
int secret_token(const struct command_line *l, struct buf *to);
void secret_wipe(struct buf *b);
