/* mail/idn.h - names in the letters of all languages. Pure.
 *
 * Inside Troika a domain has one form: A-labels (xn--…), lower case. Only there two ways of
 * writing it are the same, and only that can be asked of DNS. IDNA2008, non-transitional, by
 * libidn2, which also takes capitals and wide letters as people type them (UTS 46). A local part
 * has one form too: NFC, so that an accent typed in two ways is one name (RFC 6530 10.1). */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

/* UTF-8 in, A-labels out. False: no domain can be written so. */
bool idn_to_ascii(struct str domain, struct arena *a, struct str *ret);
/* The domain for the eyes of a person: U-labels where they lead back to the very same domain. */
struct str idn_readable(struct str domain, struct arena *a);
/* A text with every domain in it readable. */
void idn_print_readable(struct buf *to, struct str text);

/* False: no UTF-8. ASCII comes back as it is. */
bool nfc_make(struct str text, struct arena *a, struct str *ret);
