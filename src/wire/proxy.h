/* wire/proxy.h - the PROXY protocol of HAProxy, versions 1 (a line of text) and 2 (binary): what a
 * proxy says ahead of everything else about the client it speaks for.
 *
 * Pure. Nothing of it may be guessed: whoever sends no header, or half of one, is no proxy of ours.
 * What version 2 may say beyond the addresses (TLVs) is skipped, but a checksum must be right. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

enum { PROXY_HEADER_BYTES_MAX = 16 * 1024 }; /* version 1: 107 */

struct endpoint {
    uint8_t ip[16];
    size_t ip_bytes; /* 4, 16; 0: not known */
    uint16_t port;
};

enum proxy_speaker {
    PROXY_ITSELF,   /* LOCAL: the proxy looks whether we are there */
    PROXY_SOMEBODY, /* UNKNOWN, AF_UNSPEC, AF_UNIX: a client without an address of the Internet */
    PROXY_CLIENT,   /* the one at `client` */
};

struct proxy_header {
    unsigned version; /* 1, 2 */
    enum proxy_speaker speaker;
    struct endpoint client, server; /* of PROXY_CLIENT: both ends of its connection */
};

enum proxy_event { PROXY_MORE, PROXY_READY, PROXY_BAD };

/* in: everything since the connection began. PROXY_MORE: all of it belongs to the header.
 * PROXY_READY: its first *used bytes do. PROXY_BAD: *error is a constant. */
enum proxy_event proxy_read(struct str in, struct proxy_header *ret, size_t *used,
                            const char **error);

/* "192.0.2.1", "2001:db8::1". False: none; ret is untouched. */
bool endpoint_parse_ip(struct str text, struct endpoint *ret);
bool port_parse(struct str text, uint16_t *ret);
