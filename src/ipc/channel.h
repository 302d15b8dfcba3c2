/* ipc/channel.h - one connection between two of our processes: packets over SOCK_SEQPACKET.
 *
 * Non-blocking. What the kernel does not take at once waits in the channel, up to bytes_max (16
 * MiB by default); channel_full() says that its owner should stop reading more work (sockets).
 * Sent packets of one turn leave together in TURN_FLUSH (sendmmsg), received ones are read
 * together (recvmmsg).
 *
 * Every packet is checked against the message table: kind, sender, fields. A peer that breaks the
 * contract loses its channel (on_down, reason), never us. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/loop.h"
#include "ipc/message.h"

struct channel;

/* The `why` of on_down when the peer ended without breaking any rule. */
extern const char CHANNEL_CLOSED[];
/* The same when we had no descriptor left for what came with a message. */
extern const char CHANNEL_NO_DESCRIPTORS[];

struct channel_events {
    void (*on_message)(void *arg, struct channel *c,
                       union message *m);          /* m and its strings live for the call;
                                                                          an FD field is the callee's */
    void (*on_room)(void *arg, struct channel *c); /* was full, is below half again; may be NULL */
    void (*on_down)(void *arg, struct channel *c,
                    const char *why); /* once; the owner frees the channel */
};

/* us: our role, peer: theirs. Takes the socket. */
struct channel *channel_new(struct loop *l, int socket, enum role us, enum role peer,
                            const struct channel_events *events, void *arg);
void channel_free(struct channel **c);
/* m: a struct msg_… (its FD, if any, is taken, also on failure). Never blocks; check()s that we may
 * send this kind to this peer. */
void channel_send(struct channel *c, void *m);
void channel_flush(struct channel *c);       /* now, not at the end of the turn */
bool channel_full(const struct channel *c);  /* more than a quarter of bytes_max waits */
bool channel_empty(const struct channel *c); /* everything has been taken by the kernel */
void channel_pause(struct channel *c);       /* stop reading: the peer's sends will wait; what was
                                                already read with this packet (15 more) comes */
void channel_resume(struct channel *c);
/* The owner's own verdict that the peer broke the contract (why: static text): on_down follows. */
void channel_break(struct channel *c, const char *why);
void channel_wipe(struct channel *c); /* from now on what has been sent is overwritten */
enum role channel_peer(const struct channel *c);
void *channel_data(const struct channel *c); /* a pointer the owner may hang on */
void channel_set_data(struct channel *c, void *data);

int channel_pair(int ret[2]); /* socketpair with buffers large enough for PACKET_BYTES_MAX */
