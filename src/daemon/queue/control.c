/* daemon/queue/control.c - see control.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/control.h"

#include <stdlib.h>

#include "daemon/queue/queue.h"
#include "mail/header.h"

enum { FACTS_PAGE = 64, FACT_NAME_BYTES_MAX = 1024 };
enum { SHOWN_FIELDS_MAX = 64, HOPS_KEPT = 64, SHOWN_HEADER_BYTES = 32 * 1024 };

struct selection { /* what text chooses: everything, one message, an address, a domain */
    struct str text;
    struct id id; /* key 0: no id */
};

/* What a destination says of rows that were never tried by themselves. */
struct hop {
    uint64_t id;
    uint64_t back_off_until_us;
    struct status last;
};

struct asker {
    struct peer *peer;
    struct timer step;
    enum question question;
    enum queue_act act;
    struct selection which;
    struct spool_cursor cursor;
    struct arena page;
    struct spool_message *messages; /* of the page, by key; PAGE_ROWS_MAX, strings in page */
    size_t message_count, message_at;
    struct spool_message message; /* of the row at hand */
    struct hop hops[HOPS_KEPT];   /* by id, as they were when the listing met them */
    struct buf lines, line, scratch;
    struct buf fact; /* the last name, of ASK_LIMITS */
    uint64_t event_number, count, left_alone;
    bool ended; /* the last page is done; END is due */
};

/* ---- which rows ---- */

static struct selection selection_make(struct str text)
{
    struct selection s = {.text = str_n(mem_copy(text.p, text.n), text.n)};
    if (!id_parse(s.text, &s.id))
        s.id = (struct id){0};
    return s;
}

static bool address_chosen(struct str address, struct str text)
{
    return text.p[0] == '@' ? str_ends_nocase(address, text) : str_eq_nocase(address, text);
}

static bool row_chosen(const struct asker *k, const struct spool_recipient *r)
{
    struct str text = k->which.text;
    if (text.n == 0 || k->which.id.key != 0)
        return true;
    return address_chosen(r->address, text) || address_chosen(r->original, text) ||
           address_chosen(k->message.sender, text);
}

/* Those of the rows of a page, which are ordered by key. */
static void read_messages(struct asker *k, const struct spool_recipient *rows, int count)
{
    struct queue *q = k->peer->queue;
    int n = count > 0 ? spool_messages(q->spool, rows[0].key, rows[count - 1].key, &k->page,
                                       k->messages, PAGE_ROWS_MAX)
                      : 0;

    queue_must(q, n);
    k->message = (struct spool_message){0};
    k->message_count = (size_t)MAX_OF(n, 0);
    k->message_at = 0;
}

/* The next page of candidates; which message a row is of, tells find_message. */
static int next_rows(struct asker *k, struct spool_recipient *rows)
{
    struct queue *q = k->peer->queue;
    int n;
    arena_free(&k->page);
    if (k->which.id.key != 0)
        n = spool_recipients(q->spool, k->which.id.key, k->cursor.number, &k->page, rows,
                             PAGE_ROWS_MAX);
    else
        n = spool_list(q->spool, &k->cursor, &k->page, rows, PAGE_ROWS_MAX);
    queue_must(q, n);
    read_messages(k, rows, n);
    if (n > 0)
        k->cursor = (struct spool_cursor){.key = rows[n - 1].key, .number = rows[n - 1].number};
    return n;
}

/* One that the page has not. */
static void load_message(struct asker *k, uint64_t key)
{
    int r = spool_message(k->peer->queue->spool, key, &k->page, &k->message);

    queue_must(k->peer->queue, r);
    if (r < 0)
        k->message = (struct spool_message){.id = queue_id(k->peer->queue, key)};
}

static void find_message(struct asker *k, uint64_t key)
{
    if (k->message.id.key == key)
        return;
    while (k->message_at < k->message_count && k->messages[k->message_at].id.key < key)
        k->message_at++;
    if (k->message_at < k->message_count && k->messages[k->message_at].id.key == key)
        k->message = k->messages[k->message_at];
    else
        load_message(k, key);
}

/* ---- lines ---- */

static void send_lines(struct asker *k)
{
    if (k->lines.n == 0)
        return;
    channel_send(k->peer->channel,
                 &(struct msg_lines){.kind = MSG_LINES,
                                     .lines = str_sub(buf_str(&k->lines), 0, k->lines.n - 1)});
    buf_reset(&k->lines);
}

