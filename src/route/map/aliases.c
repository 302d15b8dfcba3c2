/* route/map/aliases.c - see aliases.h. */
// SPDX-License-Identifier: ISC
#include "route/map/aliases.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "io/disk.h"

enum { FILE_BYTES_MAX = 32 << 20, RECORD_BYTES_MAX = 1 << 20, OPEN_TRIES = 1000 };

static const char MAGIC[] = "troika aliases 2";
static const char ABOUT_KEY[] = "@"; /* no name: an alias with an @ in it is refused */

struct map_name {
    char text[DOMAIN_BYTES_MAX + 32];
};

static struct map_name map_name(struct str domain, const char *prefix)
{
    struct map_name name;
    (void)snprintf(name.text, sizeof name.text, "%saliases-%.*s.cdb", prefix, STR_ARG(domain));
    return name;
}

bool aliases_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* ---- building ---- */

static int cannot(struct buf *errors, const char *file, int error)
{
    const char *hint = error == -EFBIG    ? "larger than 32 MiB, so hardly a file of aliases"
                       : error == -EAGAIN ? "it is being written"
                       : error == -EINVAL ? "not a file"
                                          : strerror(-error);
    buf_printf(errors, "%s: %s\n", file, hint);
    return error;
}

static int print_problems(struct buf *errors, const char *file, const struct alias_problems *p)
{
    for (size_t i = 0; i < p->count; i++)
        buf_printf(errors, "%s:%u: %.*s\n", file, p->list[i].line, STR_ARG(p->list[i].text));
    if (p->more)
        buf_printf(errors, "%s: and more is wrong; the first %d are above\n", file,
                   ALIAS_PROBLEMS_MAX);
    return p->count > 0 ? -EINVAL : 0;
}

/* Reads it all; -EAGAIN when it was not the same file before and after. */
static int read_steady(const char *file, struct buf *ret)
{
    struct stat before, after;
    if (stat(file, &before) < 0)
        return -errno;
    if (!S_ISREG(before.st_mode))
        return -EINVAL;
    int error = file_read(AT_FDCWD, file, FILE_BYTES_MAX, ret);
    if (error < 0)
        return error;
    return stat(file, &after) == 0 && aliases_same_file(&before, &after) ? 0 : -EAGAIN;
}

static int load(const char *file, struct str domain, struct arena *a, struct alias_file *ret,
                struct buf *errors)
{
    struct buf text = buf_init(FILE_BYTES_MAX);
    int error = read_steady(file, &text);
    if (error < 0) {
        buf_free(&text);
        return cannot(errors, file, error);
    }
    struct alias_problems *problems = mem_new(sizeof *problems);
    alias_parse(buf_str(&text), domain, a, ret, problems);
    error = print_problems(errors, file, problems);
    free(problems);
    buf_free(&text);
    return error;
}

static struct aliases_built count_up(const struct alias_file *f)
{
    struct aliases_built built = {.count = f->count};
    struct buf line = buf_init(2 * MIB);
    for (size_t i = 0; i < f->count; i++) {
        buf_reset(&line);
        alias_print(&line, &f->list[i]);
        size_t bytes = line.n - MIN_OF(line.n, f->list[i].name.n + 2); /* what is on the right */
        built.longest_bytes = MAX_OF(built.longest_bytes, bytes);
        built.bytes += line.n;
    }
    buf_free(&line);
    return built;
}

int aliases_check(const char *file, struct str domain, struct aliases_built *ret,
                  struct buf *errors)
{
    struct arena a = ARENA_INIT;
    struct alias_file list;
    int error = load(file, domain, &a, &list, errors);
    if (error == 0)
        *ret = count_up(&list);
    arena_free(&a);
    return error;
}

static int put_record(struct cdb_make *map, struct str key, const struct buf *value)
{
    if (value->full)
        return -EFBIG;
    return cdb_make_add(map, key.p, (unsigned)key.n, value->p, (unsigned)value->n) < 0 ? -errno : 0;
}

static int write_map(int fd, const char *file, const struct alias_file *f)
{
    struct cdb_make map;
    struct buf value = buf_init(RECORD_BYTES_MAX);
    if (cdb_make_start(&map, fd) < 0)
        return -errno;
    put_str(&value, STR(MAGIC));
    put_str(&value, str_c(file));
    int error = put_record(&map, STR(ABOUT_KEY), &value);
    for (size_t i = 0; i < f->count && error == 0; i++) {
        buf_reset(&value);
        alias_encode(&value, &f->list[i]);
        error = put_record(&map, f->list[i].name, &value);
    }
    if (cdb_make_finish(&map) < 0 && error == 0) /* also gives its memory back */
        error = -errno;
    buf_free(&value);
    return error;
}

/* The lock of builders is the file that becomes the map: who waited for it may find it renamed
 * away, and begins anew. */
static int open_locked(int dir_fd, const char *name)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        struct stat held, named;
        int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX) == 0 && fstat(fd, &held) == 0 &&
            fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
            held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
            if (S_ISREG(held.st_mode) && held.st_nlink == 1 && ftruncate(fd, 0) == 0)
                return fd;
            (void)close(fd);
            return -EPERM;
        }
        (void)close(fd);
    }
    return -EBUSY;
}

