/* crash/disk_log.c - see disk_log.h. */
// SPDX-License-Identifier: ISC
#include "disk_log.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    FLUSH = 1,
    FUA = 2,
    DISCARD = 4,
    MARK = 8,
    METADATA = 16,
    WRITES_MAX = 1 << 24,
    DESCRIPTION_BYTES = 32
};

#define MAGIC UINT64_C(0x6a736677736872)

/* One whole sector. */
static int read_words(int fd, uint64_t at, uint64_t words[4], char rest[DISK_SECTOR_BYTES])
{
    char sector[DISK_SECTOR_BYTES];
    ssize_t n = pread(fd, sector, sizeof(sector), (off_t)at);

    if (n != (ssize_t)sizeof(sector))
        return n < 0 ? -errno : -EBADMSG;
    memcpy(words, sector, DESCRIPTION_BYTES);
    for (size_t i = 0; i < 4; i++)
        words[i] = le64toh(words[i]);
    memcpy(rest, sector + DESCRIPTION_BYTES, sizeof(sector) - DESCRIPTION_BYTES);
    return 0;
}

static int read_one(int fd, uint64_t *at, struct arena *a, struct disk_write *ret)
{
    uint64_t words[4] = {0}; /* sector, sectors, flags, bytes of the mark */
    char rest[DISK_SECTOR_BYTES];
    int r = read_words(fd, *at, words, rest);

    if (r < 0)
        return r;
    *at += DISK_SECTOR_BYTES;
    *ret = (struct disk_write){.sector = words[0],
                               .sectors = words[1],
                               .at = *at,
                               .barrier = (words[2] & (FLUSH | FUA)) != 0,
                               .discard = (words[2] & DISCARD) != 0,
                               .metadata = (words[2] & METADATA) != 0};
    if (words[2] & MARK) {
        if (words[3] > DISK_SECTOR_BYTES - DESCRIPTION_BYTES)
            return -EBADMSG;
        ret->mark = arena_copy(a, str_n(rest, (size_t)words[3]));
    }
    if (!ret->discard)
        *at += ret->sectors * DISK_SECTOR_BYTES;
    return 0;
}

int disk_log_read(int fd, struct arena *a, struct disk_write **ret, size_t *ret_count)
{
    uint64_t words[4] = {0}; /* magic, version, count, bytes of a sector */
    char rest[DISK_SECTOR_BYTES];
    uint64_t at = DISK_SECTOR_BYTES;
    int r = read_words(fd, 0, words, rest);

    if (r < 0)
        return r;
    if (words[0] != MAGIC || words[1] != 1 || words[2] > WRITES_MAX ||
        (uint32_t)words[3] != DISK_SECTOR_BYTES)
        return -EBADMSG;
    struct disk_write *all = arena_alloc(a, (size_t)words[2] * sizeof(*all) + 1);
    for (size_t i = 0; i < words[2] && r == 0; i++)
        r = read_one(fd, &at, a, &all[i]);
    if (r == 0)
        *ret = all;
    if (r == 0)
        *ret_count = (size_t)words[2];
    return r;
}
