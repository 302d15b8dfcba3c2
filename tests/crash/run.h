/* crash/run.h - one run: a story made from a seed, and all its crashes, by several processes. */
// SPDX-License-Identifier: ISC
#pragma once

#include "explore.h"

struct run_options {
    uint64_t seed;
    size_t steps; /* of the story */
    unsigned parts, picks, sample, second_every;
    size_t violations_max;
    enum fault fault;
    bool quiet;
};

/* Adds what was tried and found. */
void run(const struct run_options *o, struct tally *sum);
