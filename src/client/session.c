/* client/session.c - the shell around client/dialogue.h: connection, content, time.
 *
 * Replies that came together are all read before content is sent, so that a server which answers
 * in advance is noticed. Content leaves in blocks of 64 KiB, the next one when the kernel has
 * taken the last: a session holds a few blocks, whatever the size of the message. The timer runs
 * for the oldest thing that is awaited, not for each byte, so dripping replies do not stretch it. */
// SPDX-License-Identifier: ISC
#include "client/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/dialogue.h"
#include "io/disk.h"
#include "io/stream.h"
#include "mail/downgrade.h"
#include "mail/reply.h"
#include "tls/policy.h"
#include "wire/smtp.h"

enum {
    CONNECT_TIMEOUT_S = 60,
    BLOCK_BYTES = 64 * 1024,
    TEXT_BYTES_MAX = 2 * BLOCK_BYTES + 2 * DOWNGRADE_HEADER_BYTES_MAX,
    WIRE_BYTES_MAX = 2 * TEXT_BYTES_MAX + 16, /* a block converted, dot-stuffed, and the end */
    IN_BYTES_MAX = 16 * 1024,
    OUT_BYTES_MAX = DIALOGUE_OUT_BYTES_MAX + BLOCK_BYTES + WIRE_BYTES_MAX,
    PEER_BYTES_MAX = 128,
    TROUBLE_BYTES_MAX = 600,
};
static_assert(IN_BYTES_MAX > REPLY_LINE_BYTES_MAX + 2, "a reply line must fit");

struct client {
    struct loop *loop;
    struct sock_address to;
    uint64_t connect_timeout_us;
    int socket; /* connected already; 0: none */
    struct tls_context *tls_context;
    struct buf tls_host;
    struct tls *tls; /* while the stream is there and has one */
    struct tls_peer tls_peer;
    bool has_tls_peer;
    struct client_events events;
    void *arg;
    struct dialogue dialogue;
    struct stream *stream; /* NULL: closed */
    bool connected, freed;
    int error;        /* of the connection, negative errno */
    uint64_t step_us; /* monotonic: the last step was over */
    uint64_t timeout_scale_percent;
    struct timer timer;
    struct reply_reader replies;
    struct buf peer;

    struct client_message message; /* the one under way */
    struct downgrade *downgrade;   /* of a binary message that is converted, or NULL */
    struct dot_writer dots;
    uint64_t prefix_sent, content_sent;
};

/* A block on its way from a file into a stream: no client keeps anything of it, so all of them
 * share the place, whose pages stay. */
static _Thread_local char block_read[BLOCK_BYTES];
static _Thread_local struct buf wire = {.bytes_max = WIRE_BYTES_MAX};

/* ---- time ---- */

static uint64_t scaled_us(const struct client *c, uint64_t s)
{
    return s * US_PER_S * c->timeout_scale_percent / 100;
}

/* A step that is over may be told of; the owner does nothing but look. */
static void tell_step(struct client *c, enum explain_step step)
{
    uint64_t now_us = clock_monotonic_us(loop_clock(c->loop));

    if (c->events.on_step && !c->freed)
        c->events.on_step(c->arg, step, now_us - c->step_us);
    c->step_us = now_us;
}

static void lost(struct client *c, const char *what, const char *why)
{
    struct buf about = buf_init(STATUS_TEXT_BYTES_MAX);
    buf_printf(&about, "%s %s", what, why);

    enum reply_name name = c->connected ? REPLY_CONNECTION_LOST : REPLY_NO_CONNECTION;
    struct status st = reply_status(name, buf_str(&about));
    buf_free(&about);
    tell_step(c, client_step(c));
    dialogue_lost(&c->dialogue, &st);
}

static void tls_failed(struct client *c, const char *why);

static void on_timeout(void *arg)
{
    struct client *c = arg;

    c->error = -ETIMEDOUT;
    if (c->dialogue.phase == PHASE_SECURING)
        tls_failed(c, "no answer in time");
    else
        lost(c, "no answer in time to", dialogue_awaits(&c->dialogue));
}

