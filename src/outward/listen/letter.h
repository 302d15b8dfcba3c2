/* listen/letter.h - one message as it comes: judged, and what there is to show of it. Pure.
 *
 *   letter_new -> letter_raw and letter_content, piece by piece -> letter_end -> what it is
 *
 * Of the content only the header is kept, so its size does not matter. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/listen/fields.h"
#include "outward/listen/judge.h"
#include "outward/listen/parts.h"

struct letter_options {
    bool chunked;              /* came by BDAT */
    bool may_8bit, may_binary; /* what BODY of MAIL said */
    bool smtputf8;             /* was said */
    uint64_t now_us;           /* wall time */
};

struct letter;

struct letter *letter_new(const struct letter_options *o, struct judge *j);
void letter_free(struct letter **l);                     /* NULL is fine */
void letter_raw(struct letter *l, struct str bytes);     /* on the wire */
void letter_content(struct letter *l, struct str bytes); /* what the same bytes mean */
void letter_end(struct letter *l);                       /* once; then: */
uint64_t letter_bytes(const struct letter *l);           /* of the content; also before the end */
const struct fields *letter_fields(const struct letter *l);
const struct part *letter_parts(const struct letter *l, size_t *count);
