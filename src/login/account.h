/* login/account.h - the accounts of this server: STATE/accounts/accounts.db (SQLite).
 *
 * The command line writes, the router reads; a new account is seen by the next question. Local
 * parts are compared without case (ASCII), domains too. A user's mail is in
 * STATE/mail/DOMAIN/USER. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "mail/address.h"

struct accounts;

/* folder_fd: STATE/accounts. write = false never creates anything: a missing database is empty.
 * 0 or negative errno (-EBADMSG: the file is no account database). The paths SQLite opens are
 * relative to the folder: before a jail, open early; the descriptor stays. */
int accounts_open(const char *folder, bool write, struct accounts **ret);
void accounts_close(struct accounts **s);
int accounts_add(struct accounts *s, const struct address *address);    /* -EEXIST */
int accounts_remove(struct accounts *s, const struct address *address); /* -ENOENT */
int accounts_has(struct accounts *s, struct str local,
                 struct str domain); /* 1, 0, negative errno */
/* Calls fn for each account by domain and name. */
int accounts_list(struct accounts *s, struct str domain, void (*fn)(void *arg, struct str address),
                  void *arg);
