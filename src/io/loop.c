/* io/loop.c - libevent waits; timers and turns are ours.
 *
 * Timers are a heap of our own over the loop's clock, so that a fake clock drives them; libevent
 * knows one timeout (the tick) that is never later than the earliest of them. A timer moved later
 * keeps its place in the heap until that place comes up, which makes setting again one store. */
// SPDX-License-Identifier: ISC
#include "io/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/check.h"

struct timer_place { /* in the heap: a lower bound of when its timer is due */
    uint64_t at_us;
    struct timer *timer;
};

struct grave {
    void (*free_fn)(void *);
    void *p;
};

struct loop {
    struct event_base *base;
    const struct clock *clock;
    bool stopping;

    struct event *tick;
    uint64_t tick_at_us; /* UINT64_MAX: not set */
    struct timer_place *heap;
    size_t timer_count, timer_room;

    struct turn_work *work[TURN_PHASE_COUNT];
    struct turn_work **work_end[TURN_PHASE_COUNT];

    struct grave *graves;
    size_t grave_count, grave_room;
};

/* ---- timers: timer->place is its index in the heap plus one; 0: not set ---- */

static void heap_put(struct loop *l, size_t i, struct timer_place place)
{
    l->heap[i] = place;
    place.timer->place = i + 1;
}

static void heap_up(struct loop *l, size_t i, struct timer_place place)
{
    while (i > 0 && l->heap[(i - 1) / 2].at_us > place.at_us) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(l, i, place);
}

static void heap_down(struct loop *l, size_t i, struct timer_place place)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < l->timer_count && l->heap[child + 1].at_us < l->heap[child].at_us)
            child++;
        if (child >= l->timer_count || l->heap[child].at_us >= place.at_us)
            break;
        heap_put(l, i, l->heap[child]);
        i = child;
    }
    heap_put(l, i, place);
}

static void heap_remove(struct loop *l, size_t i)
{
    struct timer_place last = l->heap[--l->timer_count];

    l->heap[i].timer->place = 0;
    if (i == l->timer_count)
        return;
    if (i > 0 && l->heap[(i - 1) / 2].at_us > last.at_us)
        heap_up(l, i, last);
    else
        heap_down(l, i, last);
}

static void heap_add(struct loop *l, struct timer *t)
{
    if (l->timer_count == l->timer_room) {
        l->timer_room = MAX_OF(2 * l->timer_room, (size_t)16);
        l->heap = mem_resize(l->heap, l->timer_room * sizeof(*l->heap));
    }
    heap_up(l, l->timer_count++, (struct timer_place){.at_us = t->due_us, .timer = t});
}

void timer_set(struct loop *l, struct timer *t, uint64_t after_us, void (*fn)(void *arg), void *arg)
{
    uint64_t now = clock_monotonic_us(l->clock);

    t->loop = l;
    t->fn = fn;
    t->arg = arg;
    t->due_us = after_us > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + after_us;
    if (t->place == 0)
        heap_add(l, t);
    else if (t->due_us < l->heap[t->place - 1].at_us)
        heap_up(l, t->place - 1, (struct timer_place){.at_us = t->due_us, .timer = t});
}

void timer_stop(struct timer *t)
{
    if (t->place > 0)
        heap_remove(t->loop, t->place - 1);
}

/* Fires what was due when it began, so that a timer that sets itself to "at once" cannot keep the
 * loop from its descriptors. */
static void timers_run(struct loop *l)
{
    if (l->timer_count == 0)
        return;
    uint64_t now = clock_monotonic_us(l->clock);
    size_t bound = l->timer_count;

    while (bound-- > 0 && l->timer_count > 0 && l->heap[0].at_us <= now) {
        struct timer *t = l->heap[0].timer;

        if (t->due_us > now) {
            heap_down(l, 0, (struct timer_place){.at_us = t->due_us, .timer = t});
            continue;
        }
        heap_remove(l, 0);
        t->fn(t->arg);
    }
}

static void tick_fired(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    l->tick_at_us = UINT64_MAX;
    timers_run(l);
}

static void tick_set(struct loop *l)
{
    if (l->timer_count == 0 || l->tick_at_us <= l->heap[0].at_us)
        return;
    uint64_t now = clock_monotonic_us(l->clock);
    uint64_t at = l->heap[0].at_us;
    uint64_t after = at > now ? MIN_OF(at - now, 3600 * US_PER_S) : 0;
    struct timeval tv = {.tv_sec = (time_t)(after / US_PER_S),
                         .tv_usec = (suseconds_t)(after % US_PER_S)};

    l->tick_at_us = now + after;
    (void)event_add(l->tick, &tv);
}

/* ---- descriptors and signals ---- */

static void watch_fired(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    w->fn(w->arg, (what & EV_READ ? WATCH_READ : 0U) | (what & EV_WRITE ? WATCH_WRITE : 0U));
}

