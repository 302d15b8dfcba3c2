/* nexthop/lookup.h - the servers behind a next hop, one after another, as they are to be tried.
 *
 *   "192.0.2.1:25", "[2001:db8::1]:25"  this address; "localhost:25": the loopback ones
 *   "mx.example.org:25"                 the addresses of this name, which our configuration trusts
 *   "@[192.0.2.1]"                      an address that a stranger may have written
 *   "@example.org"                      by DNS: the hosts of its MX records by preference, equals
 *                                       shuffled (RFC 5321 5.1); without any, the domain itself
 *
 * The addresses of one preference are asked for together, IPv6 and IPv4 at the same time, and
 * taken in turn; those of the next one only when all of these were tried. Once one of them is this
 * server, this preference and all behind it are left out: they would lead the mail back here. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "dns/dns.h"
#include "mail/status.h"
#include "nexthop/own.h"

enum { LOOKUP_TRIES_MAX = 12, LOOKUP_HOSTS_MAX = 32 };

struct lookup;

struct lookup_server {
    struct sock_address address;
    struct str host; /* its name, where one was looked up; lives as long as the lookup */
    bool secure;     /* every answer that led here is validated by DNSSEC */
    bool last;       /* no other one is known behind it */
};

/* No server is left: st says why there was none; next_hop_failed: the others for this next hop
 * need not try now either. The lookup may be freed in it. */
typedef void lookup_fn(void *arg, const struct lookup_server *server, const struct status *st,
                       bool next_hop_failed);

struct lookup_world {
    struct dns *dns;
    /* Whose name and listeners are ours; own may be NULL only when config is: then we are no server
     * that mail could come back to. Is held. */
    const struct own *own;
    struct config *config;
    bool private_too;   /* DNS may lead to loopback and private addresses */
    uint16_t smtp_port; /* of servers found by DNS */
};

/* notes: what is worth telling of servers that were not tried. */
struct lookup *lookup_new(const struct lookup_world *w, struct str next_hop, struct buf *notes,
                          lookup_fn *fn, void *arg);
void lookup_next(struct lookup *l);  /* fn comes once, maybe before it returns */
void lookup_free(struct lookup **l); /* NULL is fine */
