/* mail/notify.h - what a sender wants to be told of (RFC 3461): a set of notify_when for each
 * recipient, and how much of the message comes back. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

enum notify_when {
    NOTIFY_NEVER = 1, /* stands alone */
    NOTIFY_SUCCESS = 2,
    NOTIFY_FAILURE = 4,
    NOTIFY_DELAY = 8,
    NOTIFY_ASKED = 15, /* all that a sender can say */
    /* Ours: of the members of an alias this one's end tells that it was expanded (5.2.7.3). */
    NOTIFY_EXPANDED = 16,
};

enum notify_return { RETURN_UNSAID, RETURN_HEADERS, RETURN_FULL, RETURN_COUNT };

/* RFC 3461 4.2, 4.4, 5.4: as they come in a command, still encoded. */
enum { ENVID_BYTES_MAX = 100, ORCPT_BYTES_MAX = 500 };

struct notify {
    unsigned when; /* of enum notify_when; 0: nothing was said */
    struct str orcpt; /* "rfc822;bob@example.org", "utf-8;почта@пример.рф", decoded; or empty */
};

/* Without a wish: failures and delays, RFC 3461 4.1. */
bool notify_wants(unsigned when, enum notify_when what);

/* "NEVER", or words of SUCCESS, FAILURE, DELAY with commas between, in any case and order. */
bool notify_parse(struct str text, unsigned *ret);
void notify_print(struct buf *to, unsigned when); /* "SUCCESS,DELAY"; nothing for 0 */
bool notify_valid(unsigned when);                 /* could we have stored it? */

const char *notify_return_name(enum notify_return r); /* "HDRS", "FULL", "" */
bool notify_return_parse(struct str text, enum notify_return *ret);

/* Printable ASCII, at most so many bytes: what ENVID and ORCPT are once decoded. */
bool notify_text_valid(struct str decoded, size_t bytes_max);
/* "type;address", both there; the address ASCII unless the type is utf-8 (RFC 6533 3). */
bool orcpt_valid(struct str decoded);
bool orcpt_is_utf8(struct str decoded); /* of the type utf-8 */
