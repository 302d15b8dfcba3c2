/* ipc/hold.h - the jobs that relay or local holds for the queue.
 *
 * The queue owns every message; a worker holds a job until the queue has confirmed its results,
 * and tells a new queue what it holds before that may schedule anything:
 *
 *   HELD…, HELD_END, the results that are not confirmed, SLOTS
 *
 * The content of a job is given up when its results are known: what waits for a queue that is
 * away is small. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "ipc/job.h"
#include "mail/envelope.h"
#include "mail/id.h"

/* The part of a job that every role has: a message for some recipients behind one next hop. It is
 * the first member of the role's own struct job. */
struct hold_job {
    struct list link;
    struct arena arena; /* owns the strings but the content */
    uint64_t number;
    struct id id;
    struct str sender, prefix, next_hop;
    enum body body;
    enum message_utf8 utf8;
    enum notify_return ret;
    struct str envid;
    struct str content; /* or: */
    int content_fd;     /* -1: content is in memory */
    uint64_t content_offset, content_bytes;
    char *memory; /* of content */
    size_t recipient_count;
    struct job_recipient *recipients;

    struct status *results; /* class 0: none yet */
    bool next_hop_failed;
    bool reports; /* the host speaks DSN */
    bool ended;   /* all results are known and were said to the queue, if it was there */
    struct str host, tls, detail; /* how it went: for the log and the trace */
};

/* Copies all it needs of a JOB or JOB_FILE, or of USER_JOB, USER_JOB_FILE; takes the descriptor. False: malformed; nothing is to
 * be freed. */
bool hold_job_init(struct hold_job *j, union message *m);
void hold_job_done(struct hold_job *j);

struct hold {
    struct loop *loop;
    struct channel *queue; /* NULL: away */
    struct list jobs;
    size_t job_count, open_count; /* held; of these not ended */
    uint32_t slots_max;
    uint32_t slots_owed; /* to be offered at the end of the turn */
    struct turn_work offer;
    bool stopping;
    void (*job_free)(struct hold_job *j);
};

/* job_free: hold_job_done and the rest of the role's job; called for each that is not held any
 * more. */
void hold_init(struct hold *h, struct loop *l, uint32_t slots_max,
               void (*job_free)(struct hold_job *j));
void hold_done(struct hold *h);
void hold_queue_up(struct hold *h, struct channel *queue);
void hold_queue_down(struct hold *h, const struct channel *queue);
/* Takes j (NULL: it was malformed). False: it is freed; more than slots and malformed ones break
 * `from`, what comes while we stop stays with the queue, which has it back when our channel ends. */
bool hold_add(struct hold *h, struct channel *from, struct hold_job *j);
void hold_ended(struct hold *h, struct hold_job *j); /* every recipient has its result */
void hold_results_taken(struct hold *h, uint64_t number);
void hold_stop(struct hold *h); /* no more slots */
