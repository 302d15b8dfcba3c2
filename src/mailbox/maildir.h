/* mailbox/maildir.h - delivery into Maildirs, in batches.
 *
 * Files are written in tmp/ with LF line ends, Return-Path and Delivered-To on top; then all files
 * of the batch are synced, then linked into new/, then each directory synced once; only then is
 * anything reported delivered. A crash before that leaves files in tmp/ that maildir_sweep takes
 * away. Delivering the same message twice to a mailbox (after a crash) makes a duplicate at most:
 * the file name begins with the message id and recipient number, so a file already in new/ or cur/
 * under that name is not written again. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"
#include "io/disk.h"
#include "mail/id.h"
#include "mail/status.h"

struct maildir_batch;

struct maildir_source { /* the message: prefix, then content from memory or from a descriptor */
    struct id id;
    struct str sender, prefix, content;
    int content_fd; /* -1: content is in memory */
    uint64_t content_offset, content_bytes;
};

/* mail_fd: STATE/mail. */
struct maildir_batch *maildir_begin(int mail_fd, const struct disk *d, const struct clock *clock,
                                    struct str hostname);
/* Writes one copy below mailbox ("example.org/alice", made with its folders when missing). ret is
 * set by maildir_commit, or at once on failure; it must live until then. -ENOSPC gives 4.3.1,
 * -EDQUOT 4.2.2, others 4.3.0 with words. */
void maildir_write(struct maildir_batch *b, struct str mailbox, struct str delivered_to,
                   uint32_t number, const struct maildir_source *m, struct status *ret);
void maildir_commit(struct maildir_batch **b); /* consumes the batch */
int maildir_sweep(int mail_fd, const struct disk *d,
                  uint64_t older_than_us); /* old files in tmp/ of all mailboxes */
/* Is this a safe relative mailbox folder: two components (or "postmaster"), no "..", no NUL, no leading dot? */
bool mailbox_name_valid(struct str s);
