/* daemon/queue/intake.c - see intake.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/queue/queue.h"
#include "mail/reply.h"
#include "mail/trace.h"

enum {
    PUTS_PER_PEER_MAX = 16384,
    PREFIX_BYTES_MAX = 16 * 1024,
    CLIENT_BYTES_MAX = 2048,
    ENVELOPE_BYTES_MAX = 64 * 1024 * 1024,
    KEPT_BYTES_MAX = 8 * 1024 * 1024, /* content kept in memory until its job starts, per turn */
};

struct put { /* a message that arrives in several packets */
    uint64_t ticket;
    uint64_t hold;
    struct str account; /* in the arena */
    struct peer *peer;
    struct arena arena;
    struct buf envelope_bytes, prefix;
    struct envelope envelope;
    bool decoded;
    struct spool_entry *entry;
    uint64_t announced_bytes, written_bytes;
    bool failed;
    enum reply_name failure;
};

void intake_init(struct intake *i)
{
    *i = (struct intake){0};
    i->last = &i->first;
}

/* ---- answers ---- */

static void answer(struct peer *peer, uint64_t ticket, const struct status *st, struct id id)
{
    channel_send(
        peer->channel,
        &(struct msg_put_done){
            .kind = MSG_PUT_DONE, .ticket = ticket, .status = *st, .key = id.key, .node = id.node});
}

static void refuse(struct peer *peer, uint64_t ticket, enum reply_name why)
{
    struct status st = reply_status(why, STR_NONE);
    answer(peer, ticket, &st, (struct id){0});
}

/* A full disk is no news for each message; the rest, an administrator must hear of. */
static enum reply_name reply_of(int error)
{
    if (error == -ENOSPC || error == -EDQUOT)
        return REPLY_DISK_FULL;
    log_event(LEVEL_ERROR, "not-stored", "error", strerror(-error), "then",
              "its client hears 451; nothing was accepted", NULL);
    return REPLY_NOT_STORED;
}

size_t intake_answer(struct queue *q, bool committed)
{
    size_t count = 0;

    for (struct accepted *a = q->intake.first; a != NULL; a = a->next) {
        if (a->peer == NULL)
            continue;
        count++;
        if (!committed) {
            refuse(a->peer, a->ticket, REPLY_NOT_STORED);
            continue;
        }
        struct status st = reply_status(REPLY_ACCEPTED, str_c(id_print(a->id).p));
        answer(a->peer, a->ticket, &st, a->id);
    }
    list_each (link, &q->peers) {
        struct peer *peer = list_of(link, struct peer, link);
        if (peer->role == SMTPD)
            channel_flush(peer->channel); /* clients wait; what is left of the turn can */
    }
    return count;
}

void intake_forget(struct queue *q)
{
    intake_init(&q->intake);
}

/* ---- into the batch ---- */

/* Text of another process in a line of ours: it may hold pairs, but never a second line. */
static void add_client(struct buf *line, struct str client)
{
    client = str_sub(str_trim(client), 0, CLIENT_BYTES_MAX);
    if (client.n == 0)
        return;
    buf_add_char(line, ' ');
    for (size_t i = 0; i < client.n; i++) {
        bool printable = client.p[i] >= ' ' && client.p[i] <= '~';
        buf_add_char(line, printable ? client.p[i] : '?');
    }
}

static void tell_accepted(struct queue *q, const struct accepted *a)
{
    const struct envelope *e = &a->envelope;
    struct buf *line = event_begin(q, "accepted", a->id);
    line_address(line, "from", e->sender);
    line_u64(line, "size", a->size);
    line_u64(line, "rcpts", e->recipient_count);
    if (a->held)
        line_c(line, "held", "yes");
    if (e->envid.n > 0)
        line_str(line, "envid", e->envid);
    if (e->ret != RETURN_UNSAID)
        line_c(line, "ret", notify_return_name(e->ret));
    add_client(line, e->client);
    for (size_t i = 0; i < e->recipient_count; i++) {
        if (i > 0 && (i % EVENT_RECIPIENTS_MAX == 0 || line->n > LINE_BYTES_MAX / 2)) {
            event_end(q);
            line = event_begin(q, "recipients", a->id);
        }
        line_address(line, "to", e->recipients[i].target.address);
    }
    event_end(q);
}

