/* daemon/parent/inherited.h - listening sockets that the service manager made and holds for us, as
 * sd_listen_fds(3) says, without its library.
 *
 * They are taken once, at the start, and kept for life: while the manager holds a socket its
 * address cannot be bound again. So each must belong to an address of a listen statement; who
 * connects to one that does not would wait for ever. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/socket.h"

struct inherited_socket {
    struct sock_address at;
    int fd;
    bool both_families; /* [::] that takes IPv4 too */
    struct str name;    /* for people: the unit it comes from */
};

struct inherited {
    struct inherited_socket *list;
    size_t count;
    char *names; /* what the `name`s are views into */
};

/* Nothing was handed over: true, and none. False: *error says what is wrong with one. */
bool inherited_take(struct inherited *ret, struct buf *error);
void inherited_free(struct inherited *in);
/* A copy of the descriptor for this address, or -1. */
int inherited_dup(const struct inherited *in, const struct sock_address *at);
/* Does one for this IPv6 address take IPv4 as well? */
bool inherited_both(const struct inherited *in, const struct sock_address *at);
