/* crash/model.c - see model.h. */
// SPDX-License-Identifier: ISC
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

uint64_t mix(uint64_t seed)
{
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return seed ^ (seed >> 31);
}

/* ---- the log ---- */

void log_init(struct log *l, uint32_t node_count)
{
    *l = (struct log){.node_count = node_count};
}

void log_done(struct log *l)
{
    free(l->steps);
    arena_free(&l->arena);
    *l = (struct log){0};
}

void log_add(struct log *l, const struct step *s)
{
    if (l->count == l->room) {
        l->room = MAX_OF(l->room * 2, (size_t)256);
        l->steps = mem_resize(l->steps, l->room * sizeof(*l->steps));
    }
    struct step *to = &l->steps[l->count++];
    *to = *s;
    to->bytes = arena_copy(&l->arena, s->bytes);
    to->name = s->name != NULL ? arena_c(&l->arena, str_c(s->name)) : NULL;
    to->to = s->to != NULL ? arena_c(&l->arena, str_c(s->to)) : NULL;
}

void step_print(const struct step *s, size_t number)
{
    static const char *const words[] = {"write", "grow", "cut", "name", "rename", "unname", "sync"};

    (void)printf("  %5zu %-6s node %u", number, words[s->kind], s->node);
    if (s->kind == STEP_WRITE)
        (void)printf(" at %llu, %zu bytes", (unsigned long long)s->offset, s->bytes.n);
    if (s->kind == STEP_GROW || s->kind == STEP_CUT)
        (void)printf(" to %llu", (unsigned long long)s->offset);
    if (s->name != NULL)
        (void)printf(" %s %s = node %u", s->name, s->to != NULL ? s->to : "", s->child);
    (void)printf("\n");
}

/* ---- the image ---- */

static void need_files(struct image *m, uint32_t count)
{
    if (count <= m->file_count)
        return;
    m->files = mem_resize(m->files, count * sizeof(*m->files));
    memset(m->files + m->file_count, 0, (count - m->file_count) * sizeof(*m->files));
    m->file_count = count;
}

void image_init(struct image *m, uint32_t node_count)
{
    *m = (struct image){0};
    need_files(m, MAX_OF(node_count, (uint32_t)FIRST_FREE_NODE));
    m->files[SPOOL_NODE].folder = m->files[MAIL_NODE].folder = true;
}

void image_clone(struct image *ret, const struct image *of)
{
    *ret = *of;
    ret->files = mem_new(of->file_count * sizeof(*of->files));
    memcpy(ret->files, of->files, of->file_count * sizeof(*of->files));
    for (uint32_t i = 0; i < ret->file_count; i++)
        ret->files[i].borrowed = true;
    ret->name_room = of->name_count + 16;
    ret->names = mem_new(ret->name_room * sizeof(*ret->names));
    if (of->name_count > 0)
        memcpy(ret->names, of->names, of->name_count * sizeof(*of->names));
}

void image_done(struct image *m)
{
    for (uint32_t i = 0; i < m->file_count; i++)
        if (!m->files[i].borrowed)
            free(m->files[i].p);
    free(m->files);
    free(m->names);
    *m = (struct image){0};
}

/* Room for `bytes`, in memory of its own. */
static void file_own(struct file *f, size_t bytes)
{
    if (!f->borrowed && bytes <= f->room)
        return;
    size_t room = MAX_OF(bytes + bytes / 2, f->used);
    uint8_t *p = mem_new(room);
    if (f->used > 0)
        memcpy(p, f->p, f->used);
    if (!f->borrowed)
        free(f->p);
    f->p = p;
    f->room = room;
    f->borrowed = false;
}

static void file_write(struct file *f, uint64_t offset, struct str bytes)
{
    size_t end = (size_t)offset + bytes.n;

    file_own(f, end);
    if (f->used < offset)
        memset(f->p + f->used, 0, (size_t)offset - f->used);
    memcpy(f->p + offset, bytes.p, bytes.n);
    f->used = MAX_OF(f->used, end);
    f->size = MAX_OF(f->size, (uint64_t)end);
}

/* The sectors of a torn write: either it ends early, or chance takes some; and the file may have
 * grown for bytes that never came (they are zeros then) or not. */
