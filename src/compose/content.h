/* compose/content.h - the bytes of a text part: its lines, and how they are encoded for the way.
 *
 * A text goes as it is only when nothing can happen to it: lines of at most 78 characters (RFC 5322
 * 2.1.1), nothing that a relay or a mailbox would change. Else it is quoted-printable or base64,
 * whichever is shorter, and what the receiver sees is exactly what was written: not format=flowed,
 * which would give blanks at the ends of lines a meaning the writer did not know of. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum content_encoding {
    CONTENT_7BIT,
    CONTENT_8BIT,
    CONTENT_BINARY,
    CONTENT_QUOTED_PRINTABLE,
    CONTENT_BASE64,
};

/* Appends the text with CRLF at the end of each line, also of the last one. A CR or LF alone is a
 * line end, too; a byte order mark in front goes. False: it does not fit. */
bool content_lines(struct str text, struct buf *to);

struct content_facts {
    bool has_8bit;
    bool fragile;         /* blanks at the end of a line, "From " in front, control characters */
    size_t line_bytes;    /* of the longest */
    size_t line_letters;  /* likewise, counted as UTF-8 if it is that */
    size_t special_bytes; /* which quoted-printable needs three bytes for */
};

struct content_facts content_scan(struct str lines, bool utf8);
/* may_8bit: the server takes bytes above 127 (RFC 6152). Never CONTENT_BINARY. */
enum content_encoding content_choose(const struct content_facts *f, size_t bytes, bool may_8bit);
/* quoted-printable or base64 (RFC 2045 6.7, 6.8). False: it does not fit. */
bool content_encode(struct str lines, enum content_encoding encoding, struct buf *to);
size_t content_encoded_max(size_t bytes); /* what content_encode makes at most */
