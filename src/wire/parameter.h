/* wire/parameter.h - values of MAIL and RCPT parameters of RFC 3461 and 6533, both directions. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "mail/notify.h"

/* RFC 3461 4: +HH for what a value may not hold. False: not xtext, or not printable once decoded,
 * or longer than bytes_max as it came. */
bool xtext_parse(struct str text, size_t bytes_max, struct arena *a, struct str *ret);
void xtext_print(struct buf *to, struct str decoded);

/* RFC 6533 3, of the type utf-8: \x{43F} for what may not stand there; letters outside ASCII as
 * they are (unitext) or not (xtext). */
bool unitext_parse(struct str text, struct arena *a, struct str *ret);
void unitext_print(struct buf *to, struct str decoded, bool ascii);

/* "rfc822;bob@example.org", 4.2; "utf-8;…". ascii: whatever it is, in ASCII; nothing if it gets too
 * long by that. */
bool orcpt_parse(struct str value, struct arena *a, struct str *ret);
void orcpt_print(struct buf *to, struct str decoded, bool ascii);

/* " RET=FULL ENVID=x", " NOTIFY=NEVER ORCPT=rfc822;x": what was said, or nothing. */
void mail_wishes_print(struct buf *to, enum notify_return ret, struct str envid);
void rcpt_wishes_print(struct buf *to, const struct notify *n, bool ascii);
