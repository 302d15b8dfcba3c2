/* daemon/relay/secrets.h - the passwords for other servers, by the file they are in.
 *
 * The parent opens the files; what is in them is here alone: in no snapshot, log or argument. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/map.h"
#include "config/config.h"

struct secrets {
    struct map *by_path;
};

void secrets_init(struct secrets *s);
void secrets_done(struct secrets *s); /* all of it is overwritten */

/* The first line of the file is the password now; if it cannot be read, there is none. fd is only
 * read. */
void secrets_take(struct secrets *s, struct str path, int fd);
void secrets_missing(struct secrets *s, struct str path, struct str why);
/* Those that the configuration does not name any more go. */
void secrets_keep(struct secrets *s, const struct config *c);

struct secret {
    struct str password; /* empty: there is none, and why says it */
    struct str why;
};
/* NULL: the parent has not said anything of that file yet. */
const struct secret *secret_find(const struct secrets *s, struct str path);
