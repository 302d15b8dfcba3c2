/* outward/talk/mask.h - what of a line may be shown, kept in the history, and written down. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

#define MASK "***"

/* Appends the line to `to`, secrets as ***. in_login: it answers a challenge, so all of it is one
 * (but the * that gives up). True: there was something to hide. */
bool mask_line(struct str line, bool in_login, struct buf *to);
/* Is this a line of a transcript whose secret was left out? */
bool mask_found(struct str line);