static struct buf *line_begin(struct asker *k)
{
    buf_reset(&k->line);
    return &k->line;
}

static void line_end(struct asker *k)
{
    buf_add(&k->lines, buf_str(&k->line));
    buf_add_char(&k->lines, '\n');
    if (k->lines.n > LINES_BYTES)
        send_lines(k);
}

static void add_time(struct buf *line, const char *key, uint64_t us)
{
    buf_add_char(line, ' ');
    buf_add_c(line, key);
    buf_add_char(line, '=');
    time_print(line, us);
}

static const char *state_of(const struct asker *k, const struct spool_recipient *r)
{
    if (active_has(k->peer->queue, r->key, r->number))
        return "active";
    return r->held ? "held" : "queued";
}

static void add_via(struct asker *k, const struct spool_recipient *r)
{
    buf_reset(&k->scratch);
    buf_add_c(&k->scratch, transport_name(r->transport));
    buf_add_char(&k->scratch, ':');
    buf_add(&k->scratch, r->next_hop);
    line_str(&k->line, "via", buf_str(&k->scratch));
}

static void add_last(struct asker *k, const struct status *st)
{
    buf_reset(&k->scratch);
    if (st->class != 0) {
        status_print_enhanced(&k->scratch, st);
        buf_add_char(&k->scratch, ' ');
        buf_add_c(&k->scratch, st->text);
    }
    line_str(&k->line, "last", buf_str(&k->scratch));
}

static const struct hop *hop_of(struct asker *k, uint64_t id)
{
    struct hop *hop = &k->hops[id % HOPS_KEPT];
    struct spool_destination d;
    if (hop->id == id)
        return hop;
    *hop = (struct hop){.id = id};
    int r = spool_destination(k->peer->queue->spool, id, &k->page, &d);
    queue_must(k->peer->queue, r);
    bool waits = r == 0 && d.back_off_until_us > clock_now_us(k->peer->queue->clock);
    if (r == 0 && (d.failures > 0 || waits)) { /* without failures: for a limit */
        hop->back_off_until_us = d.back_off_until_us;
        hop->last = d.last;
    }
    return hop;
}

static void add_notify(struct asker *k, const struct notify *n)
{
    buf_reset(&k->scratch);
    notify_print(&k->scratch, n->when);
    if (k->scratch.n > 0)
        line_str(&k->line, "notify", buf_str(&k->scratch));
    if (n->orcpt.n > 0)
        line_str(&k->line, "orcpt", n->orcpt);
}

static void add_row(struct asker *k, const struct spool_recipient *r)
{
    const struct hop *hop = hop_of(k, r->destination);
    struct buf *line = line_begin(k);
    line_c(line, "msg", id_print(k->message.id).p);
    line_u64(line, "n", r->number);
    line_c(line, "state", state_of(k, r));
    line_address(line, "from", k->message.sender);
    line_address(line, "to", r->address);
    add_via(k, r);
    line_u64(line, "attempts", r->attempts);
    add_time(line, "due", MAX_OF(r->due_us, hop->back_off_until_us));
    add_last(k, r->last.class != 0 ? &r->last : &hop->last);
    line_u64(line, "size", k->message.size);
    add_time(line, "received", k->message.received_us);
    add_time(line, "expires", r->expires_us);
    if (r->age_us < r->expires_us)
        add_time(line, "warning", r->age_us);
    add_notify(k, &r->notify);
    line_end(k);
    k->count++;
}

/* ---- steps: each does a little; true: there is more ---- */

static bool list_step(struct asker *k)
{
    struct spool_recipient *rows = k->peer->queue->schedule.page;
    int n = next_rows(k, rows);
    for (int i = 0; i < n; i++) {
        find_message(k, rows[i].key);
        if (row_chosen(k, &rows[i]))
            add_row(k, &rows[i]);
    }
    return n > 0;
}

static void show_fields(struct asker *k, struct str text)
{
    struct header_field field;
    text = str_sub(text, 0, SHOWN_HEADER_BYTES);
    for (size_t i = 0; i < SHOWN_FIELDS_MAX && header_next(&text, &field); i++) {
        line_str(line_begin(k), "header", str_trim(field.all));
        line_end(k);
    }
}

