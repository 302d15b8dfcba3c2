/* crash/refuse.c - a disk that refuses one call, at each call in turn.
 *
 *   refuse [CALLS [SEED [CALL]]]   CALLS: refusals to try (2000); SEED: of the first story (1);
 *                                  CALL: only that one, in this process
 *
 * A story is told once to count its calls (of struct disk and of SQLite's VFS, reads and the map of
 * the log's index included), and then once for each call and errno, which fails once. What the queue
 * makes of it is its own: 451, a later attempt, another start. Afterwards mail must be taken again,
 * and the disk is crashed at its end and held against all promises, as in crash.c. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "explore.h"

enum { STEPS = 400, CRASHED_STEPS = 2, JOBS_MAX = 8 };

static const struct {
    int error;
    const char *name;
} errors[] = {{EIO, "EIO"}, {ENOSPC, "ENOSPC"}};

struct refusal {
    uint64_t seed;
    size_t call, error; /* error: which of errors[] */
};

static bool accepted_at_the_end(const struct story *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->letters[i].accepted_at != NEVER && s->letters[i].accepted_at > STEPS / 2)
            return true;
    return false;
}

static void try_it(const struct refusal *r, struct tally *t)
{
    struct story s;
    struct explore_options o = {.seed = r->seed, .parts = 1, .sample = 8, .violations_max = 1};
    char folder[SCRATCH_BYTES];

    story_make_refused(&s, r->seed, STEPS, FAULT_NONE, r->call, -errors[r->error].error);
    o.from = s.log.count - MIN_OF(s.log.count, (size_t)CRASHED_STEPS);
    if (!accepted_at_the_end(&s)) {
        (void)printf("nothing was accepted any more\n");
        t->violations++;
    }
    scratch_folder(folder);
    explore(&s, &o, folder, t);
    check(rmdir(folder) == 0);
    story_free(&s);
}

static size_t calls_of(uint64_t seed)
{
    struct story s;

    story_make(&s, seed, STEPS, FAULT_NONE);
    story_free(&s);
    return recorder_calls();
}

static pid_t start(const struct refusal *r, struct tally *t)
{
    (void)fflush(stdout);
    pid_t pid = fork();

    check(pid >= 0);
    if (pid > 0)
        return pid;
    try_it(r, t);
    (void)fflush(stdout);
    _exit(t->violations > 0);
}

static bool good(pid_t pid, const struct refusal *r)
{
    int status;

    check(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    (void)printf("VIOLATION seed %llu: call %zu refused with %s (status %d)\n",
                 (unsigned long long)r->seed, r->call, errors[r->error].name, status);
    return false;
}

static bool argument(int argc, char **argv, int at, uint64_t *value)
{
    return argc <= at || str_u64(str_c(argv[at]), value);
}

/* Spread over the story when fewer are wanted than it has. */
static size_t story_refused(uint64_t seed, uint64_t wanted, struct tally *t, size_t *bad)
{
    size_t calls = calls_of(seed);
    size_t count = (size_t)MIN_OF(wanted, (uint64_t)(calls * countof(errors)));
    size_t jobs = MIN_OF((size_t)MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L), (size_t)JOBS_MAX);

    for (size_t i = 0; i < count; i += jobs) {
        struct refusal r[JOBS_MAX];
        pid_t pids[JOBS_MAX];
        size_t n = MIN_OF(jobs, count - i);

        for (size_t k = 0; k < n; k++) {
            size_t at = (i + k) * (calls * countof(errors)) / count;
            r[k] = (struct refusal){seed, at / countof(errors) + 1, at % countof(errors)};
            pids[k] = start(&r[k], t);
        }
        for (size_t k = 0; k < n; k++)
            *bad += !good(pids[k], &r[k]);
    }
    return count;
}

int main(int argc, char **argv)
{
    uint64_t wanted = 2000, seed = 1, call = 0;
    size_t tried = 0, bad = 0;
    struct tally *t =
        mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    check(t != MAP_FAILED);
    if (argc == 4 && argument(argc, argv, 2, &seed) && argument(argc, argv, 3, &call)) {
        for (size_t i = 0; i < countof(errors); i++)
            try_it(&(struct refusal){seed, (size_t)call, i}, t);
        return t->violations > 0;
    }
    if (argc > 4 || !argument(argc, argv, 1, &wanted) || !argument(argc, argv, 2, &seed)) {
        (void)fprintf(stderr, "usage: refuse [CALLS [SEED [CALL]]]\n");
        return 64;
    }
    while (tried < wanted && bad == 0)
        tried += story_refused(seed++, wanted - tried, t, &bad);
    (void)printf("%zu refused calls, %zu states tried after them, %zu acknowledged messages "
                 "checked, %zu violations\n",
                 tried, t->states, t->promises, bad);
    return bad > 0;
}
