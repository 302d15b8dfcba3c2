/* cli/user.h - private to `troika user`: what its verbs share. */
// SPDX-License-Identifier: ISC
#pragma once

#include "cli/cli.h"
#include "login/account.h"
#include "login/credential.h"

struct user_command {
    const struct command_line *line;
    const struct config *config;
    struct arena arena;
    struct accounts *accounts;
    struct credentials *credentials; /* NULL: list may not read them */
    struct address address;          /* the first argument, for verbs of one account */
    const char *text;                /* as it was typed */
};

/* EX_OK, or what is wrong with the accounts was printed. */
int user_failed(const struct user_command *u, int error);
/* NULL, or why mail for this new address would not be taken (in the arena) and the exit code. */
const char *user_domain_problem(struct user_command *u, const struct address *address,
                                int *ret_code);

struct new_password {
    char text[PASSWORD_BYTES_MAX + 3]; /* one more than allowed, and a line end */
    size_t n;                          /* 0: none was given */
};
/* From the file, standard input or the terminal that the command line says; checked. EX_OK, or the
 * error was printed. may_be_none: without any of them there is none, and none is asked for with
 * an empty line. */
int user_read_password(const struct user_command *u, bool may_be_none, struct new_password *ret);

int user_import(struct user_command *u);
