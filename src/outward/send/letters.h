/* outward/send/letters.h - texts as a person gives them, made UTF-8: from --input-charset, else from the
 * letters of their locale. */
// SPDX-License-Identifier: ISC
#pragma once

#include "cli/cli.h"

/* What arguments are written in: --input-charset or not, the terminal's. "UTF-8" where the locale
 * says nothing else. */
const char *letters_of_locale(void);
/* EX_OK; EX_USAGE: there are no such letters; EX_DATAERR: these bytes stand for nothing in them.
 * *error says where and what would be right. A byte order mark is thrown away. */
int letters_decode(const char *charset, struct str bytes, struct buf *to, struct buf *error);
