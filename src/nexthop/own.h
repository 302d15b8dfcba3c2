/* nexthop/own.h - is a next hop this server itself? A route that points back here would
 * send each message round until its hops are used up. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "io/socket.h"

enum { OWN_ADDRESSES_MAX = 256 };

struct own {
    size_t count;
    uint8_t addresses[OWN_ADDRESSES_MAX][16]; /* IPv4 as v4-mapped */
};

/* Learns the addresses of this host; the jail forbids asking later. */
void own_learn_before_jail(struct own *o);
bool own_has(const struct own *o, const struct sock_address *a); /* any port */
/* The same without loopback: an address by which others could mean this host. */
bool own_is_known_as(const struct own *o, const struct sock_address *a);
/* Would a connection to `a` reach one of the listeners of this configuration? */
bool own_listens(const struct own *o, const struct config *c, const struct sock_address *a);
