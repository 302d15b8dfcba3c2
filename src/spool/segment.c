// SPDX-License-Identifier: ISC
#include "spool/segment.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/codec.h"

enum {
    RECORD_MAGIC = 0x47455354, /* "TSEG" */
    RECORD_VERSION = 1,
    RECORD_HEADER_BYTES = 32,
    RECORD_CRC_AT = 24,
    RECORD_ALIGN = 16,
    PAGE_BYTES = 4096,
    GATHER_BYTES_MAX = 1024 * 1024, /* more is written early; it is synced by the flush */
    OPEN_FILES_MAX = 32,
    NAME_BYTES = 16,
};

static_assert(SEGMENT_BYTES % PAGE_BYTES == 0, "a segment is whole pages");
static_assert(PAGE_BYTES % RECORD_ALIGN == 0, "records stay aligned over page ends");

/* Index in the table = number. A segment is free when nothing is in it now, nothing was added in
 * this batch, and it is not being filled. */
struct segment {
    bool exists;
    bool touched; /* is in the list of changes */
    bool written; /* since the last sync */
    uint32_t message_count;
    uint32_t added, ended; /* by this batch */
};

struct numbers {
    uint32_t *list;
    size_t count, room;
};

struct open_file {
    uint32_t number; /* 0: no file */
    int fd;
};

struct segments {
    const struct disk *disk;
    int dir_fd;
    uint32_t bytes; /* of a segment */
    struct segment *table;
    uint32_t table_count;

    uint32_t current;    /* 0: none */
    uint64_t written_to; /* in current; the gathered bytes belong here */
    struct buf gathered;
    bool names_changed;

    struct numbers touched;
    struct numbers free; /* the last is taken first */
    size_t
        surplus_count; /* of the free ones, from SEGMENT_SPARE_MAX on: go with this transaction */

    struct open_file open_files[OPEN_FILES_MAX];
    size_t open_next; /* to be closed when another is needed */
};

struct segments *segments_new(const struct disk *d, int dir_fd, uint32_t bytes)
{
    struct segments *g = mem_new(sizeof(*g));

    check(bytes % PAGE_BYTES == 0 && bytes <= SEGMENT_BYTES);
    g->disk = d;
    g->dir_fd = dir_fd;
    g->bytes = bytes;
    g->gathered = buf_init(GATHER_BYTES_MAX);
    return g;
}

void segments_free(struct segments **p)
{
    struct segments *g = *p;

    if (!g)
        return;
    for (size_t i = 0; i < OPEN_FILES_MAX; i++)
        if (g->open_files[i].number)
            g->disk->close(g->disk, g->open_files[i].fd);
    buf_free(&g->gathered);
    free(g->touched.list);
    free(g->free.list);
    free(g->table);
    free(g);
    *p = NULL;
}

static struct segment *segment_at(struct segments *g, uint32_t number)
{
    if (number >= g->table_count) {
        uint32_t count = MAX_OF(number + 1, g->table_count * 2);

        g->table = mem_resize(g->table, count * sizeof(*g->table));
        memset(g->table + g->table_count, 0, (count - g->table_count) * sizeof(*g->table));
        g->table_count = count;
    }
    return &g->table[number];
}

static void numbers_add(struct numbers *to, uint32_t number)
{
    if (to->count == to->room) {
        to->room = MAX_OF(to->room * 2, (size_t)16);
        to->list = mem_resize(to->list, to->room * sizeof(*to->list));
    }
    to->list[to->count++] = number;
}

static struct segment *touch(struct segments *g, uint32_t number)
{
    struct segment *at = segment_at(g, number);

    if (!at->touched)
        numbers_add(&g->touched, number);
    at->touched = true;
    return at;
}

/* Called whenever one of the conditions has just come true. */
static void free_when_empty(struct segments *g, uint32_t number)
{
    const struct segment *at = &g->table[number];

    if (at->exists && !at->message_count && !at->added && number != g->current)
        numbers_add(&g->free, number);
}

/* ---- files ---- */

static void print_name(char name[NAME_BYTES], uint32_t number)
{
    (void)snprintf(name, NAME_BYTES, "%06u", number);
}

static void file_forget(struct segments *g, uint32_t number)
{
    for (size_t i = 0; i < OPEN_FILES_MAX; i++) {
        struct open_file *at = &g->open_files[i];
        if (at->number != number)
            continue;
        g->disk->close(g->disk, at->fd);
        at->number = 0;
    }
}

static int file_keep(struct segments *g, uint32_t number, int fd)
{
    struct open_file *at = &g->open_files[g->open_next++ % OPEN_FILES_MAX];

    if (at->number)
        g->disk->close(g->disk, at->fd);
    *at = (struct open_file){.number = number, .fd = fd};
    return fd;
}

