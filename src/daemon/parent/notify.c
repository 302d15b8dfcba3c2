// SPDX-License-Identifier: ISC
#include "daemon/parent/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

static struct sockaddr_un to;
static socklen_t to_bytes; /* 0: nobody listens */
static uint64_t watchdog_us;

static void read_socket(struct str path)
{
    if (path.n < 2 || path.n >= sizeof to.sun_path || (path.p[0] != '/' && path.p[0] != '@'))
        return;
    to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(to.sun_path, path.p, path.n);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0'; /* the abstract namespace: no file, no terminator */
    to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);
}

static void read_watchdog(struct str us, struct str pid)
{
    uint64_t wanted, owner;

    if (pid.n && (!str_u64(pid, &owner) || owner != (uint64_t)getpid()))
        return;
    if (str_u64(us, &wanted))
        watchdog_us = wanted / 2;
}

void notify_init(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};

    to_bytes = 0;
    watchdog_us = 0;
    read_socket(str_c(getenv(names[0])));
    read_watchdog(str_c(getenv(names[1])), str_c(getenv(names[2])));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unsetenv(names[i]);
}

void notify_say(const char *text)
{
    if (!to_bytes)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Nothing depends on it: whoever waits for it has a time limit of its own. */
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
                 to_bytes);
    (void)close(fd);
}

void notify_reloading(uint64_t monotonic_us)
{
    char text[80];

    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_us);
    notify_say(text);
}

uint64_t notify_watchdog_us(void)
{
    return watchdog_us;
}
