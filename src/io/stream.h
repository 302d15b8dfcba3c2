/* io/stream.h - a connected byte stream with buffers that have limits.
 *
 * Bytes read are handed to on_bytes in `in`; the owner drops what it used (buf_drop_front) and
 * leaves the rest. When `in` is full and nothing was used, reading stops until stream_resume.
 * Written bytes gather and leave in TURN_FLUSH (or at stream_flush). Memory is only held while
 * there is something in it. After stream_free no event arrives.
 *
 * A peer may end its side and still read: after STREAM_EOF (and STREAM_IDLE) writing goes on. When
 * it resets the connection, what it said before is still handed over, then comes the end. No event
 * is ever called from within a function of this header.
 *
 * A stream becomes secret in the middle of its life (stream_secure): from then on all of its bytes
 * go through a layer, and its owner sees no difference. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "io/loop.h"

struct stream;

enum stream_end {
    STREAM_EOF,     /* the peer ended the stream politely */
    STREAM_ERROR,   /* error holds an errno */
    STREAM_IDLE,    /* nothing could be read for the idle time */
    STREAM_STALLED, /* nothing could be written for the idle time */
};

struct stream_events {
    void (*on_bytes)(void *arg, struct buf *in);
    void (*on_drained)(
        void *arg); /* all that was written has been taken by the kernel; may be NULL */
    void (*on_end)(void *arg, enum stream_end why,
                   int error); /* once; the stream is still to be freed */
};

/* Takes the descriptor (non-blocking already) also on failure. in/out_bytes_max bound memory. */
int stream_new(struct loop *l, int fd, const struct stream_events *events, void *arg,
               size_t in_bytes_max, size_t out_bytes_max, struct stream **ret);
/* Starts a TCP connection; on_connected once it stands, on_end if it does not (ETIMEDOUT after
 * timeout_us). Written bytes wait for it. A negative errno: it could not even begin. */
struct sockaddr;
int stream_connect(struct loop *l, const struct sockaddr *to, unsigned to_bytes,
                   uint64_t timeout_us, void (*on_connected)(void *arg),
                   const struct stream_events *events, void *arg, size_t in_bytes_max,
                   size_t out_bytes_max, struct stream **ret);
void stream_free(struct stream **s); /* closes at once; NULL is fine */
void stream_finish(
    struct stream *
        *s); /* lets what is written leave and be read (at most 5 s), then closes; no more events */

bool stream_write(struct stream *s,
                  struct str bytes); /* false: over out_bytes_max, the stream ends */
size_t stream_unsent(const struct stream *s);
void stream_flush(struct stream *s);
void stream_pause(struct stream *s); /* stop reading */
void stream_resume(
    struct stream *s); /* go on; on_bytes comes at the end of this turn if `in` holds any */
void stream_idle(
    struct stream *s,
    uint64_t idle_us); /* 0: never; counts from now and from each byte, not while paused */
int stream_fd(const struct stream *s);

/* What stands between a stream and its socket: TLS (tls/tls.h). Errors are negative errnos. */
struct stream_layer {
    /* The handshake. 0: done; -EAGAIN: more must come first; -EINPROGRESS: some must leave first */
    int (*shake)(void *layer);
    ssize_t (*read)(void *layer, char *to, size_t n); /* 0: the end */
    ssize_t (*write)(void *layer, const char *from, size_t n);
    bool (*holds)(void *layer); /* bytes that it took from the socket and were not read yet */
    void (*end)(void *layer);   /* nothing more will be written */
    void (*free)(void *layer);
};
/* What was written before still leaves as it is; what has been read before and not been used is
 * thrown away: it came from anybody. Nothing may be written until on_secured. A handshake that
 * fails is STREAM_ERROR. The stream owns the layer, also for the rest of the turn it dies in. */
void stream_secure(struct stream *s, const struct stream_layer *layer, void *layer_arg,
                   void (*on_secured)(void *arg));
