/* listen/words.h - header fields as a person reads them: unfolded, encoded words decoded (RFC 2047),
 * parameters of MIME fields with their pieces joined (RFC 2231). Pure, but for the C library's
 * iconv. Everything comes out as UTF-8. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

struct words_seen {
    size_t bad;     /* look like encoded words and are none, or of no charset that is known */
    size_t longest; /* in characters, with the frame */
};

/* The body of a field. What cannot be decoded stays as it came. */
void words_decode(struct buf *to, struct str body, struct words_seen *seen);
/* Bytes of a charset as UTF-8. False: there is no such charset, or they are not of it. */
bool charset_decode(struct buf *to, struct str charset, struct str bytes);

struct mime_field {
    struct str value;                       /* "text/plain", lower case */
    struct str charset, boundary, filename; /* of name and filename alike */
};
/* Content-Type, Content-Disposition. Everything is in the arena. False: malformed; what was read
 * up to there is in *ret. */
bool mime_field_parse(struct str body, struct arena *a, struct mime_field *ret);
/* "base64": a single token, lower case, comments dropped. */
struct str mime_token(struct str body, struct arena *a);
