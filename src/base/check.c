// SPDX-License-Identifier: ISC
#include "base/check.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

void check_failed(const char *cond, const char *file, int line)
{
    char where[256];
    size_t n = strlen(file);

    /* The end of a path says more than its beginning, and nothing here may allocate. */
    if (n > 64)
        file += n - 64;
    int bytes =
        snprintf(where, sizeof(where), "event=bug check=\"%.128s\" at=%s:%d", cond, file, line);
    for (int i = 0; i < bytes && i < (int)sizeof(where); i++)
        if (where[i] == '\n')
            where[i] = ' ';
    log_line(LEVEL_ERROR, str_n(where, strnlen(where, sizeof(where))));
    abort();
}

static unsigned tries_max;

enum { TRIES_PER_S = 20 };

_Noreturn void mem_none(void)
{
    log_line(LEVEL_ERROR, STR("event=out-of-memory then=\"this process ends\""));
    _exit(EX_OSERR);
}

void mem_wait_max(unsigned seconds)
{
    tries_max = seconds * TRIES_PER_S;
}

void mem_short(unsigned *tries)
{
    static const struct timespec moment = {.tv_nsec = 1000000000 / TRIES_PER_S};

    if (*tries >= tries_max)
        mem_none();
    if ((*tries)++ == 0)
        log_line(LEVEL_ERROR, STR("event=out-of-memory then=\"waits for some\""));
    (void)nanosleep(&moment, NULL);
}

void *mem_new(size_t bytes)
{
    unsigned tries = 0;
    void *p = calloc(1, bytes ? bytes : 1);

    for (; !p; p = calloc(1, bytes ? bytes : 1))
        mem_short(&tries);
    return p;
}

void *mem_resize(void *p, size_t bytes)
{
    unsigned tries = 0;
    void *resized = realloc(p, bytes ? bytes : 1);

    for (; !resized; resized = realloc(p, bytes ? bytes : 1))
        mem_short(&tries);
    return resized;
}

char *mem_copy(const void *p, size_t bytes)
{
    check(bytes < SIZE_MAX);
    char *copy = mem_resize(NULL, bytes + 1);

    if (bytes)
        memcpy(copy, p, bytes);
    copy[bytes] = '\0';
    return copy;
}
