/* daemon/queue/bounce.c - see bounce.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/bounce.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/utf8.h"
#include "daemon/queue/queue.h"
#include "mail/dsn.h"
#include "mail/header.h"

enum {
    QUOTED_BYTES_MAX = 32 * 1024,   /* of the original's header */
    RETURNED_BYTES_MAX = 48 * 1024, /* RET=FULL: larger ones come back as their header */
    REPORT_BYTES_MAX = SPOOL_SMALL_BYTES_MAX - 1024,
    WAIT_US = 30 * 1000 * 1000,
    LISTED_MAX = 256,   /* more never fit into one report */
    SETTLED_MAX = 1000, /* in one turn */
};

#define LIMITED "more reports to this sender in an hour than allowed"

enum report_kind { FAILURES, DELAYS, SUCCESSES };
enum { NAME_BYTES = 12 };

struct told {
    struct told *next;
    struct arena arena; /* owns all of it */
    struct {
        uint32_t number, action;
    } name;               /* the key in the report's map */
    struct active active; /* not of a delay: it may be delivered meanwhile */
    struct news news;
    uint64_t at_us;
};

struct report {
    struct list link; /* among the waiting */
    struct arena arena;
    struct queue *queue;
    struct {
        uint64_t key; /* of the message it is about */
        uint32_t kind;
    } name; /* its first NAME_BYTES are the key in the map */
    struct id id;
    struct str sender;
    uint64_t received_us;
    struct told *first, **last;
    struct map *told; /* the same, by name */
    bool limited;     /* no more reports to its sender */
    struct route_ask ask;
    uint64_t wait_until_us; /* monotonic */
};

static enum report_kind kind_of(const struct news *n)
{
    if (n->action == DSN_FAILED || n->with_failure)
        return FAILURES;
    return n->action == DSN_DELAYED ? DELAYS : SUCCESSES;
}

static struct str name_of(const struct report *r)
{
    return str_n((const char *)&r->name, NAME_BYTES);
}

void bounces_init(struct bounces *b)
{
    *b = (struct bounces){.by_name = map_new()};
    list_init(&b->waiting);
}

bool bounces_full(const struct queue *q)
{
    return map_count(q->bounces.by_name) >= REPORTS_MAX || q->bounces.news_count >= NEWS_MAX;
}

/* ---- life of a report ---- */

static struct str told_name(const struct told *t)
{
    return str_n((const char *)&t->name, sizeof(t->name));
}

/* at: its place in the list of r. */
static void told_remove(struct report *r, struct told **at)
{
    struct told *t = *at;
    active_remove(r->queue, &t->active);
    map_remove(r->told, told_name(t));
    r->queue->bounces.news_count--;
    *at = t->next;
    if (t->next == NULL)
        r->last = at;
    struct arena a = t->arena;
    arena_free(&a);
}

static void report_free(struct report *r)
{
    struct queue *q = r->queue;
    while (r->first != NULL)
        told_remove(r, &r->first);
    map_free(&r->told);
    route_ask_cancel(q, &r->ask);
    map_remove(q->bounces.by_name, name_of(r));
    list_remove(&r->link);
    arena_free(&r->arena);
    free(r);
}

void bounces_done(struct queue *q)
{
    size_t at = 0;
    for (struct report *r = map_next(q->bounces.by_name, &at); r != NULL;
         r = map_next(q->bounces.by_name, &at))
        report_free(r);
    map_free(&q->bounces.by_name);
}

static void report_answered(void *arg, const struct msg_route_answer *answer);

static void report_ask(struct report *r)
{
    route_ask(r->queue, &r->ask, STR_NONE, r->sender, report_answered, r);
}

static struct report *report_find(struct queue *q, struct id id, enum report_kind kind)
{
    struct report r = {.name = {.key = id.key, .kind = kind}};

    return map_get(q->bounces.by_name, name_of(&r));
}

