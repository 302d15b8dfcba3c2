/* crash/physical.c - the disks that a power cut may have left, out of a log of dm-log-writes.
 *
 *   physical LOG BASE STATES FIRST PART PARTS SEED
 *
 * BASE is the disk before the log began. Tried are the disk after every write, and between two
 * flushes some of the writes, or some of their sectors; of all these, chance takes about STATES
 * (rather those right behind a promise; only those among the FIRST writes, unless that is 0), and of
 * them this process takes one PART. Each is mounted (the file system recovers), Troika's spool is
 * opened on it, and what had been promised must be there. guest.py runs this inside User
 * Mode Linux: the kernel that mounts broken disks is not the developer's. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "model.h"
#include "promises.h"

enum { PICKS = 3, PROMISE_WEIGHT = 8, VIOLATIONS_MAX = 4, PROGRESS_STATES = 500 };

#define LOOP "/dev/loop0"
#define MOUNTED "/tmp/disk"
#define PAGE ((size_t)4096)

struct image_file {
    int fd;
    uint8_t *p;
};

struct replay {
    int log_fd;
    struct disk_write *log;
    size_t count;
    struct promises promises;
    struct image_file prefix; /* what is durable so far */
    struct image_file disk;   /* what is mounted: a copy, as recovery writes */
    size_t bytes;
    uint64_t states_max, first, part, parts, seed;
    bool counting;     /* the first pass */
    size_t candidates; /* in this pass so far */
    size_t all;        /* in the first pass */
    size_t chosen, states, violations;
};

/* ---- disks ---- */

static struct image_file image_new(size_t bytes)
{
    char name[] = "/dev/shm/disk-XXXXXX";
    struct image_file f = {.fd = mkstemp(name)};

    check(f.fd >= 0 && unlink(name) == 0 && ftruncate(f.fd, (off_t)bytes) == 0);
    f.p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
    check(f.p != MAP_FAILED);
    return f;
}

/* Reads what is not a hole. */
static void image_load(struct replay *r, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *block = mem_new(MIB);

    check(fd >= 0);
    for (uint64_t at = 0; at < r->bytes; at += MIB) {
        size_t n = MIN_OF(MIB, r->bytes - (size_t)at);
        check(disk_read_at(fd, block, n, at) == 0);
        for (size_t i = 0; i < n; i += PAGE)
            if (block[i] != 0 || memcmp(block + i, block + i + 1, PAGE - 1) != 0)
                memcpy(r->prefix.p + at + i, block + i, PAGE);
    }
    free(block);
    (void)close(fd);
}

/* Where `of` has data, `to` becomes as `from`. */
static void copy_data(struct replay *r, const struct image_file *of)
{
    off_t end = 0;
    off_t at;

    while ((at = lseek(of->fd, end, SEEK_DATA)) >= 0) {
        end = lseek(of->fd, at, SEEK_HOLE);
        for (; at < end; at += (off_t)PAGE)
            if (memcmp(r->disk.p + at, r->prefix.p + at, PAGE) != 0)
                memcpy(r->disk.p + at, r->prefix.p + at, PAGE);
    }
}

static void disk_reset(struct replay *r)
{
    copy_data(r, &r->prefix);
    copy_data(r, &r->disk);
}

/* The superblock, in the first block, is written without the flag. */
static bool is_file_system(const struct disk_write *w)
{
    return w->metadata || w->sector < PAGE / DISK_SECTOR_BYTES;
}

/* tear: 0, all of it; else a number by which chance keeps nothing, all, the first or some sectors. A
 * block of the file system's own is whole or not there: on a journal with a torn one Linux 6.1
 * refuses to mount ext4 ("journal transaction is corrupt"). */
static void apply(struct replay *r, const struct disk_write *w, uint8_t *to, uint64_t tear)
{
    uint64_t how = tear == 0 ? 1 : mix(tear) % 4;
    uint64_t unit = is_file_system(w) ? PAGE / DISK_SECTOR_BYTES : 1;
    uint64_t kept_first = how == 2 ? mix(tear + 1) % (w->sectors / unit + 1) * unit : 0;

    check(w->sectors * DISK_SECTOR_BYTES <= r->bytes &&
          w->sector * DISK_SECTOR_BYTES <= r->bytes - w->sectors * DISK_SECTOR_BYTES);
    if (w->sectors == 0 || how == 0 || w->discard)
        return;
    uint8_t *bytes = mem_new(w->sectors * DISK_SECTOR_BYTES);
    check(disk_read_at(r->log_fd, bytes, w->sectors * DISK_SECTOR_BYTES, w->at) == 0);
    for (uint64_t i = 0; i < w->sectors; i++)
        if (how == 1 || i < kept_first || (how == 3 && mix(tear + 2 + i / unit) % 2))
            memcpy(to + (w->sector + i) * DISK_SECTOR_BYTES, bytes + i * DISK_SECTOR_BYTES,
                   DISK_SECTOR_BYTES);
    free(bytes);
}

/* ---- one state ---- */

