/* mailauth/report_address.h - where reports are to go: the lists of DMARC (RFC 7489 6.2) and TLSRPT
 * (RFC 8460 3). Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/record.h"

#include <stddef.h>

enum { REPORT_ADDRESSES_MAX = 20 };

struct report_addresses {
    struct report_address {
        struct str uri;     /* "mailto:dmarc@example.org", without a size behind it */
        struct str address; /* of mailto: "dmarc@example.org"; else empty */
        struct str host;    /* "example.org", also of https */
    } list[REPORT_ADDRESSES_MAX];
    size_t count;
};

/* URIs with commas between them; each may have a size behind it if `sized` ("!10m"). */
bool report_addresses_parse(struct str text, bool sized, struct report_addresses *ret,
                            struct record_error *error);
