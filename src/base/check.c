// SPDX-License-Identifier: ISC
#include "base/check.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
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

static _Noreturn void out_of_memory(void)
{
    log_line(LEVEL_ERROR, STR("event=out-of-memory"));
    _exit(EX_OSERR);
}

void *mem_new(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);

    if (!p)
        out_of_memory();
    return p;
}

void *mem_resize(void *p, size_t bytes)
{
    p = realloc(p, bytes ? bytes : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *mem_copy(const void *p, size_t bytes)
{
    check(bytes < SIZE_MAX);
    char *copy = malloc(bytes + 1);

    if (!copy)
        out_of_memory();
    if (bytes)
        memcpy(copy, p, bytes);
    copy[bytes] = '\0';
    return copy;
}
