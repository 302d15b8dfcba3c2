/* mail/dsn.h - the message that tells a sender what happened to their mail.
 *
 * multipart/report (RFC 6522) of: words for a person; message/delivery-status (RFC 3464); the
 * original or its header section (message/rfc822, text/rfc822-headers). CRLF line ends; 7-bit
 * unless a whole original is not.
 *
 * About an address outside ASCII (RFC 6533) the words are in UTF-8. The fields are, too, for a
 * sender who knows UTF-8 (message/global-delivery-status); for another one they have its letters
 * as \x{43F}. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/id.h"
#include "mail/notify.h"
#include "mail/status.h"

enum dsn_action { /* RFC 3464 2.3.3 */
                  DSN_FAILED,
                  DSN_DELAYED,
                  DSN_DELIVERED,
                  DSN_RELAYED, /* to a host that will not report on it */
                  DSN_EXPANDED,
                  DSN_ACTION_COUNT
};

struct dsn_recipient {
    enum dsn_action action;
    struct str original; /* what the sender wrote; may equal final */
    struct str orcpt;    /* "rfc822;bob@example.org" as the sender's server said it; or empty */
    struct str final;
    struct str remote;   /* the host that answered, "mx.example.org (192.0.2.1:25)"; or empty */
    struct str next_hop; /* where it was to go, for people; or empty */
    uint64_t until_us;   /* delayed: it is tried until then */
    struct status status;
    uint64_t last_attempt_us;
    uint32_t attempt_count;
};

struct dsn {
    struct str reporting_host;
    struct str to; /* the original sender: where the report goes */
    bool utf8;     /* who gets it knows SMTPUTF8 */
    struct id original_id;
    struct str envid; /* what the sender calls it; or empty */
    uint64_t arrival_us, now_us;
    bool expired;               /* gave up after trying for a long time */
    struct str original_header; /* of the original message, up to 64 KiB is quoted */
    struct str original;        /* the whole of it, instead of its header; or empty */
    bool too_large;             /* it was wanted whole */
    const struct dsn_recipient *recipients;
    size_t recipient_count;
};

/* The whole message; its own id is PREFIX_ID_MARK (mail/trace.h) in Message-ID. */
void dsn_print(struct buf *to, const struct dsn *d);
/* Is what dsn_print writes 8-bit? And its own header? */
bool dsn_is_8bit(const struct dsn *d);
bool dsn_header_is_utf8(const struct dsn *d);
const char *dsn_action_name(enum dsn_action a); /* "failed" */
