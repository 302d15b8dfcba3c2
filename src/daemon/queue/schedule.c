/* daemon/queue/schedule.c - see schedule.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/schedule.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/queue/queue.h"
#include "mail/reply.h"

enum { SCAN_EVERY_US = 100 * 1000, AGED_ROWS = 32, FRESH_RECIPIENTS_MAX = JOB_RECIPIENTS_MAX };

static void due_fired(void *arg);

void schedule_init(struct queue *q)
{
    struct schedule *s = &q->schedule;
    *s = (struct schedule){
        .due_us = UINT64_MAX, .rescan = true, .page = mem_new(PAGE_ROWS_MAX * sizeof(*s->page))};
    for (size_t t = 0; t < TRANSPORT_COUNT; t++)
        list_init(&s->ring[t]);
    list_init(&s->ageing);
}

void schedule_done(struct queue *q)
{
    timer_stop(&q->schedule.due);
    timer_stop(&q->schedule.held_wait);
    free(q->schedule.page);
}

/* ---- slots ---- */

static enum role role_of(enum transport t)
{
    return t == TRANSPORT_LOCAL ? LOCAL : RELAY;
}

static uint32_t usable_slots(const struct peer *peer)
{
    return peer->held_ended && !channel_full(peer->channel) ? peer->slots : 0;
}

static size_t free_slots(const struct queue *q, enum transport t)
{
    size_t count = 0;
    list_each (link, &q->peers) {
        const struct peer *peer = list_of(link, struct peer, link);
        if (peer->role == role_of(t))
            count += usable_slots(peer);
    }
    return count;
}

/* The one that has served this destination last, because it may have a connection open; else the
 * one with most room. */
static struct peer *choose_peer(const struct queue *q, const struct destination *d)
{
    struct peer *best = NULL;
    if (d->last_peer != NULL && usable_slots(d->last_peer) > 0)
        return d->last_peer;
    list_each (link, &q->peers) {
        struct peer *peer = list_of(link, struct peer, link);
        if (peer->role == role_of(d->transport) && usable_slots(peer) > 0 &&
            (best == NULL || peer->slots > best->slots))
            best = peer;
    }
    return best;
}

/* ---- the ring ---- */

static void ring_leave(struct queue *q, struct destination *d)
{
    if (!d->in_ring)
        return;
    list_remove(&d->link);
    d->in_ring = false;
    q->schedule.ring_count[d->transport]--;
}

/* Into the ring if it can be served, else to rest; a backing-off one is found again by a scan. */
static void ring_place(struct queue *q, struct destination *d)
{
    if (d->in_ring)
        return;
    if (destination_backs_off(d, clock_now_us(q->clock))) {
        d->more = false;
        schedule_due_at(q, d->back_off_until_us);
    }
    if (!d->more || !destination_has_room(q, d)) {
        destination_rest(q, d);
        return;
    }
    d->in_ring = true;
    list_add(&q->schedule.ring[d->transport], &d->link);
    q->schedule.ring_count[d->transport]++;
}

void schedule_job_ended(struct queue *q, struct destination *d)
{
    ring_place(q, d);
    queue_touch(q);
}

static bool ring_has_work(const struct queue *q)
{
    for (size_t t = 0; t < TRANSPORT_COUNT; t++)
        if (q->schedule.ring_count[t] > 0)
            return true;
    return false;
}

/* ---- one job ---- */

static int load_content(struct queue *q, const struct spool_message *m, struct arena *a,
                        struct job_message *ret)
{
    if (m->in_file)
        return spool_content_fd(q->spool, m->id.key, &ret->file);
    int r = spool_content(q->spool, m->id.key, a, &ret->content);
    if (r < 0 || ret->content.n <= JOB_CONTENT_BYTES_MAX)
        return r;
    ret->file = file_in_memory(ret->content);
    return MIN_OF(ret->file, 0);
}

/* False: nothing was started, and need not be tried again. */
static bool start_one(struct queue *q, struct destination *d, struct peer *peer,
                      const struct spool_recipient *rows, size_t count)
{
    struct arena a = ARENA_INIT;
    struct spool_message m;
    struct job_message job = {.file = -1};

    int r = spool_message(q->spool, rows[0].key, &a, &m);
    if (r == 0)
        r = load_content(q, &m, &a, &job);
    if (r == 0) {
        job.id = m.id;
        job.sender = m.sender;
        job.prefix = m.prefix;
        job.received_us = m.received_us;
        job.size = m.size;
        job.body = m.body;
        job.utf8 = m.utf8;
        job.ret = m.ret;
        job.envid = m.envid;
        job_start(q, peer, d, &job, rows, count);
    } else if (r == -EBADMSG) {
        outcome_damaged(q, m.id);
    } else {
        queue_must(q, r);
    }
    arena_free(&a);
    return r == 0;
}

