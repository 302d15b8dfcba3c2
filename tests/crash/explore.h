/* crash/explore.h - every disk that a power cut may leave, tried.
 *
 * At a crash the steps that were synced are there. Of the others, the pending ones, each may be
 * there, or not, or (a write) only in some of its sectors. Tried are:
 *   after every step      all pending ones are there; none is
 *   before every sync,    each one alone is missing, each one alone is torn, each one alone is
 *   and at every promise  there; all up to one of them are; and chance picks
 * A state that was tried at a position with the same promises is not tried again. Some recoveries
 * are recorded in turn, and crash again. */
// SPDX-License-Identifier: ISC
#pragma once

#include "verify.h"

struct tally { /* shared by the processes */
    size_t states, second_states, promises, violations;
};

struct explore_options {
    uint64_t seed;
    unsigned part, parts;  /* of several processes: which states are this one's */
    unsigned picks;        /* by chance, each time */
    unsigned sample;       /* of the states but those after every step, one of so many; 1: all */
    unsigned second_every; /* one recovery of so many is crashed again; 0: none */
    size_t from;           /* crashes before that step are not tried */
    size_t violations_max; /* then it ends */
    bool quiet;
};

void explore(struct story *s, const struct explore_options *o, const char *folder,
             struct tally *tally);