static void file_write_torn(struct file *f, const struct step *s, uint64_t seed)
{
    uint64_t first = s->offset / SECTOR_BYTES;
    uint64_t end = s->offset + s->bytes.n;
    uint64_t count = (end + SECTOR_BYTES - 1) / SECTOR_BYTES - first;
    uint64_t missing = mix(seed) % count;
    bool ends_early = mix(seed + 1) % 2;

    for (uint64_t i = 0; i < count; i++) {
        bool kept = ends_early ? i < missing : i != missing && mix(seed + 3 + i) % 2;
        uint64_t from = MAX_OF(s->offset, (first + i) * SECTOR_BYTES);
        uint64_t to = MIN_OF(end, (first + i + 1) * SECTOR_BYTES);
        if (kept)
            file_write(f, from, str_n(s->bytes.p + (from - s->offset), (size_t)(to - from)));
    }
    if (mix(seed + 2) % 2)
        f->size = MAX_OF(f->size, end);
}

bool step_can_tear(const struct step *s)
{
    return s->kind == STEP_WRITE &&
           s->offset / SECTOR_BYTES != (s->offset + s->bytes.n - 1) / SECTOR_BYTES;
}

static struct name *name_at(const struct image *m, uint32_t folder, const char *name)
{
    for (size_t i = 0; i < m->name_count; i++)
        if (m->names[i].folder == folder && strcmp(m->names[i].name, name) == 0)
            return &m->names[i];
    return NULL;
}

uint32_t image_find(const struct image *m, uint32_t folder, const char *name)
{
    const struct name *at = name_at(m, folder, name);
    return at != NULL ? at->node : 0;
}

static void name_put(struct image *m, uint32_t folder, const char *name, uint32_t node)
{
    struct name *at = name_at(m, folder, name);

    if (at == NULL && m->name_count == m->name_room) {
        m->name_room = m->name_room * 2 + 16;
        m->names = mem_resize(m->names, m->name_room * sizeof(*m->names));
    }
    if (at == NULL)
        at = &m->names[m->name_count++];
    *at = (struct name){.folder = folder, .node = node, .name = name};
}

/* Only the file that was meant: it may have got there without what went before. */
static void name_drop(struct image *m, uint32_t folder, const char *name, uint32_t node)
{
    struct name *at = name_at(m, folder, name);

    if (at != NULL && at->node == node)
        *at = m->names[--m->name_count];
}

void image_apply(struct image *m, const struct step *s, uint64_t tear_seed)
{
    need_files(m, MAX_OF(s->node, s->child) + 1);
    struct file *f = &m->files[s->node];

    switch (s->kind) {
    case STEP_WRITE:
        if (tear_seed != 0)
            file_write_torn(f, s, tear_seed);
        else
            file_write(f, s->offset, s->bytes);
        break;
    case STEP_GROW:
        f->size = MAX_OF(f->size, s->offset);
        break;
    case STEP_CUT:
        f->size = s->offset;
        f->used = MIN_OF(f->used, (size_t)s->offset);
        break;
    case STEP_NAME:
        name_put(m, s->node, s->name, s->child);
        m->files[s->child].folder = m->files[s->child].folder || s->offset != 0;
        break;
    case STEP_RENAME:
        name_drop(m, s->node, s->name, s->child);
        name_put(m, s->node, s->to, s->child);
        break;
    case STEP_UNNAME:
        name_drop(m, s->node, s->name, s->child);
        break;
    case STEP_SYNC:
        break;
    }
}

/* ---- real files ---- */

static void file_store(const struct file *f, int fd)
{
    for (size_t at = 0; at < f->used;) {
        ssize_t n = pwrite(fd, f->p + at, f->used - at, (off_t)at);
        check(n > 0);
        at += (size_t)n;
    }
    if (f->size > f->used)
        check(ftruncate(fd, (off_t)f->size) == 0);
}

void image_store(const struct image *m, uint32_t folder, int dir_fd)
{
    for (size_t i = 0; i < m->name_count; i++) {
        const struct name *at = &m->names[i];
        const struct file *f = &m->files[at->node];

        if (at->folder != folder)
            continue;
        if (f->folder)
            check(mkdirat(dir_fd, at->name, 0700) == 0);
        int flags = f->folder ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT | O_EXCL;
        int fd = openat(dir_fd, at->name, flags | O_CLOEXEC, 0600);
        check(fd >= 0);
        if (f->folder)
            image_store(m, at->node, fd);
        else
            file_store(f, fd);
        (void)close(fd);
    }
}

void scratch_folder(char path[SCRATCH_BYTES])
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)snprintf(path, SCRATCH_BYTES, "%s/troika-crash-XXXXXX", base);
    check(mkdtemp(path) != NULL);
}

bool file_is(const struct file *f, struct str bytes)
{
    return f->size == bytes.n && f->used == bytes.n && memcmp(f->p, bytes.p, bytes.n) == 0;
}