/* Notes what has joined the batch, for scheduling and for the answer. */
static struct accepted *note(struct queue *q, struct peer *peer, uint64_t ticket, struct id id,
                             const struct envelope *e)
{
    struct accepted *a = arena_alloc(&q->turn_arena, sizeof(*a));
    *a = (struct accepted){.peer = peer,
                           .ticket = ticket,
                           .id = id,
                           .envelope = *e,
                           .received_us = id_time_us(id),
                           .held = q->config->hold};
    *q->intake.last = a;
    q->intake.last = &a->next;
    q->intake.count++;
    queue_touch(q);
    return a;
}

static int add(struct queue *q, struct peer *peer, uint64_t ticket, struct spool_entry **entry,
               const struct envelope *e, struct str prefix, struct accepted **ret)
{
    uint64_t now = clock_now_us(q->clock);
    bool warns = e->sender.n > 0 && q->config->warn_us > 0;
    struct spool_terms terms = {.due_us = now,
                                .expires_us = now + q->config->expire_us,
                                .warn_us = warns ? now + q->config->warn_us : 0,
                                .hold = q->config->hold};
    struct id id;
    int r = spool_add(entry, prefix, &terms, &id);
    if (r < 0)
        return r;
    *ret = note(q, peer, ticket, id, e);
    (*ret)->terms = terms;
    return 0;
}

/* A small message: an entry that wants to be added. */
static int begin_small(struct queue *q, const struct envelope *e, struct str content,
                       struct spool_entry **ret)
{
    int r = spool_begin(q->spool, e, content.n, ret);
    if (r == 0)
        r = spool_write(*ret, content);
    if (r < 0)
        spool_abort(ret);
    return r;
}

int intake_own(struct queue *q, const struct envelope *e, struct str header, struct str body,
               struct id *ret)
{
    struct spool_entry *entry = NULL;
    struct accepted *a;
    int r = begin_small(q, e, body, &entry);
    if (r == 0)
        r = add(q, NULL, 0, &entry, e, header, &a);
    if (r < 0)
        return r;
    a->size = body.n;
    *ret = a->id;
    return 0;
}

static bool envelope_good(const struct envelope *e)
{
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct target *t = &e->recipients[i].target;
        if (t->transport != TRANSPORT_LOCAL && t->transport != TRANSPORT_RELAY)
            return false;
        if (t->address.n == 0 || t->next_hop.n == 0 || t->next_hop.n > NEXT_HOP_BYTES_MAX)
            return false;
    }
    return e->recipient_count > 0;
}

static void log_contract(const char *what)
{
    log_event(LEVEL_ERROR, "smtpd-broke-contract", "what", what, NULL);
}

/* ---- the short way: all in one packet ---- */

static void keep_content(struct queue *q, struct accepted *a, const struct msg_put *m)
{
    if (a->held || q->intake.content_bytes + m->content.n > KEPT_BYTES_MAX ||
        !schedule_wants_content(q))
        return;
    struct buf prefix = buf_init(2 * (size_t)PREFIX_BYTES_MAX);
    prefix_print(&prefix, m->prefix, a->id);
    a->prefix = arena_copy(&q->turn_arena, buf_str(&prefix));
    a->has_content = !prefix.full;
    buf_free(&prefix);
    a->content = arena_copy(&q->turn_arena, m->content);
    q->intake.content_bytes += m->content.n;
}

static int put_whole(struct peer *peer, const struct msg_put *m)
{
    struct queue *q = peer->queue;
    struct envelope e;
    struct spool_entry *entry = NULL;
    struct accepted *a;

    if (!envelope_decode(m->envelope, &q->turn_arena, &e) || !envelope_good(&e)) {
        log_contract("envelope");
        return -EBADMSG;
    }
    int r = begin_small(q, &e, m->content, &entry);
    if (r == 0)
        r = add(q, peer, m->ticket, &entry, &e, m->prefix, &a);
    if (r < 0)
        return r;
    login_limit_count(peer, m->hold, m->account, &e);
    a->size = m->content.n;
    keep_content(q, a, m);
    tell_accepted(q, a);
    return 0;
}

