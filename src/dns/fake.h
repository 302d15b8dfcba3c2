/* dns/fake.h - a resolver for tests: answers from a table, as the real one gives them, packets
 * and all. */
// SPDX-License-Identifier: ISC
#pragma once

#include "dns/dns.h"

struct dns_fake_row {
    const char *name;
    enum dns_type type;
    /* "192.0.2.1", "2001:db8::1", "mx.example.org", "10 mx.example.org" ("." is the root), SRV
     * "10 1 465 mx.example.org", TXT as it is, TLSA "3 1 1 0a0b"; or a CNAME's target when type is
     * DNS_CNAME. A name with any row exists. "SERVFAIL", "BOGUS", "SILENCE": that is what becomes
     * of the question. */
    const char *value;
    bool secure;
};

/* Rows are borrowed. */
struct dns *dns_fake_new(struct loop *l, const struct dns_fake_row *rows, size_t count);
