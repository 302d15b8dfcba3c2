/* mail/encoded_word.h - text beyond ASCII in header fields. RFC 2047. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

/* The text as it is when it is printable ASCII, else as encoded words in UTF-8, folded. */
void encoded_text_print(struct buf *to, struct str text);
/* The same for the name in front of an address: quoted when it has to be. RFC 5322 3.2.5. */
void encoded_phrase_print(struct buf *to, struct str text);
