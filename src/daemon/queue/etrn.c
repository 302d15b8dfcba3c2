/* daemon/queue/etrn.c - see etrn.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/etrn.h"

#include <stdlib.h>

#include "daemon/queue/queue.h"
#include "mail/reply.h"

struct etrn_question {
    struct list link;
    struct peer *peer; /* NULL: it has been answered */
    uint64_t ticket;
    struct str node; /* owned */
    struct spool_cursor cursor;
    uint64_t last_key, message_count;
    struct timer patience;
    struct queue *queue;
};

/* ---- what belongs to a node ---- */

static bool domain_matches(struct str node, struct str domain)
{
    struct str below = str_skip(node, 1);

    if (!str_starts(node, STR("@")))
        return str_eq_nocase(domain, node);
    return str_eq_nocase(domain, below) ||
           (domain.n > below.n && domain.p[domain.n - below.n - 1] == '.' &&
            str_ends_nocase(domain, below));
}

/* The name of a queue is that of its server, with or without the port; of mail that goes by DNS, its
 * domain. */
static bool hop_matches(struct str name, struct str next_hop)
{
    next_hop = str_skip(next_hop, str_starts(next_hop, STR("@")));

    struct str host = str_sub(next_hop, 0, str_find_last(next_hop, ':'));

    return str_eq_nocase(next_hop, name) || str_eq_nocase(host, name);
}

bool etrn_matches(struct str node, struct str address, struct str next_hop)
{
    if (str_starts(node, STR("#")))
        return hop_matches(str_skip(node, 1), next_hop);
    return domain_matches(node, str_skip(address, str_find_last(address, '@') + 1));
}

/* ---- answers ---- */

static void answer(struct etrn_question *k, enum reply_name reply, struct str about)
{
    if (k->peer == NULL)
        return;
    channel_send(k->peer->channel, &(struct msg_etrn_answer){.kind = MSG_ETRN_ANSWER,
                                                             .ticket = k->ticket,
                                                             .status = reply_status(reply, about)});
    k->peer = NULL;
    timer_stop(&k->patience);
}

static void answer_end(struct etrn_question *k)
{
    struct arena a = ARENA_INIT;
    struct str counted = arena_printf(&a, "%llu pending message%s for node %.*s started",
                                      (unsigned long long)k->message_count,
                                      k->message_count == 1 ? "" : "s", STR_ARG(k->node));

    if (k->message_count > 0)
        answer(k, REPLY_ETRN_COUNTED, counted);
    else
        answer(k, REPLY_ETRN_NOTHING, k->node);
    arena_free(&a);
}

static void out_of_patience(void *arg)
{
    struct etrn_question *k = arg;

    answer(k, k->message_count > 0 ? REPLY_ETRN_PENDING : REPLY_ETRN_STARTED, k->node);
}

/* ---- the queue, page by page ---- */

static void question_free(struct etrn_question *k)
{
    timer_stop(&k->patience);
    list_remove(&k->link);
    k->queue->etrn.question_count--;
    free((char *)(uintptr_t)k->node.p);
    free(k);
}

/* What is being delivered at this moment counts, and is left alone. */
static void take_row(struct queue *q, struct etrn_question *k, const struct spool_recipient *r)
{
    if (r->held || r->transport != TRANSPORT_RELAY ||
        !etrn_matches(k->node, r->address, r->next_hop))
        return;
    k->message_count += r->key != k->last_key;
    k->last_key = r->key;
    if (active_has(q, r->key, r->number))
        return;
    queue_must(q, control_retry(q, r));
    struct buf *line = event_begin(q, "retry", queue_id(q, r->key));
    line_address(line, "to", r->address);
    line_c(line, "by", "etrn");
    event_end(q);
}

/* False: that was the last page. */
static bool take_page(struct queue *q, struct etrn_question *k)
{
    struct spool_recipient *rows = q->schedule.page;
    struct arena page = ARENA_INIT;
    int n = spool_list(q->spool, &k->cursor, &page, rows, PAGE_ROWS_MAX);

    queue_must(q, n);
    for (int i = 0; i < n; i++)
        take_row(q, k, &rows[i]);
    if (n > 0)
        k->cursor = (struct spool_cursor){.key = rows[n - 1].key, .number = rows[n - 1].number};
    arena_free(&page);
    destinations_rewind(q);
    return n > 0;
}

static void step(void *arg)
{
    struct queue *q = arg;
    struct etrn *e = &q->etrn;

    if (list_empty(&e->questions))
        return;
    struct etrn_question *k = list_of(e->questions.next, struct etrn_question, link);
    if (!take_page(q, k)) {
        answer_end(k);
        question_free(k);
    }
    queue_touch(q);
    timer_set(q->loop, &e->step, 0, step, q);
}

/* ---- life ---- */

void etrn_init(struct queue *q)
{
    list_init(&q->etrn.questions);
}

void etrn_done(struct queue *q)
{
    timer_stop(&q->etrn.step);
    list_each (link, &q->etrn.questions)
        question_free(list_of(link, struct etrn_question, link));
}

void etrn_ask(struct peer *peer, const struct msg_etrn_ask *m)
{
    struct queue *q = peer->queue;
    struct etrn_question *k = mem_new(sizeof *k);

    *k = (struct etrn_question){.peer = peer,
                                .ticket = m->ticket,
                                .queue = q,
                                .node = str_n(mem_copy(m->node.p, m->node.n), m->node.n)};
    list_add(&q->etrn.questions, &k->link);
    if (q->etrn.question_count++ >= ETRN_WAITING_MAX || q->stopping || !q->running) {
        answer(k, REPLY_ETRN_UNABLE, k->node);
        question_free(k);
        return;
    }
    timer_set(q->loop, &k->patience, ETRN_PATIENCE_US, out_of_patience, k);
    if (q->etrn.question_count == 1)
        timer_set(q->loop, &q->etrn.step, 0, step, q);
}

/* What they asked for is done nevertheless. */
void etrn_peer_down(struct peer *peer)
{
    list_each (link, &peer->queue->etrn.questions) {
        struct etrn_question *k = list_of(link, struct etrn_question, link);

        if (k->peer == peer) {
            k->peer = NULL;
            timer_stop(&k->patience);
        }
    }
}
