/* outward/talk/complete.h - how a line may go on: commands, parameters, mechanisms, by what the server
 * offered. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "outward/talk/exchange.h"

enum { COMPLETION_WORDS_MAX = 64 };

struct completion {
    size_t from; /* where in the line the word begins that is completed */
    const char *words[COMPLETION_WORDS_MAX]; /* that begin as it does; in the arena or constants */
    size_t count;
    bool file; /* it is the name of a file instead */
};

/* line: up to the cursor. */
void complete(struct arena *a, struct str line, const struct exchange *x, struct completion *ret);
