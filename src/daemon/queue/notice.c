/* daemon/queue/notice.c - see notice.h.
 *
 * Facts: "double-bounces" holds a count and up to NOTICE_IDS_MAX ids, one a line;
 * "double-bounces-told" the time of the last notice in seconds. The first is kept in memory, too:
 * what the spool answers is not yet true when a second one joins the same batch. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/notice.h"

#include <stdlib.h>

#include "daemon/queue/queue.h"
#include "mail/date.h"
#include "mail/trace.h"

static const uint64_t CHECK_US = 60 * US_PER_S, DAY_S = UINT64_C(24) * 3600;

enum { FACT_BYTES_MAX = 32 + NOTICE_IDS_MAX * (ID_TEXT_BYTES + 1) };

void notice_init(struct queue *q)
{
    q->notice = (struct notice){.ids = buf_init(FACT_BYTES_MAX)};
}

void notice_load(struct queue *q)
{
    struct notice *n = &q->notice;
    struct buf fact = buf_init(FACT_BYTES_MAX);

    if (spool_fact(q->spool, "double-bounces", &fact)) {
        struct str rest = buf_str(&fact);
        (void)str_u64(str_cut(&rest, '\n'), &n->count);
        (void)buf_add(&n->ids, rest);
    }
    buf_free(&fact);
}

void notice_done(struct queue *q)
{
    route_ask_cancel(q, &q->notice.ask);
    buf_free(&q->notice.ids);
    free((char *)(uintptr_t)q->notice.recipient.p);
}

static void store(struct queue *q)
{
    struct buf fact = buf_init(FACT_BYTES_MAX);

    buf_add_u64(&fact, q->notice.count);
    buf_add_char(&fact, '\n');
    buf_add(&fact, buf_str(&q->notice.ids));
    queue_must(q, spool_fact_set(q->spool, "double-bounces", buf_str(&fact)));
    buf_free(&fact);
}

void notice_add(struct queue *q, struct id id)
{
    struct notice *n = &q->notice;
    struct str ids = buf_str(&n->ids);

    if (n->count++ < NOTICE_IDS_MAX && str_find_str(ids, str_c(id_print(id).p)) == ids.n) {
        buf_add_c(&n->ids, id_print(id).p);
        buf_add_char(&n->ids, '\n');
    }
    store(q);
    queue_touch(q);
}

static bool told_today(struct queue *q)
{
    struct buf fact = buf_init(32);
    uint64_t told_s = 0;
    if (spool_fact(q->spool, "double-bounces-told", &fact))
        (void)str_u64(buf_str(&fact), &told_s);
    buf_free(&fact);
    uint64_t now_s = clock_now_us(q->clock) / US_PER_S;
    return now_s < told_s + DAY_S && now_s + DAY_S > told_s;
}

static void print_header(struct queue *q, struct str to, struct buf *header)
{
    buf_add(header, STR("From: Mail system <postmaster@"));
    buf_add(header, q->config->hostname);
    buf_add(header, STR(">\r\nTo: <"));
    buf_add(header, to);
    buf_add(header, STR(">\r\nSubject: Undeliverable notifications are held\r\nDate: "));
    date_print(header, clock_now_us(q->clock), 0);
    buf_add(header, STR("\r\n"));
    message_id_print(header, q->config->hostname);
    buf_add(header, STR("Auto-Submitted: auto-generated\r\n"));
}

static void print_body(uint64_t count, struct str ids, struct buf *body)
{
    buf_add(body, STR("\r\nNotifications from <> that could neither be delivered nor returned "
                      "are held.\r\nNew since the last notice: "));
    buf_add_u64(body, count);
    buf_add(body, STR("\r\n\r\n"));
    while (ids.n > 0) {
        buf_add(body, STR("    troika queue show "));
        buf_add(body, str_cut(&ids, '\n'));
        buf_add(body, STR("\r\n"));
    }
    buf_add(body, STR("\r\n`troika queue release ID` tries one again, `troika queue rm ID` "
                      "removes it.\r\n"));
}

static void told(struct queue *q, struct id id, const struct envelope *e)
{
    struct buf *line = event_begin(q, "notice-made", id);
    line_address(line, "from", STR_NONE);
    line_address(line, "to", e->recipients[0].target.address);
    event_end(q);
    struct buf now = buf_init(32);
    buf_add_u64(&now, clock_now_us(q->clock) / US_PER_S);
    queue_must(q, spool_fact_set(q->spool, "double-bounces-told", buf_str(&now)));
    buf_free(&now);
    q->notice.count = 0;
    buf_reset(&q->notice.ids);
    store(q);
}

static void notice_make(struct queue *q, const struct target *target)
{
    struct arena *a = &q->turn_arena;
    struct recipient *to = arena_alloc(a, sizeof(*to));
    struct envelope e = {.recipients = to, .recipient_count = 1, .client = STR("about=notice")};
    struct buf header = buf_init(4 * KIB);
    struct buf body = buf_init(16 * KIB);
    struct id id;

    *to = (struct recipient){.address = arena_copy(a, q->notice.recipient),
                             .target = {.transport = target->transport,
                                        .next_hop = arena_copy(a, target->next_hop),
                                        .address = arena_copy(a, target->address),
                                        .why = arena_copy(a, target->why)}};
    print_header(q, to->address, &header);
    print_body(q->notice.count, buf_str(&q->notice.ids), &body);
    if (q->notice.count > 0 && intake_own(q, &e, buf_str(&header), buf_str(&body), &id) == 0)
        told(q, id, &e);
    buf_free(&header);
    buf_free(&body);
}

static void notice_routed(void *arg, const struct msg_route_answer *answer)
{
    struct queue *q = arg;
    struct reader in = reader_init(answer->targets);
    struct target target;
    if (status_done(&answer->status) && target_decode(&in, &target))
        notice_make(q, &target);
}

void notice_tick(struct queue *q)
{
    uint64_t now = clock_monotonic_us(q->clock);
    if (now < q->notice.last_check_us + CHECK_US || q->notice.ask.ticket != 0)
        return;
    q->notice.last_check_us = now;
    if (q->notice.count == 0 || told_today(q))
        return;
    struct buf to = buf_init(512);
    buf_add(&to, STR("postmaster@"));
    buf_add(&to, q->config->hostname);
    free((char *)(uintptr_t)q->notice.recipient.p);
    size_t n = to.n;
    q->notice.recipient = str_n(buf_take(&to), n);
    route_ask(q, &q->notice.ask, STR_NONE, q->notice.recipient, notice_routed, q);
}
