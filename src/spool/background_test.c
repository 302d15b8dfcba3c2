// SPDX-License-Identifier: ISC
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "spool/test_spool.h"

struct counted_job {
    struct background_job job;
    atomic_int worked, finished;
    bool first; /* of the two that meet */
};

static void work(struct background_job *job)
{
    list_of(job, struct counted_job, job)->worked++;
}

static void finished(struct background_job *job)
{
    list_of(job, struct counted_job, job)->finished++;
}

enum { JOB_COUNT = 20 };

static void start_all(struct background *b, struct loop *l, struct counted_job *jobs)
{
    for (int i = 0; i < JOB_COUNT; i++) {
        jobs[i].job.work = work;
        jobs[i].job.finished = finished;
        background_start(b, l, &jobs[i].job);
    }
}

static void test_on_loop(void **state)
{
    struct counted_job jobs[JOB_COUNT] = {0};
    struct background *b = background_new();
    struct loop *l;

    assert_int_equal(loop_new(&clock_system, &l), 0);
    start_all(b, l, jobs);
    for (int i = 0; i < JOB_COUNT; i++) /* they end in any order */
        while (!jobs[i].finished)
            loop_turn(l, true);
    for (int i = 0; i < JOB_COUNT; i++) {
        assert_int_equal(jobs[i].worked, 1);
        assert_int_equal(jobs[i].finished, 1);
    }
    background_free(&b);
    assert_null(b);
    loop_free(&l);
}

static sem_t arrived;

/* Waits for the other one. */
static void meet(struct background_job *job)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    if (list_of(job, struct counted_job, job)->first)
        list_of(job, struct counted_job, job)->worked = sem_timedwait(&arrived, &until) == 0;
    else
        (void)sem_post(&arrived);
}

static void test_side_by_side(void **state)
{
    struct counted_job jobs[2] = {{.first = true}, {.first = false}};
    struct background *b = background_new();

    assert_int_equal(sem_init(&arrived, 0, 0), 0);
    for (int i = 0; i < 2; i++) {
        jobs[i].job.work = meet;
        jobs[i].job.finished = finished;
        background_start(b, NULL, &jobs[i].job);
    }
    while (jobs[0].finished + jobs[1].finished < 2)
        background_collect(b);
    assert_int_equal(jobs[0].worked, 1);
    background_free(&b);
    (void)sem_destroy(&arrived);
}

/* All that were started are finished, once, worked or not. */
static void test_freed_early(void **state)
{
    for (int round = 0; round < 20; round++) {
        struct counted_job jobs[JOB_COUNT] = {0};
        struct background *b = background_new();

        start_all(b, NULL, jobs);
        if (round % 2)
            background_collect(b);
        background_free(&b);
        for (int i = 0; i < JOB_COUNT; i++) {
            assert_true(jobs[i].worked <= 1);
            assert_int_equal(jobs[i].finished, 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_loop),
        cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_freed_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