static bool recovers(struct replay *r, size_t at)
{
    if (mount(LOOP, MOUNTED, "ext4", MS_NOATIME, NULL) < 0) {
        (void)snprintf(r->promises.problem, sizeof(r->promises.problem), "it cannot be mounted: %s",
                       strerror(errno));
        return false;
    }
    int fd = open(MOUNTED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(fd >= 0);
    bool good = promises_kept(&r->promises, fd, at);
    (void)close(fd);
    check(umount2(MOUNTED, 0) == 0);
    return good;
}

static void print(const struct replay *r)
{
    (void)printf("part %llu: %zu states tried, %zu promises checked, %zu messages read, "
                 "%zu violations\n",
                 (unsigned long long)r->part, r->states, r->promises.checked, r->promises.whole,
                 r->violations);
    (void)fflush(stdout);
}

/* picked: 0, or the number of the choice among what was not flushed. */
static void try(struct replay *r, size_t at, uint64_t picked)
{
    r->states++;
    if (!recovers(r, at)) {
        r->violations++;
        (void)printf("VIOLATION behind %zu of %zu writes, choice %llu: %s\n", at, r->count,
                     (unsigned long long)picked, r->promises.problem);
    }
    if (r->states % PROGRESS_STATES == 0)
        print(r);
}

/* Is the next candidate one that chance and this part take? weight: as if there were so many. */
static bool is_wanted(struct replay *r, size_t weight)
{
    uint64_t chance = mix(r->seed + mix(r->candidates));

    r->candidates += weight;
    return !r->counting && chance % r->all < r->states_max * weight &&
           r->chosen++ % r->parts == r->part && r->violations < VIOLATIONS_MAX;
}

/* ---- the log ---- */

/* Behind the writes that one barrier made durable, which itself is one of them; or a mark. */
static size_t group_end(const struct replay *r, size_t from)
{
    while (from < r->count && !r->log[from].barrier && r->log[from].mark.p == NULL)
        from++;
    return MIN_OF(from + 1, r->count);
}

static void try_picks(struct replay *r, size_t from, size_t end)
{
    for (uint64_t pick = 1; pick <= PICKS; pick++) {
        if (!is_wanted(r, 1))
            continue;
        disk_reset(r);
        for (size_t i = from; i < end; i++)
            apply(r, &r->log[i], r->disk.p, mix(r->seed + mix(pick + mix(i))) | 1);
        try(r, from, pick);
    }
}

static void try_prefix(struct replay *r, size_t at)
{
    const struct disk_write *last = &r->log[at - 1];
    bool promise = last->mark.p != NULL && (at == r->count || r->log[at].mark.p == NULL);

    if ((last->sectors == 0 && !promise) || !is_wanted(r, promise ? PROMISE_WEIGHT : 1))
        return;
    disk_reset(r);
    try(r, at, 0);
}

static void pass(struct replay *r, bool counting)
{
    size_t last = r->first > 0 ? MIN_OF((size_t)r->first, r->count) : r->count;

    r->counting = counting;
    r->candidates = 0;
    for (size_t from = 0, end; from < last; from = end) {
        end = group_end(r, from);
        if (r->log[from].mark.p == NULL)
            try_picks(r, from, end);
        for (size_t i = from; i < end; i++) {
            if (!counting)
                apply(r, &r->log[i], r->prefix.p, 0);
            try_prefix(r, i + 1);
        }
    }
    r->all = MAX_OF(r->candidates, (size_t)1);
}

static void loop_attach(int file_fd)
{
    int fd = open(LOOP, O_RDWR | O_CLOEXEC);

    check(fd >= 0 && ioctl(fd, LOOP_SET_FD, file_fd) == 0);
    (void)close(fd);
}

static int run(struct replay *r, const char *log, const char *base)
{
    struct arena a = ARENA_INIT;
    struct stat st;

    r->log_fd = open(log, O_RDONLY | O_CLOEXEC);
    check(r->log_fd >= 0 && stat(base, &st) == 0);
    int error = disk_log_read(r->log_fd, &a, &r->log, &r->count);
    if (error < 0 || !promises_read(&r->promises, r->log, r->count, &a)) {
        (void)printf("VIOLATION %s\n", error < 0 ? strerror(-error) : r->promises.problem);
        return 1;
    }
    r->bytes = (size_t)st.st_size;
    r->prefix = image_new(r->bytes);
    r->disk = image_new(r->bytes);
    image_load(r, base);
    check(mkdir(MOUNTED, 0700) == 0);
    loop_attach(r->disk.fd);
    pass(r, true);
    (void)printf("part %llu: a log of %zu steps, %zu promises\n", (unsigned long long)r->part,
                 r->count, r->promises.count);
    pass(r, false);
    print(r);
    promises_done(&r->promises);
    arena_free(&a);
    return r->violations > 0;
}

int main(int argc, char **argv)
{
    struct replay r = {0};

    uint64_t *const numbers[] = {&r.states_max, &r.first, &r.part, &r.parts, &r.seed};
    bool good = argc == 3 + countof(numbers);

    for (size_t i = 0; good && i < countof(numbers); i++)
        good = str_u64(str_c(argv[3 + i]), numbers[i]);
    if (!good || r.parts == 0) {
        (void)fprintf(stderr, "usage: physical LOG BASE STATES FIRST PART PARTS SEED\n");
        return 64;
    }
    return run(&r, argv[1], argv[2]);
}
