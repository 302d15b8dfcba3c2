// SPDX-License-Identifier: ISC
#include "daemon/parent/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/parent/server.h"

#define LOOK_US US_PER_S

struct tls_file {
    uint32_t number; /* of its certificate */
    uint8_t what;    /* enum tls_file_kind */
    struct str name, path;
    struct stat seen, given;
};

static void add(struct tls_files *f, uint32_t number, uint8_t what, struct str name,
                struct str path)
{
    if (path.n > 0)
        f->list[f->count++] =
            (struct tls_file){.number = number, .what = what, .name = name, .path = path};
}

static void list_files(struct tls_files *f, const struct config *c)
{
    free(f->list);
    f->list = mem_new((2 * c->certificate_count + 3) * sizeof *f->list);
    f->count = 0;
    add(f, 0, TLS_FILE_CHAIN, STR_NONE, c->tls.certificate);
    add(f, 0, TLS_FILE_KEY, STR_NONE, c->tls.key);
    for (size_t i = 0; i < c->certificate_count; i++) {
        const struct config_certificate *one = &c->certificates[i];

        add(f, (uint32_t)i + 1, TLS_FILE_CHAIN, one->name, one->chain);
        add(f, (uint32_t)i + 1, TLS_FILE_KEY, one->name, one->key);
    }
    add(f, 0, TLS_FILE_ROOTS, STR_NONE, c->tls.client_roots);
}

/* A fifo must not hold us up; keys refuses it. */
static int open_file(struct str path)
{
    struct arena a = ARENA_INIT;
    int fd = open(arena_c(&a, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = errno;

    arena_free(&a);
    errno = error;
    return fd;
}

static struct stat look_at(struct str path)
{
    struct arena a = ARENA_INIT;
    struct stat st;

    if (stat(arena_c(&a, path), &st) < 0)
        memset(&st, 0, sizeof st);
    arena_free(&a);
    return st;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void log_unreadable(const struct tls_file *t, int error)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "tls-file-unreadable");
    line_str(&line, "file", t->path);
    line_c(&line, "error", strerror(error));
    log_line(LEVEL_ERROR, buf_str(&line));
    buf_free(&line);
}

static void give_one(struct process *p, struct tls_file *t)
{
    struct msg_tls_file m = {.kind = MSG_TLS_FILE,
                             .number = t->number,
                             .what = t->what,
                             .name = t->name,
                             .path = t->path};
    int fd = open_file(t->path);

    t->seen = t->given = look_at(t->path);
    if (fd < 0) {
        log_unreadable(t, errno);
        return;
    }
    process_give(p, &m, fd);
    (void)close(fd);
}

void tls_files_give(struct process *p)
{
    struct tls_files *f = &p->server->tls_files;
    struct msg_tls_files_end end = {.kind = MSG_TLS_FILES_END};

    if (p->row->role != KEYS)
        return;
    for (size_t i = 0; i < f->count; i++)
        give_one(p, &f->list[i]);
    channel_send(p->channel, &end);
}

/* New and still since the last look. */
static bool is_due(struct tls_file *t)
{
    struct stat now = look_at(t->path);
    bool still = same(&now, &t->seen);

    t->seen = now;
    return still && !same(&now, &t->given);
}

static void on_look(void *arg)
{
    struct server *s = arg;
    struct tls_files *f = &s->tls_files;
    bool due = false;

    for (size_t i = 0; i < f->count; i++)
        due = is_due(&f->list[i]) || due;
    for (struct process *p = s->processes; due && p < s->processes + PROCESSES_MAX; p++) {
        if (p->channel)
            tls_files_give(p);
    }
    if (f->count > 0)
        timer_set(s->loop, &f->look, LOOK_US, on_look, s);
}

void tls_files_reload(struct server *s)
{
    list_files(&s->tls_files, s->config);
    timer_stop(&s->tls_files.look);
    if (s->tls_files.count > 0)
        timer_set(s->loop, &s->tls_files.look, LOOK_US, on_look, s);
}

void tls_files_stop(struct server *s)
{
    timer_stop(&s->tls_files.look);
    free(s->tls_files.list);
    s->tls_files.list = NULL;
    s->tls_files.count = 0;
}
