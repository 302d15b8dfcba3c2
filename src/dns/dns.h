/* dns/dns.h - the one door to the Domain Name System: a question, later its answer.
 *
 * libunbound underneath, on our event loop: it caches, retries, validates DNSSEC, and is asked
 * for whole answers, which dns/packet.h reads. It opens no file after dns_new, and dns_new opens
 * none itself, so both work in a jail with JAIL_DNS; trust anchors come as text, read before.
 *
 * A question is embedded in its asker, who may cancel it at any time. Answers come at the
 * end of a turn, never from within dns_ask. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "dns/packet.h"
#include "io/loop.h"

enum { DNS_ANSWER_S = 20, DNS_ANCHOR_BYTES_MAX = 64 * 1024 };

struct dns_options {
    const struct str *forwards; /* resolvers as "ADDRESS@PORT"; none: ask from the root on */
    size_t forward_count;
    struct str anchors; /* DS and DNSKEY records, a line each; empty: nothing is validated */
};

struct dns;

/* Reads the file of trust anchors; 0 or a negative errno. */
int dns_read_anchors_before_jail(const char *path, struct buf *to);
/* 0; or -EINVAL (a resolver or an anchor is malformed), -ENOMEM. Options are copied. */
int dns_new(struct loop *l, const struct dns_options *o, struct dns **ret);
/* Goes on with other options; what is being asked is asked again. After an error all is as it was. */
int dns_renew(struct dns *d, const struct dns_options *o);
void dns_free(struct dns **d); /* NULL is fine; questions must be cancelled before */

enum dns_outcome {
    DNS_FOUND,
    DNS_NO_DATA, /* the name exists, but has no such record */
    DNS_NO_NAME, /* there is no such name */
    DNS_LATER,   /* no answer, or one that cannot be trusted: try again */
};

enum dns_security {
    DNS_INSECURE, /* the zone is not signed, or there are no trust anchors */
    DNS_SECURE,
    DNS_BOGUS, /* signed, but not validly so; the outcome is DNS_LATER */
};

struct dns_answer { /* lives as long as the call */
    enum dns_outcome outcome;
    enum dns_security security;
    const struct dns_record *records;
    size_t count;
    size_t cname_count;   /* the name is an alias, so many links long */
    struct str canonical; /* what it stands for, or the name itself; empty: there was no answer */
    const char *why;      /* DNS_LATER: in words */
};

struct dns_pending;

struct dns_question {
    struct dns_pending *pending; /* private; zero-initialise */
    void (*fn)(void *arg, const struct dns_answer *answer);
    void *arg;
};

/* The name needs no last dot; one that cannot exist is answered with DNS_NO_NAME. */
void dns_ask(struct dns *d, struct dns_question *q, struct str name, enum dns_type type,
             void (*fn)(void *arg, const struct dns_answer *answer), void *arg);
void dns_cancel(struct dns_question *q); /* harmless when nothing is asked */