static struct report *report_new(struct queue *q, struct id id, enum report_kind kind,
                                 struct str sender, uint64_t received_us)
{
    struct report *r = mem_new(sizeof(*r));
    r->queue = q;
    r->id = id;
    r->name.key = id.key;
    r->name.kind = kind;
    r->received_us = received_us;
    r->sender = arena_copy(&r->arena, sender);
    r->last = &r->first;
    r->told = map_new();
    list_init(&r->link);
    map_put(q->bounces.by_name, name_of(r), r);
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

/* ---- what becomes of the recipients ---- */

static void line_outcome(struct buf *line, const struct news *n)
{
    line_address(line, "to", n->address);
    if (!str_eq(n->original, n->address))
        line_address(line, "original", n->original);
    if (n->remote.n > 0)
        line_str(line, "host", n->remote);
    if (n->tls.n > 0)
        line_str(line, "tls", n->tls);
    event_status(line, &n->status);
    if (n->detail.n > 0)
        line_str(line, "detail", n->detail);
    if (n->action == DSN_FAILED)
        line_u64(line, "attempts", n->attempts);
}

static const char *event_name(const struct news *n)
{
    if (n->action == DSN_FAILED)
        return n->expired ? "expired" : "bounced";
    return n->action == DSN_DELAYED ? "warned" : "confirmed";
}

/* key, value: the report, or why there is none. */
static void settle(struct queue *q, struct id id, const struct news *n, const char *key,
                   const char *value)
{
    bool ends = n->action != DSN_FAILED || n->with_failure || !(n->notify & NOTIFY_EXPANDED) ||
                notify_wants(n->notify, NOTIFY_FAILURE);

    if (n->action == DSN_DELAYED)
        queue_must(q, spool_warned(q->spool, id.key, n->number));
    else if (ends) /* else the report on the alias does */
        queue_must(q, spool_end_recipient(q->spool, id.key, n->number));
    struct buf *line = event_begin(q, event_name(n), id);
    if (n->action >= DSN_DELIVERED)
        line_c(line, "action", dsn_action_name(n->action));
    line_outcome(line, n);
    line_c(line, key, value);
    event_end(q);
}

static void hold_failure(struct queue *q, struct id id, const struct news *n, const char *why)
{
    struct arena a = ARENA_INIT;
    struct str text = arena_printf(&a, "%s: %s", why, n->status.text);
    struct status st =
        status_make(n->status.code, n->status.class, n->status.subject, n->status.detail, text);
    outcome_hold(q, "double-bounce", id, n->number, n->address, &st);
    notice_add(q, id);
    arena_free(&a);
}

static void report_give_up(struct report *r)
{
    for (struct told *t = r->first; t != NULL; t = t->next) {
        if (t->news.action == DSN_FAILED)
            hold_failure(r->queue, r->id, &t->news, "and its sender cannot be reached");
        else
            settle(r->queue, r->id, &t->news, "unreported", "the sender cannot be reached");
    }
    report_free(r);
}

static struct told *told_new(uint64_t key, const struct news *n)
{
    struct arena a = ARENA_INIT;
    struct told *t = arena_alloc(&a, sizeof(*t));

