/* daemon/queue/reroute.c - see reroute.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/reroute.h"

#include "daemon/queue/queue.h"

struct reroute_ask {
    struct route_ask ask;
    struct queue *queue;
    struct spool_recipient row; /* strings in the page's arena */
    struct str sender;
};

static const char FACT[] = "routing";

static bool fingerprint_is_told(struct queue *q)
{
    struct buf fact = buf_init(64);
    uint64_t known = 0;
    bool told = spool_fact(q->spool, FACT, &fact) && str_u64(buf_str(&fact), &known) &&
                known == q->config->routing_fingerprint;
    buf_free(&fact);
    return told;
}

static void page_end(struct queue *q)
{
    struct reroute *r = &q->reroute;
    for (size_t i = 0; i < r->ask_count; i++)
        route_ask_cancel(q, &r->asks[i].ask);
    arena_free(&r->arena);
    r->asks = NULL;
    r->ask_count = r->unanswered = 0;
}

void reroute_check(struct queue *q)
{
    struct reroute *r = &q->reroute;
    if (r->running && r->fingerprint == q->config->routing_fingerprint)
        return;
    page_end(q);
    r->running = !fingerprint_is_told(q);
    r->fingerprint = q->config->routing_fingerprint;
    r->cursor = (struct spool_cursor){0};
    queue_touch(q);
}

void reroute_done(struct queue *q)
{
    page_end(q);
    q->reroute.running = false;
}

static void move(struct queue *q, const struct reroute_ask *a, const struct target *t)
{
    const struct spool_recipient *row = &a->row;
    queue_must(q, spool_move_recipient(q->spool, row->key, row->number, t));
    struct buf *line = event_begin(q, "rerouted", queue_id(q, row->key));
    line_address(line, "to", t->address);
    line_address(line, "original", row->original);
    line_c(line, "from-via", transport_name(row->transport));
    line_str(line, "from-next-hop", row->next_hop);
    line_c(line, "via", transport_name(t->transport));
    line_str(line, "next-hop", t->next_hop);
    line_str(line, "why", t->why);
    event_end(q);
    schedule_rescan(q);
}

static void answered(void *arg, const struct msg_route_answer *answer)
{
    struct reroute_ask *a = arg;
    struct queue *q = a->queue;
    struct reader in = reader_init(answer->targets);
    struct target t;

    q->reroute.unanswered--;
    if (!status_done(&answer->status) || !target_decode(&in, &t) || !reader_ended(&in))
        return; /* refused, or it has become several: it stays as it was accepted */
    if (t.transport == a->row.transport && str_eq(t.next_hop, a->row.next_hop) &&
        str_eq(t.address, a->row.address))
        return;
    if (!active_has(q, a->row.key, a->row.number))
        move(q, a, &t);
}

static void ask(struct queue *q, struct reroute_ask *a, const struct spool_recipient *row,
                struct str sender)
{
    *a = (struct reroute_ask){.queue = q, .row = *row, .sender = sender};
    q->reroute.unanswered++;
    /* Where it goes now, not what RCPT said: of an alias that would be all its targets again. */
    route_ask(q, &a->ask, a->sender, a->row.address, answered, a);
}

static void finish(struct queue *q)
{
    struct buf fact = buf_init(64);
    q->reroute.running = false;
    buf_add_u64(&fact, q->reroute.fingerprint);
    queue_must(q, spool_fact_set(q->spool, FACT, buf_str(&fact)));
    buf_free(&fact);
    destinations_rewind(q);
}

static void next_page(struct queue *q)
{
    struct reroute *r = &q->reroute;
    struct spool_message m = {0};
    struct spool_recipient *rows = arena_alloc(&r->arena, REROUTE_PAGE * sizeof(*rows));
    int n = spool_list(q->spool, &r->cursor, &r->arena, rows, REROUTE_PAGE);
    queue_must(q, n);
    if (n <= 0) {
        page_end(q);
        finish(q);
        return;
    }
    r->asks = arena_alloc(&r->arena, (size_t)n * sizeof(*r->asks));
    r->ask_count = (size_t)n;
    r->cursor = (struct spool_cursor){.key = rows[n - 1].key, .number = rows[n - 1].number};
    for (int i = 0; i < n; i++) {
        if (m.id.key != rows[i].key && spool_message(q->spool, rows[i].key, &r->arena, &m) < 0)
            m = (struct spool_message){0};
        ask(q, &r->asks[i], &rows[i], m.sender);
    }
}

void reroute_step(struct queue *q)
{
    struct reroute *r = &q->reroute;
    if (!r->running || r->unanswered > 0 || !q->running || q->broken != 0)
        return;
    page_end(q);
    next_page(q);
}
