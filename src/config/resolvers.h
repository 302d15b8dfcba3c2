/* config/resolvers.h - the resolvers of the system: the nameserver lines of resolv.conf(5). Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"

enum { RESOLVERS_MAX = 8 };

/* As the statement `forward` writes them: "192.0.2.53@53". What is no address is left out, also
 * one with a zone (fe80::1%eth0), which would only mean something to this host's C library. */
size_t resolvers_read(struct str text, struct arena *a, struct str ret[RESOLVERS_MAX]);
