// SPDX-License-Identifier: ISC
#include "spool/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

struct background {
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of the four below */
    pthread_cond_t wanted;
    struct list waiting, done;
    bool stop;
    int done_fd; /* readable when `done` is not empty; -1: nobody watches */
    struct watch watch;
};

struct background *background_new(void)
{
    struct background *b = mem_new(sizeof(*b));

    check(pthread_mutex_init(&b->lock, NULL) == 0);
    check(pthread_cond_init(&b->wanted, NULL) == 0);
    list_init(&b->waiting);
    list_init(&b->done);
    b->done_fd = -1;
    return b;
}

static void job_done(struct background *b, struct background_job *job)
{
    list_add(&b->done, &job->link);
    if (b->done_fd >= 0)
        (void)eventfd_write(b->done_fd, 1);
}

static void *thread_main(void *arg)
{
    struct background *b = arg;

    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        if (list_empty(&b->waiting)) {
            pthread_cond_wait(&b->wanted, &b->lock);
            continue;
        }
        struct background_job *job = list_of(b->waiting.next, struct background_job, link);
        list_remove(&job->link);
        pthread_mutex_unlock(&b->lock);
        job->work(job);
        pthread_mutex_lock(&b->lock);
        job_done(b, job);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* Signals are the loop's: the thread blocks them all. */
static bool thread_start(struct background *b)
{
    sigset_t all, before;

    if (b->running)
        return true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    b->running = pthread_create(&b->thread, NULL, thread_main, b) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return b->running;
}

static void on_done(void *arg, unsigned what)
{
    struct background *b = arg;
    eventfd_t ignored;

    (void)eventfd_read(b->done_fd, &ignored);
    background_collect(b);
}

static void watch_done(struct background *b, struct loop *l)
{
    if (b->done_fd >= 0)
        return;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    check(fd >= 0);
    watch_start(l, &b->watch, fd, WATCH_READ, on_done, b);
    pthread_mutex_lock(&b->lock);
    b->done_fd = fd;
    pthread_mutex_unlock(&b->lock);
}

void background_start(struct background *b, struct loop *l, struct background_job *job)
{
    list_init(&job->link);
    if (l)
        watch_done(b, l);
    bool threaded = thread_start(b);
    if (!threaded)
        job->work(job);
    pthread_mutex_lock(&b->lock);
    if (threaded)
        list_add(&b->waiting, &job->link);
    else
        job_done(b, job);
    pthread_cond_signal(&b->wanted);
    pthread_mutex_unlock(&b->lock);
}

static struct background_job *take_first(struct background *b, struct list *from)
{
    struct background_job *job = NULL;

    pthread_mutex_lock(&b->lock);
    if (!list_empty(from)) {
        job = list_of(from->next, struct background_job, link);
        list_remove(&job->link);
    }
    pthread_mutex_unlock(&b->lock);
    return job;
}

static void finish_all(struct background *b, struct list *from)
{
    for (struct background_job *job = take_first(b, from); job; job = take_first(b, from))
        job->finished(job);
}

void background_collect(struct background *b)
{
    finish_all(b, &b->done);
}

void background_free(struct background **p)
{
    struct background *b = *p;

    if (!b)
        return;
    if (b->running) {
        pthread_mutex_lock(&b->lock);
        b->stop = true;
        pthread_cond_signal(&b->wanted);
        pthread_mutex_unlock(&b->lock);
        (void)pthread_join(b->thread, NULL);
    }
    finish_all(b, &b->done);
    finish_all(b, &b->waiting);
    watch_stop(&b->watch);
    if (b->done_fd >= 0)
        (void)close(b->done_fd);
    (void)pthread_cond_destroy(&b->wanted);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
    *p = NULL;
}
