/* no_sync.c - preloaded into the server by the physical crash test: in one role, named by
 * TROIKA_LIAR, syncs say "done" and do nothing. The test must find that promises break. A role is
 * called "troika: local 1"; the path of a command may have such words, too. */
// SPDX-License-Identifier: ISC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int lies;

__attribute__((constructor)) static void begin(void)
{
    const char *role = getenv("TROIKA_LIAR");

    lies = role && strstr(program_invocation_short_name, role) != NULL;
}

static int sync_or_lie(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    return lies ? 0 : real(fd);
}

int fdatasync(int fd)
{
    return sync_or_lie("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_or_lie("fsync", fd);
}
