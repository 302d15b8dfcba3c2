/* daemon/queue/bounce.c - see bounce.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/bounce.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/queue/queue.h"
#include "mail/dsn.h"
#include "mail/header.h"

enum {
    QUOTED_BYTES_MAX = 32 * 1024, /* of the original's header */
    REPORT_BYTES_MAX = SPOOL_INLINE_BYTES_MAX - 1024,
    WAIT_US = 30 * 1000 * 1000,
};

struct failed {
    struct failed *next;
    struct active active;
    struct failure failure; /* strings in the report's arena */
    uint64_t at_us;
};

struct report {
    struct list link; /* among the waiting */
    struct arena arena;
    struct queue *queue;
    struct id id; /* of the message it is about */
    struct str sender;
    uint64_t received_us;
    struct failed *first, **last;
    struct route_ask ask;
    uint64_t wait_until_us; /* monotonic */
};

void bounces_init(struct bounces *b)
{
    *b = (struct bounces){.by_key = map_new()};
    list_init(&b->waiting);
}

bool bounces_full(const struct queue *q)
{
    return map_count(q->bounces.by_key) >= REPORTS_MAX;
}

/* ---- life of a report ---- */

static void report_free(struct report *r)
{
    struct queue *q = r->queue;
    for (struct failed *f = r->first; f != NULL; f = f->next)
        active_remove(q, &f->active);
    route_ask_cancel(q, &r->ask);
    map_remove(q->bounces.by_key, map_key_u64(&r->id.key));
    list_remove(&r->link);
    arena_free(&r->arena);
    free(r);
}

void bounces_done(struct queue *q)
{
    size_t at = 0;
    for (struct report *r = map_next(q->bounces.by_key, &at); r != NULL;
         r = map_next(q->bounces.by_key, &at))
        report_free(r);
    map_free(&q->bounces.by_key);
}

static void report_answered(void *arg, const struct msg_route_answer *answer);

static void report_ask(struct report *r)
{
    route_ask(r->queue, &r->ask, STR_NONE, r->sender, report_answered, r);
}

static struct report *report_new(struct queue *q, struct id id, struct str sender,
                                 uint64_t received_us)
{
    struct report *r = mem_new(sizeof(*r));
    r->queue = q;
    r->id = id;
    r->received_us = received_us;
    r->sender = arena_copy(&r->arena, sender);
    r->last = &r->first;
    list_init(&r->link);
    map_put(q->bounces.by_key, map_key_u64(&r->id.key), r);
    report_ask(r);
    return r;
}

static void report_wait(struct report *r)
{
    r->wait_until_us = clock_monotonic_us(r->queue->clock) + WAIT_US;
    list_remove(&r->link);
    list_add(&r->queue->bounces.waiting, &r->link);
}

void bounces_tick(struct queue *q)
{
    uint64_t now = clock_monotonic_us(q->clock);
    list_each (link, &q->bounces.waiting) {
        struct report *r = list_of(link, struct report, link);
        if (r->wait_until_us > now)
            break;
        list_remove(&r->link);
        report_ask(r);
    }
}

/* ---- those that cannot be reported on ---- */

static void hold_failure(struct queue *q, struct id id, const struct failure *f, const char *why)
{
    struct arena a = ARENA_INIT;
    struct str text = arena_printf(&a, "%s: %s", why, f->status.text);
    struct status st =
        status_make(f->status.code, f->status.class, f->status.subject, f->status.detail, text);
    outcome_hold(q, "double-bounce", id, f->number, f->address, &st);
    notice_add(q, id);
    arena_free(&a);
}

static void report_hold(struct report *r, const char *why)
{
    for (struct failed *f = r->first; f != NULL; f = f->next)
        hold_failure(r->queue, r->id, &f->failure, why);
    report_free(r);
}

