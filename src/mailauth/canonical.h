/* mailauth/canonical.h - what DKIM and ARC sign of a message: its "relaxed" form, which survives
 * what relays do to blanks and folding. RFC 6376 3.4.2, 3.4.4. Pure.
 *
 * Only CRLF ends a line; a CR or LF alone is a byte like any other. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

/* Appends "name:value" and CRLF. The value is folded as it came. */
void canonical_field(struct buf *to, struct str name, struct str value);

/* A body that streams by, in pieces of any size. What comes out is given to fn, also in pieces. */
struct canonical_body {
    void (*fn)(void *arg, struct str bytes);
    void *arg;
    /* private */
    uint64_t line_ends; /* not given out yet: nothing may follow them */
    bool blank, saw_cr, anything;
    size_t n;
    char out[4096];
};

void canonical_body_init(struct canonical_body *c, void (*fn)(void *arg, struct str bytes),
                         void *arg);
void canonical_body_feed(struct canonical_body *c, struct str bytes);
void canonical_body_end(struct canonical_body *c);
