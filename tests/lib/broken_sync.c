/* broken_sync.c - preloaded into the server by a test: a disk that stops to sync.
 *
 * TROIKA_BREAK names a file that the test writes orders to: how many syncs shall fail with EIO, of
 * files of which sizes. It is mapped before the jail closes, so a test orders at any moment. */
// SPDX-License-Identifier: ISC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct order {
    _Atomic int64_t count;
    int64_t bytes_min, bytes_max;
};

static struct order *order;
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TROIKA_BREAK");
    const char *role = getenv("TROIKA_BREAK_ROLE");
    int ours = path && role && strstr(program_invocation_name, role) != NULL;
    int fd = ours ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = MAP_FAILED;

    if (fd >= 0)
        p = mmap(NULL, sizeof(*order), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    order = p == MAP_FAILED ? NULL : p;
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
}

static int ordered(int fd)
{
    struct stat st;
    int64_t left = order ? atomic_load(&order->count) : 0;

    if (left == 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < order->bytes_min ||
        st.st_size > order->bytes_max)
        return 0;
    while (left > 0)
        if (atomic_compare_exchange_weak(&order->count, &left, left - 1))
            return 1;
    return 0;
}

static int fail_or(int (*real)(int), int fd)
{
    if (!ordered(fd))
        return real(fd);
    errno = EIO;
    return -1;
}

int fdatasync(int fd)
{
    return fail_or(real_fdatasync, fd);
}

int fsync(int fd)
{
    return fail_or(real_fsync, fd);
}
