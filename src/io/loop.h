/* io/loop.h - one event loop for each process (libevent underneath), and what a turn is.
 *
 *   due timers -> ready descriptors -> turn-end work, in this order:
 *   TURN_COMMIT (queue: one group commit) -> TURN_FLUSH (channels and streams write what has
 *   gathered), again while either is wanted -> bury the dead (loop_bury).
 *
 * Callbacks may close anything, themselves too: memory given to loop_bury is freed only when the
 * turn is over, so callbacks higher up the stack may still look at it. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"

struct loop;
struct event_base;

int loop_new(const struct clock *clock, struct loop **ret);
void loop_free(struct loop **l);
void loop_run(struct loop *l);  /* until loop_stop, or nothing is left to wait for */
void loop_stop(struct loop *l); /* ends after this turn */
/* One turn, for tests and for callers with a loop of their own. Does not wait when turn-end work
 * is wanted already. */
void loop_turn(struct loop *l, bool wait);
const struct clock *loop_clock(const struct loop *l);
struct event_base *loop_base(struct loop *l);

/* Timers: embedded in their owner, monotonic by the loop's clock (so a test moves its own clock
 * and takes a turn), once. Setting again moves them, and costs next to nothing when it moves them
 * later: an idle timer may be set at each byte. */
struct timer {
    uint64_t due_us; /* private, with `place`; zero-initialise */
    size_t place;
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
};
void timer_set(struct loop *l, struct timer *t, uint64_t after_us, void (*fn)(void *arg),
               void *arg);
void timer_stop(struct timer *t); /* harmless when not set */

/* Readiness of a descriptor, level-triggered, until watch_stop. */
enum { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch {
    void *event; /* private; zero-initialise */
    struct loop *loop;
    void (*fn)(void *arg, unsigned what);
    void *arg;
};
void watch_start(struct loop *l, struct watch *w, int fd, unsigned what,
                 void (*fn)(void *arg, unsigned what), void *arg);
void watch_stop(struct watch *w); /* harmless when not started */

/* Signals as loop events (SIGTERM, SIGHUP, SIGCHLD): struct watch with a signal number. */
void watch_signal(struct loop *l, struct watch *w, int signal, void (*fn)(void *arg, unsigned what),
                  void *arg);

/* Work at the end of each turn in which turn_want() was called for it. LOOP_END is work that
 * loop_free does: for what lives on without an owner. */
enum turn_phase { TURN_COMMIT, TURN_FLUSH, LOOP_END, TURN_PHASE_COUNT };
struct turn_work {
    struct turn_work *next, **at; /* private, with `wanted`; zero-initialise */
    bool wanted;
    void (*fn)(void *arg);
    void *arg;
};
void turn_want(struct loop *l, enum turn_phase phase, struct turn_work *w); /* again: no effect */
void turn_forget(struct loop *l, struct turn_work *w);

void loop_bury(struct loop *l, void (*free_fn)(void *), void *p);