/* ---- in several packets ---- */

static void put_free(struct put *p)
{
    spool_abort(&p->entry);
    buf_free(&p->envelope_bytes);
    buf_free(&p->prefix);
    arena_free(&p->arena);
    free(p);
}

static void put_end(struct put *p)
{
    map_remove(p->peer->puts, map_key_u64(&p->ticket));
    put_free(p);
}

static void put_fail(struct put *p, enum reply_name why)
{
    if (p->failed)
        return;
    p->failed = true;
    p->failure = why;
    spool_abort(&p->entry);
}

static struct put *put_new(struct peer *peer, const struct msg_put *m)
{
    struct put *p = mem_new(sizeof(*p));
    *p = (struct put){.ticket = m->ticket,
                      .peer = peer,
                      .hold = m->hold,
                      .announced_bytes = m->size,
                      .envelope_bytes = buf_init(ENVELOPE_BYTES_MAX),
                      .prefix = buf_init(PREFIX_BYTES_MAX)};
    p->account = arena_copy(&p->arena, m->account);
    map_put(peer->puts, map_key_u64(&p->ticket), p);
    if (!spool_accepts(peer->queue->spool))
        put_fail(p, REPLY_DISK_FULL);
    return p;
}

/* The envelope is whole as soon as content follows, or at the end. */
static void put_decode(struct put *p)
{
    struct queue *q = p->peer->queue;
    p->decoded = true;
    if (p->envelope_bytes.full ||
        !envelope_decode(buf_str(&p->envelope_bytes), &p->arena, &p->envelope) ||
        !envelope_good(&p->envelope)) {
        log_contract("envelope");
        put_fail(p, REPLY_NOT_STORED);
        return;
    }
    buf_free(&p->envelope_bytes);
    int r = spool_begin(q->spool, &p->envelope, p->announced_bytes, &p->entry);
    if (r < 0)
        put_fail(p, reply_of(r));
}

static void copy_envelope(struct arena *a, struct envelope *e)
{
    e->sender = arena_copy(a, e->sender);
    e->client = arena_copy(a, e->client);
    e->envid = arena_copy(a, e->envid);
    struct recipient *list = arena_alloc(a, e->recipient_count * sizeof(*list));
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct recipient *from = &e->recipients[i];
        list[i] = (struct recipient){
            .address = arena_copy(a, from->address),
            .notify = {.when = from->notify.when, .orcpt = arena_copy(a, from->notify.orcpt)},
            .target = {.transport = from->target.transport,
                       .next_hop = arena_copy(a, from->target.next_hop),
                       .address = arena_copy(a, from->target.address)}};
    }
    e->recipients = list;
}

static void put_add(struct put *p)
{
    struct queue *q = p->peer->queue;
    struct accepted *a;
    copy_envelope(&q->turn_arena, &p->envelope);
    int r = add(q, p->peer, p->ticket, &p->entry, &p->envelope, buf_str(&p->prefix), &a);
    if (r < 0) {
        refuse(p->peer, p->ticket, reply_of(r));
    } else {
        login_limit_count(p->peer, p->hold, p->account, &p->envelope);
        a->size = p->written_bytes;
        tell_accepted(q, a);
    }
    put_end(p);
}

static void put_synced(void *arg, int error)
{
    struct put *p = arg;
    if (error == 0) {
        put_add(p);
        return;
    }
    refuse(p->peer, p->ticket, reply_of(-abs(error)));
    queue_must(p->peer->queue, spool_health(p->peer->queue->spool));
    put_end(p);
}

static void put_finish(struct put *p)
{
    if (p->prefix.full)
        put_fail(p, REPLY_NOT_STORED);
    int r = p->failed ? 0 : spool_sync(p->entry, p->peer->queue->loop, put_synced, p);
    if (r == -EAGAIN)
        return;
    if (r < 0)
        put_fail(p, reply_of(r));
    if (!p->failed) {
        put_add(p);
        return;
    }
    refuse(p->peer, p->ticket, p->failure);
    put_end(p);
}

