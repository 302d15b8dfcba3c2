/* listen/connection.c - one connection to the sink: its stream, its session, what is said and when, and
 * what DNS knows of the sender.
 *
 *   accepted --after EARLY_US, or TLS--> greeted --on_bytes--> sink_feed --> say_next
 *   say_next: plain answers at once; an odd one by timers, then the session goes on
 *   the connection ends --> names that are being looked up are waited for --> connection_free
 *
 * While an odd answer is under way bytes are still looked at: whoever sends them did not wait. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "dns/reverse.h"
#include "io/stream.h"
#include "mail/reply.h"
#include "outward/listen/listening.h"

enum {
    IN_BYTES_MAX = 64 * 1024,
    OUT_BYTES_MAX = SINK_OUT_BYTES_MAX + 1024 * 1024,
    ENDLESS_BYTES = 16 * 1024, /* written at a time */
};
#define EARLY_US (100 * 1000)        /* who speaks in this time does not wait for the greeting */
#define NAMES_WAIT_US (5 * US_PER_S) /* behind the end of the connection */
#define SESSION_US (3600 * US_PER_S)

struct connection {
    struct list link;
    struct listening *of;
    struct stream *stream; /* NULL: over */
    struct sink *sink;
    struct moment moment; /* its session number */
    uint64_t started_us;
    char ip[46];
    uint8_t address[16];
    size_t address_bytes;
    struct tls *tls;
    bool greeted, shaking;
    bool deaf;    /* nothing that comes is listened to any more */
    bool trapped; /* the connection is cut at the next byte */
    bool resets;
    bool saying; /* an odd answer is under way */
    size_t said_bytes;
    uint64_t waiting_since_us; /* that the sender waits for something; 0: it does not */
    struct timer timer, limit;
    struct saved saved;
    bool saves;

    bool looks; /* names are being looked up */
    struct reverse reverse;
    struct dns_question forward;
    char name[256];
};

static uint64_t now_us(const struct connection *c)
{
    return clock_monotonic_us(loop_clock(c->of->loop));
}

static const struct moment *moment(struct connection *c)
{
    c->moment.us = now_us(c) - c->started_us;
    return &c->moment;
}

/* ---- what the session tells ---- */

static void on_line(void *arg, bool sent, struct str line)
{
    struct connection *c = arg;

    show_line(&c->of->show, moment(c), sent, line);
}

static void on_found(void *arg, enum finding what, struct str detail)
{
    struct connection *c = arg;

    show_finding(&c->of->show, moment(c), what, detail);
}

static void on_login(void *arg, const char *mechanism, struct str user, bool accepted)
{
    struct connection *c = arg;

    show_login(&c->of->show, moment(c), mechanism, user, accepted);
}

static void save_failed(struct connection *c, int error)
{
    struct listening *l = c->of;

    if (error < 0 && l->code == EX_OK)
        l->code = fail(l->line, EX_IOERR, _("--save %s: %s"), l->line->save, strerror(-error));
}

static void on_begin(void *arg)
{
    struct connection *c = arg;

    c->saves = true;
    saved_begin(&c->of->save, &c->saved);
}

static void on_content(void *arg, struct str bytes)
{
    struct connection *c = arg;

    saved_add(&c->saved, bytes);
}

static void on_message(void *arg, const struct sink_message *m)
{
    struct connection *c = arg;
    struct buf name = buf_init(64);

    if (c->saves)
        save_failed(c, saved_end(&c->of->save, &c->saved, m->accepted, &name));
    c->saves = false;
    show_message(&c->of->show, moment(c), m, buf_str(&name));
    buf_free(&name);
    if (c->of->messages_wanted > 0 && c->of->show.message_count >= c->of->messages_wanted)
        listening_end(c->of);
}

/* ---- names ---- */

static void connection_settle(struct connection *c);

static bool has_address(const struct connection *c, const struct dns_answer *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (memcmp(a->records[i].address, c->address, c->address_bytes) == 0)
            return true;
    return false;
}

static void on_forward(void *arg, const struct dns_answer *a)
{
    struct connection *c = arg;
    struct str name = str_c(c->name);

    if (a->outcome == DNS_FOUND)
        sink_tell(c->sink, has_address(c, a) ? FOUND_NAME_RIGHT : FOUND_NAME_ELSEWHERE, name);
    else if (a->outcome != DNS_LATER)
        sink_tell(c->sink, FOUND_NAME_UNKNOWN, name);
    connection_settle(c);
}

