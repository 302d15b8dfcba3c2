// SPDX-License-Identifier: ISC
#include "io/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static uint64_t fake_us = 1000;

static uint64_t fake_now(const struct clock *c)
{
    return fake_us;
}

static const struct clock fake = {.now_us = fake_now, .monotonic_us = fake_now};

static struct buf seen; /* one letter for each thing that happened */

static int setup(void **state)
{
    struct loop *l;

    seen = buf_init(1024);
    if (loop_new(&fake, &l) < 0)
        return -1;
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct loop *l = *state;

    loop_free(&l);
    buf_free(&seen);
    return 0;
}

static void expect(const char *what)
{
    assert_string_equal(buf_c(&seen), what);
    buf_reset(&seen);
}

/* The argument of note(): the letter it notes. */
static void *letter(char c)
{
    static char letters[128][2];

    letters[(size_t)c][0] = c;
    return letters[(size_t)c];
}

static void note(void *arg)
{
    buf_add_c(&seen, arg);
}

static void note_ready(void *arg, unsigned what)
{
    buf_add_c(&seen, arg);
    if (what & WATCH_WRITE)
        buf_add_char(&seen, 'w');
}

/* ---- timers ---- */

static void test_timers_fire_in_order(void **state)
{
    struct loop *l = *state;
    struct timer a = {0};
    struct timer b = {0};
    struct timer c = {0};

    timer_set(l, &c, 30, note, letter('c'));
    timer_set(l, &a, 10, note, letter('a'));
    timer_set(l, &b, 20, note, letter('b'));
    loop_turn(l, false);
    expect("");
    fake_us += 20;
    loop_turn(l, false);
    expect("ab");
    fake_us += 9;
    loop_turn(l, false);
    expect("");
    fake_us += 1;
    loop_turn(l, false);
    expect("c");
}

static void test_timer_set_again_moves(void **state)
{
    struct loop *l = *state;
    struct timer a = {0};
    struct timer b = {0};

    timer_set(l, &a, 10, note, letter('a'));
    timer_set(l, &b, 15, note, letter('b'));
    timer_set(l, &a, 40, note, letter('A')); /* later */
    fake_us += 20;
    loop_turn(l, false);
    expect("b");
    timer_set(l, &a, 5, note, letter('x')); /* earlier */
    fake_us += 5;
    loop_turn(l, false);
    expect("x");
    fake_us += 100;
    loop_turn(l, false);
    expect("");
}

static void test_timer_stop(void **state)
{
    struct loop *l = *state;
    struct timer t[5] = {0};

    timer_stop(&t[0]);
    for (size_t i = 0; i < countof(t); i++) {
        timer_set(l, &t[i], 10 + i, note, letter((char)('0' + i)));
    }
    timer_stop(&t[0]);
    timer_stop(&t[2]);
    timer_stop(&t[2]);
    fake_us += 100;
    loop_turn(l, false);
    expect("134");
}

/* Against a plain array: any mix of set, move, stop and time gives the same firings. */
enum { MODEL_TIMERS = 40 };
static uint64_t model_due[MODEL_TIMERS];
static struct timer model_timers[MODEL_TIMERS];

static void model_fired(void *arg)
{
    struct timer *t = arg;
    uint64_t *due = &model_due[t - model_timers];

    assert_true(*due != 0 && *due <= fake_us);
    *due = 0;
}

static void test_timers_like_model(void **state)
{
    struct loop *l = *state;
    uint32_t random = 1;

    for (int step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        size_t i = (random >> 8) % MODEL_TIMERS;
        uint64_t after = (random >> 16) % 500 + 1;

        if ((random >> 28) < 9) {
            model_due[i] = fake_us + after;
            timer_set(l, &model_timers[i], after, model_fired, &model_timers[i]);
        } else if ((random >> 28) < 12) {
            model_due[i] = 0;
            timer_stop(&model_timers[i]);
        } else {
            fake_us += after / 8;
            loop_turn(l, false);
            for (size_t k = 0; k < MODEL_TIMERS; k++)
                assert_true(model_due[k] == 0 || model_due[k] > fake_us);
        }
    }
    for (size_t k = 0; k < MODEL_TIMERS; k++)
        timer_stop(&model_timers[k]);
}

struct again {
    struct loop *loop;
    struct timer timer;
    int fired;
};

static void set_again(void *arg)
{
    struct again *a = arg;

    a->fired++;
    timer_set(a->loop, &a->timer, 0, set_again, a);
}

static void test_timer_at_once_does_not_starve(void **state)
{
    struct again a = {.loop = *state};

    timer_set(a.loop, &a.timer, 0, set_again, &a);
    loop_turn(a.loop, true);
    assert_in_range(a.fired, 1, 2);
    timer_stop(&a.timer);
}

static void test_timer_wakes_waiting(void **state)
{
    struct loop *l;
    struct timer t = {0};

    assert_int_equal(loop_new(&clock_system, &l), 0);
    timer_set(l, &t, 2000, note, letter('t'));
    for (int i = 0; i < 100 && seen.n == 0; i++)
        loop_turn(l, true);
    expect("t");
    loop_free(&l);
}