static void put_packet(struct put *p, const struct msg_put *m)
{
    buf_add(&p->prefix, m->prefix); /* known at the end of the header at the earliest */
    if (!p->decoded && !p->failed) {
        buf_add(&p->envelope_bytes, m->envelope);
        if (m->content.n > 0 || m->flags & PUT_END)
            put_decode(p);
    }
    if (!p->failed && m->content.n > 0) {
        int r = spool_write(p->entry, m->content);
        if (r < 0)
            put_fail(p, reply_of(r));
        p->written_bytes += m->content.n;
    }
    if (m->content.n > 0 && !(m->flags & PUT_END))
        channel_send(p->peer->channel, &(struct msg_put_credit){.kind = MSG_PUT_CREDIT,
                                                                .ticket = m->ticket,
                                                                .bytes = m->content.n});
    if (m->flags & PUT_END)
        put_finish(p);
}

static bool put_is_whole(const struct msg_put *m)
{
    return m->flags == (PUT_BEGIN | PUT_END) && m->content.n <= SPOOL_SMALL_BYTES_MAX &&
           m->prefix.n <= PREFIX_BYTES_MAX;
}

void intake_put(struct peer *peer, const struct msg_put *m)
{
    struct put *p = map_get(peer->puts, map_key_u64(&m->ticket));
    bool begins = m->flags & PUT_BEGIN;

    if (begins && p != NULL) {
        log_contract("ticket used twice");
        put_end(p);
    }
    if (begins && put_is_whole(m)) {
        int r = spool_accepts(peer->queue->spool) ? put_whole(peer, m) : -ENOSPC;
        if (r < 0)
            refuse(peer, m->ticket, reply_of(r));
        return;
    }
    if (begins && map_count(peer->puts) >= PUTS_PER_PEER_MAX) {
        log_contract("too many messages at once");
        refuse(peer, m->ticket, REPLY_NOT_STORED);
        return;
    }
    if (begins)
        p = put_new(peer, m);
    if (p != NULL)
        put_packet(p, m);
}

void intake_put_abort(struct peer *peer, uint64_t ticket)
{
    struct put *p = map_get(peer->puts, map_key_u64(&ticket));
    if (p != NULL)
        put_end(p);
}

/* ---- smtpd comes and goes ---- */

static void send_state(struct peer *peer)
{
    bool accepts = peer->queue->accepts;
    channel_send(peer->channel,
                 &(struct msg_queue_state){
                     .kind = MSG_QUEUE_STATE,
                     .accepts = accepts,
                     .status = reply_status(accepts ? REPLY_OK : REPLY_DISK_FULL, STR_NONE)});
}

void intake_state(struct queue *q)
{
    bool accepts = spool_accepts(q->spool);
    if (accepts == q->accepts)
        return;
    q->accepts = accepts;
    log_event(accepts ? LEVEL_INFO : LEVEL_WARNING, accepts ? "disk-has-room" : "disk-full", NULL);
    list_each (link, &q->peers) {
        struct peer *peer = list_of(link, struct peer, link);
        if (peer->role == SMTPD)
            send_state(peer);
    }
}

void intake_peer_up(struct peer *peer)
{
    peer->puts = map_new();
    peer->holds = map_new();
    send_state(peer);
}

void intake_peer_down(struct peer *peer)
{
    size_t at = 0;
    for (struct put *p = map_next(peer->puts, &at); p != NULL; p = map_next(peer->puts, &at)) {
        map_remove(peer->puts, map_key_u64(&p->ticket));
        put_free(p);
    }
    map_free(&peer->puts);
    login_limit_peer_down(peer);
    /* What is in the batch stays there: nobody has heard 250, so a second copy is the worst. */
    for (struct accepted *a = peer->queue->intake.first; a != NULL; a = a->next)
        if (a->peer == peer)
            a->peer = NULL;
}