static void show_message(struct asker *k)
{
    struct spool *spool = k->peer->queue->spool;
    struct str content;
    struct buf *line = line_begin(k);
    line_c(line, "msg", id_print(k->message.id).p);
    line_address(line, "from", k->message.sender);
    line_u64(line, "size", k->message.size);
    add_time(line, "received", k->message.received_us);
    add_time(line, "expires", k->message.expires_us);
    if (k->message.envid.n > 0)
        line_str(line, "envid", k->message.envid);
    if (k->message.ret != RETURN_UNSAID)
        line_c(line, "ret", notify_return_name(k->message.ret));
    line_str(line, "client", k->message.client);
    line_end(k);
    show_fields(k, k->message.prefix);
    if (!k->message.in_file && spool_content(spool, k->message.id.key, &k->page, &content) == 0)
        show_fields(k, content);
}

static bool show_step(struct asker *k)
{
    struct spool *spool = k->peer->queue->spool;
    if (k->which.id.key == 0)
        return false;
    if (k->cursor.number == 0 && spool_message(spool, k->which.id.key, &k->page, &k->message) == 0)
        show_message(k);
    return list_step(k);
}

static void tell_act(struct queue *q, const struct asker *k, const struct spool_recipient *r)
{
    static const char *const names[ACT_COUNT] = {[ACT_RETRY] = "retry",
                                                 [ACT_HOLD] = "held",
                                                 [ACT_RELEASE] = "released",
                                                 [ACT_REMOVE] = "removed"};
    struct buf *line = event_begin(q, names[k->act], k->message.id);
    line_address(line, "to", r->address);
    line_c(line, "by", "operator");
    event_end(q);
}

static void let_destination_try(struct queue *q, const struct spool_recipient *r)
{
    struct destination *d = destination_get(q, r->transport, r->next_hop);
    if (d == NULL)
        return;
    if (d->failures > 0)
        queue_must(q, spool_destination_back_off(q->spool, d->id, 0, d->failures, NULL));
    d->back_off_until_us = 0;
    d->cursor = (struct spool_cursor){0};
    destination_rest(q, d);
}

int control_retry(struct queue *q, const struct spool_recipient *r)
{
    let_destination_try(q, r);
    return spool_retry_now(q->spool, r->key, r->number);
}

static int act_on(struct queue *q, const struct asker *k, const struct spool_recipient *r)
{
    switch (k->act) {
    case ACT_HOLD:
        return spool_hold_recipient(q->spool, r->key, r->number, true, NULL);
    case ACT_RELEASE:
        return spool_hold_recipient(q->spool, r->key, r->number, false, NULL);
    case ACT_REMOVE:
        return spool_end_recipient(q->spool, r->key, r->number);
    default:
        return control_retry(q, r);
    }
}

/* What is being delivered at this moment is left alone: its outcome is already on its way. */
static void act_row(struct asker *k, const struct spool_recipient *r)
{
    struct queue *q = k->peer->queue;
    if (active_has(q, r->key, r->number)) {
        k->left_alone++;
        return;
    }
    if ((k->act == ACT_HOLD && r->held) || (k->act == ACT_RELEASE && !r->held))
        return;
    queue_must(q, act_on(q, k, r));
    tell_act(q, k, r);
    k->count++;
}

static bool act_step(struct asker *k)
{
    struct queue *q = k->peer->queue;
    struct spool_recipient *rows = q->schedule.page;
    int n = next_rows(k, rows);
    for (int i = 0; i < n; i++) {
        find_message(k, rows[i].key);
        if (row_chosen(k, &rows[i]))
            act_row(k, &rows[i]);
    }
    destinations_rewind(q);
    return n > 0;
}

static bool events_step(struct asker *k)
{
    struct queue *q = k->peer->queue;
    struct buf batch = buf_init(PACKET_BYTES_MAX);
    int r = spool_events(q->spool, k->event_number, &batch, &k->event_number);
    struct str rest = buf_str(&batch);

    queue_must(q, r);
    while (r > 0 && rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        if (line.n == 0 || !event_matches(line, k->which.text, &k->scratch))
            continue;
        buf_add(line_begin(k), line);
        line_end(k);
        k->count++;
    }
    buf_free(&batch);
    return r > 0;
}

