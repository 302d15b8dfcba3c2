/* daemon/queue/outcome.c - see outcome.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/outcome.h"

#include "daemon/queue/queue.h"
#include "mail/reply.h"

static struct buf *begin(struct queue *q, const char *event, const struct job *j,
                         const struct job_recipient_state *s)
{
    struct buf *line = event_begin(q, event, j->id);
    line_address(line, "to", s->address);
    if (!str_eq(s->original, s->address))
        line_address(line, "original", s->original);
    return line;
}

static void add_hop(struct buf *line, const struct job *j, const struct msg_result *m)
{
    if (j->destination != NULL) {
        line_c(line, "via", transport_name(j->destination->transport));
        line_str(line, "next-hop", j->destination->next_hop);
    }
    if (m->host.n > 0)
        line_str(line, "host", m->host);
    if (m->tls.n > 0)
        line_str(line, "tls", m->tls);
}

static struct news news_of(const struct job *j, const struct job_recipient_state *s,
                           const struct msg_result *m, enum dsn_action action)
{
    return (struct news){.action = action,
                         .number = s->active.name.number,
                         .address = s->address,
                         .original = s->original,
                         .notify = s->notify,
                         .orcpt = s->orcpt,
                         .remote = m->host,
                         .tls = m->tls,
                         .next_hop = j->destination ? j->destination->next_hop : STR_NONE,
                         .detail = m->detail,
                         .status = m->status,
                         .attempts = s->attempts + 1,
                         .until_us = s->expires_us};
}

static void tell(struct queue *q, const struct job *j, const struct news *n)
{
    bounce_add(q, j->id, j->sender, j->received_us, n);
}

/* Of the alias as a whole, 5.2.7.3; in the same report as a failure. */
static void tell_expanded(struct queue *q, const struct job *j, const struct job_recipient_state *s,
                          const struct msg_result *m, bool failed)
{
    struct news n = news_of(j, s, m, DSN_EXPANDED);

    n.address = s->original;
    n.status = status_make(0, 2, 1, 5, STR("sent to all members"));
    n.remote = n.next_hop = n.tls = STR_NONE;
    n.with_failure = failed;
    tell(q, j, &n);
}

/* Who shall tell the sender of the success, RFC 3461 5.2.2, 5.2.3: nobody, if the next host does. */
static bool confirms(const struct job *j, const struct job_recipient_state *s,
                     const struct msg_result *m)
{
    return j->sender.n > 0 && notify_wants(s->notify, NOTIFY_SUCCESS) && !m->reports;
}

static void delivered(struct queue *q, struct job *j, const struct job_recipient_state *s,
                      const struct msg_result *m)
{
    uint64_t now = clock_now_us(q->clock);
    bool local = j->destination != NULL && j->destination->transport == TRANSPORT_LOCAL;
    struct buf *line = begin(q, "delivered", j, s);
    add_hop(line, j, m);
    event_status(line, &m->status);
    if (m->detail.n > 0)
        line_str(line, "detail", m->detail);
    line_u64(line, "ms", now > j->received_us ? (now - j->received_us) / 1000 : 0);
    event_end(q);
    if (s->notify & NOTIFY_EXPANDED && j->sender.n > 0) {
        tell_expanded(q, j, s, m, false);
    } else if (confirms(j, s, m)) {
        struct news n = news_of(j, s, m, local ? DSN_DELIVERED : DSN_RELAYED);
        tell(q, j, &n);
    } else {
        queue_must(q, spool_end_recipient(q->spool, j->id.key, s->active.name.number));
    }
}

static void failed(struct queue *q, struct job *j, const struct job_recipient_state *s,
                   const struct msg_result *m, bool expired)
{
    struct news n = news_of(j, s, m, DSN_FAILED);

    n.expired = expired;
    if (expired)
        n.status = reply_status(REPLY_EXPIRED, str_c(m->status.text));
    if (s->notify & NOTIFY_EXPANDED && j->sender.n > 0)
        tell_expanded(q, j, s, m, notify_wants(s->notify, NOTIFY_FAILURE));
    tell(q, j, &n);
}

