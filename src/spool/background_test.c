// SPDX-License-Identifier: ISC
#include <stdatomic.h>

#include "spool/test_spool.h"

struct counted_job {
    struct background_job job;
    atomic_int worked, finished;
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
    while (!jobs[JOB_COUNT - 1].finished)
        loop_turn(l, true);
    for (int i = 0; i < JOB_COUNT; i++) {
        assert_int_equal(jobs[i].worked, 1);
        assert_int_equal(jobs[i].finished, 1);
    }
    background_free(&b);
    assert_null(b);
    loop_free(&l);
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
        cmocka_unit_test(test_freed_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
