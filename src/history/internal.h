/* history/internal.h - what the files of this folder share. */
// SPDX-License-Identifier: ISC
#pragma once

#include "history/day.h"
#include "history/days.h"
#include "history/history.h"

struct history {
    int dir_fd;
    struct history_options options;
    struct day day;      /* the one that is added to */
    struct buf gathered; /* since the last commit */
    uint64_t added, taken;
    uint64_t bytes_since_limits; /* written since the limits were looked at */
};