/* ---- one destination ---- */

static struct spool_cursor cursor_at(const struct spool_recipient *r)
{
    return (struct spool_cursor){.due_us = r->due_us, .key = r->key, .number = r->number};
}

/* The rows from page[i] on that are of one message, as many as one job takes (most); those that are not
 * active yet are moved together to page[i]. Returns the row after them. */
static size_t gather(const struct queue *q, struct spool_recipient *page, size_t i, size_t n,
                     size_t most, size_t *ret_count, struct spool_cursor *ret_end)
{
    uint64_t key = page[i].key;
    size_t count = 0;
    size_t j = i;
    for (; j < n && page[j].key == key && count < most; j++) {
        *ret_end = cursor_at(&page[j]);
        if (active_has(q, key, page[j].number))
            continue;
        if (i + count != j)
            page[i + count] = page[j];
        count++;
    }
    *ret_count = count;
    return j;
}

/* Jobs from one page of due rows. *rows: its size, made larger when one message fills it all. */
static size_t serve_page(struct queue *q, struct destination *d, struct spool_recipient *page,
                         size_t n, size_t *rows, size_t jobs_max)
{
    bool last = n < *rows;
    size_t most = send_limit_recipients(q, d);
    size_t started = 0;
    size_t i = 0;
    while (i < n && started < jobs_max && destination_has_room(q, d)) {
        size_t count;
        struct spool_cursor end;
        size_t next = gather(q, page, i, n, most, &count, &end);
        if (next == n && !last && count < most && i > 0)
            break; /* its message may go on: the next page starts with it */
        if (next == n && !last && count < most && i == 0 && *rows < PAGE_ROWS_MAX) {
            *rows = PAGE_ROWS_MAX;
            return started;
        }
        struct peer *peer = choose_peer(q, d);
        if (peer == NULL)
            break;
        if (count > 0 && !send_limit_take(q, d, count))
            return started;
        if (count > 0 && start_one(q, d, peer, &page[i], count))
            started++;
        else
            send_limit_not_started(q, d);
        d->cursor = end;
        i = next;
    }
    if (i == n && last)
        d->more = false;
    return started;
}

static size_t serve(struct queue *q, struct destination *d, size_t jobs_max)
{
    size_t rows = MIN_OF((size_t)PAGE_ROWS_MAX, MAX_OF((size_t)8, 2 * jobs_max));
    uint64_t now = clock_now_us(q->clock);
    size_t started = 0;

    while (d->more && started < jobs_max && !destination_backs_off(d, now) &&
           destination_has_room(q, d) && choose_peer(q, d) != NULL && q->broken == 0 &&
           !send_limit_asks(q, d)) {
        struct arena a = ARENA_INIT;
        struct spool_cursor at = d->cursor;
        int n = spool_due_recipients(q->spool, d->id, now, &at, &a, q->schedule.page, rows);
        queue_must(q, n);
        if (n <= 0)
            d->more = false;
        else
            started += serve_page(q, d, q->schedule.page, (size_t)n, &rows, jobs_max - started);
        arena_free(&a);
    }
    return started;
}

/* Each in the ring gets its share of the slots, again and again until nothing more can start. */
static void serve_ring(struct queue *q, enum transport t)
{
    struct schedule *s = &q->schedule;
    size_t started = 1;
    while (started > 0) {
        size_t slots = free_slots(q, t);
        size_t count = s->ring_count[t];
        started = 0;
        if (slots == 0 || count == 0)
            return;
        size_t share = MAX_OF((size_t)1, slots / count);
        for (; count > 0 && started < slots; count--) {
            struct destination *d = list_of(s->ring[t].next, struct destination, link);
            ring_leave(q, d);
            started += serve(q, d, share);
            ring_place(q, d);
        }
    }
}

/* ---- new mail, straight from memory ---- */

static bool same_hop(const struct target *a, const struct target *b)
{
    return a->transport == b->transport && str_eq(a->next_hop, b->next_hop);
}

static void start_fresh(struct queue *q, const struct accepted *a, struct destination *d,
                        const struct spool_recipient *rows, size_t count)
{
    struct peer *peer = choose_peer(q, d);
    if (peer == NULL || !a->has_content || d->more || !destination_has_room(q, d) ||
        send_limited(q, d) || count > send_limit_recipients(q, d) ||
        q->schedule.ring_count[d->transport] > 0 ||
        destination_backs_off(d, clock_now_us(q->clock))) {
        d->more = true;
        ring_place(q, d);
        return;
    }
    struct job_message m = {.id = a->id,
                            .sender = a->envelope.sender,
                            .prefix = a->prefix,
                            .content = a->content,
                            .received_us = a->received_us,
                            .size = a->size,
                            .body = a->envelope.body,
                            .utf8 = a->envelope.utf8,
                            .ret = a->envelope.ret,
                            .envid = a->envelope.envid,
                            .file = -1};
    job_start(q, peer, d, &m, rows, count);
}

