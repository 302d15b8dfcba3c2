/* nexthop/public.h - is this an address of the public Internet?
 *
 * Whoever owns a domain can have its MX lead anywhere. Loopback, private, link-local, shared and
 * multicast addresses are no place for a stranger's mail: from here they reach what the stranger
 * could not. RFC 6890 and its registry; addresses that carry an IPv4 one within are judged by it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/socket.h"

bool address_is_public(const struct sock_address *a);
