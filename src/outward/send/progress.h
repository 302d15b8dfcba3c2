/* outward/send/progress.h - how far a large message is: bytes, rate, time left, in one line of the
 * terminal. Nothing is shown of what takes less than about a second. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"

struct progress {
    const char *what; /* "sending" */
    const struct clock *clock;
    bool enabled; /* standard error is a terminal, and nothing else is written to it */
    bool shown;   /* a line of it stands there */
    uint64_t began_us, drawn_us;
};

void progress_begin(struct progress *p, const struct clock *clock, const char *what);
void progress_at(struct progress *p, uint64_t done, uint64_t all);
/* Takes the line away: before anything else is written, and at the end. */
void progress_clear(struct progress *p);

/* "sending 42.1 MiB of 128.0 MiB [=======>      ]  33 %  5.2 MiB/s  0:17 left", in so many columns
 * at most. Pure. */
void progress_print(struct buf *to, const char *what, uint64_t done, uint64_t all,
                    uint64_t elapsed_us, size_t columns);