static void watch_event(struct loop *l, struct watch *w, int fd, short what,
                        void (*fn)(void *arg, unsigned what), void *arg)
{
    watch_stop(w);
    w->loop = l;
    w->fn = fn;
    w->arg = arg;
    w->event = event_new(l->base, fd, (short)(what | EV_PERSIST), watch_fired, w);
    check(w->event);
    unsigned tries = 0;
    while (event_add(w->event, NULL) < 0) /* the kernel has no memory for one more */
        mem_short(&tries);
}

void watch_start(struct loop *l, struct watch *w, int fd, unsigned what,
                 void (*fn)(void *arg, unsigned what), void *arg)
{
    short events = (short)((what & WATCH_READ ? EV_READ : 0) | (what & WATCH_WRITE ? EV_WRITE : 0));

    watch_event(l, w, fd, events, fn, arg);
}

void watch_signal(struct loop *l, struct watch *w, int signal, void (*fn)(void *arg, unsigned what),
                  void *arg)
{
    watch_event(l, w, signal, EV_SIGNAL, fn, arg);
}

void watch_stop(struct watch *w)
{
    if (w->event)
        event_free(w->event);
    w->event = NULL;
}

/* ---- turns ---- */

void turn_want(struct loop *l, enum turn_phase phase, struct turn_work *w)
{
    if (w->wanted)
        return;
    w->wanted = true;
    w->next = NULL;
    w->at = l->work_end[phase];
    *w->at = w;
    l->work_end[phase] = &w->next;
}

void turn_forget(struct loop *l, struct turn_work *w)
{
    if (!w->wanted)
        return;
    w->wanted = false;
    *w->at = w->next;
    if (w->next)
        w->next->at = w->at;
    for (size_t i = 0; i < TURN_PHASE_COUNT; i++)
        if (l->work_end[i] == &w->next)
            l->work_end[i] = w->at;
}

static struct turn_work *work_next(const struct loop *l)
{
    for (size_t i = 0; i < LOOP_END; i++)
        if (l->work[i])
            return l->work[i];
    return NULL;
}

static void phase_run(struct loop *l, enum turn_phase phase)
{
    while (l->work[phase]) {
        struct turn_work *w = l->work[phase];

        turn_forget(l, w);
        w->fn(w->arg);
    }
}

/* Commits first, also one that was only wanted while flushing; each phase as one block. */
static void work_run(struct loop *l)
{
    while (work_next(l)) {
        phase_run(l, TURN_COMMIT);
        phase_run(l, TURN_FLUSH);
    }
}

void loop_bury(struct loop *l, void (*free_fn)(void *), void *p)
{
    if (l->grave_count == l->grave_room) {
        l->grave_room = MAX_OF(2 * l->grave_room, (size_t)16);
        l->graves = mem_resize(l->graves, l->grave_room * sizeof(*l->graves));
    }
    l->graves[l->grave_count++] = (struct grave){.free_fn = free_fn, .p = p};
}

static void graves_run(struct loop *l)
{
    for (size_t i = 0; i < l->grave_count; i++) {
        struct grave g = l->graves[i]; /* a burial may bury more and move the array */

        g.free_fn(g.p);
    }
    l->grave_count = 0;
}

/* False when there was nothing that could ever have happened. */
static bool turn(struct loop *l, bool wait)
{
    timers_run(l);
    tick_set(l);

    bool idle = !work_next(l) && l->grave_count == 0 && !l->stopping;
    int empty =
        event_base_loop(l->base, wait && idle ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);

    idle = idle && !work_next(l) && l->grave_count == 0;
    work_run(l);
    graves_run(l);
    return empty == 0 || !idle;
}

void loop_turn(struct loop *l, bool wait)
{
    (void)turn(l, wait);
}

void loop_run(struct loop *l)
{
    while (!l->stopping && turn(l, true))
        ;
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

/* ---- life ---- */

static void *event_memory(size_t bytes)
{
    return mem_resize(NULL, bytes);
}

int loop_new(const struct clock *clock, struct loop **ret)
{
    event_set_mem_functions(event_memory, mem_resize, free); /* its answers to none are many */
    struct event_config *c = event_config_new();
    struct loop *l = mem_new(sizeof(*l));

    if (c && event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK) == 0)
        l->base = event_base_new_with_config(c);
    if (c)
        event_config_free(c);
    if (l->base)
        l->tick = evtimer_new(l->base, tick_fired, l);
    l->clock = clock;
    l->tick_at_us = UINT64_MAX;
    for (size_t i = 0; i < TURN_PHASE_COUNT; i++)
        l->work_end[i] = &l->work[i];
    if (!l->tick) {
        loop_free(&l);
        return -EMFILE;
    }
    *ret = l;
    return 0;
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    phase_run(l, LOOP_END);
    graves_run(l);
    if (l->tick)
        event_free(l->tick);
    if (l->base)
        event_base_free(l->base);
    free(l->heap);
    free(l->graves);
    free(l);
    *lp = NULL;
}

const struct clock *loop_clock(const struct loop *l)
{
    return l->clock;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}
