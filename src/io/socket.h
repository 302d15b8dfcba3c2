/* io/socket.h - addresses of sockets, listeners, networks. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/socket.h>

#include "base/buf.h"

struct sock_address {
    struct sockaddr_storage sa;
    socklen_t bytes;
};

/* "127.0.0.1:25", "[::1]:25", "*:25" (both families: two addresses). Names are not looked up.
 * Writes up to two; returns how many, 0 when it is none. */
size_t sock_address_parse(struct str s, struct sock_address ret[2]);
/* From the 4 or 16 bytes of an address of this family. */
struct sock_address sock_address_make(int family, const void *ip, uint16_t port);
/* With port; a Unix socket as "unix:/path", or "local" when it has no name. */
void sock_address_print(struct buf *to, const struct sock_address *a);
void sock_address_print_ip(
    struct buf *to, const struct sock_address *a); /* "192.0.2.1", "2001:db8::1"; v4-mapped as v4 */
uint16_t sock_address_port(const struct sock_address *a);
bool sock_address_eq(const struct sock_address *a, const struct sock_address *b);

struct network {    /* 10.0.0.0/8, 2001:db8::/32, or one address */
    uint8_t family; /* AF_INET, AF_INET6 */
    uint8_t bits;
    uint8_t bytes[16];
};
/* False also when bits are set behind the length ("10.0.0.1/8"): that is a slip. */
bool network_parse(struct str s, struct network *ret);
bool network_has(const struct network *n,
                 const struct sock_address *a); /* v4-mapped v6 counts as v4 */
bool networks_have(const struct network *list, size_t count, const struct sock_address *a);

bool sock_address_unix(const char *path, struct sock_address *ret); /* false: too long */
/* The path of a Unix socket's address; NULL: it is none, or has no name. Lives as long as a. */
const char *sock_address_path(const struct sock_address *a);
int listen_tcp(const struct sock_address *a,
               int *ret_fd); /* non-blocking, close-on-exec, SO_REUSEADDR, V6ONLY */
/* A stream, for local users; else the same as listen_unix. */
int listen_unix_stream(const char *path, unsigned mode, int *ret_fd);
int listen_unix(const char *path, unsigned mode,
                int *ret_fd); /* SOCK_SEQPACKET; replaces a dead socket */
