/* outward/talk/wire.h - the connection of a talk: name, addresses one after another, bytes, TLS.
 *
 * Names are looked up as all programs of this machine do (getaddrinfo: /etc/hosts counts), and that
 * waits: before it there is nothing to talk with. Events never come from within a call. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/socket.h"
#include "tls/tls.h"

enum { WIRE_CONNECT_S = 30 };

struct wire;

struct wire_events {
    void (*on_connected)(void *arg); /* TCP stands */
    void (*on_secured)(void *arg);
    void (*on_bytes)(void *arg, struct buf *in);
    void (*on_drained)(void *arg);
    /* Over: error is 0 when the server ended it politely, else a negative errno; words: what
     * happened, or NULL. The wire is to be freed. */
    void (*on_end)(void *arg, int error, const char *words);
    /* One of several addresses did not work; the next is tried. */
    void (*on_failed)(void *arg, struct str address, int error);
};

/* Looks the host up. 0, -ENOENT: there is no such host (or none of the family of `from`), -EAGAIN:
 * cannot be said now. from: NULL, or the address to connect from. */
int wire_new(struct loop *l, struct str host, uint16_t port, const struct sock_address *from,
             const struct wire_events *events, void *arg, struct wire **ret);
void wire_free(struct wire **w);
struct str wire_peer(const struct wire *w); /* "127.0.0.1:25", of the address under way */
bool wire_stands(const struct wire *w);
bool wire_write(struct wire *w, struct str bytes); /* false: too much of it waits already */
size_t wire_unsent(const struct wire *w);
/* Begins the handshake; on_secured or on_end comes. */
void wire_secure(struct wire *w, struct tls_context *context, struct str host);
const struct tls *wire_tls(const struct wire *w); /* NULL: none */