static void tell_deferred(struct queue *q, struct job *j, const struct job_recipient_state *s,
                          const struct msg_result *m, uint64_t next_us)
{
    struct buf *line = begin(q, "deferred", j, s);
    add_hop(line, j, m);
    event_status(line, &m->status);
    if (m->detail.n > 0)
        line_str(line, "detail", m->detail);
    buf_add(line, STR(" next="));
    time_print(line, next_us);
    event_end(q);
}

static void deferred(struct queue *q, struct job *j, const struct job_recipient_state *s,
                     const struct msg_result *m)
{
    if (j->deferred_us == 0)
        j->deferred_us = clock_now_us(q->clock);
    uint64_t due = j->deferred_us + retry_delay_us(q->config, s->attempts + 1, j->id.key);

    queue_must(q,
               spool_defer_recipient(q->spool, j->id.key, s->active.name.number, due, &m->status));
    schedule_due_at(q, due);
    tell_deferred(q, j, s, m, due);
    if (s->age_us < s->expires_us && j->started_us >= s->age_us) {
        struct news n = news_of(j, s, m, DSN_DELAYED);
        tell(q, j, &n);
    }
}

static void next_hop_failed(struct queue *q, struct job *j, const struct job_recipient_state *s,
                            const struct msg_result *m)
{
    struct destination *d = j->destination;
    if (!j->next_hop_failed)
        destination_failed(q, d, j->started_us, &m->status);
    j->next_hop_failed = true;
    d->cursor = (struct spool_cursor){0}; /* its rows are due as they were */
    schedule_due_at(q, d->back_off_until_us);
    if (j->started_us >= s->expires_us)
        failed(q, j, s, m, true);
    else
        tell_deferred(q, j, s, m, d->back_off_until_us);
}

void outcome(struct queue *q, struct job *j, const struct job_recipient_state *s,
             const struct msg_result *m)
{
    j->answered = j->answered || !m->next_hop_failed;
    if (status_done(&m->status))
        delivered(q, j, s, m);
    else if (status_never(&m->status))
        failed(q, j, s, m, false);
    else if (m->next_hop_failed && j->destination != NULL)
        next_hop_failed(q, j, s, m);
    else if (j->started_us >= s->expires_us)
        failed(q, j, s, m, true);
    else
        deferred(q, j, s, m);
}

void outcome_hold(struct queue *q, const char *event, struct id id, uint32_t number,
                  struct str address, const struct status *why)
{
    queue_must(q, spool_hold_recipient(q->spool, id.key, number, true, why));
    struct buf *line = event_begin(q, event, id);
    line_address(line, "to", address);
    if (why != NULL)
        event_status(line, why);
    event_end(q);
}

struct damaged { /* found in this turn; in its arena */
    struct damaged *next;
    uint64_t key;
};

/* Another destination of the same message may come upon it before the commit. */
static bool damaged_is_known(struct queue *q, uint64_t key)
{
    for (const struct damaged *d = q->damaged; d != NULL; d = d->next)
        if (d->key == key)
            return true;
    struct damaged *d = arena_alloc(&q->turn_arena, sizeof(*d));
    *d = (struct damaged){.next = q->damaged, .key = key};
    q->damaged = d;
    return false;
}

void outcome_damaged(struct queue *q, struct id id)
{
    struct status why = status_make(0, 4, 3, 0, STR("its stored bytes are damaged: held"));
    struct arena a = ARENA_INIT;
    struct spool_recipient page[JOB_RECIPIENTS_MAX];
    uint32_t after = 0;
    int n;

    if (damaged_is_known(q, id.key))
        return;
    log_event(LEVEL_ERROR, "damaged", "msg", id_print(id).p, NULL);
    while ((n = spool_recipients(q->spool, id.key, after, &a, page, countof(page))) > 0) {
        after = page[n - 1].number;
        for (int i = 0; i < n; i++)
            if (!page[i].held)
                outcome_hold(q, "held", id, page[i].number, page[i].address, &why);
        arena_free(&a);
    }
    queue_must(q, n);
    arena_free(&a);
}
