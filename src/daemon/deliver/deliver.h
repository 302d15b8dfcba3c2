/* daemon/deliver/deliver.h - USER_JOBs from local into the Maildir of one user, results back.
 *
 * What came in one turn is one batch. Nothing is kept: when the channel ends so does the process,
 * and what it had not answered is tried again. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"
#include "ipc/hold.h"
#include "mailbox/maildir.h"

/* A message older than this may have been written by an earlier helper: it is looked for first. */
#define DELIVER_SEEN_US (10 * US_PER_S)

struct deliver {
    struct loop *loop;
    struct channel *channel;
    const struct clock *wall;
    const struct disk *disk;
    int maildir_fd;        /* -1: it could not be opened, and */
    struct status trouble; /* this is why */
    struct str hostname;
    struct str detail; /* for the life of the message: mailbox="/home/alice/Maildir" */
    struct list jobs;
    struct turn_work turn;
};

/* The fields up to detail are set. */
void deliver_init(struct deliver *d);
void deliver_job(struct deliver *d, struct channel *from,
                 union message *m); /* USER_JOB, USER_JOB_FILE */
void deliver_done(struct deliver *d);
