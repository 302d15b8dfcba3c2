/* crash/crash.c - the crash test: makes stories and tries their crashes until there were enough.
 *
 *   crash [STATES [SEED]]     STATES: at least so many (20000); SEED: of the first story (1)
 *
 * A short story is tried completely; then come long ones, in which more has happened (segments
 * used again, messages expired, many deaths), of whose states chance takes some; and so on.
 * Exits 1 when a promise was broken; the seed and the steps that led there are printed. */
// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "run.h"

enum { STATES = 20000, PARTS_MAX = 16, STORIES_PER_ROUND = 8 };

static const struct {
    size_t steps;
    unsigned picks, sample;
} forms[] = {{1000, 12, 1}, {6000, 12, 12}};

static bool argument(int argc, char **argv, int at, uint64_t *value)
{
    return argc <= at || str_u64(str_c(argv[at]), value);
}

static void print(const struct tally *t, uint64_t stories)
{
    (void)printf(
        "%zu states tried (%zu of them second crashes), %zu acknowledged messages checked, "
        "%llu stories, %zu violations\n",
        t->states + t->second_states, t->second_states, t->promises, (unsigned long long)stories,
        t->violations);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t states = STATES;
    uint64_t seed = 1;
    struct tally t = {0};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t stories = 0;

    if (argc > 3 || !argument(argc, argv, 1, &states) || !argument(argc, argv, 2, &seed)) {
        (void)fprintf(stderr, "usage: crash [STATES [SEED]]\n");
        return 64;
    }
    while (t.states + t.second_states < states && t.violations == 0) {
        size_t form = stories++ % STORIES_PER_ROUND > 0;
        struct run_options o = {.seed = seed++,
                                .steps = forms[form].steps,
                                .parts = (unsigned)MIN_OF(MAX_OF(cores, 1L), (long)PARTS_MAX),
                                .picks = forms[form].picks,
                                .sample = forms[form].sample,
                                .second_every = 400,
                                .violations_max = 4};
        run(&o, &t);
        print(&t, stories);
    }
    return t.violations > 0;
}