static void on_reverse(void *arg, enum reverse_verdict v, struct str name)
{
    struct connection *c = arg;

    c->looks = false;
    show_peer_name(&c->of->show, moment(c), v == REVERSE_FOUND ? name : STR_NONE);
    if (v == REVERSE_NONE || v == REVERSE_MISMATCH)
        sink_tell(c->sink, FOUND_PEER_NAMELESS, str_c(c->ip));
    connection_settle(c);
}

static void on_name(void *arg, struct str name)
{
    struct connection *c = arg;

    dns_cancel(&c->forward);
    (void)snprintf(c->name, sizeof c->name, "%.*s", STR_ARG(name));
    dns_ask(c->of->dns, &c->forward, name, c->address_bytes == 4 ? DNS_A : DNS_AAAA, on_forward, c);
}

static const struct sink_events events = {.on_line = on_line,
                                          .on_found = on_found,
                                          .on_name = on_name,
                                          .on_login = on_login,
                                          .on_begin = on_begin,
                                          .on_content = on_content,
                                          .on_message = on_message};

/* ---- the end ---- */

static void connection_bury(void *p)
{
    free(p);
}

static void connection_free(struct connection *c)
{
    struct listening *l = c->of;

    reverse_cancel(&c->reverse);
    dns_cancel(&c->forward);
    timer_stop(&c->timer);
    timer_stop(&c->limit);
    sink_free(&c->sink);
    list_remove(&c->link);
    l->connection_count--;
    loop_bury(l->loop, connection_bury, c);
    listening_check(l);
}

static void names_late(void *arg)
{
    connection_free(arg);
}

/* Once the connection is over and nothing is being looked up. */
static void connection_settle(struct connection *c)
{
    if (c->stream)
        return;
    if (!c->looks && !c->forward.pending)
        connection_free(c);
    else
        timer_set(c->of->loop, &c->timer, NAMES_WAIT_US, names_late, c);
}

