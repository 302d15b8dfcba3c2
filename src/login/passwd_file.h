/* login/passwd_file.h - a line of a file of accounts from another server: ADDRESS:{SCHEME}PASSWORD:…
 *
 * The form of Dovecot's passwd-file and what others write out: further fields behind the password
 * are ignored. Without a scheme the password is a hash of crypt(5); without a password the account
 * has a mailbox only. Lines with # and empty ones say nothing. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "login/credential.h"

struct passwd_line {
    struct address address;
    struct str plain;             /* the password itself: credential_make is still to do */
    struct credential credential; /* enabled only when there is a hash or are keys */
};

enum passwd_read { PASSWD_NOTHING, PASSWD_ACCOUNT, PASSWD_WRONG };
/* Strings of ret live in the arena or the line. *problem: what is wrong, and what would be right. */
enum passwd_read passwd_line_parse(struct str line, struct arena *a, struct passwd_line *ret,
                                   const char **problem);
