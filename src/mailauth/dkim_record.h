/* mailauth/dkim_record.h - a key that signatures are verified with, as it stands in DNS. RFC 6376 3.6.1,
 * RFC 8463 4. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/record.h"

enum { DKIM_RSA_BITS_MIN = 1024, DKIM_RSA_BITS_WANTED = 2048 }; /* RFC 8301 3.2 */

enum dkim_key { DKIM_KEY_RSA, DKIM_KEY_ED25519 };

struct dkim_record {
    enum dkim_key kind;
    unsigned bits; /* of the key; 0: it is revoked */
    bool revoked;  /* p= is empty */
    bool testing;  /* t=y: receivers treat the mail as if it were not signed */
    bool strict;   /* t=s: not for subdomains */
    bool sha1_only;
    bool not_for_mail; /* s= names other services */
};

bool dkim_record_parse(struct str text, struct dkim_record *ret, struct record_error *error);
