/* crash/recorder.h - what spool, queue and mailbox do to the disk, done and written into a log.
 *
 * recorder_disk takes the place of disk_system, and the SQLite VFS "recorder" that of the system's
 * own: both make the real calls in a folder of ours and add a step to the one log, so the order
 * between SQLite and everything else is kept. There is one recorder at a time. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/disk.h"
#include "model.h"

/* Faults that a test of this test plants: each must be found. */
enum fault {
    FAULT_NONE,
    FAULT_SYNC,        /* struct disk's sync does nothing */
    FAULT_FOLDER_SYNC, /* sync_dir does nothing */
    FAULT_MAIL_SYNC,   /* files below the mailboxes are not synced before they get their name */
    FAULT_LATE_SYNC,   /* the bytes are synced, but only after the rows that name them */
    FAULT_LOG_SYNC,    /* SQLite's sync does nothing */
    /* Those below are the workload's: */
    FAULT_EARLY_250,       /* answers before the commit */
    FAULT_EARLY_DELIVERED, /* says delivered before maildir_commit */
    FAULT_EVENTS,          /* forgets events that history has not got */
    FAULT_COUNT
};

extern const struct disk recorder_disk;

/* Until recorder_end all goes into l. now: names as they are; both folders are open already. */
void recorder_begin(struct log *l, const struct image *now, int spool_fd, int mail_fd,
                    enum fault fault);
void recorder_end(void);
/* From that step on every call fails and does nothing, as if the process had been killed there:
 * what it still does until the workload ends it leaves no trace. */
void recorder_die_at(size_t step);
void recorder_die(void); /* now */
bool recorder_dead(void);
/* The call of that number, counted from 1 and from here, fails once: it does nothing and returns
 * error (negative). Reads of the database and its index count, too. 0: none does. */
void recorder_refuse(size_t call, int error);
size_t recorder_calls(void);
void recorder_rest(bool rest); /* meanwhile calls are the test's own, and not counted */
void recorder_revive(void);
const char *recorder_vfs(void); /* registers it the first time */
