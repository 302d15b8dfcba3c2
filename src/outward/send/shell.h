/* outward/send/shell.h - commands that a person named: their editor, what prints their password. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

/* Starts a command line by the shell, with one further argument (or NULL) behind it. in, out:
 * what is its standard input and output, or -1: as ours is. 0, or a negative errno. */
int shell_start(const char *command, const char *argument, int in, int out, pid_t *ret);
/* Waits for its end: the exit status, 128 and the signal that ended it, or a negative errno. */
int shell_wait(pid_t pid);
