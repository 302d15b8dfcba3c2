/* compose/words.h - words of header fields, beyond ASCII in any character set. RFC 2047.
 *
 * What goes as it is, goes as it is; a text with anything else in it is encoded as a whole, which
 * all readers understand alike. (mail/encoded_word.h is the same for the daemons: UTF-8 only, and
 * no care for what a reader could misread.) Text is UTF-8 without control characters but tabs, of
 * which the set of the coder has every character. */
// SPDX-License-Identifier: ISC
#pragma once

#include "compose/charset.h"
#include "mail/fold.h"

/* Subject and fields like it (RFC 5322 2.2.1). False: it does not fit, or not into the set. */
bool words_text(struct fold *f, struct str text, struct coder *coder);
/* The name in front of an address (RFC 5322 3.2.5 phrase). */
bool words_phrase(struct fold *f, struct str name, struct coder *coder);