static void arm(struct client *c)
{
    uint64_t timeout_s = dialogue_timeout_s(&c->dialogue);

    if (timeout_s > 0 && c->stream && c->connected)
        timer_set(c->loop, &c->timer, scaled_us(c, timeout_s), on_timeout, c);
    else
        timer_stop(&c->timer);
}

/* ---- content ---- */

static void content_rewind(struct client *c)
{
    c->dots = (struct dot_writer){0};
    downgrade_free(&c->downgrade);
    c->prefix_sent = c->content_sent = 0;
}

static uint64_t content_bytes(const struct client_message *m)
{
    return m->content_fd >= 0 ? m->content_bytes : m->content.n;
}

/* The next piece of the message in *ret, empty at its end; or a negative errno. */
static int next_block(struct client *c, struct str *ret)
{
    const struct client_message *m = &c->message;

    if (c->prefix_sent < m->prefix.n) {
        *ret = str_sub(m->prefix, c->prefix_sent, c->prefix_sent + BLOCK_BYTES);
        c->prefix_sent += ret->n;
        return 0;
    }
    size_t n = (size_t)MIN_OF(content_bytes(m) - c->content_sent, (uint64_t)BLOCK_BYTES);
    uint64_t at = c->content_sent;
    c->content_sent += n;
    if (m->content_fd < 0) {
        *ret = str_sub(m->content, at, at + n);
        return 0;
    }
    *ret = str_n(block_read, n);
    return disk_read_at(m->content_fd, block_read, n, m->content_offset + at);
}

/* Only the end of the content may be followed by the dot: a message that cannot be read to its
 * end is cut off without one, so the server must throw it away. */
static void content_unreadable(struct client *c, int error)
{
    struct buf text = buf_init(STATUS_TEXT_BYTES_MAX);
    buf_printf(&text, "cannot read the stored message: %s", strerror(-error));

    struct status st = status_make(0, 4, 3, 0, buf_str(&text));
    buf_free(&text);
    dialogue_lost(&c->dialogue, &st);
}

static void content_unconvertible(struct client *c)
{
    struct status st = reply_status(REPLY_BINARY_UNSENDABLE, STR_NONE);

    dialogue_lost(&c->dialogue, &st);
}

/* The block as text, into wire. False: it cannot be made one. */
static bool write_converted(struct client *c, struct str block)
{
    struct buf text = buf_init(TEXT_BYTES_MAX);

    if (!c->downgrade)
        c->downgrade = downgrade_new();
    bool good = block.n > 0 ? downgrade_feed(c->downgrade, block, &text)
                            : downgrade_end(c->downgrade, &text);
    dot_write(&c->dots, buf_str(&text), &wire);
    buf_free(&text);
    return good;
}

/* Empty: the end. */
static void write_block(struct client *c, struct str block)
{
    bool converts = dialogue_converts(&c->dialogue);
    bool in_chunks = dialogue_sends_chunk(&c->dialogue);

    buf_reset(&wire);
    if (converts && !write_converted(c, block)) {
        content_unconvertible(c);
        return;
    }
    if (block.n > 0 && !converts && !in_chunks)
        dot_write(&c->dots, block, &wire);
    else if (block.n == 0 && !in_chunks)
        dot_write_end(&c->dots, &wire);
    check(!wire.full);
    (void)stream_write(c->stream, in_chunks ? block : buf_str(&wire)); /* too much: on_end comes */
    if (c->events.on_sent && block.n > 0)
        c->events.on_sent(c->arg, c->prefix_sent + c->content_sent);
}

static void send_content(struct client *c)
{
    while (c->dialogue.phase == PHASE_CONTENT && stream_unsent(c->stream) < BLOCK_BYTES) {
        struct str block = STR_NONE;
        int error = next_block(c, &block);

        if (error < 0) {
            content_unreadable(c, error);
            return;
        }
        write_block(c, block);
        if (c->dialogue.phase == PHASE_CONTENT && block.n == 0) {
            content_rewind(c); /* there may be more recipients than one transaction takes */
            dialogue_content_sent(&c->dialogue);
        }
    }
}

/* ---- the connection ---- */

/* Hands what the dialogue has to say to the stream. */
static void advance(struct client *c)
{
    struct buf *out = &c->dialogue.out;

    if (!c->stream)
        return;
    if (out->n > 0)
        (void)stream_write(c->stream, buf_str(out)); /* too much: on_end comes */
    dialogue_out_taken(&c->dialogue);
    send_content(c);
    arm(c);
}

