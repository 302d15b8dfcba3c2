// SPDX-License-Identifier: ISC
#include "spool/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

enum { THREADS_MAX = 4 };

struct background {
    pthread_t threads[THREADS_MAX];
    size_t thread_count;
    pthread_mutex_t lock; /* of the five below */
    pthread_cond_t wanted;
    struct list waiting, done;
    size_t open_count; /* jobs that wait or are being done */
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
    b->open_count--;
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

/* One more thread if that many jobs are open. Signals are the loop's: the threads block them all. */
static void threads_start(struct background *b, size_t open_count)
{
    sigset_t all, before;

    if (b->thread_count >= open_count || b->thread_count == THREADS_MAX)
        return;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    if (pthread_create(&b->threads[b->thread_count], NULL, thread_main, b) == 0)
        b->thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    pthread_mutex_lock(&b->lock);
    size_t open_count = ++b->open_count;
    pthread_mutex_unlock(&b->lock);
    threads_start(b, open_count);
    if (b->thread_count == 0)
        job->work(job);
    pthread_mutex_lock(&b->lock);
    if (b->thread_count > 0)
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
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->wanted);
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < b->thread_count; i++)
        (void)pthread_join(b->threads[i], NULL);
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
