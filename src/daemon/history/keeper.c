// SPDX-License-Identifier: ISC
#include "daemon/history/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

enum {
    NOTE_BYTES_MAX = 256 * 1024, /* in one turn; what is over is counted, not kept */
    PIECE_BYTES = 48 * 1024,
    UNCOMMITTED_BYTES_MAX = MIB,
};
/* Each commit is a sync that the queue's own must wait behind on a busy disk. */
#define COMMIT_PAUSE_US (US_PER_S / 20)
#define NOTES_LOST_LINE_BYTES 128

/* ---- events and notes ---- */

static void tell_notes_lost(struct keeper *k)
{
    struct buf line = buf_init(NOTES_LOST_LINE_BYTES);

    if (k->notes_lost == 0)
        return;
    buf_add(&line, STR("time="));
    time_print(&line, clock_now_us(loop_clock(k->loop)));
    line_c(&line, "event", "notes-lost");
    line_u64(&line, "count", k->notes_lost);
    if (history_add(k->history, 0, buf_str(&line)) == 0)
        k->notes_lost = 0;
    buf_free(&line);
}

static int commit_now(struct keeper *k)
{
    int error = history_commit(k->history);

    if (error < 0) {
        k->on_broken(k->arg, error);
        return error;
    }
    struct msg_events_taken m = {.kind = MSG_EVENTS_TAKEN, .number = history_taken(k->history)};
    if (k->events_came && k->queue)
        channel_send(k->queue, &m);
    k->events_came = false;
    k->note_bytes = k->uncommitted_bytes = 0;
    k->next_commit_us = clock_monotonic_us(loop_clock(k->loop)) + COMMIT_PAUSE_US;
    timer_stop(&k->later);
    return 0;
}

static void commit(void *arg)
{
    struct keeper *k = arg;

    tell_notes_lost(k);
    (void)commit_now(k); /* said on_broken */
}

/* At once when it is quiet, a few times a second when it is not: the queue keeps what it was not
 * told of yet, and a trace commits first. */
static void commit_turn(void *arg)
{
    struct keeper *k = arg;
    uint64_t now = clock_monotonic_us(loop_clock(k->loop));

    if (now >= k->next_commit_us || k->uncommitted_bytes > UNCOMMITTED_BYTES_MAX)
        commit(k);
    else
        timer_set(k->loop, &k->later, k->next_commit_us - now, commit, k);
}

void keeper_events(struct keeper *k, struct channel *from, const struct msg_events *m)
{
    int error = history_add(k->history, m->number, m->lines);

    if (error == -EMSGSIZE) {
        channel_break(from, "events that are larger than a packet");
        return;
    }
    if (error < 0) {
        k->on_broken(k->arg, error);
        return;
    }
    k->queue = from;
    k->events_came = true;
    k->uncommitted_bytes += m->lines.n;
    turn_want(k->loop, TURN_COMMIT, &k->commit);
}

/* Only for information, so it must never crowd out the life of a message. */
void keeper_note(struct keeper *k, const struct msg_note *m)
{
    bool kept = k->note_bytes + m->line.n <= NOTE_BYTES_MAX;

    if (kept) {
        k->note_bytes += m->line.n;
        kept = history_add(k->history, 0, m->line) == 0;
    }
    if (!kept)
        k->notes_lost++;
    turn_want(k->loop, TURN_COMMIT, &k->commit);
}

/* ---- traces ---- */

struct trace { /* one question, owned by its asker's channel */
    struct loop *loop;
    struct channel *asker;
    struct history_search *search;
    uint64_t count;
    struct timer next;
};

static void trace_free(struct trace *t)
{
    if (!t)
        return;
    timer_stop(&t->next);
    channel_set_data(t->asker, NULL);
    history_search_free(&t->search);
    free(t);
}

static void trace_end(struct trace *t, int error)
{
    struct msg_end m = {.kind = MSG_END,
                        .status = error < 0 ? status_make(0, 4, 3, 0, str_c(strerror(-error)))
                                            : status_make(0, 2, 0, 0, STR("ok")),
                        .count = t->count};

    channel_send(t->asker, &m);
    trace_free(t);
}

static void say_lines(struct trace *t, struct str lines)
{
    struct msg_lines m = {.kind = MSG_LINES, .lines = lines};

    if (lines.n == 0)
        return;
    for (size_t i = 0; i < lines.n; i++)
        t->count += lines.p[i] == '\n';
    m.lines.n--; /* '\n' separates */
    channel_send(t->asker, &m);
}

static void trace_step(void *arg)
{
    struct trace *t = arg;
    struct buf lines = buf_init(PIECE_BYTES + 1);
    int more = history_search_next(t->search, &lines, PIECE_BYTES);

    say_lines(t, buf_str(&lines));
    buf_free(&lines);
    if (more <= 0)
        trace_end(t, more);
    else if (!channel_full(t->asker)) /* else keeper_asker_room goes on */
        timer_set(t->loop, &t->next, 0, trace_step, t);
}

void keeper_trace(struct keeper *k, struct channel *asker, const struct msg_trace *m)
{
    struct trace *t = mem_new(sizeof *t);

    trace_free(channel_data(asker));
    *t = (struct trace){.loop = k->loop, .asker = asker};
    channel_set_data(asker, t);
    /* What came until now is part of the answer. */
    tell_notes_lost(k);
    int error = commit_now(k);
    if (error >= 0)
        error = history_search_new(k->history, m->text, &t->search);
    if (error < 0)
        trace_end(t, error);
    else
        timer_set(k->loop, &t->next, 0, trace_step, t);
}

void keeper_asker_room(struct channel *asker)
{
    struct trace *t = channel_data(asker);

    if (t)
        timer_set(t->loop, &t->next, 0, trace_step, t);
}

void keeper_peer_down(struct keeper *k, struct channel *peer)
{
    if (k->queue == peer)
        k->queue = NULL;
    if (channel_peer(peer) == CONTROL)
        trace_free(channel_data(peer));
}

/* ---- the doors ---- */

int keeper_init(struct keeper *k, struct loop *l, int dir_fd, const struct history_options *o,
                void (*on_broken)(void *arg, int error), void *arg)
{
    struct history *h = NULL;
    int error = history_open(dir_fd, o, &h);

    if (error < 0)
        return error;
    *k = (struct keeper){.loop = l, .history = h, .on_broken = on_broken, .arg = arg};
    k->commit = (struct turn_work){.fn = commit_turn, .arg = k};
    history_limits(h, o->days_max, o->bytes_max);
    return 0;
}

void keeper_done(struct keeper *k)
{
    turn_forget(k->loop, &k->commit);
    timer_stop(&k->later);
    history_close(&k->history);
}
