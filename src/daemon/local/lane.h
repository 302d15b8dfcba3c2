/* daemon/local/lane.h - a thread that writes batches of jobs into mailboxes.
 *
 * What lane_add gave it in one turn is one batch, and so is all that came while it was busy. The
 * loop never waits for the disk: a disk that takes seconds must not look like a worker that hangs.
 * A job belongs to its lane until on_done has it back, in the loop's thread. */
// SPDX-License-Identifier: ISC
#pragma once

#include "daemon/local/job.h"
#include "io/loop.h"

struct lane;

struct lane_options {
    int mail_fd;
    const struct disk *disk;
    void (*on_done)(void *arg, struct job *j);
    void *arg;
};

/* The thread starts with the first job, so after the jail. */
int lane_new(struct loop *l, const struct lane_options *o, struct lane **ret);
void lane_free(
    struct lane **lane); /* waits for the batch that is being written; the rest is left */
void lane_hostname(struct lane *lane, struct str hostname); /* for batches from now on */
void lane_add(struct lane *lane, struct job *j);
