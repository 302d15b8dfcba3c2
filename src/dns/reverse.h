/* dns/reverse.h - the name of an address, believed only if it leads back to the address.
 *
 * Whoever owns an address writes any name into its PTR record, so each name is looked up in turn:
 * only the owner of the name can have given it this address. The first that leads back wins. */
// SPDX-License-Identifier: ISC
#pragma once

#include "dns/dns.h"

enum { REVERSE_NAMES_MAX = 5 }; /* of one address; more are not looked up */

enum reverse_verdict {
    REVERSE_FOUND,
    REVERSE_NONE,     /* the address has no name */
    REVERSE_MISMATCH, /* no name of it leads back */
    REVERSE_LATER,    /* that cannot be known now */
    REVERSE_VERDICT_COUNT
};

const char *reverse_why(enum reverse_verdict v); /* in words, for logs */

struct reverse_name {
    struct reverse *of;
    struct dns_question question;
    char text[DNS_NAME_BYTES_MAX];
};

struct reverse { /* embedded in its asker; zero-initialise */
    struct dns *dns;
    uint8_t address[16];
    size_t address_bytes;
    struct dns_question question;
    struct reverse_name names[REVERSE_NAMES_MAX];
    size_t name_count, open_count;
    bool later;
    void (*fn)(void *arg, enum reverse_verdict v, struct str name);
    void *arg;
};

/* bytes: 4 or 16 of the address. fn may free the asker; the name lives as long as the call. */
void reverse_ask(struct dns *d, struct reverse *r, const uint8_t *address, size_t bytes,
                 void (*fn)(void *arg, enum reverse_verdict v, struct str name), void *arg);
void reverse_cancel(struct reverse *r); /* harmless when nothing is asked */
/* "1.2.0.192.in-addr.arpa", "1.0...8.b.d.0.1.0.0.2.ip6.arpa" */
void reverse_print(struct buf *to, const uint8_t *address, size_t bytes);
