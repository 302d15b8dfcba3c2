/* crash/run.c - see run.h. */
// SPDX-License-Identifier: ISC
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

static void part(struct story *s, const struct run_options *o, unsigned number, struct tally *tally)
{
    char folder[SCRATCH_BYTES];
    struct explore_options e = {.seed = o->seed,
                                .part = number,
                                .parts = o->parts,
                                .picks = o->picks,
                                .sample = o->sample,
                                .second_every = o->second_every,
                                .violations_max = o->violations_max,
                                .quiet = o->quiet};

    scratch_folder(folder);
    explore(s, &e, folder, tally);
    check(rmdir(folder) == 0);
}

/* The parts are processes, also when there is one: SQLite and descriptors start afresh. */
static pid_t part_start(struct story *s, const struct run_options *o, unsigned number,
                        struct tally *tally)
{
    (void)fflush(stdout);
    pid_t pid = fork();

    check(pid >= 0);
    if (pid > 0)
        return pid;
    part(s, o, number, tally);
    (void)fflush(stdout);
    _exit(0);
}

/* A program that ends where it should have recovered has broken its promise, too. */
static void part_wait(pid_t pid, uint64_t seed, struct tally *tally)
{
    int status;

    check(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    (void)printf("VIOLATION seed %llu: the recovery ended with %s %d\n", (unsigned long long)seed,
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    tally->violations++;
}

void run(const struct run_options *o, struct tally *sum)
{
    struct story s;
    pid_t pids[64];
    struct tally *tally =
        mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    check(tally != MAP_FAILED && o->parts > 0 && o->parts <= countof(pids));
    story_make(&s, o->seed, o->steps, o->fault);
    for (unsigned i = 0; i < o->parts; i++)
        pids[i] = part_start(&s, o, i, tally);
    for (unsigned i = 0; i < o->parts; i++)
        part_wait(pids[i], o->seed, tally);
    sum->states += tally->states;
    sum->second_states += tally->second_states;
    sum->promises += tally->promises;
    sum->violations += tally->violations;
    (void)munmap(tally, sizeof(*tally));
    story_free(&s);
}