void bounce_add(struct queue *q, struct id id, struct str sender, uint64_t received_us,
                const struct failure *failure)
{
    if (sender.n == 0) {
        hold_failure(q, id, failure, "a notification that cannot be delivered");
        return;
    }
    struct report *r = map_get(q->bounces.by_key, map_key_u64(&id.key));
    if (r == NULL)
        r = report_new(q, id, sender, received_us);
    struct failed *f = arena_alloc(&r->arena, sizeof(*f));
    f->active.name.key = id.key;
    f->active.name.number = failure->number;
    f->failure = *failure;
    f->failure.address = arena_copy(&r->arena, failure->address);
    f->failure.original = arena_copy(&r->arena, failure->original);
    f->failure.remote = arena_copy(&r->arena, failure->remote);
    f->failure.tls = arena_copy(&r->arena, failure->tls);
    f->failure.detail = arena_copy(&r->arena, failure->detail);
    f->at_us = clock_now_us(q->clock);
    active_add(q, &f->active);
    *r->last = f;
    r->last = &f->next;
}

/* ---- making it ---- */

static int read_start(struct queue *q, const struct spool_message *m, struct arena *a,
                      struct str *ret)
{
    if (!m->in_file)
        return spool_content(q->spool, m->id.key, a, ret);
    int fd;
    int r = spool_content_fd(q->spool, m->id.key, &fd);
    if (r < 0)
        return r;
    size_t n = (size_t)MIN_OF(m->size, (uint64_t)QUOTED_BYTES_MAX);
    char *bytes = arena_alloc(a, n + 1);
    r = disk_read_at(fd, bytes, n, 0);
    (void)close(fd); /* only read from */
    *ret = str_n(bytes, n);
    return r;
}

static int original_header(struct report *r, struct arena *a, struct str *ret)
{
    struct spool_message m;
    struct str content;
    int error = spool_message(r->queue->spool, r->id.key, a, &m);
    if (error == 0)
        error = read_start(r->queue, &m, a, &content);
    if (error < 0)
        return error;
    content = str_sub(content, 0, header_bytes(content));
    struct buf all = buf_init(QUOTED_BYTES_MAX);
    buf_add(&all, str_sub(m.prefix, 0, QUOTED_BYTES_MAX));
    buf_add(&all, str_sub(content, 0, QUOTED_BYTES_MAX - all.n));
    *ret = arena_copy(a, buf_str(&all));
    buf_free(&all);
    return 0;
}

/* As many recipients as one small message can tell of; at least one. */
static size_t print(struct report *r, const struct dsn_recipient *list, size_t count, bool expired,
                    struct str header, struct buf *to)
{
    struct dsn d = {.reporting_host = r->queue->config->hostname,
                    .to = r->sender,
                    .original_id = r->id,
                    .arrival_us = r->received_us,
                    .now_us = clock_now_us(r->queue->clock),
                    .expired = expired,
                    .recipients = list,
                    .recipient_count = count};
    for (;;) {
        buf_reset(to);
        dsn_print(to, &d);
        if (d.recipient_count == 1 || (!to->full && to->n <= REPORT_BYTES_MAX))
            break;
        d.recipient_count /= 2;
    }
    size_t room = to->n < REPORT_BYTES_MAX ? REPORT_BYTES_MAX - to->n : 0;
    do { /* quoting may make it longer */
        d.original_header = str_sub(header, 0, room);
        buf_reset(to);
        dsn_print(to, &d);
        room /= 2;
    } while (to->n > REPORT_BYTES_MAX && d.original_header.n > 0);
    return d.recipient_count;
}

static void tell_made(struct report *r, struct id made, const struct envelope *e, size_t size)
{
    struct buf *line = event_begin(r->queue, "bounce-made", made);
    line_c(line, "about", id_print(r->id).p);
    line_address(line, "from", STR_NONE);
    line_u64(line, "size", size);
    line_u64(line, "rcpts", e->recipient_count);
    for (size_t i = 0; i < e->recipient_count && i < EVENT_RECIPIENTS_MAX; i++)
        line_address(line, "to", e->recipients[i].target.address);
    event_end(r->queue);
}

