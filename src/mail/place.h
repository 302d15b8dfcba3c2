/* mail/place.h - where the mail of users of this machine goes: "~/Maildir", "/var/mail/{user}".
 * Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { PLACE_BYTES_MAX = 200, PLACE_PATH_BYTES_MAX = 2048 };

/* NULL, or in words what is wrong with it and what would be right. */
const char *place_problem(struct str place);
/* The path of a valid place for this user. What comes before base_bytes must be there; what comes
 * after it is made when it is missing: it is below the home directory, or begins with a part that
 * has the user's name. False: too long, or the home is no absolute path. */
bool place_expand(struct str place, struct str user, struct str home, struct buf *path,
                  size_t *base_bytes);
