/* history/days.h - which days a folder has. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/buf.h"
#include "io/disk.h"

enum { DAYS_MAX = 40000 }; /* a century of them */

struct days {
    uint64_t *list; /* since 1970, rising */
    size_t count;
};

int days_read(int dir_fd, struct days *ret);
void days_free(struct days *d);
/* Lines and index together; 0 for what is not there. */
uint64_t day_disk_bytes(int dir_fd, uint64_t day);
void day_unlink(const struct disk *disk, int dir_fd, uint64_t day);
