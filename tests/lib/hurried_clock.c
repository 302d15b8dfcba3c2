/* hurried_clock.c - preloaded into the server by a test: time that passes a hundred times as fast.
 *
 * Only in the process that TROIKA_HURRY names, and only the monotonic clock and the waiting of the
 * event loop: the timeouts of a role come in hundredths, the wall clock stays that of everybody. */
// SPDX-License-Identifier: ISC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { TIMES = 100, NS_PER_S = 1000000000 };

static int hurried;
static long long began;
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static long long in_ns(const struct timespec *t)
{
    return (long long)t->tv_sec * NS_PER_S + t->tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
    const char *role = getenv("TROIKA_HURRY");
    struct timespec t;

    real_epoll_wait = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    (void)real_clock_gettime(CLOCK_MONOTONIC, &t);
    began = in_ns(&t);
    hurried = role && strstr(program_invocation_name, role) != NULL;
}

int clock_gettime(clockid_t which, struct timespec *t)
{
    int r = real_clock_gettime(which, t);

    if (!hurried || r < 0 || (which != CLOCK_MONOTONIC && which != CLOCK_MONOTONIC_COARSE))
        return r;
    long long ns = began + (in_ns(t) - began) * TIMES;
    t->tv_sec = ns / NS_PER_S;
    t->tv_nsec = ns % NS_PER_S;
    return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    if (hurried && timeout > 0)
        timeout = (timeout + TIMES - 1) / TIMES;
    return real_epoll_wait(fd, events, count, timeout);
}
