// SPDX-License-Identifier: ISC
#include "daemon/local/lane.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

enum { HOSTNAME_BYTES_MAX = 255 };

struct lane {
    struct loop *loop;
    struct lane_options o;
    struct list gathering; /* of this turn; the loop's alone, as all down to `lock` */
    struct turn_work turn;
    struct watch watch;
    int event_fd; /* the thread says that `done` has jobs */
    bool started;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct list waiting, done;
    bool ending;
    char hostname[HOSTNAME_BYTES_MAX + 1];
};

static void list_move(struct list *to, struct list *from)
{
    list_each (at, from) {
        list_remove(at);
        list_add(to, at);
    }
}

/* ---- the thread ---- */

static void deliver(const struct lane_options *o, const char *hostname, struct list *jobs)
{
    struct maildir_batch *b = maildir_begin(o->mail_fd, o->disk, str_c(hostname));

    list_each (at, jobs) {
        struct job *j = list_of(at, struct job, lane_link);
        struct maildir_source message = job_source(j);
        const struct job_recipient *to = j->held.recipients;

        for (size_t i = 0; i < j->held.recipient_count; i++)
            maildir_write(b, to[i].next_hop, to[i].address, to[i].number, &message,
                          &j->held.results[i]);
    }
    maildir_commit(&b);
}

/* Moves all that waits to batch; false: the lane ends. Called and left with the lock held. */
static bool next_batch(struct lane *lane, struct list *batch)
{
    while (!lane->ending && list_empty(&lane->waiting))
        (void)pthread_cond_wait(&lane->wake, &lane->lock);
    list_move(batch, &lane->waiting);
    return !lane->ending;
}

static void *lane_thread(void *arg)
{
    struct lane *lane = arg;
    char hostname[HOSTNAME_BYTES_MAX + 1];
    struct list batch;

    list_init(&batch);
    (void)pthread_mutex_lock(&lane->lock);
    while (next_batch(lane, &batch)) {
        memcpy(hostname, lane->hostname, sizeof(hostname));
        (void)pthread_mutex_unlock(&lane->lock);
        deliver(&lane->o, hostname, &batch);
        (void)pthread_mutex_lock(&lane->lock);
        list_move(&lane->done, &batch);
        (void)eventfd_write(lane->event_fd, 1);
    }
    list_move(&lane->done, &batch); /* never written: their owner frees them */
    (void)pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* Signals are the loop's: the thread blocks them all. */
static void lane_start(struct lane *lane)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    lane->started = pthread_create(&lane->thread, NULL, lane_thread, lane) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- the loop ---- */

/* Without a thread (none could be started) the loop delivers itself: slow is better than not. */
static void lane_turn(void *arg)
{
    struct lane *lane = arg;

    if (!lane->started)
        lane_start(lane);
    if (!lane->started) {
        deliver(&lane->o, lane->hostname, &lane->gathering);
        list_move(&lane->done, &lane->gathering);
        (void)eventfd_write(lane->event_fd, 1);
        return;
    }
    (void)pthread_mutex_lock(&lane->lock);
    list_move(&lane->waiting, &lane->gathering);
    (void)pthread_cond_signal(&lane->wake);
    (void)pthread_mutex_unlock(&lane->lock);
}

static void lane_ready(void *arg, unsigned what)
{
    struct lane *lane = arg;
    struct list done;
    eventfd_t count;

    list_init(&done);
    (void)eventfd_read(lane->event_fd, &count);
    (void)pthread_mutex_lock(&lane->lock);
    list_move(&done, &lane->done);
    (void)pthread_mutex_unlock(&lane->lock);
    list_each (at, &done) {
        list_remove(at);
        lane->o.on_done(lane->o.arg, list_of(at, struct job, lane_link));
    }
}

void lane_add(struct lane *lane, struct job *j)
{
    list_add(&lane->gathering, &j->lane_link);
    turn_want(lane->loop, TURN_COMMIT, &lane->turn);
}

void lane_hostname(struct lane *lane, struct str hostname)
{
    hostname = str_sub(hostname, 0, HOSTNAME_BYTES_MAX);
    (void)pthread_mutex_lock(&lane->lock);
    memset(lane->hostname, 0, sizeof(lane->hostname));
    if (hostname.n > 0)
        memcpy(lane->hostname, hostname.p, hostname.n);
    (void)pthread_mutex_unlock(&lane->lock);
}

int lane_new(struct loop *l, const struct lane_options *o, struct lane **ret)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    struct lane *lane = mem_new(sizeof(*lane));
    lane->loop = l;
    lane->o = *o;
    lane->event_fd = fd;
    list_init(&lane->gathering);
    list_init(&lane->waiting);
    list_init(&lane->done);
    (void)pthread_mutex_init(&lane->lock, NULL); /* cannot fail on Linux, nor the next */
    (void)pthread_cond_init(&lane->wake, NULL);
    lane->turn = (struct turn_work){.fn = lane_turn, .arg = lane};
    watch_start(l, &lane->watch, fd, WATCH_READ, lane_ready, lane);
    *ret = lane;
    return 0;
}

/* Jobs are only unlinked: they are on their owner's list, too. */
static void list_forget(struct list *jobs)
{
    list_each (at, jobs)
        list_remove(at);
}

void lane_free(struct lane **lp)
{
    struct lane *lane = *lp;

    if (!lane)
        return;
    if (lane->started) {
        (void)pthread_mutex_lock(&lane->lock);
        lane->ending = true;
        (void)pthread_cond_signal(&lane->wake);
        (void)pthread_mutex_unlock(&lane->lock);
        (void)pthread_join(lane->thread, NULL);
    }
    watch_stop(&lane->watch);
    turn_forget(lane->loop, &lane->turn);
    list_forget(&lane->gathering);
    list_forget(&lane->waiting);
    list_forget(&lane->done);
    (void)pthread_cond_destroy(&lane->wake);
    (void)pthread_mutex_destroy(&lane->lock);
    (void)close(lane->event_fd);
    free(lane);
    *lp = NULL;
}
