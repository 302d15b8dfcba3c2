/* io/stream.c - a connected byte stream with buffers that have limits.
 *
 *   CONNECTING --stream_connected--> OPEN --stream_end--> ENDED        on_end has been called
 *                                     |                     |
 *                                     +-- stream_finish ----+--> LINGERING   no owner
 *   any --stream_close--> CLOSED      memory goes at the end of the turn
 *
 * While on_secured is set, the handshake of a layer goes on in OPEN and owns both directions.
 *
 * Reading goes into one large buffer of the process that a stream borrows for the turn of reading;
 * what its owner leaves moves into a small one. So an idle stream holds no buffer at all. */
// SPDX-License-Identifier: ISC
#include "io/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

enum stream_phase { CONNECTING, OPEN, ENDED, LINGERING, CLOSED };

enum { READ_BYTES = 64 * 1024, READ_MORE_BYTES = 16 * 1024, KEEP_BYTES_MIN = 1024 };
#define LINGER_US (5 * US_PER_S)

struct stream {
    struct loop *loop;
    const struct stream_events *events;
    void (*on_connected)(void *arg);
    void (*on_secured)(void *arg); /* set while the handshake lasts */
    void *arg;
    const struct stream_layer *layer; /* NULL: bytes go as they are */
    void *layer_arg;
    int fd;
    enum stream_phase phase;
    bool paused;
    bool resumed;    /* `in` is to be handed over again at the end of the turn */
    bool eof;        /* the peer said its last byte */
    bool drained;    /* on_drained is owed once `out` is empty */
    bool shut;       /* we said our last byte */
    int write_error; /* nothing can be written any more */
    int failed;      /* STREAM_ERROR is to be told at the end of the turn */
    size_t out_sent; /* of `out` */
    uint64_t idle_us;
    struct buf in, out;
    struct watch reading, writing;
    struct timer timer; /* connecting, idle or lingering */
    struct turn_work turn, loop_end;
};

static _Thread_local struct buf spare; /* READ_BYTES of room, when nobody is reading */

/* ---- memory ---- */

/* Where n bytes can be read to. */
static char *in_room(struct stream *s, size_t *n)
{
    size_t bytes_max = s->in.bytes_max;

    *n = MIN_OF(bytes_max - s->in.n, s->in.n ? (size_t)READ_MORE_BYTES : (size_t)READ_BYTES);
    if (s->in.n == 0 && s->in.room < *n) {
        buf_free(&s->in);
        if (!spare.p) {
            spare = buf_init(READ_BYTES);
            (void)buf_room(&spare, READ_BYTES);
        }
        s->in = spare;
        s->in.bytes_max = bytes_max;
        spare = (struct buf){0};
    }
    s->in.full = false;
    return *n ? buf_room(&s->in, *n) : NULL;
}

/* Gives back room that what is left in `in` does not need. */
static void in_settle(struct stream *s)
{
    struct buf large = s->in;

    if (large.room == 0 ||
        (large.n > 0 && large.room <= MAX_OF(2 * large.n, (size_t)KEEP_BYTES_MIN)))
        return;
    s->in = buf_init(large.bytes_max);
    if (large.n > 0) {
        buf_add(&s->in, buf_str(&large));
        explicit_bzero(large.p, large.n); /* it may be a part of a password */
    }
    if (spare.p || large.room < READ_BYTES) {
        buf_free(&large);
        return;
    }
    buf_reset(&large);
    spare = large;
}

static void stream_bury(void *p)
{
    struct stream *s = p;

    if (s->layer)
        s->layer->free(s->layer_arg);
    buf_free(&s->in);
    buf_free(&s->out);
    free(s);
}

static void stream_close(struct stream *s)
{
    s->phase = CLOSED;
    watch_stop(&s->reading);
    watch_stop(&s->writing);
    timer_stop(&s->timer);
    turn_forget(s->loop, &s->turn);
    turn_forget(s->loop, &s->loop_end);
    (void)close(s->fd);
    s->fd = -1;
    loop_bury(s->loop, stream_bury, s);
}

/* ---- the socket, or the layer in front of it: counts, or negative errnos ---- */

static ssize_t wire_read(struct stream *s, char *to, size_t n)
{
    if (s->layer)
        return s->layer->read(s->layer_arg, to, n);
    ssize_t got = recv(s->fd, to, n, 0);
    return got < 0 ? -errno : got;
}

