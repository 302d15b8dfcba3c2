/* route/map/aliases.h - the aliases of a domain as a constant map (tinycdb), STATE/accounts/
 * aliases-DOMAIN.cdb: built whole by `newaliases` and the parent, read by the router.
 *
 *   key: a name (route/alias.h alias_key)    value: alias_encode
 *   key: "@"                                 value: version and the path of the file it was made of
 *
 * A map is never changed, only replaced by rename: a reader has all of the old or all of the new
 * one, and looks before each question whether there is a new one. */
// SPDX-License-Identifier: ISC
#pragma once

#include "route/alias.h"

struct stat;

/* ---- building ---- */

struct aliases_built {
    size_t count, longest_bytes, bytes; /* as sendmail's newaliases counts them */
};

/* Only reads. 0; -EINVAL: the file is wrong; or another negative errno. Everything that is wrong is
 * in *errors, "FILE:LINE: TEXT" and a newline each. */
int aliases_check(const char *file, struct str domain, struct aliases_built *ret,
                  struct buf *errors);
/* The same, and then makes the map of this domain in the folder, durably. Builders wait for each
 * other, so the last one has read the newest file. -EAGAIN: the file changed under it. */
int aliases_build(int dir_fd, const char *file, struct str domain, struct aliases_built *ret,
                  struct buf *errors);
/* Is this the same file with the same content, as far as one can see without reading? */
bool aliases_same_file(const struct stat *a, const struct stat *b);

/* ---- reading ---- */

struct aliases;

/* Opens nothing before the first question, so it may be called before a jail closes. dir_fd is
 * borrowed, or AT_FDCWD. */
struct aliases *aliases_open(int dir_fd, struct str domain);
void aliases_close(struct aliases **m); /* NULL is fine */
/* 1, 0, or a negative errno (-ENOENT: it was never built; -EBADMSG: not one of ours). Strings of
 * ret live in the arena. */
int aliases_find(struct aliases *m, struct str key, struct arena *a, struct alias *ret);
/* Calls fn for every alias in the order of its file. */
int aliases_list(struct aliases *m, void (*fn)(void *arg, const struct alias *alias), void *arg);
/* The path of the file the map was made of, after a question or a listing; a view. */
struct str aliases_source(const struct aliases *m);
