/* spool/background.h - a few threads that do what would hold up the loop: syncing large files (side
 * by side, because a file system writes them together), copying the log into the database.
 *
 * A thread starts when there is a job for it (so that it is in the same jail as the process). Where
 * threads are forbidden the job is done at once instead: slower, never wrong. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "io/loop.h"

struct background;

struct background_job { /* embedded in what it is about; private between start and finished */
    struct list link;
    void (*work)(struct background_job *job);     /* in a thread */
    void (*finished)(struct background_job *job); /* in the owner's thread; may free the job */
};

struct background *background_new(void);
/* Waits for the jobs that run, then calls finished for all that were started, run or not. */
void background_free(struct background **b);
/* l: its turns call finished; NULL: only background_collect does. */
void background_start(struct background *b, struct loop *l, struct background_job *job);
void background_collect(struct background *b);
