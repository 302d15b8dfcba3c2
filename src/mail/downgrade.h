/* mail/downgrade.h - a binary message as one that DATA can carry: each part whose encoding is
 * "binary" becomes base64, while the message streams by. RFC 3030 3, RFC 2045 6, RFC 2046 5.1.
 *
 * Everything else stays byte for byte. What cannot be done right is not done: the parts of a
 * multipart/signed, a part that says it has lines and has bare newlines or NULs, a header that is
 * longer than 64 KiB or says two things. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum { DOWNGRADE_HEADER_BYTES_MAX = 64 * 1024 };

struct downgrade;

struct downgrade *downgrade_new(void);
void downgrade_free(struct downgrade **d); /* NULL is fine */
/* Appends to `to`, which must have room for 2 × in.n + 2 × DOWNGRADE_HEADER_BYTES_MAX. False: the
 * message cannot be converted; then nothing more may be fed. */
bool downgrade_feed(struct downgrade *d, struct str in, struct buf *to);
bool downgrade_end(struct downgrade *d, struct buf *to); /* likewise, behind the last byte */
