/* dns/packet.h - the answer of a resolver, read from its bytes. Pure.
 *
 * Only what answers the question is handed on: the chain of CNAMEs is followed here from the name
 * that was asked, and records of other names or types are left out. Compressed names may only
 * point backwards, a name has 255 bytes, a chain CNAMES_MAX links: nothing in a packet makes us
 * work long. RFC 1035 4. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5, /* followed, never asked for */
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_TLSA = 52,
};
enum dns_rcode { DNS_RCODE_OK = 0, DNS_RCODE_SERVFAIL = 2, DNS_RCODE_NO_NAME = 3 };

enum {
    DNS_NAME_BYTES_MAX = 255, /* as it is sent; the text is shorter */
    DNS_RECORDS_MAX = 100,    /* of one answer; more are left out */
    DNS_CNAMES_MAX = 12,
};

struct dns_record {
    uint8_t address[16];               /* A: the first 4; AAAA */
    uint16_t preference;               /* MX; SRV: its priority */
    uint16_t weight, port;             /* SRV, RFC 2782 */
    uint8_t usage, selector, matching; /* TLSA, RFC 6698 2.1 */
    bool is_host;     /* MX, PTR, NS, SRV: the name is letters, digits, - and _ ; or the root */
    struct str name;  /* of these; lower case, without the last dot; empty: the root */
    struct str bytes; /* TXT: its strings, joined; TLSA: what the certificate is compared with */
};

struct dns_packet {
    unsigned rcode;
    struct dns_record *records;
    size_t count;
    size_t cname_count;   /* followed */
    struct str canonical; /* the name they led to; empty: not one of letters, digits, - and _ */
};

/* False: not an answer to a question of this type, or malformed; *ret untouched. */
bool dns_packet_parse(struct str bytes, enum dns_type type, struct arena *a,
                      struct dns_packet *ret);
/* Can this text be asked for: labels of letters, digits, - and _, within the sizes of RFC 1035?
 * A last dot is fine. */
bool dns_name_valid(struct str name);
