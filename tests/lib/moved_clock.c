/* moved_clock.c - preloaded into the roles of a server by a test: days that pass in seconds.
 *
 * TROIKA_CLOCK names a file with the microseconds that both clocks are ahead; it is mapped before
 * the jail closes. Who waits looks at it every few milliseconds, and wakes up when it has moved.
 * The parent keeps the real time: it would take a jump for the death of its children. */
// SPDX-License-Identifier: ISC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_MS = 5 };

static _Atomic int64_t *ahead_us;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);

static void find_real(void)
{
    if (real_clock_gettime && real_epoll_wait)
        return;
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_epoll_wait = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TROIKA_CLOCK");
    const char *slash = strrchr(program_invocation_name, '/');
    int is_parent = strcmp(slash ? slash + 1 : program_invocation_name, "parent") == 0 ||
                    strcmp(program_invocation_short_name, "troika") == 0;
    int fd = path && !is_parent ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p = fd >= 0 ? mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (fd >= 0)
        (void)close(fd);
    ahead_us = p == MAP_FAILED ? NULL : p;
    find_real();
}

static int64_t ahead(void)
{
    return ahead_us ? atomic_load(ahead_us) : 0;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    find_real();
    int r = real_clock_gettime(id, ts);
    int moved = id == CLOCK_REALTIME || id == CLOCK_MONOTONIC || id == CLOCK_REALTIME_COARSE ||
                id == CLOCK_MONOTONIC_COARSE || id == CLOCK_BOOTTIME;

    if (r == 0 && moved) {
        int64_t ns = ts->tv_nsec + ahead() % 1000000 * 1000;
        ts->tv_sec += ahead() / 1000000 + ns / 1000000000;
        ts->tv_nsec = ns % 1000000000;
    }
    return r;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    int64_t before = ahead();
    int n = 0;

    find_real();
    while (ahead_us && timeout_ms != 0 && ahead() == before) {
        int slice = timeout_ms < 0 || timeout_ms > SLICE_MS ? SLICE_MS : timeout_ms;
        n = real_epoll_wait(fd, events, count, slice);
        if (n != 0)
            return n;
        if (timeout_ms > 0)
            timeout_ms -= slice;
    }
    return real_epoll_wait(fd, events, count, ahead_us ? 0 : timeout_ms);
}