/* ---- descriptors ---- */

static void test_watch(void **state)
{
    struct loop *l = *state;
    struct watch r = {0};
    struct watch w = {0};
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    watch_start(l, &r, fd[0], WATCH_READ, note_ready, letter('r'));
    loop_turn(l, false);
    expect("");
    watch_start(l, &w, fd[1], WATCH_WRITE, note_ready, letter('.'));
    loop_turn(l, true);
    expect(".w");
    watch_stop(&w);
    watch_stop(&w);
    assert_int_equal(write(fd[1], "x", 1), 1);
    loop_turn(l, true);
    loop_turn(l, true);
    expect("rr");
    watch_stop(&r);
    loop_turn(l, false);
    expect("");
    (void)close(fd[0]);
    (void)close(fd[1]);
}

struct rival {
    struct watch watch;
    struct rival *other;
};

static void stop_both(void *arg, unsigned what)
{
    struct rival *r = arg;

    buf_add_c(&seen, "1");
    watch_stop(&r->watch);
    watch_stop(&r->other->watch);
}

static void test_stopped_watch_is_silent_in_same_turn(void **state)
{
    struct loop *l = *state;
    struct rival a = {0};
    struct rival b = {.other = &a};
    int fd[2];

    a.other = &b;
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], "x", 1), 1);
    watch_start(l, &a.watch, fd[0], WATCH_READ, stop_both, &a);
    watch_start(l, &b.watch, fd[0], WATCH_READ, stop_both, &b);
    loop_turn(l, true);
    expect("1");
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void test_signal(void **state)
{
    struct loop *l = *state;
    struct watch s = {0};

    watch_signal(l, &s, SIGUSR1, note_ready, letter('s'));
    assert_int_equal(raise(SIGUSR1), 0);
    loop_turn(l, true);
    expect("s");
    watch_stop(&s);
}

/* ---- turns ---- */

struct wish {
    struct loop *loop;
    struct turn_work work;
    enum turn_phase phase;
};

static void work_wants(void *arg)
{
    struct wish *w = arg;

    buf_add_c(&seen, "f");
    turn_want(w->loop, w->phase, &w->work);
}

static void test_turn_phases(void **state)
{
    struct loop *l = *state;
    struct turn_work commit = {.fn = note, .arg = letter('c')};
    struct turn_work flush = {.fn = note, .arg = letter('f')};

    turn_want(l, TURN_FLUSH, &flush);
    turn_want(l, TURN_COMMIT, &commit);
    turn_want(l, TURN_FLUSH, &flush);
    loop_turn(l, true); /* does not wait */
    expect("cf");
    loop_turn(l, false);
    expect("");
}

static void test_flush_wants_commit(void **state)
{
    struct loop *l = *state;
    struct wish w = {.loop = l, .work = {.fn = note, .arg = letter('c')}, .phase = TURN_COMMIT};
    struct turn_work first = {.fn = work_wants, .arg = &w};

    turn_want(l, TURN_FLUSH, &first);
    loop_turn(l, true);
    expect("fc");
}

static void test_turn_forget(void **state)
{
    struct loop *l = *state;
    struct turn_work w[4] = {{.fn = note, .arg = letter('0')},
                             {.fn = note, .arg = letter('1')},
                             {.fn = note, .arg = letter('2')},
                             {.fn = note, .arg = letter('3')}};

    for (unsigned out = 0; out < 16; out++) {
        for (size_t i = 0; i < countof(w); i++)
            turn_want(l, TURN_FLUSH, &w[i]);
        for (size_t i = 0; i < countof(w); i++)
            if (out & 1U << i)
                turn_forget(l, &w[i]);
        turn_want(l, TURN_FLUSH, &w[0]); /* the end of the list is still right */
        loop_turn(l, false);
        assert_int_equal(seen.n, 4 - __builtin_popcount(out & 14));
        assert_non_null(memchr(seen.p, '0', seen.n));
        buf_reset(&seen);
    }
    turn_forget(l, &w[0]);
}

static struct loop *grave_loop;

static void bury_more(void *arg)
{
    buf_add_c(&seen, arg);
    for (int i = 0; i < 40; i++)
        loop_bury(grave_loop, note, letter('.'));
}

static void test_bury(void **state)
{
    struct turn_work work = {.fn = note, .arg = letter('f')};

    grave_loop = *state;
    loop_bury(grave_loop, bury_more, letter('b'));
    turn_want(grave_loop, TURN_FLUSH, &work);
    loop_turn(grave_loop, true);
    expect("fb........................................");
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void test_run_and_stop(void **state)
{
    struct loop *l = *state;
    struct timer t = {0};

    loop_run(l); /* nothing to wait for */
    timer_set(l, &t, 0, stop_loop, l);
    loop_run(l);
    loop_stop(l);
    loop_run(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers_fire_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_set_again_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timers_like_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_at_once_does_not_starve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_wakes_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_watch_is_silent_in_same_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turn_phases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush_wants_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turn_forget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bury, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run_and_stop, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
