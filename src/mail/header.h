/* mail/header.h - the header section of a message: walk it, find fields, count hops.
 *
 * Pure and bounded; input may be anything. Lines may end in CRLF or LF. RFC 5322 2.2, 3.6. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"

struct header_field {
    struct str name; /* without the colon */
    struct str body; /* folded as it came, without the last line end */
    struct str all;  /* the whole field with its line ends */
};

/* Cuts the next field off *rest. False at the blank line (which is cut too), at the end, or at a
 * line that is no field: then the body starts here and *rest is left there. */
bool header_next(struct str *rest, struct header_field *ret);
/* The first field of that name (no case). */
bool header_find(struct str message, const char *name, struct header_field *ret);
/* Bytes of the header section without the blank line after it. */
size_t header_bytes(struct str message);

/* Finds facts of a header while the message streams by, in constant memory: which of the fields
 * we care for are there, how many Received fields. Feed it the message from its start. */
struct header_scan {
    bool ended; /* the blank line has been seen, or a line that is no field */
    bool has_date, has_message_id, has_from;
    bool has_8bit; /* a byte outside ASCII */
    uint32_t received_count;
    struct buf *authors; /* given: the fields From and Sender are added to it as they stand */
    /* private */
    bool keeps;
    char name[24];
    uint8_t name_bytes, state;
};

void header_scan_init(struct header_scan *h);
void header_scan_feed(struct header_scan *h, struct str bytes);