static int file_of(struct segments *g, uint32_t number)
{
    char name[NAME_BYTES];

    for (size_t i = 0; i < OPEN_FILES_MAX; i++)
        if (g->open_files[i].number == number)
            return g->open_files[i].fd;
    print_name(name, number);
    int fd = g->disk->open(g->disk, g->dir_fd, name, O_RDWR, 0);
    return fd < 0 ? fd : file_keep(g, number, fd);
}

static int file_make(struct segments *g, uint32_t number)
{
    const struct disk *d = g->disk;
    char name[NAME_BYTES];

    print_name(name, number);
    int fd = d->open(d, g->dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    int r = d->allocate(d, fd, g->bytes);
    if (r < 0) {
        d->close(d, fd);
        (void)d->unlink(d, g->dir_fd, name); /* else it is swept at the next start */
        return r;
    }
    g->names_changed = true;
    segment_at(g, number)->exists = true;
    return file_keep(g, number, fd);
}

/* ---- appending ---- */

static int write_gathered(struct segments *g)
{
    if (!g->gathered.n)
        return 0;
    int fd = file_of(g, g->current);
    if (fd < 0)
        return fd;
    int r = disk_write_at(g->disk, fd, buf_str(&g->gathered), g->written_to);
    if (r < 0)
        return r;
    g->written_to += g->gathered.n;
    segment_at(g, g->current)->written = true;
    buf_reset(&g->gathered);
    return 0;
}

/* ret: 0 when there is none. */
static int take_free(struct segments *g, uint32_t *ret)
{
    *ret = 0;
    while (g->free.count > 0) {
        uint32_t number = g->free.list[g->free.count - 1];
        int fd = file_of(g, number);
        if (fd < 0 && fd != -ENOENT)
            return fd; /* it stays free */
        g->free.count--;
        if (fd >= 0) {
            *ret = number;
            return 0;
        }
        g->table[number].exists = false; /* somebody removed it */
    }
    return 0;
}

/* The lowest number without a file. */
static int make_segment(struct segments *g, uint32_t *ret)
{
    int fd = -EEXIST;

    for (uint32_t number = 1; fd == -EEXIST; number++) { /* also past a file that nobody knows */
        if (number < g->table_count && g->table[number].exists)
            continue;
        fd = file_make(g, number);
        *ret = number;
    }
    return fd < 0 ? fd : 0;
}

static int next_segment(struct segments *g)
{
    uint32_t before = g->current;
    uint32_t number;
    int r = take_free(g, &number);

    if (r == 0 && !number)
        r = make_segment(g, &number);
    if (r < 0)
        return r;
    g->current = number;
    g->written_to = 0;
    if (before)
        free_when_empty(g, before);
    return 0;
}

static int make_room(struct segments *g, size_t bytes)
{
    bool fits = g->current && g->written_to + g->gathered.n + bytes <= g->bytes;

    if (fits && g->gathered.n + bytes <= GATHER_BYTES_MAX)
        return 0;
    int r = write_gathered(g);
    return r < 0 || fits ? r : next_segment(g);
}

static size_t record_bytes(size_t content_bytes)
{
    size_t bytes = RECORD_HEADER_BYTES + content_bytes;

    return (bytes + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

bool segments_fit(const struct segments *g, size_t content_bytes)
{
    return record_bytes(content_bytes) <= g->bytes;
}

int segments_append(struct segments *g, uint64_t key, struct str content, struct segment_place *ret)
{
    static const char zeros[RECORD_ALIGN];
    size_t bytes = record_bytes(content.n);
    struct buf *b = &g->gathered;

    check(bytes <= GATHER_BYTES_MAX && bytes <= g->bytes);
    int r = make_room(g, bytes);
    if (r < 0)
        return r;
    size_t start = b->n;
    put_u32(b, RECORD_MAGIC);
    put_u32(b, RECORD_VERSION);
    put_u64(b, key);
    put_u64(b, content.n);
    uint32_t crc = crc32c(0, b->p + start, RECORD_CRC_AT);
    put_u32(b, crc32c(crc, content.p, content.n));
    put_u32(b, 0);
    (void)buf_add(b, content);
    (void)buf_add(b, str_n(zeros, start + bytes - b->n));
    check(!b->full);
    touch(g, g->current)->added++;
    *ret = (struct segment_place){.number = g->current, .offset = g->written_to + start};
    return 0;
}

static int sync_written(struct segments *g)
{
    for (size_t i = 0; i < g->touched.count; i++) {
        struct segment *at = &g->table[g->touched.list[i]];
        if (!at->written)
            continue;
        int fd = file_of(g, g->touched.list[i]);
        int r = fd < 0 ? fd : g->disk->sync(g->disk, fd);
        if (r < 0)
            return r == -ENOSPC ? -EIO : r; /* -ENOSPC would say that trying again is safe */
        at->written = false;
    }
    return 0;
}

int segments_flush(struct segments *g)
{
    int r = write_gathered(g);

    if (r == 0)
        r = sync_written(g);
    if (r == 0 && g->names_changed)
        r = g->disk->sync_dir(g->disk, g->dir_fd) < 0 ? -EIO : 0;
    if (r < 0)
        return r;
    g->names_changed = false;
    g->written_to = (g->written_to + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    return 0;
}

/* ---- reading ---- */

static bool record_is(struct str record, uint64_t key, uint64_t size)
{
    struct reader r = reader_init(record);
    uint32_t magic = get_u32(&r);
    uint32_t version = get_u32(&r);
    uint64_t its_key = get_u64(&r);
    uint64_t length = get_u64(&r);
    uint32_t crc = get_u32(&r);

    if (magic != RECORD_MAGIC || version != RECORD_VERSION || its_key != key || length != size)
        return false;
    uint32_t found = crc32c(0, record.p, RECORD_CRC_AT);
    struct str content = str_skip(record, RECORD_HEADER_BYTES);
    return crc == crc32c(found, content.p, content.n);
}

int segments_read(struct segments *g, struct segment_place place, uint64_t key, uint64_t size,
                  struct arena *a, struct str *ret)
{
    if (size > SEGMENT_BYTES || place.offset > SEGMENT_BYTES)
        return -EBADMSG;
    int fd = file_of(g, place.number);
    if (fd < 0)
        return fd == -ENOENT ? -EBADMSG : fd;
    size_t n = RECORD_HEADER_BYTES + (size_t)size;
    char *p = arena_alloc(a, n);
    if (disk_read_at(fd, p, n, place.offset) < 0 || !record_is(str_n(p, n), key, size))
        return -EBADMSG;
    *ret = str_n(p + RECORD_HEADER_BYTES, (size_t)size);
    return 0;
}

/* ---- counts ---- */

void segments_load(struct segments *g, uint32_t number, uint32_t message_count)
{
    struct segment *at = segment_at(g, number);

    at->exists = true;
    at->message_count = message_count;
    free_when_empty(g, number);
}

static void sweep_name(struct segments *g, const char *name)
{
    uint64_t number;

    if (str_u64(str_c(name), &number) && number < g->table_count && g->table[number].exists)
        return;
    (void)g->disk->unlink(g->disk, g->dir_fd,
                          name); /* it only costs room; next start tries again */
}

int segments_sweep(struct segments *g)
{
    int fd = openat(g->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return -errno;
    for (struct dirent *at = readdir(dir); at; at = readdir(dir))
        if (at->d_name[0] != '.')
            sweep_name(g, at->d_name);
    (void)closedir(dir);
    return 0;
}

size_t segments_in_use(const struct segments *g)
{
    size_t n = 0;

    for (uint32_t i = 1; i < g->table_count; i++)
        n += g->table[i].exists && g->table[i].message_count > 0;
    return n;
}

void segments_begin(struct segments *g)
{
    for (size_t i = 0; i < g->touched.count; i++)
        g->table[g->touched.list[i]].ended = 0;
    g->surplus_count = 0;
}

void segments_message_ended(struct segments *g, uint32_t number)
{
    touch(g, number)->ended++;
}

static uint32_t count_after(const struct segment *at)
{
    uint32_t count = at->message_count + at->added;

    /* Only a damaged database can say that more ended than were there. */
    return count > at->ended ? count - at->ended : 0;
}

bool segments_changed(struct segments *g, size_t *at, uint32_t *number, uint32_t *message_count)
{
    if (*at == g->touched.count)
        return false;
    *number = g->touched.list[(*at)++];
    *message_count = count_after(&g->table[*number]);
    return true;
}

bool segments_surplus(struct segments *g, uint32_t *number)
{
    if (SEGMENT_SPARE_MAX + g->surplus_count >= g->free.count)
        return false;
    *number = g->free.list[SEGMENT_SPARE_MAX + g->surplus_count++];
    return true;
}

static void drop_surplus(struct segments *g)
{
    char name[NAME_BYTES];

    for (; g->surplus_count > 0; g->surplus_count--) {
        uint32_t number = g->free.list[--g->free.count];
        print_name(name, number);
        file_forget(g, number);
        (void)g->disk->unlink(g->disk, g->dir_fd, name); /* else swept at the next start */
        g->table[number].exists = false;
    }
}

void segments_committed(struct segments *g)
{
    drop_surplus(g);
    for (size_t i = 0; i < g->touched.count; i++) {
        struct segment *at = &g->table[g->touched.list[i]];
        at->message_count = count_after(at);
        at->added = at->ended = 0;
        at->touched = false;
        free_when_empty(g, g->touched.list[i]);
    }
    g->touched.count = 0;
}
