/* mail/dsn.h - the message that tells a sender what happened to their mail.
 *
 * multipart/report (RFC 6522) of: words for a person; message/delivery-status (RFC 3464); the
 * header section of the original (RFC 3462 text/rfc822-headers). CRLF line ends, 7-bit. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mail/id.h"
#include "mail/status.h"

struct dsn_recipient {
    struct str original; /* what the sender wrote; may equal final */
    struct str final;
    struct str remote; /* the host that answered, or empty */
    struct status status;
    uint64_t last_attempt_us;
    uint32_t attempt_count;
};

struct dsn {
    struct str reporting_host;
    struct str to; /* the original sender: where the report goes */
    struct id original_id;
    uint64_t arrival_us, now_us;
    bool expired;               /* gave up after trying for a long time */
    struct str original_header; /* of the original message, up to 64 KiB is quoted */
    const struct dsn_recipient *recipients;
    size_t recipient_count;
};

/* The whole message; its own id is PREFIX_ID_MARK (mail/trace.h) in Message-ID. */
void dsn_print(struct buf *to, const struct dsn *d);
