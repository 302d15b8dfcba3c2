/* outward/send/interrupt.c - Ctrl-C while something is sent: noted, so that it can be said what was sent
 * and what was not. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "outward/send/send.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction before[countof(signals)];
static volatile sig_atomic_t seen;
static int ends[2] = {-1, -1}; /* a pipe: the loop waits for it, too */
static struct watch watch;
static void (*tell)(void *arg, int signal);
static void *tell_arg;

static void note(int signal)
{
    int error = errno;

    seen = signal;
    (void)!write(ends[1], "", 1);
    errno = error;
}

static void on_readable(void *arg, unsigned what)
{
    char byte;

    (void)arg;
    (void)what;
    (void)!read(ends[0], &byte, 1);
    tell(tell_arg, seen);
}

int interrupt_begin(struct loop *l, void (*fn)(void *arg, int signal), void *arg)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    tell = fn;
    tell_arg = arg;
    watch_start(l, &watch, ends[0], WATCH_READ, on_readable, NULL);
    for (size_t i = 0; i < countof(signals); i++) {
        (void)sigaction(signals[i], &action, &before[i]);
        if (before[i].sa_handler == SIG_IGN) /* nohup, or in the background */
            (void)sigaction(signals[i], &before[i], NULL);
    }
    return 0;
}

void interrupt_end(void)
{
    if (ends[0] < 0)
        return;
    for (size_t i = 0; i < countof(signals); i++)
        (void)sigaction(signals[i], &before[i], NULL);
    watch_stop(&watch);
    (void)close(ends[0]);
    (void)close(ends[1]);
    ends[0] = ends[1] = -1;
}

int interrupt_seen(void)
{
    return seen;
}