static bool limits_step(struct asker *k)
{
    struct queue *q = k->peer->queue;
    struct spool_fact facts[FACTS_PAGE];
    struct str text = k->which.text;
    arena_free(&k->page);
    int n = spool_facts(q->spool, buf_str(&k->fact), &k->page, facts, FACTS_PAGE);
    queue_must(q, n);
    for (int i = 0; i < n; i++) {
        struct str account = str_skip(facts[i].name, sizeof LOGIN_USE_PREFIX - 1);
        if ((text.n > 0 && !address_chosen(account, text)) ||
            !login_limit_line(q, &facts[i], line_begin(k)))
            continue;
        line_end(k);
        k->count++;
    }
    buf_reset(&k->fact);
    bool more = n > 0 && str_starts(facts[n - 1].name, STR(LOGIN_USE_PREFIX));
    return more && buf_add(&k->fact, facts[n - 1].name);
}

static bool (*const steps[ASK_COUNT])(struct asker *k) = {
    [ASK_LIST] = list_step,     [ASK_SHOW] = show_step,     [ASK_ACT] = act_step,
    [ASK_EVENTS] = events_step, [ASK_LIMITS] = limits_step,
};

/* ---- life of an asker ---- */

static void asker_free(struct asker *k)
{
    timer_stop(&k->step);
    k->peer->asker = NULL;
    arena_free(&k->page);
    buf_free(&k->lines);
    buf_free(&k->line);
    buf_free(&k->scratch);
    buf_free(&k->fact);
    free((char *)(uintptr_t)k->which.text.p);
    free(k->messages);
    free(k);
}

static struct status end_status(const struct asker *k)
{
    struct arena a = ARENA_INIT;
    struct status st = status_make(0, 2, 0, 0, STR_NONE);
    if (k->question == ASK_SHOW && k->which.id.key == 0)
        st = status_make(0, 5, 5, 4, STR("show takes the id of a message"));
    else if (k->count == 0 && k->left_alone == 0 && k->which.id.key != 0 &&
             k->question != ASK_EVENTS && k->question != ASK_LIMITS)
        st = status_make(0, 5, 1, 0, STR("no such message is waiting"));
    else if (k->left_alone > 0)
        st = status_make(0, 2, 0, 0,
                         arena_printf(&a, "%llu being delivered at this moment, left alone",
                                      (unsigned long long)k->left_alone));
    arena_free(&a);
    return st;
}

static void send_end(struct asker *k)
{
    channel_send(k->peer->channel,
                 &(struct msg_end){.kind = MSG_END, .status = end_status(k), .count = k->count});
    asker_free(k);
}

static void step(void *arg)
{
    struct asker *k = arg;
    struct queue *q = k->peer->queue;
    if (k->ended) {
        send_end(k);
        return;
    }
    if (channel_full(k->peer->channel))
        return; /* control_peer_room goes on */
    k->ended = !steps[k->question](k);
    if (k->ended)
        send_lines(k);
    queue_touch(q);
    timer_set(q->loop, &k->step, 0, step, k);
}

void control_ask(struct peer *peer, enum question question, enum queue_act act, struct str text)
{
    if (peer->asker != NULL)
        asker_free(peer->asker);
    struct asker *k = mem_new(sizeof(*k));
    *k = (struct asker){.peer = peer,
                        .question = question,
                        .act = act,
                        .which = selection_make(text),
                        .messages = mem_new(PAGE_ROWS_MAX * sizeof(*k->messages)),
                        .lines = buf_init(PACKET_BYTES_MAX),
                        .line = buf_init(LINE_BYTES_MAX),
                        .scratch = buf_init(LINE_BYTES_MAX),
                        .fact = buf_init(FACT_NAME_BYTES_MAX)};
    buf_add_c(&k->fact, LOGIN_USE_PREFIX);
    peer->asker = k;
    timer_set(peer->queue->loop, &k->step, 0, step, k);
}

void control_peer_down(struct peer *peer)
{
    if (peer->asker != NULL)
        asker_free(peer->asker);
}

void control_peer_room(struct peer *peer)
{
    if (peer->asker != NULL)
        timer_set(peer->queue->loop, &peer->asker->step, 0, step, peer->asker);
}