    t->name.number = n->number;
    t->name.action = n->action;
    t->active.name.key = key;
    t->active.name.number = n->number;
    t->news = *n;
    struct str *strings[] = {&t->news.address,  &t->news.original, &t->news.orcpt, &t->news.remote,
                             &t->news.next_hop, &t->news.tls,      &t->news.detail};
    for (size_t i = 0; i < countof(strings); i++)
        *strings[i] = arena_copy(&a, *strings[i]);
    t->arena = a;
    return t;
}

static bool is_told(const struct report *r, const struct news *n)
{
    struct told t = {.name = {.number = n->number, .action = n->action}};

    return map_get(r->told, told_name(&t)) != NULL;
}

static void report_add(struct report *r, const struct news *n)
{
    struct queue *q = r->queue;
    struct told *t = told_new(r->id.key, n);

    t->at_us = clock_now_us(q->clock);
    map_put(r->told, told_name(t), t);
    q->bounces.news_count++;
    if (n->action != DSN_DELAYED)
        active_add(q, &t->active);
    *r->last = t;
    r->last = &t->next;
}

void bounce_add(struct queue *q, struct id id, struct str sender, uint64_t received_us,
                const struct news *n)
{
    struct report *r = report_find(q, id, kind_of(n));

    if (n->action == DSN_FAILED && !notify_wants(n->notify, NOTIFY_FAILURE)) {
        settle(q, id, n, "unreported", "the sender does not want to hear of failures");
    } else if (sender.n == 0 && n->action == DSN_FAILED) {
        hold_failure(q, id, n, "a notification that cannot be delivered");
    } else if (sender.n == 0) {
        settle(q, id, n, "unreported", "it has no sender");
    } else if (r == NULL && !limit_allows(q, sender)) {
        settle(q, id, n, "unreported", LIMITED);
    } else {
        if (r == NULL)
            r = report_new(q, id, kind_of(n), sender, received_us);
        if (!is_told(r, n))
            report_add(r, n);
    }
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

struct original { /* what a report returns; in an arena */
    struct str header, whole, envid;
    bool too_large;
    enum message_utf8 utf8;
};

static int read_original(struct report *r, struct arena *a, struct original *ret)
{
    struct spool_message m;
    struct str content;
    int error = spool_message(r->queue->spool, r->id.key, a, &m);

    if (error == 0)
        error = read_start(r->queue, &m, a, &content);
    if (error < 0)
        return error;
    bool full = m.ret == RETURN_FULL && r->name.kind == FAILURES;
    bool fits = !m.in_file && m.prefix.n + content.n <= RETURNED_BYTES_MAX;
    struct buf whole = buf_init(RETURNED_BYTES_MAX);

    *ret = (struct original){.envid = m.envid, .too_large = full && !fits, .utf8 = m.utf8};
    if (full && fits) {
        buf_add(&whole, m.prefix);
        buf_add(&whole, content);
        ret->whole = arena_copy(a, buf_str(&whole));
    }
    buf_free(&whole);
    struct str header = str_sub(content, 0, header_bytes(content));
    struct buf all = buf_init(QUOTED_BYTES_MAX);
    buf_add(&all, str_sub(m.prefix, 0, QUOTED_BYTES_MAX));
    buf_add(&all, str_sub(header, 0, QUOTED_BYTES_MAX - all.n));
    ret->header = arena_copy(a, buf_str(&all));
    buf_free(&all);
    return 0;
}

static bool print_fits(struct buf *to, const struct dsn *d)
{
    buf_reset(to);
    dsn_print(to, d);
    return !to->full && to->n <= REPORT_BYTES_MAX;
}

/* As many recipients as one small message can tell of, at least one; then as much of the original
 * as there is room for. */
static size_t print(struct report *r, const struct dsn_recipient *list, size_t count,
                    const struct original *original, struct buf *to, struct envelope *e)
{
    struct dsn d = {.reporting_host = r->queue->config->hostname,
                    .to = r->sender,
                    .utf8 = original->utf8 != UTF8_UNSAID || !utf8_is_ascii(r->sender),
                    .original_id = r->id,
                    .envid = original->envid,
                    .arrival_us = r->received_us,
                    .now_us = clock_now_us(r->queue->clock),
                    .expired = r->first->news.expired,
                    .recipients = list,
                    .recipient_count = count};

    while (!print_fits(to, &d) && d.recipient_count > 1)
        d.recipient_count /= 2;
    size_t room = to->n < REPORT_BYTES_MAX ? REPORT_BYTES_MAX - to->n : 0;
    d.original_header = str_sub(original->header, 0, room);
    d.original = original->whole;
    d.too_large = original->too_large;
    while (!print_fits(to, &d) && d.original_header.n > 0) {
        if (d.original.n > 0) {
            d.original = STR_NONE;
            d.too_large = true;
            continue;
        }
        room /= 2; /* quoting may make it longer */
        d.original_header = str_sub(original->header, 0, room);
    }
    e->body = dsn_is_8bit(&d) ? BODY_8BIT : BODY_7BIT;
    e->utf8 = dsn_header_is_utf8(&d) ? UTF8_HEADER : d.utf8 ? UTF8_SAID : UTF8_UNSAID;
    return d.recipient_count;
}

static void tell_made(struct report *r, struct id made, const struct envelope *e, size_t size)
{
    static const char *const names[] = {
        [FAILURES] = "bounce-made", [DELAYS] = "warning-made", [SUCCESSES] = "confirmation-made"};
    struct buf *line = event_begin(r->queue, names[r->name.kind], made);
    line_c(line, "about", id_print(r->id).p);
    line_address(line, "from", STR_NONE);
    line_u64(line, "size", size);
    line_u64(line, "rcpts", e->recipient_count);
    for (size_t i = 0; i < e->recipient_count && i < EVENT_RECIPIENTS_MAX; i++)
        line_address(line, "to", e->recipients[i].target.address);
    event_end(r->queue);
}

/* Those that were delivered, or given up, since they became late need no warning any more. */
static bool still_late(struct report *r, const struct told *t, struct arena *a)
{
    struct spool_recipient row;
    uint32_t number = t->news.number;
    int n = spool_recipients(r->queue->spool, r->id.key, number - 1, a, &row, 1);

    queue_must(r->queue, n);
    return n == 1 && row.number == number && row.age_us < row.expires_us;
}

static void drop_old_news(struct report *r, struct arena *a)
{
    struct told **at = &r->first;
    size_t late = 0;

    while (r->name.kind == DELAYS && *at != NULL && late < LISTED_MAX) {
        if (still_late(r, *at, a)) {
            at = &(*at)->next;
            late++;
        } else {
            told_remove(r, at);
        }
    }
}

static struct dsn_recipient *list_told(struct report *r, struct arena *a, size_t *ret_count)
{
    size_t count = 0;
    for (const struct told *t = r->first; t != NULL && count < LISTED_MAX; t = t->next)
        count++;
    struct dsn_recipient *list = arena_alloc(a, (count + 1) * sizeof(*list));
    *ret_count = count;
    count = 0;
    for (const struct told *t = r->first; count < *ret_count; t = t->next)
        list[count++] = (struct dsn_recipient){.action = t->news.action,
                                               .original = t->news.original,
                                               .orcpt = t->news.orcpt,
                                               .final = t->news.address,
                                               .remote = t->news.remote,
                                               .next_hop = t->news.next_hop,
                                               .until_us = t->news.until_us,
                                               .status = t->news.status,
                                               .last_attempt_us = t->at_us,
                                               .attempt_count = t->news.attempts};
    return list;
}

/* One report. 0: those it tells of are settled in the same batch. */
static int report_make(struct report *r, const struct envelope *to, struct arena *a)
{
    size_t count;
    drop_old_news(r, a);
    const struct dsn_recipient *list = list_told(r, a, &count);
    struct original original = {0};
    if (count == 0)
        return 0;
    int error = read_original(r, a, &original);
    if (error < 0)
        return error;
    struct buf text = buf_init(4 * (size_t)SPOOL_SMALL_BYTES_MAX);
    struct envelope e = *to;
    struct id made = {0};
    size_t told = print(r, list, count, &original, &text, &e);
    size_t split = header_bytes(buf_str(&text));
    error = intake_own(r->queue, &e, str_sub(buf_str(&text), 0, split),
                       str_skip(buf_str(&text), split), &made);
    if (error == 0)
        tell_made(r, made, &e, text.n);
    for (; error == 0 && told > 0; told--) {
        settle(r->queue, r->id, &r->first->news, "report", id_print(made).p);
        told_remove(r, &r->first);
    }
    buf_free(&text);
    return error;
}

/* There have been enough reports to this sender: the rest is in the history. */
static void report_limited(struct report *r)
{
    for (size_t i = 0; i < SETTLED_MAX && r->first != NULL; i++) {
        settle(r->queue, r->id, &r->first->news, "unreported", LIMITED);
        told_remove(r, &r->first);
    }
}

/* The next report, or the end, is for another turn: nobody waits for all of them. */
static void report_go_on(struct report *r)
{
    if (r->first == NULL) {
        report_free(r);
        return;
    }
    r->limited = r->limited || !limit_allows(r->queue, r->sender);
    report_ask(r);
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
        report_give_up(r);
        return;
    }
    if (r->limited) {
        report_limited(r);
        report_go_on(r);
        return;
    }
    /* In the turn's arena: the message is scheduled after the commit, when r has gone. */
    struct str sender = arena_copy(&q->turn_arena, r->sender);
    bool made = false;
    if (status_done(&answer->status) &&
        decode_targets(answer->targets, sender, &q->turn_arena, &e)) {
        e.client = arena_printf(&q->turn_arena, "about=%s", id_print(r->id).p);
        error = report_make(r, &e, &q->turn_arena);
        made = error == 0;
    }
    if (error == -EBADMSG) {
        outcome_damaged(q, r->id);
        error = 0;
    }
    if (made)
        report_go_on(r);
    else if (error == 0 || error == -ENOENT)
        report_free(r);
    else
        report_wait(r);
}
