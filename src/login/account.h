/* login/account.h - the accounts of this server: STATE/accounts/accounts.db (SQLite).
 *
 * The command line writes, the router reads; a new account is seen by the next question, also when
 * the database was made or replaced after accounts_open. Names and domains are compared without
 * case (ASCII) and kept in lower case. A user's mail is in STATE/mail/DOMAIN/USER.
 *
 * The file belongs to whom the folder belongs to and may be read by all who may enter the folder.
 * A reader needs to open, read and lock below the folder; it writes nothing. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "mail/address.h"

struct accounts;

enum { ACCOUNTS_READ_WAIT_MS = 200, ACCOUNTS_WRITE_WAIT_MS = 5000 };

/* folder: STATE/accounts, or "." when the process is in it. write = false never creates anything
 * and opens no file before the first question (so it may be called before a jail closes): a
 * missing database is empty. 0 or negative errno (-EBADMSG: the file is no account database). */
int accounts_open(const char *folder, bool write, struct accounts **ret);
void accounts_close(struct accounts **s);                           /* NULL is fine */
void accounts_set_clock(struct accounts *s, const struct clock *c); /* else &clock_system */
/* Takes back what a writer that died left half done, which a reader cannot (-EROFS from
 * accounts_has). Needs to write in the folder, so before a jail closes. 0 also when there is
 * nothing to do. */
int accounts_recover(const char *folder);
/* -EEXIST; -EINVAL: no name a mailbox can have, see accounts_name_problem. */
int accounts_add(struct accounts *s, const struct address *address);
int accounts_remove(struct accounts *s, const struct address *address); /* -ENOENT */
/* 1, 0, negative errno (-EAGAIN: somebody is writing; -EROFS: see accounts_recover) */
int accounts_has(struct accounts *s, struct str local, struct str domain);
/* Calls fn for each account by domain and name; domain empty: all. Returns how many, or a negative
 * errno. */
int accounts_list(struct accounts *s, struct str domain, void (*fn)(void *arg, struct str address),
                  void *arg);
/* NULL, or in words why this cannot be an account. */
const char *accounts_name_problem(const struct address *address);