static void end_failed(struct report *r, struct failed *f, struct id made)
{
    struct queue *q = r->queue;
    queue_must(q, spool_end_recipient(q->spool, r->id.key, f->active.name.number));
    struct buf *line = event_begin(q, f->failure.expired ? "expired" : "bounced", r->id);
    line_address(line, "to", f->failure.address);
    if (!str_eq(f->failure.original, f->failure.address))
        line_address(line, "original", f->failure.original);
    if (f->failure.remote.n > 0)
        line_str(line, "host", f->failure.remote);
    if (f->failure.tls.n > 0)
        line_str(line, "tls", f->failure.tls);
    event_status(line, &f->failure.status);
    if (f->failure.detail.n > 0)
        line_str(line, "detail", f->failure.detail);
    line_u64(line, "attempts", f->failure.attempts);
    line_c(line, "report", id_print(made).p);
    event_end(q);
    active_remove(q, &f->active);
}

static struct dsn_recipient *list_failed(struct report *r, struct arena *a, size_t *ret_count)
{
    size_t count = 0;
    for (const struct failed *f = r->first; f != NULL; f = f->next)
        count++;
    struct dsn_recipient *list = arena_alloc(a, count * sizeof(*list));
    *ret_count = count;
    count = 0;
    for (const struct failed *f = r->first; f != NULL; f = f->next)
        list[count++] = (struct dsn_recipient){.original = f->failure.original,
                                               .final = f->failure.address,
                                               .remote = f->failure.remote,
                                               .status = f->failure.status,
                                               .last_attempt_us = f->at_us,
                                               .attempt_count = f->failure.attempts};
    return list;
}

/* 0 when all failed recipients have been reported on and ended in this batch. */
static int report_make(struct report *r, const struct envelope *e, struct arena *a)
{
    size_t count;
    const struct dsn_recipient *list = list_failed(r, a, &count);
    struct buf text = buf_init(4 * (size_t)SPOOL_INLINE_BYTES_MAX);
    struct str header = STR_NONE;
    int error = original_header(r, a, &header);

    while (error == 0 && count > 0) {
        struct id made = {0};
        size_t told = print(r, list, count, r->first->failure.expired, header, &text);
        size_t split = header_bytes(buf_str(&text));
        error = intake_own(r->queue, e, str_sub(buf_str(&text), 0, split),
                           str_skip(buf_str(&text), split), &made);
        if (error < 0)
            break;
        tell_made(r, made, e, text.n);
        list += told;
        count -= told;
        for (; told > 0; told--) {
            end_failed(r, r->first, made);
            r->first = r->first->next;
        }
    }
    buf_free(&text);
    return error;
}

/* All of them: the sender may be an alias of many. */
static bool decode_targets(struct str bytes, struct str sender, struct arena *a,
                           struct envelope *ret)
{
    struct reader in = reader_init(bytes);
    struct target t;
    size_t count = 0;

    while (!reader_ended(&in)) {
        if (!target_decode(&in, &t))
            return false;
        count++;
    }
    struct recipient *list = arena_alloc(a, (count + 1) * sizeof(*list));
    in = reader_init(bytes);
    for (size_t i = 0; i < count && target_decode(&in, &t); i++)
        list[i] = (struct recipient){.address = sender,
                                     .target = {.transport = t.transport,
                                                .next_hop = arena_copy(a, t.next_hop),
                                                .address = arena_copy(a, t.address),
                                                .why = arena_copy(a, t.why)}};
    *ret = (struct envelope){.recipients = list, .recipient_count = count};
    return count > 0;
}

static void report_answered(void *arg, const struct msg_route_answer *answer)
{
    struct report *r = arg;
    struct queue *q = r->queue;
    struct envelope e;
    int error = -EAGAIN;

    if (status_never(&answer->status)) {
        report_hold(r, "and its sender cannot be reached");
        return;
    }
    /* In the turn's arena: the message is scheduled after the commit, when r has gone. */
    struct str sender = arena_copy(&q->turn_arena, r->sender);
    if (status_done(&answer->status) &&
        decode_targets(answer->targets, sender, &q->turn_arena, &e)) {
        e.client = arena_printf(&q->turn_arena, "about=%s", id_print(r->id).p);
        error = report_make(r, &e, &q->turn_arena);
    }
    if (error == -EBADMSG) {
        outcome_damaged(q, r->id);
        error = 0;
    }
    if (error == 0 || error == -ENOENT)
        report_free(r);
    else
        report_wait(r);
}