/* The recipients from `first` on that share its next hop; marks them in `done`. */
static size_t fresh_rows(const struct accepted *a, size_t first, bool *done,
                         struct spool_recipient *rows)
{
    const struct envelope *e = &a->envelope;
    size_t count = 0;
    for (size_t i = first; i < e->recipient_count; i++) {
        const struct recipient *r = &e->recipients[i];
        if (done[i] || !same_hop(&r->target, &e->recipients[first].target))
            continue;
        done[i] = true;
        rows[count++] =
            (struct spool_recipient){.key = a->id.key,
                                     .number = (uint32_t)i + 1, /* as the spool counts */
                                     .address = r->target.address,
                                     .original = r->address,
                                     .notify = r->notify,
                                     .age_us = spool_age_us(&a->terms, &r->notify),
                                     .expires_us = a->terms.expires_us};
    }
    return count;
}

static void fresh(struct queue *q, const struct accepted *a)
{
    bool done[FRESH_RECIPIENTS_MAX] = {0};
    const struct envelope *e = &a->envelope;
    if (e->recipient_count > countof(done) || q->schedule.rescan) {
        schedule_rescan(q);
        return;
    }
    for (size_t i = 0; i < e->recipient_count; i++) {
        if (done[i])
            continue;
        const struct target *t = &e->recipients[i].target;
        size_t count = fresh_rows(a, i, done, q->schedule.page);
        struct destination *d = destination_get(q, t->transport, t->next_hop);
        if (d != NULL)
            start_fresh(q, a, d, q->schedule.page, count);
        else
            schedule_rescan(q);
    }
}

static void run_fresh(struct queue *q)
{
    for (const struct accepted *a = q->intake.first; a != NULL; a = a->next)
        if (!a->held)
            fresh(q, a);
}

static bool may_run(const struct queue *q)
{
    return q->running && q->schedule.ready && !q->stopping && q->broken == 0 && !bounces_full(q);
}

bool schedule_wants_content(const struct queue *q)
{
    return may_run(q) && !q->schedule.rescan && !ring_has_work(q) &&
           (free_slots(q, TRANSPORT_LOCAL) > 0 || free_slots(q, TRANSPORT_RELAY) > 0);
}

/* ---- finding what is due ---- */

void schedule_rescan(struct queue *q)
{
    q->schedule.rescan = true;
    q->schedule.rescan_again = true;
    queue_touch(q);
}

static void due_fired(void *arg)
{
    struct queue *q = arg;
    q->schedule.due_us = UINT64_MAX;
    schedule_rescan(q);
}

void schedule_due_at(struct queue *q, uint64_t due_us)
{
    uint64_t now = clock_now_us(q->clock);
    if (due_us >= q->schedule.due_us)
        return;
    q->schedule.due_us = due_us;
    timer_set(q->loop, &q->schedule.due, due_us > now ? due_us - now : 0, due_fired, q);
}

/* Does a kind of worker have nothing to do while there may be work? */
static bool hungry(const struct queue *q)
{
    const struct schedule *s = &q->schedule;
    return (s->ring_count[TRANSPORT_LOCAL] == 0 && free_slots(q, TRANSPORT_LOCAL) > 0) ||
           (s->ring_count[TRANSPORT_RELAY] == 0 && free_slots(q, TRANSPORT_RELAY) > 0);
}

/* One page of due destinations. What is known already is still met, but costs no work. */
static void scan(struct queue *q)
{
    struct schedule *s = &q->schedule;
    struct arena a = ARENA_INIT;
    struct spool_destination *rows = arena_alloc(&a, SCAN_DESTINATIONS * sizeof(*rows));
    uint64_t next_us = UINT64_MAX;

    s->scanned_at_us = clock_monotonic_us(q->clock);
    if (s->scanned.key == 0 && s->scanned.due_us == 0)
        s->rescan_again = false;
    int n = spool_due_destinations_page(q->spool, clock_now_us(q->clock), &s->scanned, &a, rows,
                                        SCAN_DESTINATIONS, &next_us);
    queue_must(q, n);
    for (int i = 0; i < n; i++) {
        struct destination *d = destination_of_row(q, &rows[i]);
        d->more = true;
        ring_place(q, d);
    }
    arena_free(&a);
    if (n < SCAN_DESTINATIONS) {
        s->scanned = (struct spool_cursor){0};
        s->rescan = s->rescan_again;
    }
    if (next_us != UINT64_MAX)
        schedule_due_at(q, next_us); /* not in the future: more to find after a commit */
}

