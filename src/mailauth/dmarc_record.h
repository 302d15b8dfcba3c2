/* mailauth/dmarc_record.h - a DMARC record, and whose it is. RFC 7489 3.2, 6. Pure.
 *
 * Receivers pass over what they do not understand of a record, so a fault mostly costs only the tag
 * that it is in: the record is usable then, and `odd` says what is passed over. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/report_address.h"

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };

struct dmarc_record {
    enum dmarc_policy policy, subdomain_policy;
    bool strict_dkim, strict_spf;
    unsigned percent;
    struct report_addresses rua, ruf; /* views into the text */
    struct record_error odd;          /* the first thing that receivers will pass over */
};

bool dmarc_record_is(struct str text);
/* False: receivers will act as if there were no record. */
bool dmarc_record_parse(struct str text, struct dmarc_record *ret, struct record_error *error);
const char *dmarc_policy_word(enum dmarc_policy p); /* "quarantine" */

/* The part of a domain (lower case, A-labels) that somebody registered, by the list of public
 * suffixes (libpsl): a view into it. Empty: it is itself a public suffix. */
struct str organizational_domain(struct str domain);
