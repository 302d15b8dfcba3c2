/* daemon/history/keeper.h - events in, traces out.
 *
 * What comes in one turn, or soon after it, is one commit; then the queue is told up to which batch it may forget.
 * A trace is read a piece at a time, and only while its asker reads: between two pieces events
 * go on coming in. */
// SPDX-License-Identifier: ISC
#pragma once

#include "history/history.h"
#include "io/loop.h"
#include "ipc/channel.h"

struct keeper {
    struct loop *loop;
    struct history *history;
    struct channel *queue; /* NULL: away */
    bool events_came;      /* since the last commit; the queue waits to hear of them */
    uint64_t note_bytes;   /* since the last commit */
    uint64_t uncommitted_bytes;
    uint64_t next_commit_us; /* not before; monotonic */
    struct timer later;
    uint64_t notes_lost;
    struct turn_work commit;
    void (*on_broken)(void *arg, int error); /* a commit failed: this process must end */
    void *arg;
};

int keeper_init(struct keeper *k, struct loop *l, int dir_fd, const struct history_options *o,
                void (*on_broken)(void *arg, int error), void *arg);
void keeper_done(struct keeper *k);
void keeper_events(struct keeper *k, struct channel *from, const struct msg_events *m);
void keeper_note(struct keeper *k, const struct msg_note *m);
/* One trace at a time for each asker: a new question ends the one before. */
void keeper_trace(struct keeper *k, struct channel *asker, const struct msg_trace *m);
void keeper_asker_room(struct channel *asker);
void keeper_peer_down(struct keeper *k, struct channel *peer);