static void reset(const struct connection *c)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(stream_fd(c->stream), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

enum farewell { POLITELY, AT_ONCE, BY_RESET };

static void connection_over(struct connection *c, enum sink_end why, enum farewell how)
{
    static const char *const reasons[] = {
        [SINK_END_CLIENT] = N_("it hung up"),
        [SINK_END_LOST] = N_("the connection broke"),
        [SINK_END_SILENT] = N_("ended after too long a silence"),
        [SINK_END_OURS] = N_("we hung up"),
    };
    uint64_t waited = c->waiting_since_us > 0 ? now_us(c) - c->waiting_since_us : 0;

    timer_stop(&c->timer);
    timer_stop(&c->limit);
    sink_over(c->sink, why, waited);
    show_ended(&c->of->show, moment(c),
               why == SINK_END_OURS && sink_quit(c->sink) ? N_("goodbye") : reasons[why]);
    if (how == BY_RESET)
        reset(c);
    else
        stream_flush(c->stream); /* what was answered before */
    if (how == POLITELY)
        stream_finish(&c->stream);
    else
        stream_free(&c->stream);
    connection_settle(c);
}

/* ---- TLS ---- */

static bool say_next(struct connection *c);

static void on_secured(void *arg)
{
    struct connection *c = arg;
    struct buf words = buf_init(KIB);
    struct tls_peer peer;

    c->shaking = false;
    tls_peer(c->tls, &peer);
    tls_words(c->tls, &words);
    show_secured(&c->of->show, moment(c), buf_str(&words), tls_asked_name(c->tls));
    sink_secured(c->sink, str_c(peer.version), tls_asked_name(c->tls));
    c->greeted = true;
    buf_free(&words);
    (void)say_next(c);
}

/* False: it is over. */
static bool shake(struct connection *c)
{
    enum kind kind = sink_tls(c->sink);
    struct tls_server *server = NULL;

    switch (kind) {
    case KIND_CUT:
    case KIND_RESET:
        c->trapped = true;
        c->resets = kind == KIND_RESET;
        c->waiting_since_us = now_us(c);
        return true;
    case KIND_SILENCE:
    case KIND_GARBAGE:
        c->deaf = true;
        c->waiting_since_us = now_us(c);
        if (kind == KIND_GARBAGE)
            (void)stream_write(c->stream, STR("500 5.5.1 TLS? never heard of it\r\n"));
        return true;
    default:
        server = identity_server(c->of->identity, kind);
    }
    if (!server) {
        connection_over(c, SINK_END_OURS, AT_ONCE);
        return false;
    }
    c->shaking = true;
    c->tls = tls_accept(c->stream, server, false, on_secured);
    return true;
}

/* ---- saying ---- */

/* What follows an odd answer. False: the connection is over. */
static bool odd_over(struct connection *c)
{
    enum then then = sink_saying(c->sink)->then;
    bool spoke = c->said_bytes > 0;

    c->saying = false;
    sink_said(c->sink);
    switch (then) {
    case THEN_HANG_UP:
        c->waiting_since_us = 0;
        connection_over(c, SINK_END_OURS, spoke ? POLITELY : AT_ONCE);
        return false;
    case THEN_RESET:
        c->waiting_since_us = 0;
        connection_over(c, SINK_END_OURS, BY_RESET);
        return false;
    case THEN_SILENCE:
        c->deaf = true;
        stream_idle(c->stream, 0);
        return true;
    case THEN_TLS:
        c->waiting_since_us = 0;
        stream_idle(c->stream, c->of->timeout_us);
        return shake(c);
    default:
        c->waiting_since_us = 0;
        stream_idle(c->stream, c->of->timeout_us);
        return true;
    }
}

/* What is in the stream's buffer comes to on_bytes again. */
static void listen_again(struct connection *c)
{
    stream_pause(c->stream);
    stream_resume(c->stream);
}

static void odd_go(void *arg)
{
    struct connection *c = arg;
    const struct saying *y = sink_saying(c->sink);
    struct str rest = str_skip(buf_str(&y->odd), c->said_bytes);

    if (rest.n > 0) {
        struct str now = y->drip_us > 0 ? str_sub(rest, 0, 1) : rest;

        (void)stream_write(c->stream, now);
        c->said_bytes += now.n;
        if (now.n < rest.n) {
            timer_set(c->of->loop, &c->timer, y->drip_us, odd_go, c);
            return;
        }
    }
    if (y->again.n > 0) { /* on_drained goes on with it */
        while (stream_unsent(c->stream) < ENDLESS_BYTES &&
               stream_write(c->stream, buf_str(&y->again)))
            ;
        return;
    }
    if (odd_over(c) && say_next(c) && !c->deaf && !c->shaking && !c->trapped)
        listen_again(c);
}

static bool is_odd(const struct saying *y)
{
    return y->delay_us > 0 || y->drip_us > 0 || y->odd.n > 0 || y->again.n > 0 ||
           y->then != THEN_ON;
}

/* False: the connection is over, or nothing more can be taken now. */
static bool say_next(struct connection *c)
{
    const struct saying *y = sink_saying(c->sink);

    if (!y || c->saying)
        return !c->saying;
    if (y->plain.n > 0)
        (void)stream_write(c->stream, buf_str(&y->plain));
    if (!is_odd(y)) {
        sink_said(c->sink);
        return true;
    }
    c->saying = true;
    c->said_bytes = 0;
    c->waiting_since_us = now_us(c);
    stream_idle(c->stream, 0); /* it is we who are slow */
    timer_set(c->of->loop, &c->timer, y->delay_us > 0 ? y->delay_us : y->drip_us, odd_go, c);
    return false;
}

/* ---- the stream ---- */

static void greet(void *arg)
{
    struct connection *c = arg;

    sink_begin(c->sink, false);
    c->greeted = true;
    if (say_next(c))
        listen_again(c);
}

static bool is_handshake(struct str in)
{
    return str_starts(in, STR("\x16\x03"));
}

static void on_bytes(void *arg, struct buf *in)
{
    struct connection *c = arg;
    size_t used = 1;

    if (c->trapped) {
        connection_over(c, SINK_END_OURS, c->resets ? BY_RESET : AT_ONCE);
        return;
    }
    if (c->deaf) {
        buf_wipe_front(in, in->n);
        return;
    }
    if (!c->greeted) {
        sink_tell(c->sink, FOUND_EARLY,
                  is_handshake(buf_str(in)) ? STR("a handshake of TLS; this port begins without")
                                            : str_sub(buf_str(in), 0, 60));
        return;
    }
    while (in->n > 0 && used > 0) {
        used = sink_feed(c->sink, buf_str(in), clock_now_us(loop_clock(c->of->loop)));
        buf_wipe_front(in, used);
        if (!say_next(c))
            return;
    }
}

static void on_drained(void *arg)
{
    struct connection *c = arg;

    if (c->saying && sink_saying(c->sink)->again.n > 0)
        odd_go(c);
}

static void on_end(void *arg, enum stream_end why, int error)
{
    struct connection *c = arg;
    enum sink_end end = why == STREAM_EOF    ? SINK_END_CLIENT
                        : why == STREAM_IDLE ? SINK_END_SILENT
                                             : SINK_END_LOST;

    if (c->shaking) {
        sink_tls_failed(c->sink, str_c(tls_failure(c->tls, error)));
        c->shaking = false;
        end = SINK_END_OURS;
    }
    if (why == STREAM_IDLE) {
        struct status st = reply_status(REPLY_IDLE_TIMEOUT, STR_NONE);
        struct buf bye = buf_init(KIB);

        reply_print(&bye, &st, true);
        (void)stream_write(c->stream, buf_str(&bye));
        buf_free(&bye);
    }
    connection_over(c, end, why == STREAM_IDLE ? POLITELY : AT_ONCE);
}

static const struct stream_events stream_events = {on_bytes, on_drained, on_end};

static void too_long(void *arg)
{
    connection_over(arg, SINK_END_OURS, AT_ONCE);
}

/* ---- arriving ---- */

static void keep_address(struct connection *c, const struct sock_address *peer)
{
    const struct sockaddr *sa = (const struct sockaddr *)(const void *)&peer->sa;

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;

        c->address_bytes = 4;
        memcpy(c->address, &in->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;

        c->address_bytes = 16;
        memcpy(c->address, &in6->sin6_addr, 16);
    }
}

static bool is_local(const struct connection *c)
{
    static const uint8_t loopback[16] = {[15] = 1};

    return c->address_bytes == 4 ? c->address[0] == 127
                                 : memcmp(c->address, loopback, sizeof loopback) == 0;
}

static void print_local(struct buf *to, int fd)
{
    struct sock_address a = {.bytes = sizeof a.sa};

    if (getsockname(fd, (struct sockaddr *)(void *)&a.sa, &a.bytes) == 0)
        sock_address_print(to, &a);
}

static void begin(struct connection *c, bool by_tls)
{
    struct listening *l = c->of;

    timer_set(l->loop, &c->limit, SESSION_US, too_long, c);
    stream_idle(c->stream, l->timeout_us);
    if (by_tls) {
        sink_begin(c->sink, true);
        (void)say_next(c);
    } else {
        timer_set(l->loop, &c->timer, EARLY_US, greet, c);
    }
}

static void turn_away(struct listening *l, int fd, struct str peer)
{
    static const char words[] = "421 4.7.0 too many connections, try again later\r\n";

    show_refused(&l->show, peer);
    (void)!send(fd, words, sizeof words - 1, MSG_NOSIGNAL);
    (void)close(fd);
}

void connection_accept(struct listening *l, int fd, const struct sock_address *peer, bool by_tls)
{
    struct buf ip = buf_init(64), text = buf_init(128), local = buf_init(128);
    struct connection *c;

    sock_address_print_ip(&ip, peer);
    sock_address_print(&text, peer);
    print_local(&local, fd);
    if (l->connection_count >= SESSIONS_MAX) {
        turn_away(l, fd, buf_str(&text));
    } else {
        c = mem_new(sizeof *c);
        *c = (struct connection){.of = l, .moment = {.session = l->show.session_count + 1}};
        c->started_us = now_us(c);
        c->saved.fd = -1;
        (void)snprintf(c->ip, sizeof c->ip, "%s", buf_c(&ip));
        keep_address(c, peer);
        bool asks = l->dns && (!is_local(c) || l->names_of_local);

        list_add(&l->connections, &c->link);
        l->connection_count++;
        (void)stream_new(l->loop, fd, &stream_events, c, IN_BYTES_MAX, OUT_BYTES_MAX, &c->stream);
        c->sink =
            sink_new(&l->options, &(struct sink_client){.ip = buf_str(&ip), .names_ask = asks},
                     &events, c, clock_now_us(loop_clock(l->loop)));
        show_connected(&l->show, moment(c), buf_str(&text), buf_str(&local));
        c->looks = asks;
        if (asks)
            reverse_ask(l->dns, &c->reverse, c->address, c->address_bytes, on_reverse, c);
        begin(c, by_tls);
    }
    buf_free(&ip);
    buf_free(&text);
    buf_free(&local);
}

void connections_end(struct listening *l)
{
    list_each (link, &l->connections) {
        struct connection *c = list_of(link, struct connection, link);

        if (c->stream)
            connection_over(c, SINK_END_OURS, AT_ONCE);
    }
    list_each (rest, &l->connections)
        connection_free(list_of(rest, struct connection, link));
}