static void tell_line(struct client *c)
{
    struct str text = buf_str(&c->replies.text);
    struct buf line = buf_init(REPLY_TEXT_BYTES_MAX + 8);

    if (!c->events.on_line || c->freed)
        return;
    do {
        struct str one = str_cut(&text, '\n');
        buf_reset(&line);
        buf_printf(&line, "%u%c", c->replies.code, text.n > 0 ? '-' : ' ');
        buf_add(&line, one);
        c->events.on_line(c->arg, false, buf_str(&line));
    } while (text.n > 0 && !c->freed);
    buf_free(&line);
}

static void not_smtp(struct client *c, const char *error)
{
    struct status st = reply_status(REPLY_BAD_DIALOGUE, str_c(error));

    dialogue_lost(&c->dialogue, &st);
}

static void on_bytes(void *arg, struct buf *in)
{
    struct client *c = arg;
    bool answered = false;

    while (c->stream && c->dialogue.phase != PHASE_SECURING) {
        const char *error = NULL;
        size_t used;
        enum reply_event event = reply_read(&c->replies, buf_str(in), &used, &error);

        buf_drop_front(in, used);
        if (event == REPLY_BAD)
            not_smtp(c, error);
        if (event != REPLY_READY)
            break;
        tell_line(c);
        tell_step(c, client_step(c));
        dialogue_reply(&c->dialogue, c->replies.code, buf_str(&c->replies.text));
        reply_reader_next(&c->replies);
        answered = true;
    }
    if (answered) /* bytes alone win no time */
        advance(c);
}

static void on_drained(void *arg)
{
    struct client *c = arg;

    if (c->dialogue.phase == PHASE_CONTENT)
        advance(c);
}

static void on_stream_end(void *arg, enum stream_end why, int error)
{
    struct client *c = arg;

    c->error = why == STREAM_ERROR ? -error : 0;
    if (!c->connected)
        lost(c, buf_c(&c->peer), strerror(error));
    else if (c->dialogue.phase == PHASE_SECURING)
        tls_failed(c, c->tls ? tls_failure(c->tls, error) : strerror(error));
    else if (why == STREAM_ERROR)
        lost(c, strerror(error), "while waiting for an answer");
    else
        lost(c, "closed by the other side before it answered", dialogue_awaits(&c->dialogue));
}

static void tell_secure(void *arg);

static void on_connected(void *arg)
{
    struct client *c = arg;

    c->connected = true;
    tell_step(c, STEP_CONNECT);
    if (c->dialogue.phase == PHASE_SECURING)
        tell_secure(c);
    arm(c);
}

static const struct stream_events stream_events = {on_bytes, on_drained, on_stream_end};

static int take_socket(struct client *c)
{
    int fd = c->socket;

    c->socket = 0;
    int error = stream_new(c->loop, fd, &stream_events, c, IN_BYTES_MAX, OUT_BYTES_MAX, &c->stream);
    if (error == 0)
        on_connected(c);
    return error;
}

static int connect_stream(struct client *c)
{
    if (c->socket > 0)
        return take_socket(c);
    return stream_connect(c->loop, (const struct sockaddr *)&c->to.sa, c->to.bytes,
                          c->connect_timeout_us, on_connected, &stream_events, c, IN_BYTES_MAX,
                          OUT_BYTES_MAX, &c->stream);
}

static void disconnect(struct client *c)
{
    c->tls = NULL;
    stream_free(&c->stream);
}

/* ---- TLS ---- */

static void describe_channel(struct client *c)
{
    char binding[TLS_BINDING_BYTES];
    struct sasl_channel channel = {
        .service = "smtp", .host = buf_str(&c->tls_host), .port = sock_address_port(&c->to)};

    if (c->tls) {
        channel.secured = true;
        channel.client_certificate = tls_showed_certificate(c->tls);
        channel.binding = str_n(binding, tls_binding(c->tls, binding));
    }
    auth_channel(&c->dialogue.auth, &channel);
    explicit_bzero(binding, sizeof binding);
}