static bool scan_if_wanted(struct queue *q)
{
    struct schedule *s = &q->schedule;
    size_t waiting = s->ring_count[TRANSPORT_LOCAL] + s->ring_count[TRANSPORT_RELAY];
    bool recently = clock_monotonic_us(q->clock) < s->scanned_at_us + SCAN_EVERY_US;
    if (!s->rescan || waiting >= RING_MAX || (waiting > 0 && recently && !hungry(q)))
        return false;
    if (waiting == 0 && !hungry(q))
        return false; /* no slots at all: the next SLOTS is a turn */
    scan(q);
    return true;
}

/* ---- growing old: warnings, giving up ---- */

void schedule_age(struct queue *q, struct destination *d, uint64_t attempt_us,
                  const struct status *st)
{
    if (!d->ageing)
        list_add(&q->schedule.ageing, &d->age_link);
    d->ageing = true;
    d->ageing_at_us = attempt_us;
    d->age_cursor = (struct spool_cursor){0};
    d->age_status = *st;
}

/* Too old when the attempt began: given up; else old enough for a warning. */
static void age_row(struct queue *q, const struct destination *d, const struct spool_recipient *r)
{
    struct arena a = ARENA_INIT;
    struct spool_message m;
    bool over = r->expires_us <= d->ageing_at_us;
    struct news n = {.action = over ? DSN_FAILED : DSN_DELAYED,
                     .number = r->number,
                     .address = r->address,
                     .original = r->original,
                     .notify = r->notify.when,
                     .orcpt = r->notify.orcpt,
                     .next_hop = r->next_hop,
                     .status = d->age_status,
                     .attempts = r->attempts,
                     .until_us = r->expires_us,
                     .expired = over};
    int error = spool_message(q->spool, r->key, &a, &m);

    queue_must(q, error);
    if (over)
        n.status = reply_status(REPLY_EXPIRED, str_c(d->age_status.text));
    if (error == 0)
        bounce_add(q, m.id, m.sender, m.received_us, &n);
    arena_free(&a);
}

static void age_page(struct queue *q, struct destination *d)
{
    struct arena a = ARENA_INIT;
    struct spool_recipient *page = q->schedule.page;
    struct spool_cursor at = d->age_cursor;
    int n = spool_aged_recipients(q->spool, d->id, d->ageing_at_us, &at, &a, page, AGED_ROWS);

    queue_must(q, n);
    for (int i = 0; i < n; i++)
        if (!page[i].held && !active_has(q, page[i].key, page[i].number))
            age_row(q, d, &page[i]);
    if (n > 0)
        d->age_cursor = at;
    arena_free(&a);
    if (n == AGED_ROWS) {
        queue_again(q);
        return;
    }
    d->ageing = false;
    list_remove(&d->age_link);
    destination_rest(q, d);
}

/* ---- the whole ---- */

void schedule_run(struct queue *q)
{
    if (!may_run(q)) {
        if (q->intake.first != NULL) /* soon forgotten: found among the rows later */
            q->schedule.rescan = q->schedule.rescan_again = true;
        return;
    }
    list_each (link, &q->schedule.ageing)
        age_page(q, list_of(link, struct destination, age_link));
    run_fresh(q);
    for (size_t rounds = 0; rounds < 4; rounds++) {
        bool scanned = scan_if_wanted(q);
        serve_ring(q, TRANSPORT_LOCAL);
        serve_ring(q, TRANSPORT_RELAY);
        if (!scanned)
            break;
    }
    if (q->schedule.rescan && hungry(q))
        queue_again(q);
    else if (q->schedule.rescan && ring_has_work(q))
        schedule_due_at(q, clock_now_us(q->clock) + SCAN_EVERY_US);
}

/* ---- after a start ---- */

static bool all_have_said(const struct queue *q)
{
    unsigned roles = 0;
    list_each (link, &q->peers) {
        const struct peer *peer = list_of(link, struct peer, link);
        if (peer->role != RELAY && peer->role != LOCAL)
            continue;
        if (!peer->held_ended)
            return false;
        roles |= (unsigned)peer->role;
    }
    return roles == (RELAY | LOCAL);
}

static void ready(void *arg)
{
    struct queue *q = arg;
    q->schedule.ready = true;
    schedule_rescan(q);
}

void schedule_held_end(struct queue *q)
{
    if (!q->running || q->schedule.ready || !all_have_said(q))
        return;
    timer_stop(&q->schedule.held_wait);
    ready(q);
}

void schedule_begin(struct queue *q)
{
    timer_set(q->loop, &q->schedule.held_wait, HELD_WAIT_US, ready, q);
    schedule_held_end(q);
}
