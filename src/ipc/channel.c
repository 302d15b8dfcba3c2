/* ipc/channel.c - see channel.h.
 *
 * Waiting packets lie one after the other in `out`; a ring of nothing but their lengths and
 * descriptors says where each begins. All channels of a process read into one area, because
 * packets are handed on before the next read: a slot costs only the pages that a packet touched.
 *
 * Whatever ends a channel is noted (down_why) and told from the loop, so on_down never arrives
 * inside a call of its owner. What the peer sent before it went is still delivered. */
// SPDX-License-Identifier: ISC
#include "ipc/channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

enum { BATCH_PACKETS_MAX = 16, DESCRIPTORS_MAX = 4, SOCKET_BUFFER_BYTES = 512 * 1024 };
enum { KEPT_BYTES = 128 * 1024, KEPT_PACKETS = 256 }; /* memory that an idle channel may hold */
#define TURN_BYTES_MAX (2 * MIB)                      /* read in one turn */
#define BYTES_MAX (16 * MIB)
#define FULL_BYTES (BYTES_MAX / 4)
#define ROOM_BYTES (FULL_BYTES / 2)

const char CHANNEL_CLOSED[] = "the peer is gone";
const char CHANNEL_NO_DESCRIPTORS[] = "out of descriptors";

struct packet {
    uint32_t bytes;
    int fd;
};

struct channel {
    struct loop *loop;
    const struct channel_events *events;
    void *arg;
    void *data;
    enum role us, peer;
    int socket;
    struct watch readable, writable;
    struct turn_work flush;

    struct buf out; /* packets, one after the other; the first out_sent bytes are gone */
    size_t out_sent;
    struct packet *packets; /* of out; the first packets_sent are gone */
    size_t packet_count, packets_sent, packet_room;

    char down_text[160];
    const char *down_why; /* set: nothing more is sent or read */
    bool told_down, freed, paused, blocked, was_full, peer_deaf, wiped;
};

static char area[BATCH_PACKETS_MAX][PACKET_BYTES_MAX];

struct control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd); /* nothing was written through it here */
}

/* It is the kernel that lacks memory, and that passes: both sides are as they were. */
static bool lacks_memory(int error)
{
    return error == ENOBUFS || error == ENOMEM;
}

static size_t waiting_bytes(const struct channel *c)
{
    return c->out.n - c->out_sent;
}

/* ---- ending ---- */

static void stop_io(struct channel *c)
{
    watch_stop(&c->readable);
    watch_stop(&c->writable);
    for (size_t i = c->packets_sent; i < c->packet_count; i++)
        close_fd(c->packets[i].fd);
    c->packet_count = c->packets_sent = 0;
    c->out_sent = 0;
    buf_free(&c->out);
}

/* Notes why; on_down is called by the loop. */
static void fail(struct channel *c, const char *why)
{
    if (c->down_why)
        return;
    c->down_why = why;
    stop_io(c);
    turn_want(c->loop, TURN_FLUSH, &c->flush);
}

static void fail_contract(struct channel *c, const char *what, uint16_t kind)
{
    const char *name = kind > MSG_NONE && kind < MSG_COUNT ? message_table[kind].name : "unknown";

    (void)snprintf(c->down_text, sizeof c->down_text, "%s from %s: %s (kind %u)", what,
                   role_name(c->peer), name, kind);
    fail(c, c->down_text);
}

static void tell_down(struct channel *c)
{
    if (c->told_down || c->freed)
        return;
    c->told_down = true;
    c->events->on_down(c->arg, c, c->down_why);
}

/* ---- sending ---- */

