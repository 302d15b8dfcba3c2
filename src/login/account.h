/* login/account.h - the accounts of this server: STATE/accounts/accounts.db (SQLite).
 *
 * The command line writes, the router reads; a new account is seen by the next question, also when
 * the database was made or replaced after accounts_open. Names and domains are compared without
 * case (ASCII) and kept in lower case. A user's mail is in STATE/mail/DOMAIN/USER. An account may
 * have further addresses, also in other domains. No secrets here: see credential.h.
 *
 * The file belongs to whom the folder belongs to and may be read by all who may enter the folder.
 * A reader needs to open, read and lock below the folder; it writes nothing. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "mail/address.h"

struct accounts;

/* folder: STATE/accounts, or "." when the process is in it. write = false never creates anything
 * and opens no file before the first question (so it may be called before a jail closes): a
 * missing database is empty. 0 or negative errno (-EBADMSG: the file is no account database). */
int accounts_open(const char *folder, bool write, struct accounts **ret);
void accounts_close(struct accounts **s);                           /* NULL is fine */
void accounts_set_clock(struct accounts *s, const struct clock *c); /* else &clock_system */
/* Takes back what a writer that died left half done, which a reader cannot (-EROFS from
 * accounts_find). Needs to write in the folder, so before a jail closes. 0 also when there is
 * nothing to do. */
int accounts_recover(const char *folder);
/* Between the two all changes are made or none; none also when it is closed before the end. */
int accounts_begin(struct accounts *s);
int accounts_commit(struct accounts *s);
/* -EEXIST; -EINVAL: no name a mailbox can have, see accounts_name_problem. */
int accounts_add(struct accounts *s, const struct address *address);
/* The account with its further addresses, or one of these alone. -ENOENT. */
int accounts_remove(struct accounts *s, const struct address *address);
/* A further address of an account. -EEXIST; -ENOENT: no such account; -EINVAL as accounts_add. */
int accounts_add_alias(struct accounts *s, const struct address *account,
                       const struct address *alias);

enum account_found { ACCOUNT_FOUND_NONE, ACCOUNT_FOUND, ACCOUNT_FOUND_ALIAS };
/* One of account_found, or a negative errno (-EAGAIN: somebody is writing; -EROFS: see
 * accounts_recover). ret: the account's own address, in lower case; its strings live until the
 * next call for these accounts. */
int accounts_find(struct accounts *s, struct str local, struct str domain, struct address *ret);
/* Calls fn for each address by domain and name, with the account's own for an alias, else an empty
 * one; domain empty: all. Returns how many, or a negative errno. */
int accounts_list(struct accounts *s, struct str domain,
                  void (*fn)(void *arg, const struct address *address,
                             const struct address *alias_of),
                  void *arg);
/* NULL, or in words why this cannot be an account. */
const char *accounts_name_problem(const struct address *address);