/* A map made by root belongs to whom the folder belongs to: the router. */
static int hand_over(int dir_fd, int fd)
{
    struct stat folder;
    if (fstat(dir_fd, &folder) < 0 || fchmod(fd, 0640) < 0)
        return -errno;
    return geteuid() == 0 && fchown(fd, folder.st_uid, folder.st_gid) < 0 ? -errno : 0;
}

/* 1 the bytes reach the disk   2 the name appears   3 the name reaches the disk */
static int publish(int dir_fd, int fd, const char *from, const char *to)
{
    const struct disk *d = &disk_system;
    int error = d->sync(d, fd);
    if (error == 0)
        error = d->rename(d, dir_fd, from, dir_fd, to);
    return error == 0 ? d->sync_dir(d, dir_fd) : error;
}

int aliases_build(int dir_fd, const char *file, struct str domain, struct aliases_built *ret,
                  struct buf *errors)
{
    struct map_name fresh = map_name(domain, "tmp-"), name = map_name(domain, "");
    struct arena a = ARENA_INIT;
    struct alias_file list;
    int fd = open_locked(dir_fd, fresh.text);
    if (fd < 0)
        return cannot(errors, fresh.text, fd);
    int error = load(file, domain, &a, &list, errors); /* under the lock: the newest wins */
    if (error == 0) {
        error = write_map(fd, file, &list);
        if (error == 0)
            error = hand_over(dir_fd, fd);
        if (error == 0)
            error = publish(dir_fd, fd, fresh.text, name.text);
        if (error < 0)
            cannot(errors, name.text, error);
    }
    if (error < 0)
        (void)unlinkat(dir_fd, fresh.text, 0);
    else
        *ret = count_up(&list);
    (void)close(fd);
    arena_free(&a);
    return error;
}

/* ---- reading ---- */

struct aliases {
    int dir_fd;
    struct map_name name;
    bool is_open;
    struct cdb map;
    struct stat seen; /* the file that is open */
    struct str source;
};

struct aliases *aliases_open(int dir_fd, struct str domain)
{
    struct aliases *m = mem_new(sizeof *m);
    m->dir_fd = dir_fd;
    m->name = map_name(domain, "");
    return m;
}

static void unload(struct aliases *m)
{
    if (m->is_open)
        cdb_free(&m->map);
    m->is_open = false;
    m->source = STR_NONE;
}

void aliases_close(struct aliases **m)
{
    if (!*m)
        return;
    unload(*m);
    free(*m);
    *m = NULL;
}

/* The value of a key in the map: 1, 0 or a negative errno. */
static int get(struct aliases *m, struct str key, struct str *ret)
{
    int found = cdb_find(&m->map, key.p, (unsigned)key.n);
    if (found <= 0)
        return found < 0 ? -EBADMSG : 0;
    const void *value = cdb_getdata(&m->map);
    if (!value)
        return -EBADMSG;
    *ret = str_n(value, cdb_datalen(&m->map));
    return 1;
}

static int read_about(struct aliases *m)
{
    struct str value;
    if (get(m, STR(ABOUT_KEY), &value) <= 0)
        return -EBADMSG;
    struct reader r = reader_init(value);
    struct str magic = get_str(&r), source = get_str(&r);
    if (!reader_ended(&r) || !str_eq(magic, STR(MAGIC)))
        return -EBADMSG;
    m->source = source;
    return 0;
}

static int load_map(struct aliases *m)
{
    int fd = openat(m->dir_fd, m->name.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &m->seen) < 0 || !S_ISREG(m->seen.st_mode) || cdb_init(&m->map, fd) < 0) {
        (void)close(fd);
        return -EBADMSG;
    }
    (void)close(fd); /* it is mapped */
    m->is_open = true;
    int error = read_about(m);
    if (error < 0)
        unload(m);
    return error;
}

static int refresh(struct aliases *m)
{
    struct stat now;
    if (fstatat(m->dir_fd, m->name.text, &now, AT_SYMLINK_NOFOLLOW) < 0) {
        int error = -errno;
        unload(m);
        return error;
    }
    if (m->is_open && aliases_same_file(&m->seen, &now))
        return 0;
    unload(m);
    return load_map(m);
}

int aliases_find(struct aliases *m, struct str key, struct arena *a, struct alias *ret)
{
    struct str value;
    int found = refresh(m);
    if (found < 0 || str_eq(key, STR(ABOUT_KEY)))
        return found;
    found = get(m, key, &value);
    if (found <= 0)
        return found;
    return alias_decode(key, value, a, ret) ? 1 : -EBADMSG;
}

int aliases_list(struct aliases *m, void (*fn)(void *arg, const struct alias *alias), void *arg)
{
    unsigned at;
    int error = refresh(m), more = 0;
    if (error < 0)
        return error;
    cdb_seqinit(&at, &m->map);
    while (error == 0 && (more = cdb_seqnext(&at, &m->map)) > 0) {
        struct arena a = ARENA_INIT;
        struct alias alias;
        struct str key = str_n(cdb_getkey(&m->map), cdb_keylen(&m->map));
        struct str value = str_n(cdb_getdata(&m->map), cdb_datalen(&m->map));
        if (str_eq(key, STR(ABOUT_KEY)))
            ;
        else if (key.p && value.p && alias_decode(key, value, &a, &alias))
            fn(arg, &alias);
        else
            error = -EBADMSG;
        arena_free(&a);
    }
    return more < 0 ? -EBADMSG : error;
}

struct str aliases_source(const struct aliases *m)
{
    return m->source;
}