static ssize_t wire_write(struct stream *s, const char *from, size_t n)
{
    if (s->layer && !s->on_secured)
        return s->layer->write(s->layer_arg, from, n);
    ssize_t sent = send(s->fd, from, n, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

/* ---- ends ---- */

static void stream_end(struct stream *s, enum stream_end why, int error)
{
    if (s->phase == LINGERING) {
        stream_close(s);
        return;
    }
    if (s->phase > OPEN)
        return;
    s->phase = ENDED;
    watch_stop(&s->reading);
    timer_stop(&s->timer);
    if (s->on_secured) { /* neither secret nor plain: nothing can be said any more */
        s->on_secured = NULL;
        why = STREAM_ERROR;
        error = error ? error : EPROTO;
    }
    if (why == STREAM_ERROR || why == STREAM_STALLED) {
        if (s->write_error == 0)
            s->write_error = error;
        watch_stop(&s->writing);
        buf_free(&s->out);
        s->out_sent = 0;
    }
    s->events->on_end(s->arg, why, error);
}

/* Tells the end at the end of the turn: the owner is on the stack now. */
static void stream_fail_later(struct stream *s, int error)
{
    if (s->phase > OPEN || s->failed)
        return;
    s->failed = error;
    turn_want(s->loop, TURN_FLUSH, &s->turn);
}

static void idle_over(void *arg)
{
    struct stream *s = arg;

    if (stream_unsent(s) > 0)
        stream_end(s, STREAM_STALLED, ETIMEDOUT);
    else if (s->paused)
        stream_idle(s, s->idle_us); /* it is we who do not listen */
    else
        stream_end(s, STREAM_IDLE, ETIMEDOUT);
}

static void idle_count(struct stream *s)
{
    if (s->idle_us > 0 && s->phase == OPEN)
        timer_set(s->loop, &s->timer, s->idle_us, idle_over, s);
}

/* Nothing is wrong with the connection; at worst the kernel has no memory for it now. */
static bool error_passes(int error)
{
    return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* ---- reading ---- */

static void read_ready(void *arg, unsigned what);

static void reading_start(struct stream *s)
{
    if (!s->reading.event && !s->eof)
        watch_start(s->loop, &s->reading, s->fd, WATCH_READ, read_ready, s);
}

/* Hands `in` over. The owner may have freed the stream afterwards. */
static void stream_deliver(struct stream *s)
{
    size_t before = s->in.n;

    s->events->on_bytes(s->arg, &s->in);
    if (s->phase == CLOSED || s->phase == LINGERING)
        return;
    if (s->in.n == before && before >= s->in.bytes_max)
        stream_pause(s);
    in_settle(s);
}

/* Bytes nobody wants any more: taken from the kernel all the same, because closing with bytes
 * unread resets the connection, and the peer might never see our last reply. */
static void read_away(struct stream *s)
{
    size_t n;
    char *to = in_room(s, &n);
    ssize_t got = recv(s->fd, to, n, 0);

    in_settle(s);
    if (got < 0 && error_passes(errno))
        return;
    if (got > 0)
        return;
    s->eof = true;
    watch_stop(&s->reading);
    if (got < 0 || stream_unsent(s) == 0)
        stream_close(s);
}

static void read_ended(struct stream *s, int error)
{
    s->eof = true;
    if (error == 0)
        error = s->write_error;
    stream_end(s, error ? STREAM_ERROR : STREAM_EOF, error);
}

/* False: nothing came. */
static bool read_some(struct stream *s)
{
    size_t n;
    char *to = s->paused ? NULL : in_room(s, &n);

    if (!to) { /* a pause that ends before the next byte costs nothing; this one did not */
        watch_stop(&s->reading);
        return false;
    }
    ssize_t got = wire_read(s, to, n);
    if (got > 0) {
        idle_count(s);
        buf_added(&s->in, (size_t)got);
        stream_deliver(s);
        return true;
    }
    in_settle(s);
    if (!error_passes((int)-got))
        read_ended(s, (int)-got);
    return false;
}

/* What the layer has taken from the socket already makes no descriptor ready. It may be less than
 * the layer needs to make bytes of it. */
static void read_held(struct stream *s)
{
    bool some = true;

    while (some && s->phase == OPEN && s->layer && !s->on_secured && !s->paused && !s->resumed &&
           s->in.n < s->in.bytes_max && s->layer->holds(s->layer_arg))
        some = read_some(s);
}

static void secure_step(struct stream *s);

static void read_ready(void *arg, unsigned what)
{
    struct stream *s = arg;

    if (s->phase == LINGERING) {
        read_away(s);
    } else if (s->on_secured) {
        secure_step(s);
    } else if (!s->resumed) { /* else what is here already goes to the owner first, in this turn */
        (void)read_some(s);
        read_held(s);
    }
}

/* ---- writing ---- */

static void write_ready(void *arg, unsigned what);

static void writing_start(struct stream *s)
{
    if (!s->writing.event)
        watch_start(s->loop, &s->writing, s->fd, WATCH_WRITE, write_ready, s);
}

/* The peer is gone, but what it said before may still be unread: reading tells the end. */
static void write_failed(struct stream *s, int error)
{
    s->write_error = error;
    buf_free(&s->out);
    s->out_sent = 0;
    watch_stop(&s->writing);
    if (s->phase == LINGERING)
        stream_close(s);
}

static void out_send(struct stream *s)
{
    while (stream_unsent(s) > 0) {
        ssize_t n = wire_write(s, s->out.p + s->out_sent, stream_unsent(s));

        if (n >= 0) {
            s->out_sent += (size_t)n;
            idle_count(s);
        } else if (!error_passes((int)-n)) {
            write_failed(s, (int)-n);
            return;
        } else if (n != -EINTR) {
            writing_start(s);
            return;
        }
    }
    watch_stop(&s->writing);
    buf_free(&s->out);
    s->out_sent = 0;
}

/* All is written and nobody owns the stream: says so to the peer and waits for its end. */
static void linger(struct stream *s)
{
    if (s->phase != LINGERING)
        return;
    in_settle(s);
    if (stream_unsent(s) > 0)
        return;
    if (s->layer && !s->shut)
        s->layer->end(s->layer_arg);
    if (s->eof || (!s->shut && shutdown(s->fd, SHUT_WR) < 0)) {
        stream_close(s);
        return;
    }
    s->shut = true;
    reading_start(s);
}

/* What the end of a turn owes: bytes out, then events in the order in which they matter. */
static void stream_turn(void *arg)
{
    struct stream *s = arg;

    if (s->failed && s->phase <= OPEN) {
        stream_end(s, STREAM_ERROR, s->failed);
        return;
    }
    if (s->phase == CONNECTING)
        return;
    if (!s->writing.event)
        out_send(s);
    if (s->on_secured && s->phase == OPEN) {
        if (!s->writing.event)
            secure_step(s);
        return;
    }
    linger(s);
    if (s->phase > ENDED)
        return;
    if (s->drained && stream_unsent(s) == 0 && s->write_error == 0) {
        s->drained = false;
        if (s->events->on_drained)
            s->events->on_drained(s->arg);
    }
    if (s->phase <= ENDED && s->resumed && !s->paused) {
        s->resumed = false;
        if (s->in.n > 0)
            stream_deliver(s);
    }
    read_held(s);
}

static void write_ready(void *arg, unsigned what)
{
    struct stream *s = arg;

    out_send(s);
    if (s->on_secured && s->phase == OPEN) {
        secure_step(s);
        return;
    }
    if (s->phase != CLOSED && stream_unsent(s) == 0)
        turn_want(s->loop, TURN_FLUSH, &s->turn);
}

bool stream_write(struct stream *s, struct str bytes)
{
    check(!s->on_secured);
    if (s->write_error || s->failed)
        return false;
    if (s->out_sent > 0 && s->out_sent >= s->out.n / 2) {
        buf_drop_front(&s->out, s->out_sent);
        s->out_sent = 0;
    }
    if (bytes.n > s->out.bytes_max - stream_unsent(s)) {
        stream_fail_later(s, ENOBUFS);
        return false;
    }
    if (bytes.n > s->out.bytes_max - s->out.n) {
        buf_drop_front(&s->out, s->out_sent);
        s->out_sent = 0;
    }
    buf_add(&s->out, bytes);
    s->drained = true;
    turn_want(s->loop, TURN_FLUSH, &s->turn);
    return true;
}

size_t stream_unsent(const struct stream *s)
{
    return s->out.n - s->out_sent;
}

void stream_flush(struct stream *s)
{
    if (s->phase != CONNECTING && !s->writing.event)
        out_send(s); /* on_drained follows at the end of the turn */
}

/* ---- the handshake of a layer ---- */

static void secured(struct stream *s)
{
    void (*tell)(void *arg) = s->on_secured;

    s->on_secured = NULL;
    watch_stop(&s->writing);
    reading_start(s);
    idle_count(s);
    turn_want(s->loop, TURN_FLUSH, &s->turn); /* it may hold bytes already */
    tell(s->arg);
}

/* The socket is watched for the one thing that the handshake waits for. */
static void secure_step(struct stream *s)
{
    int r = stream_unsent(s) > 0 ? -EINPROGRESS : s->layer->shake(s->layer_arg);

    if (r == 0) {
        secured(s);
    } else if (r == -EAGAIN) {
        watch_stop(&s->writing);
        reading_start(s);
    } else if (r == -EINPROGRESS) {
        watch_stop(&s->reading);
        writing_start(s);
    } else {
        stream_end(s, STREAM_ERROR, -r);
    }
}

void stream_secure(struct stream *s, const struct stream_layer *layer, void *layer_arg,
                   void (*on_secured)(void *arg))
{
    check(!s->layer);
    s->layer = layer;
    s->layer_arg = layer_arg;
    if (s->phase != OPEN) /* the end was told, or will be */
        return;
    s->on_secured = on_secured;
    s->resumed = false;
    buf_reset(&s->in);
    reading_start(s);
    turn_want(s->loop, TURN_FLUSH, &s->turn); /* begins behind what was written before */
}

/* ---- the owner's wishes ---- */

void stream_pause(struct stream *s)
{
    s->paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    s->resumed = true;
    turn_want(s->loop, TURN_FLUSH, &s->turn);
    if (s->phase == OPEN && !s->on_secured) {
        reading_start(s);
        idle_count(s);
    }
}

void stream_idle(struct stream *s, uint64_t idle_us)
{
    s->idle_us = idle_us;
    if (idle_us > 0)
        idle_count(s);
    else if (s->phase == OPEN)
        timer_stop(&s->timer);
}

int stream_fd(const struct stream *s)
{
    return s->fd;
}

/* ---- life ---- */

static void connect_ready(void *arg, unsigned what)
{
    struct stream *s = arg;
    int error = 0;
    socklen_t bytes = sizeof(error);

    watch_stop(&s->writing);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        error = errno;
    if (error) {
        stream_end(s, STREAM_ERROR, error);
        return;
    }
    s->phase = OPEN;
    timer_stop(&s->timer);
    idle_count(s);
    reading_start(s);
    if (stream_unsent(s) > 0)
        turn_want(s->loop, TURN_FLUSH, &s->turn);
    s->on_connected(s->arg);
}

static void connect_over(void *arg)
{
    stream_end(arg, STREAM_ERROR, ETIMEDOUT);
}

static struct stream *stream_init(struct loop *l, int fd, const struct stream_events *events,
                                  void *arg, size_t in_bytes_max, size_t out_bytes_max)
{
    struct stream *s = mem_new(sizeof(*s));

    s->loop = l;
    s->fd = fd;
    s->events = events;
    s->arg = arg;
    s->in = buf_init(in_bytes_max);
    s->out = buf_init(out_bytes_max);
    s->turn = (struct turn_work){.fn = stream_turn, .arg = s};
    return s;
}

int stream_new(struct loop *l, int fd, const struct stream_events *events, void *arg,
               size_t in_bytes_max, size_t out_bytes_max, struct stream **ret)
{
    struct stream *s = stream_init(l, fd, events, arg, in_bytes_max, out_bytes_max);

    s->phase = OPEN;
    reading_start(s);
    *ret = s;
    return 0;
}

int stream_connect(struct loop *l, const struct sockaddr *to, unsigned to_bytes,
                   uint64_t timeout_us, void (*on_connected)(void *arg),
                   const struct stream_events *events, void *arg, size_t in_bytes_max,
                   size_t out_bytes_max, struct stream **ret)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return -errno;
    /* What leaves is gathered already; waiting for more would only delay the last packet. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, to, to_bytes) < 0 && errno != EINPROGRESS) {
        int error = errno;

        (void)close(fd);
        return -error;
    }
    struct stream *s = stream_init(l, fd, events, arg, in_bytes_max, out_bytes_max);
    s->on_connected = on_connected;
    watch_start(l, &s->writing, fd, WATCH_WRITE, connect_ready, s);
    timer_set(l, &s->timer, timeout_us, connect_over, s);
    *ret = s;
    return 0;
}

void stream_free(struct stream **sp)
{
    if (*sp)
        stream_close(*sp);
    *sp = NULL;
}

static void linger_over(void *arg)
{
    stream_close(arg);
}

void stream_finish(struct stream **sp)
{
    struct stream *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    if (s->phase == CONNECTING || s->on_secured || s->write_error || s->failed) {
        stream_close(s);
        return;
    }
    s->phase = LINGERING;
    s->loop_end = (struct turn_work){.fn = linger_over, .arg = s};
    turn_want(s->loop, LOOP_END, &s->loop_end);
    turn_want(s->loop, TURN_FLUSH, &s->turn);
    timer_set(s->loop, &s->timer, LINGER_US, linger_over, s);
    buf_reset(&s->in); /* the owner may still be looking; linger() gives it back */
    reading_start(s);
}
