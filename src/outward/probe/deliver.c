/* outward/probe/deliver.c - a real message, with a wish to be told what becomes of it (RFC 3461). */
// SPDX-License-Identifier: ISC
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/codec.h"
#include "client/session.h"
#include "mail/date.h"
#include "mail/notify.h"
#include "outward/probe/gather.h"

enum { MESSAGE_BYTES_MAX = 4096, ID_DIGITS = 13 };

struct delivery {
    struct gather *gather;
    struct client *client;
    struct buf content;
    char id[ID_DIGITS + 1];
    uint64_t began_us;
    bool sent;
};

static struct str hostname(const struct gather *g)
{
    return g->options->hostname.n > 0 ? g->options->hostname : STR("localhost");
}

static void build(struct delivery *d)
{
    const struct probe_options *o = d->gather->options;
    struct buf *to = &d->content;
    struct str host = hostname(d->gather);
    uint64_t random = 0;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = clock_now_us(loop_clock(d->gather->loop));
    base32_put(d->id, ID_DIGITS, random);
    buf_add_c(to, "Date: ");
    date_print(to, clock_now_us(loop_clock(d->gather->loop)), 0);
    buf_printf(to, "\r\nFrom: <%.*s>\r\nTo: <%.*s>\r\nMessage-ID: <%s@%.*s>\r\n", STR_ARG(o->from),
               STR_ARG(o->deliver), d->id, STR_ARG(host));
    buf_printf(to,
               "Subject: troika probe %s\r\nMIME-Version: 1.0\r\n"
               "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
               "This message was sent by `troika probe --deliver` to see whether mail arrives.\r\n"
               "Nobody needs to answer it.\r\n",
               d->id);
}

static void on_ready(void *arg)
{
    static const struct notify notify = {.when = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY};
    struct delivery *d = arg;
    const struct probe_options *o = d->gather->options;
    struct client_message m = {.sender = o->from,
                               .recipients = &o->deliver,
                               .recipient_count = 1,
                               .notify = &notify,
                               .ret = RETURN_HEADERS,
                               .envid = str_c(d->id),
                               .body = BODY_7BIT,
                               .size = d->content.n,
                               .content = buf_str(&d->content),
                               .content_fd = -1};

    if (d->sent) {
        client_quit(d->client);
        return;
    }
    d->sent = true;
    client_send(d->client, &m);
}

static void take(struct delivery *d, const struct status *st)
{
    struct gather *g = d->gather;
    struct fact_delivery *to = &g->facts->delivery;

    to->code = st->code;
    to->class = st->class;
    to->step = client_step(d->client);
    to->text = arena_copy(g->arena, str_c(st->text));
    to->us = clock_monotonic_us(loop_clock(g->loop)) - d->began_us;
}

static void on_result(void *arg, size_t recipient_index, const struct status *st)
{
    struct delivery *d = arg;

    take(d, st);
    d->gather->facts->delivery.dsn = client_has_dsn(d->client);
}

static void on_message_end(void *arg)
{
    struct delivery *d = arg;

    client_quit(d->client);
}

static void on_end(void *arg, const struct status *st, bool next_hop_failed)
{
    struct delivery *d = arg;

    if (d->gather->facts->delivery.class == 0)
        take(d, st);
    gather_closed(d->gather);
}

static void on_line(void *arg, bool sent, struct str line)
{
    const struct delivery *d = arg;
    const struct probe_options *o = d->gather->options;

    if (o->on_line)
        o->on_line(o->arg, NULL, sent, line);
}

static const struct fact_server *choose(const struct facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const struct fact_server *s = f->servers[i];

        if (fact_greeted(s) && !s->implicit_tls && (!s->submission || f->server_count == 1))
            return s;
    }
    return NULL;
}

bool deliver_begin(struct gather *g)
{
    static const struct client_events events = {.on_ready = on_ready,
                                                .on_result = on_result,
                                                .on_message_end = on_message_end,
                                                .on_end = on_end,
                                                .on_line = on_line};
    const struct fact_server *s = choose(g->facts);

    if (!s)
        return false;
    struct delivery *d = mem_new(sizeof *d);
    struct client_options o = {.hostname = hostname(g),
                               .timeout_scale_percent = 100,
                               .connect_timeout_s = TALK_CONNECT_S,
                               .tls = g->talk.tls ? TLS_OPPORTUNISTIC : TLS_NONE,
                               .tls_context = g->talk.tls,
                               .tls_host = s->host->name.n > 0 ? s->host->name : s->address->text};
    struct sock_address to = fact_server_address(s);

    g->facts->delivery = (struct fact_delivery){
        .tried = true, .to = g->options->deliver, .from = g->options->from, .server = s->name};
    *d = (struct delivery){.gather = g,
                           .content = buf_init(MESSAGE_BYTES_MAX),
                           .began_us = clock_monotonic_us(loop_clock(g->loop))};
    build(d);
    g->delivery = d;
    if (client_new(g->loop, &to, &o, &events, d, &d->client) < 0)
        return false;
    gather_opened(g);
    return true;
}

void deliver_end(struct gather *g)
{
    struct delivery *d = g->delivery;

    g->delivery = NULL;
    if (!d)
        return;
    client_free(&d->client);
    buf_free(&d->content);
    free(d);
}
