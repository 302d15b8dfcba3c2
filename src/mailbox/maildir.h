/* mailbox/maildir.h - delivery into Maildirs, in batches.
 *
 * On disk, for each copy, and who moves it:
 *   1 bytes in tmp/NAME   maildir_write: LF line ends, Return-Path and Delivered-To on top
 *   2 synced              maildir_commit, all files of the batch
 *   3 in new/NAME         maildir_commit, by rename
 *   4 new/ synced         maildir_commit, each folder once; only now is a copy reported delivered
 * A mailbox that is missing is made first, tmp/ last: cur/, new/ and the folders above have been
 * synced where tmp/ is found. A crash before 4 leaves a file in tmp/, which the next attempt overwrites or maildir_sweep takes
 * away, or a copy in new/ that nobody was told of: the next attempt finds it (`seen_before`). So
 * a message is there once, at worst twice, never in part. Names: ID.NUMBER.HOST,S=SIZE. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/disk.h"
#include "mail/id.h"
#include "mail/status.h"

struct maildir_batch;

struct maildir_source { /* the message: prefix, then content from memory or from a descriptor */
    struct id id;
    struct str sender, prefix, content;
    int content_fd; /* -1: content is in memory */
    uint64_t content_offset, content_bytes;
    bool binary;      /* stored as it is; else each CRLF becomes LF */
    bool seen_before; /* an earlier process may have delivered it: look first (lists the folder) */
};

/* mail_fd: STATE/mail. hostname is borrowed until the commit. */
struct maildir_batch *maildir_begin(int mail_fd, const struct disk *d, struct str hostname);
/* The same for one mailbox: the Maildir itself is maildir_fd, and mailbox of maildir_write is not
 * looked at. It is there; cur/, new/ and tmp/ are made in it when missing. */
struct maildir_batch *maildir_begin_in(int maildir_fd, const struct disk *d, struct str hostname);
/* Writes one copy below mailbox ("example.org/alice", made with its folders when missing). ret is
 * set by maildir_commit, or earlier; it must live until then. -ENOSPC gives 4.3.1, -EDQUOT 4.2.2,
 * others 4.3.0 with words. */
void maildir_write(struct maildir_batch *b, struct str mailbox, struct str delivered_to,
                   uint32_t number, const struct maildir_source *m, struct status *ret);
void maildir_commit(struct maildir_batch **b); /* consumes the batch */

/* Takes away what was left in tmp/ of all mailboxes and last written before that (wall time). */
int maildir_sweep(int mail_fd, const struct disk *d, uint64_t before_us);
/* The same in one mailbox. */
void maildir_sweep_in(int maildir_fd, const struct disk *d, uint64_t before_us);
/* Is this a safe relative mailbox folder: "domain/user" or "postmaster", without a leading dot,
 * NUL or control character in either part? */
bool mailbox_name_valid(struct str s);