static void unverified(struct client *c, struct str trouble)
{
    struct status st = reply_status(REPLY_TLS_UNVERIFIED, trouble);

    dialogue_lost(&c->dialogue, &st);
}

static void on_secured(void *arg)
{
    struct client *c = arg;
    struct buf trouble = buf_init(TROUBLE_BYTES_MAX);

    tls_peer(c->tls, &c->tls_peer);
    c->has_tls_peer = true;
    tell_step(c, STEP_TLS);
    if (tls_peer_trouble(&c->tls_peer, buf_str(&c->tls_host), &trouble) &&
        c->dialogue.tls == TLS_VERIFIED) {
        unverified(c, buf_str(&trouble));
    } else {
        describe_channel(c);
        dialogue_secured(&c->dialogue);
        advance(c);
    }
    buf_free(&trouble);
}

/* A server may have answered before it was asked: STARTTLS is then still to be said. */
static void tell_secure(void *arg)
{
    struct client *c = arg;
    struct buf *out = &c->dialogue.out;

    if (out->n > 0)
        (void)stream_write(c->stream, buf_str(out));
    dialogue_out_taken(&c->dialogue);
    c->tls = tls_begin(c->stream, c->tls_context, buf_str(&c->tls_host), on_secured);
}

static void again_plain(struct client *c, const char *why)
{
    dialogue_again_plain(&c->dialogue, why);
    tell_step(c, STEP_TLS);
    disconnect(c);
    timer_stop(&c->timer);
    reply_reader_free(&c->replies);
    reply_reader_init(&c->replies);
    c->connected = false;
    int error = connect_stream(c);
    if (error < 0) {
        c->error = error;
        lost(c, buf_c(&c->peer), strerror(-error));
    }
}

/* The connection is of no more use: what either side sent last may be half a handshake. */
static void tls_failed(struct client *c, const char *why)
{
    struct buf about = buf_init(STATUS_TEXT_BYTES_MAX);

    if (c->dialogue.tls < TLS_REQUIRED) {
        again_plain(c, why);
        return;
    }
    buf_printf(&about, "handshake failed: %s", why);
    struct status st = reply_status(REPLY_TLS_MISSING, buf_str(&about));
    buf_free(&about);
    tell_step(c, STEP_TLS);
    dialogue_lost(&c->dialogue, &st);
}

/* ---- what the dialogue tells, to the owner ---- */

static void tell_ready(void *arg)
{
    struct client *c = arg;

    c->events.on_ready(c->arg);
}

static void tell_result(void *arg, size_t i, const struct status *st)
{
    struct client *c = arg;

    c->events.on_result(c->arg, i, st);
}

static void tell_message_end(void *arg)
{
    struct client *c = arg;

    downgrade_free(&c->downgrade);
    c->events.on_message_end(c->arg);
}

/* A last QUIT may still be in `out`: it leaves after us. */
static void tell_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct client *c = arg;
    struct buf *out = &c->dialogue.out;

    timer_stop(&c->timer);
    if (c->stream && c->connected && out->n > 0 && stream_write(c->stream, buf_str(out)))
        stream_finish(&c->stream);
    disconnect(c);
    dialogue_out_taken(&c->dialogue);
    if (!c->freed)
        c->events.on_end(c->arg, st, next_hop_failed);
}

static void tell_said(void *arg, struct str line)
{
    struct client *c = arg;

    if (c->events.on_line)
        c->events.on_line(c->arg, true, line);
}

static const struct dialogue_events dialogue_events = {tell_ready, tell_result, tell_message_end,
                                                       tell_end,   tell_said,   tell_secure};

/* ---- the doors ---- */

static void free_memory(void *p)
{
    struct client *c = p;

    dialogue_free(&c->dialogue);
    reply_reader_free(&c->replies);
    buf_free(&c->peer);
    buf_free(&c->tls_host);
    downgrade_free(&c->downgrade);
    free(c);
}

static void begin_dialogue(struct client *c, const struct client_options *o)
{
    enum tls_policy tls = o->tls_implicit ? MAX_OF(o->tls, TLS_REQUIRED) : o->tls;

    dialogue_init(&c->dialogue, o->hostname, tls, &dialogue_events, c);
    c->dialogue.lmtp = o->lmtp;
    c->dialogue.one_transaction = o->one_transaction;
    if (o->login)
        dialogue_login(&c->dialogue, o->login);
    if (o->login)
        describe_channel(c);
    if (o->tls_implicit)
        dialogue_tls_first(&c->dialogue);
}

