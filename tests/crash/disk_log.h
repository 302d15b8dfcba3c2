/* crash/disk_log.h - what dm-log-writes wrote down of a disk.
 *
 * A sector with the head, then for each thing one sector that describes it, with its bytes behind:
 *   write    put into the log when a flush has confirmed it, in the order of completion
 *   flush    behind the writes that it made durable
 *   FUA      a write that is durable by itself; behind whatever it waited for
 *   mark     a promise: what stands before it in the log was durable when it was given
 * So a prefix of the log is a disk that a power cut may have left, and so is a prefix that ends
 * behind a flush or a FUA, with any sectors of the writes up to the next of them. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"

struct disk_write {
    uint64_t sector, sectors, at; /* at: of its bytes in the log, in bytes */
    struct str mark;              /* p NULL: no mark */
    bool barrier;                 /* a flush, or FUA */
    bool discard;
    bool metadata; /* the file system's own, its journal too */
};

enum { DISK_SECTOR_BYTES = 512 };

/* 0 or a negative errno: -EBADMSG: this is no such log. *ret lives in the arena. */
int disk_log_read(int fd, struct arena *a, struct disk_write **ret, size_t *ret_count);
