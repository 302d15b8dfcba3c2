/* daemon/queue/event.c - see event.h. */
// SPDX-License-Identifier: ISC
#include "daemon/queue/event.h"

#include <assert.h>
#include <errno.h>

#include "daemon/queue/queue.h"

enum {
    CHUNK_BYTES = 48 * 1024, /* told to the spool at once */
    TIME_PAIR_BYTES = sizeof("time=") - 1 + 27 + 1,
    TURN_BYTES_MAX = 16 * 1024 * 1024, /* kept for the log until the commit */
};

static_assert(CHUNK_BYTES + LINE_BYTES_MAX < 60 * 1024, "what spool_event takes");

void events_init(struct events *e)
{
    *e = (struct events){.line = buf_init(LINE_BYTES_MAX),
                         .lines = buf_init(2 * (size_t)TURN_BYTES_MAX),
                         .unsent = true};
}

void events_done(struct events *e)
{
    buf_free(&e->line);
    buf_free(&e->lines);
}

struct buf *event_begin(struct queue *q, const char *event, struct id id)
{
    struct buf *line = &q->events.line;
    buf_reset(line);
    buf_add(line, STR("time="));
    time_print(line, clock_now_us(q->clock));
    line_c(line, "event", event);
    if (id.key != 0)
        line_c(line, "msg", id_print(id).p);
    return line;
}

void event_status(struct buf *line, const struct status *st)
{
    struct buf enhanced = buf_init(16);
    status_print_enhanced(&enhanced, st);
    line_str(line, "status", buf_str(&enhanced));
    buf_free(&enhanced);
    if (st->code != 0)
        line_u64(line, "code", st->code);
    line_c(line, "reply", st->text);
}

static void join(struct queue *q)
{
    struct events *e = &q->events;
    struct str lines = str_skip(buf_str(&e->lines), e->joined_bytes);
    if (lines.n == 0)
        return;
    lines.n--; /* the spool ends lines itself */
    int r = spool_event(q->spool, lines);
    if (r == -ENOBUFS) { /* a batch that tells of very much is made durable in parts */
        r = spool_commit(q->spool);
        if (r == 0)
            r = spool_event(q->spool, lines);
    }
    queue_must(q, r);
    e->joined_bytes = e->lines.n;
    e->unsent = true;
}

static void log_lines(struct events *e)
{
    struct str rest = buf_str(&e->lines);
    while (rest.n > 0) /* the log has a time of its own */
        log_line(LEVEL_INFO, str_skip(str_cut(&rest, '\n'), TIME_PAIR_BYTES));
    buf_reset(&e->lines);
    e->joined_bytes = 0;
}

void event_end(struct queue *q)
{
    struct events *e = &q->events;
    buf_add(&e->lines, buf_str(&e->line));
    buf_add_char(&e->lines, '\n');
    if (e->lines.n - e->joined_bytes > CHUNK_BYTES)
        join(q);
    if (e->lines.n > TURN_BYTES_MAX) { /* early in the log rather than lost */
        join(q);
        log_lines(e);
    }
    queue_touch(q);
}

void events_join(struct queue *q)
{
    struct events *e = &q->events;
    join(q);
    /* Forgetting what history has is worth no commit of its own. */
    if (e->taken_number != 0 && spool_dirty(q->spool)) {
        queue_must(q, spool_events_taken(q->spool, e->taken_number));
        e->taken_number = 0;
    }
}

void events_committed(struct queue *q)
{
    log_lines(&q->events);
    events_send(q);
}

void events_taken(struct queue *q, uint64_t number)
{
    q->events.taken_number = MAX_OF(q->events.taken_number, number);
    events_send(q);
}

void events_tick(struct queue *q)
{
    struct events *e = &q->events;
    if (e->taken_number == 0)
        return;
    queue_must(q, spool_events_taken(q->spool, e->taken_number));
    e->taken_number = 0;
    queue_touch(q);
}

void events_history_up(struct queue *q)
{
    q->events.sent_number = 0;
    q->events.unsent = true;
    events_send(q);
}

void events_send(struct queue *q)
{
    struct events *e = &q->events;
    struct peer *history = queue_peer(q, HISTORY);
    struct buf lines = buf_init(PACKET_BYTES_MAX);

    while (history != NULL && e->unsent && !channel_full(history->channel)) {
        uint64_t number = 0;
        buf_reset(&lines);
        int r = spool_events(q->spool, e->sent_number, &lines, &number);
        if (r <= 0) {
            e->unsent = false;
            queue_must(q, r);
            break;
        }
        e->sent_number = number;
        channel_send(
            history->channel,
            &(struct msg_events){.kind = MSG_EVENTS, .number = number, .lines = buf_str(&lines)});
    }
    buf_free(&lines);
}

/* "bill@example.org" against an address or "@domain". */
static bool value_matches(struct str value, struct str text)
{
    if (value.n > 0 && value.p[0] == '<' && value.p[value.n - 1] == '>')
        value = str_sub(value, 1, value.n - 1);
    if (text.p[0] == '@')
        return str_ends_nocase(value, text);
    return str_eq_nocase(value, text);
}

bool event_matches(struct str line, struct str text, struct buf *scratch)
{
    struct str key;
    struct str value;

    if (text.n == 0)
        return true;
    while (line_next(&line, &key, &value, scratch))
        if (value_matches(value, text))
            return true;
    return false;
}
