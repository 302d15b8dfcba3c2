/* mail/trace.h - the header fields we put on top of a message (its prefix).
 *
 * Only `queue` names messages, after the prefix has been written: the byte PREFIX_ID_MARK stands
 * for the id until then. All lines end in CRLF. RFC 5321 4.4. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "mail/id.h"

#define PREFIX_ID_MARK '\x1a'

struct received {
    struct str helo;           /* what the client called itself; may be empty */
    struct str client_name;    /* reverse name, or empty */
    struct str client_ip;      /* "192.0.2.1" or "2001:db8::1"; printed as IPv6:… in [ ] */
    struct str by;             /* our host name */
    struct str by_comment;     /* "uid 1000, bill": printed behind it in ( ); or empty */
    struct str with;           /* "ESMTP", "SMTP", "ESMTPS"…: RFC 3848 */
    struct str with_comment;   /* "TLSv1.3 TLS_AES_256_GCM_SHA384", likewise */
    struct str only_recipient; /* "for <…>": set only when there is exactly one; else empty.
                                  Left out where it would make an ASCII header UTF-8 */
    uint64_t time_us;
};

void received_print(struct buf *to, const struct received *r); /* with PREFIX_ID_MARK as id */
/* Who really sent it, when the sender of the envelope may say something else. */
void warning_print(struct buf *to, struct str host, struct str who, struct str sender);
void message_id_print(struct buf *to, struct str hostname); /* Message-ID: <MARK@hostname> */
/* prefix with every mark replaced. */
void prefix_print(struct buf *to, struct str prefix, struct id id);
