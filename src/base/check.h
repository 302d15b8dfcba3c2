/* base/check.h - what must be true, and what the program cannot go on without.
 *
 * check() is for our own bugs only: it aborts, the parent restarts the worker.
 * Nothing that comes from outside (network, disk, another process) may reach it. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stddef.h>

#define check(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
#define countof(array) (sizeof(array) / sizeof((array)[0]))

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

_Noreturn void check_failed(const char *cond, const char *file, int line);

/* malloc/calloc/realloc that never return NULL: a worker that runs out of memory ends with
 * exit status 71 (EX_OSERR) after one log line, and is restarted. The caller frees with free(). */
void *mem_new(size_t bytes); /* zeroed */
void *mem_resize(void *p, size_t bytes);
char *mem_copy(const void *p, size_t bytes); /* adds a terminating NUL */

/* The kernel or a library has no memory for us: ends the process as above. */
_Noreturn void mem_none(void);
/* The same, but a process that may wait (mem_wait_max) waits a moment and is to try again; `tries`
 * begins with 0 for each thing that is wanted. */
void mem_short(unsigned *tries);
/* For the parent, which must outlive its workers: for so long it waits for memory. */
void mem_wait_max(unsigned seconds);
