/* daemon/queue/queue.h - the role's state: the only owner of the spool, and what its turn is.
 *
 * During a turn handlers add to the spool's batch and remember what is to be said. At its end
 * queue_turn does, in this order:
 *
 *   1 events join the batch   2 spool_commit   3 PUT_DONE, sent at once   4 RESULTS_TAKEN
 *   5 log, EVENTS   6 schedule: reads committed state only, starts jobs
 *
 * If 2 fails nothing after it happens: everybody who waits hears 451 and the process ends with 75;
 * the parent starts a new one, the workers say again what they hold. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"
#include "config/config.h"
#include "daemon/queue/ask.h"
#include "daemon/queue/bounce.h"
#include "daemon/queue/control.h"
#include "daemon/queue/destination.h"
#include "daemon/queue/etrn.h"
#include "daemon/queue/event.h"
#include "daemon/queue/intake.h"
#include "daemon/queue/job.h"
#include "daemon/queue/limit.h"
#include "daemon/queue/login_limit.h"
#include "daemon/queue/notice.h"
#include "daemon/queue/outcome.h"
#include "daemon/queue/reroute.h"
#include "daemon/queue/schedule.h"
#include "daemon/queue/send_limit.h"
#include "ipc/worker.h"
#include "spool/spool.h"

enum { STOP_WAIT_US = 10 * US_PER_S, HELD_WAIT_US = 3 * US_PER_S };

struct peer { /* a channel to a worker or to a person's command; hung on it as its data */
    struct list link;
    struct queue *queue;
    struct channel *channel;
    enum role role;
    uint32_t slots;      /* relay, local: jobs it would take now */
    bool held_ended;     /* relay, local: has said what it holds */
    struct list jobs;    /* relay, local */
    struct map *puts;    /* smtpd: by ticket */
    struct map *holds;   /* smtpd: see login_limit.h */
    struct asker *asker; /* control: the question being answered */
};

struct queue {
    struct worker *worker;
    struct loop *loop;
    const struct clock *clock;
    struct spool *spool;
    struct config *config;
    struct list peers;

    bool running;      /* false with --ask: nothing is scheduled */
    bool stopping;     /* no new jobs */
    int broken;        /* a negative errno of the spool: the turn ends in queue_give_up */
    bool accepts;      /* what smtpd was told */
    bool pulling_back; /* the clock went back; due times are being mended */
    uint64_t last_now_us, last_monotonic_us, stop_at_us;
    void (*give_up)(struct queue *q, int error);
    struct spool_options spool_options; /* queue_open adds what the configuration says */

    struct turn_work turn;
    struct arena turn_arena; /* ends with the turn */
    struct damaged *damaged; /* messages, in it */
    struct timer again, gather, tick, stop_timer;
    uint64_t committed_us, commit_took_us; /* the last commit: its end, monotonic */
    size_t answered_count;                 /* messages that it answered */

    struct events events;
    struct asks asks;
    struct intake intake;
    struct jobs jobs;
    struct destinations destinations;
    struct schedule schedule;
    struct bounces bounces;
    struct limit limit;
    struct login_limits login_limits;
    struct send_limit send_limit;
    struct notice notice;
    struct etrn etrn;
    struct reroute reroute;
};

struct queue *queue_new(struct worker *w);
void queue_free(struct queue **q);
int queue_open(struct queue *q);                           /* the spool in worker->folder_fd */
void queue_run(struct queue *q);                           /* from now on things are scheduled */
void queue_config(struct queue *q, struct config *config); /* takes it */
void queue_stop(struct queue *q);

void queue_peer_up(struct queue *q, struct channel *c);
void queue_peer_down(struct queue *q, struct channel *c);
void queue_peer_room(struct queue *q, struct channel *c);
void queue_slots(struct peer *peer, uint32_t count);
void queue_held_end(struct peer *peer);
struct peer *queue_peer(struct queue *q, enum role role); /* the first, or NULL */

void queue_touch(struct queue *q); /* the turn shall end with queue_turn */
void queue_again(struct queue *q); /* so shall the next one, at once */
/* An error of the spool that is no answer (-ENOENT: the row has gone, is one) breaks the queue. */
void queue_must(struct queue *q, int r);
/* The default of give_up: 451 to all, log, exit 75. */
void queue_give_up(struct queue *q, int error);
struct id queue_id(const struct queue *q, uint64_t key);