int client_new(struct loop *l, const struct sock_address *to, const struct client_options *o,
               const struct client_events *events, void *arg, struct client **ret)
{
    struct client *c = mem_new(sizeof *c);
    uint64_t connect_s = o->connect_timeout_s > 0 ? o->connect_timeout_s : CONNECT_TIMEOUT_S;

    check((o->tls == TLS_NONE && !o->tls_implicit) || o->tls_context);
    *c = (struct client){
        .loop = l,
        .to = *to,
        .events = *events,
        .arg = arg,
        .timeout_scale_percent = o->timeout_scale_percent,
        .socket = o->socket,
        .tls_context = o->tls_context,
        .tls_host = buf_init(TLS_HOST_BYTES_MAX + 1),
        .peer = buf_init(PEER_BYTES_MAX),
    };
    c->connect_timeout_us = scaled_us(c, connect_s);
    buf_add(&c->tls_host, o->tls_host);
    c->step_us = clock_monotonic_us(loop_clock(l));
    begin_dialogue(c, o);
    reply_reader_init(&c->replies);
    sock_address_print(&c->peer, to);
    int error = connect_stream(c);
    if (error < 0) {
        free_memory(c);
        return error;
    }
    *ret = c;
    return 0;
}

void client_send(struct client *c, const struct client_message *m)
{
    struct dialogue_message message = {
        .sender = m->sender,
        .recipients = m->recipients,
        .recipient_count = m->recipient_count,
        .notify = m->notify,
        .ret = m->ret,
        .envid = m->envid,
        .body = m->body,
        .utf8 = m->utf8,
        .size = m->prefix.n + content_bytes(m),
    };

    c->message = *m;
    content_rewind(c);
    dialogue_send(&c->dialogue, &message);
    advance(c);
}

void client_quit(struct client *c)
{
    dialogue_quit(&c->dialogue);
    advance(c);
}

void client_free(struct client **c)
{
    struct client *gone = *c;

    *c = NULL;
    if (!gone)
        return;
    gone->freed = true;
    dialogue_stop(&gone->dialogue);
    timer_stop(&gone->timer);
    disconnect(gone);
    loop_bury(gone->loop, free_memory, gone);
}

struct str client_peer(const struct client *c)
{
    return buf_str(&c->peer);
}

struct str client_greeting(const struct client *c)
{
    return buf_str(&c->dialogue.greeting);
}

struct str client_greeting_host(const struct client *c)
{
    struct str greeting = client_greeting(c);

    return str_cut_word(&greeting);
}

bool client_secured(const struct client *c)
{
    return c->dialogue.secured;
}

void client_print_tls(const struct client *c, struct buf *to)
{
    if (c->dialogue.secured)
        tls_peer_print(to, &c->tls_peer);
    else if (c->dialogue.tls < TLS_REQUIRED && c->dialogue.plain_why.n > 0)
        buf_printf(to, "plain, %.*s", STR_ARG(buf_str(&c->dialogue.plain_why)));
}

const struct tls_peer *client_tls_peer(const struct client *c)
{
    return c->has_tls_peer ? &c->tls_peer : NULL;
}

const struct client_offers *client_offers(const struct client *c)
{
    return &c->dialogue.offers;
}

const char *client_mechanism(const struct client *c)
{
    return c->dialogue.auth.done ? c->dialogue.auth.mechanism : NULL;
}

enum explain_step client_step(const struct client *c)
{
    return c->connected ? dialogue_step(&c->dialogue) : STEP_CONNECT;
}

int client_error(const struct client *c)
{
    return c->error;
}

bool client_has_dsn(const struct client *c)
{
    return c->dialogue.offers.has_dsn;
}

bool client_takes_more(const struct client *c)
{
    return dialogue_takes_more(&c->dialogue);
}

size_t client_message_count(const struct client *c)
{
    return c->dialogue.message_count;
}

bool client_message_touched(const struct client *c)
{
    return c->dialogue.touched;
}