static void out_forget_sent(struct channel *c)
{
    if (c->packets_sent == c->packet_count) {
        c->packets_sent = c->packet_count = 0;
        c->out_sent = 0;
        if (c->out.room > KEPT_BYTES)
            buf_free(&c->out);
        buf_reset(&c->out);
        if (c->packet_room > KEPT_PACKETS) {
            free(c->packets);
            c->packets = NULL;
            c->packet_room = 0;
        }
    } else if (c->out_sent > c->out.n / 2) {
        buf_drop_front(&c->out, c->out_sent);
        c->out_sent = 0;
        c->packet_count -= c->packets_sent;
        memmove(c->packets, c->packets + c->packets_sent, c->packet_count * sizeof *c->packets);
        c->packets_sent = 0;
    }
}

static void header_fill(struct msghdr *h, struct iovec *iov, struct control *control,
                        const struct packet *p, char *bytes)
{
    *iov = (struct iovec){bytes, p->bytes};
    *h = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
    if (p->fd < 0)
        return;

    h->msg_control = control->bytes;
    h->msg_controllen = CMSG_SPACE(sizeof(int));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(h);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &p->fd, sizeof(int));
}

/* Gives up to BATCH_PACKETS_MAX packets to the kernel; how many it took, or -1 with errno. */
static int send_batch(struct channel *c)
{
    struct mmsghdr headers[BATCH_PACKETS_MAX];
    struct iovec iov[BATCH_PACKETS_MAX];
    struct control controls[BATCH_PACKETS_MAX];
    size_t count = MIN_OF(c->packet_count - c->packets_sent, (size_t)BATCH_PACKETS_MAX);
    char *at = c->out.p + c->out_sent;

    for (size_t i = 0; i < count; i++) {
        const struct packet *p = &c->packets[c->packets_sent + i];
        header_fill(&headers[i].msg_hdr, &iov[i], &controls[i], p, at);
        at += p->bytes;
    }
    return sendmmsg(c->socket, headers, (unsigned)count, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void packets_took(struct channel *c, int count)
{
    for (int i = 0; i < count; i++) {
        struct packet *p = &c->packets[c->packets_sent++];
        if (c->wiped)
            explicit_bzero(c->out.p + c->out_sent, p->bytes);
        c->out_sent += p->bytes;
        close_fd(p->fd);
    }
}

/* The peer reads no more. What it said before that is still to be read: only then is it down. */
static void peer_became_deaf(struct channel *c)
{
    c->peer_deaf = true;
    packets_took(c, (int)(c->packet_count - c->packets_sent));
    if (c->paused)
        fail(c, CHANNEL_CLOSED);
}

static void on_writable(void *arg, unsigned what);

static void wait_writable(struct channel *c)
{
    if (!c->blocked) {
        c->blocked = true;
        watch_start(c->loop, &c->writable, c->socket, WATCH_WRITE, on_writable, c);
    }
}

static void send_waiting(struct channel *c)
{
    while (c->packets_sent < c->packet_count) {
        int took = send_batch(c);
        if (took > 0) {
            packets_took(c, took);
        } else if (errno == EAGAIN || errno == ETOOMANYREFS || lacks_memory(errno)) {
            wait_writable(c);
            break;
        } else if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
            peer_became_deaf(c);
            break;
        } else if (errno != EINTR) {
            (void)snprintf(c->down_text, sizeof c->down_text, "sending: %s", strerror(errno));
            fail(c, c->down_text);
            return;
        }
    }
    out_forget_sent(c);
}

static void tell_room(struct channel *c)
{
    if (!c->was_full || c->down_why || waiting_bytes(c) >= ROOM_BYTES)
        return;
    c->was_full = false;
    if (c->events->on_room)
        c->events->on_room(c->arg, c);
}

static void on_writable(void *arg, unsigned what)
{
    struct channel *c = arg;

    (void)what;
    c->blocked = false;
    watch_stop(&c->writable);
    send_waiting(c);
    tell_room(c);
}

static void on_turn_flush(void *arg)
{
    struct channel *c = arg;

    if (!c->down_why && !c->blocked)
        send_waiting(c);
    if (c->down_why)
        tell_down(c);
    else
        tell_room(c);
}

static void packet_note(struct channel *c, size_t bytes, int fd)
{
    if (c->packet_count == c->packet_room) {
        c->packet_room = c->packet_room ? c->packet_room * 2 : BATCH_PACKETS_MAX;
        c->packets = mem_resize(c->packets, c->packet_room * sizeof *c->packets);
    }
    c->packets[c->packet_count++] = (struct packet){(uint32_t)bytes, fd};
}

void channel_send(struct channel *c, void *m)
{
    const struct message_row *row = &message_table[*(const uint16_t *)m];
    int *slot = message_fd(m);
    int fd = slot ? *slot : -1;
    size_t before = c->out.n;

    check((row->senders & (unsigned)c->us) && (row->receivers & (unsigned)c->peer));
    check(!slot || fd >= 0);
    if (c->down_why || c->peer_deaf) {
        close_fd(fd);
        return;
    }
    if (waiting_bytes(c) > BYTES_MAX) {
        close_fd(fd);
        fail(c, "it does not read: too much waits for it");
        return;
    }
    if (!message_encode(&c->out, m)) {
        close_fd(fd);
        fail(c, "a message was too large for a packet");
        return;
    }
    packet_note(c, c->out.n - before, fd);
    if (waiting_bytes(c) > FULL_BYTES)
        c->was_full = true;
    if (!c->blocked)
        turn_want(c->loop, TURN_FLUSH, &c->flush);
}

void channel_flush(struct channel *c)
{
    if (!c->down_why && !c->blocked)
        send_waiting(c);
}

/* With room for what is usual, so that nothing is copied while it grows. */
void channel_wipe(struct channel *c)
{
    c->wiped = true;
    (void)buf_room(&c->out, KEPT_BYTES / 2);
}

bool channel_full(const struct channel *c)
{
    return waiting_bytes(c) > FULL_BYTES;
}

bool channel_empty(const struct channel *c)
{
    return c->packets_sent == c->packet_count;
}

/* ---- receiving ---- */

/* The one descriptor that came with a packet, or -1. More than one: all are closed, false. */
static bool descriptor_take(struct msghdr *h, int *ret)
{
    int first = -1;
    bool good = !(h->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(h); cmsg; cmsg = CMSG_NXTHDR(h, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
            if (first < 0) {
                first = fd;
            } else {
                close_fd(fd);
                good = false;
            }
        }
    }
    if (!good) {
        close_fd(first);
        first = -1;
    }
    *ret = first;
    return good;
}

static bool brings_descriptor(const struct channel *c, uint16_t kind)
{
    union message m = {.kind = kind};

    return kind > MSG_NONE && kind < MSG_COUNT && message_fd(&m) &&
           message_table[kind].senders & (unsigned)c->peer;
}

static void packet_received(struct channel *c, struct msghdr *h, struct str packet)
{
    union message m;
    struct reader r = reader_init(packet);
    uint16_t kind = get_u16(&r);
    int fd;
    bool descriptors_good = descriptor_take(h, &fd);

    if (c->down_why || c->freed) {
        close_fd(fd);
        return;
    }
    if (h->msg_flags & MSG_CTRUNC && brings_descriptor(c, kind)) {
        close_fd(fd);
        fail(c, CHANNEL_NO_DESCRIPTORS);
    } else if (r.bad || kind <= MSG_NONE || kind >= MSG_COUNT) {
        close_fd(fd);
        fail_contract(c, "a message that does not exist", kind);
    } else if (!(message_table[kind].senders & (unsigned)c->peer) ||
               !(message_table[kind].receivers & (unsigned)c->us)) {
        close_fd(fd);
        fail_contract(c, "not allowed", kind);
    } else if (!descriptors_good || (h->msg_flags & MSG_TRUNC) || !message_decode(packet, fd, &m)) {
        close_fd(fd);
        fail_contract(c, "malformed", kind);
    } else {
        c->events->on_message(c->arg, c, &m);
    }
}

/* Reads a batch; how many bytes, or 0: there may be no more. */
static size_t receive_batch(struct channel *c)
{
    struct mmsghdr headers[BATCH_PACKETS_MAX];
    struct iovec iov[BATCH_PACKETS_MAX];
    struct control controls[BATCH_PACKETS_MAX];
    size_t bytes = 0;

    for (size_t i = 0; i < BATCH_PACKETS_MAX; i++) {
        iov[i] = (struct iovec){area[i], sizeof area[i]};
        headers[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
                                             .msg_iovlen = 1,
                                             .msg_control = controls[i].bytes,
                                             .msg_controllen = sizeof controls[i].bytes};
    }
    int count =
        recvmmsg(c->socket, headers, BATCH_PACKETS_MAX, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
    if (count < 0) {
        /* After ECONNRESET (the peer went without reading all) its last packets still follow. */
        if (errno != EAGAIN && errno != EINTR && errno != ECONNRESET && !lacks_memory(errno))
            fail(c, CHANNEL_CLOSED);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        if (headers[i].msg_len == 0) /* the end; nobody sends empty packets */
            fail(c, CHANNEL_CLOSED);
        packet_received(c, &headers[i].msg_hdr, str_n(area[i], headers[i].msg_len));
        bytes += headers[i].msg_len;
    }
    return count == BATCH_PACKETS_MAX ? bytes : 0;
}

/* What waits is read in one turn, as far as it is not very much: the queue commits once a turn, so
 * what is left for the next one waits for two more syncs. */
static void on_readable(void *arg, unsigned what)
{
    struct channel *c = arg;
    size_t bytes = 0;
    size_t more = 1;

    (void)what;
    while (more > 0 && bytes < TURN_BYTES_MAX && !c->down_why && !c->paused && !c->freed) {
        more = receive_batch(c);
        bytes += more;
    }
}

void channel_pause(struct channel *c)
{
    if (c->paused || c->down_why)
        return;
    c->paused = true;
    watch_stop(&c->readable);
}

void channel_resume(struct channel *c)
{
    if (!c->paused || c->down_why)
        return;
    c->paused = false;
    watch_start(c->loop, &c->readable, c->socket, WATCH_READ, on_readable, c);
}

/* ---- life ---- */

struct channel *channel_new(struct loop *l, int socket, enum role us, enum role peer,
                            const struct channel_events *events, void *arg)
{
    struct channel *c = mem_new(sizeof *c);

    *c = (struct channel){
        .loop = l,
        .socket = socket,
        .us = us,
        .peer = peer,
        .events = events,
        .arg = arg,
        .flush = {.fn = on_turn_flush, .arg = c},
        /* What is gone is dropped when it is the larger half. */
        .out = buf_init(2 * (BYTES_MAX + PACKET_BYTES_MAX)),
    };
    watch_start(l, &c->readable, socket, WATCH_READ, on_readable, c);
    return c;
}

static void memory_free(void *p)
{
    struct channel *c = p;

    free(c->packets);
    free(c);
}

void channel_free(struct channel **at)
{
    struct channel *c = *at;

    if (!c)
        return;
    *at = NULL;
    c->freed = true;
    stop_io(c);
    turn_forget(c->loop, &c->flush);
    close_fd(c->socket);
    loop_bury(c->loop, memory_free, c);
}

void channel_break(struct channel *c, const char *why)
{
    fail(c, why);
}

enum role channel_peer(const struct channel *c)
{
    return c->peer;
}

void *channel_data(const struct channel *c)
{
    return c->data;
}

void channel_set_data(struct channel *c, void *data)
{
    c->data = data;
}

int channel_pair(int ret[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        int bytes = SOCKET_BUFFER_BYTES; /* the kernel lowers it to what this user may have */
        (void)setsockopt(ret[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    return 0;
}
