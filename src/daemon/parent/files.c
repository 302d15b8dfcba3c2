// SPDX-License-Identifier: ISC
#include "daemon/parent/files.h"

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

struct file {
    enum role role;  /* that reads it */
    uint32_t number; /* of its certificate */
    uint8_t what;    /* enum tls_file_kind */
    struct str name, path;
    struct stat seen, given;
};

static void add(struct files *f, uint32_t number, uint8_t what, struct str name, struct str path)
{
    if (path.n > 0)
        f->list[f->count++] =
            (struct file){.role = KEYS, .number = number, .what = what, .name = name, .path = path};
}

static void add_password(struct files *f, struct str path)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].role == RELAY && str_eq(f->list[i].path, path))
            return;
    }
    if (path.n > 0)
        f->list[f->count++] = (struct file){.role = RELAY, .path = path};
}

static void list_files(struct files *f, const struct config *c)
{
    free(f->list);
    f->list = mem_new((2 * c->certificate_count + c->route_count + 4) * sizeof *f->list);
    f->count = 0;
    add(f, 0, TLS_FILE_CHAIN, STR_NONE, c->tls.certificate);
    add(f, 0, TLS_FILE_KEY, STR_NONE, c->tls.key);
    for (size_t i = 0; i < c->certificate_count; i++) {
        const struct config_certificate *one = &c->certificates[i];

        add(f, (uint32_t)i + 1, TLS_FILE_CHAIN, one->name, one->chain);
        add(f, (uint32_t)i + 1, TLS_FILE_KEY, one->name, one->key);
    }
    add(f, 0, TLS_FILE_ROOTS, STR_NONE, c->tls.client_roots);
    add_password(f, c->smarthost.password_file);
    for (size_t i = 0; i < c->route_count; i++)
        add_password(f, c->routes[i].password_file);
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

static void log_unreadable(const struct file *t, const char *reason)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", t->role == RELAY ? "password-file-unreadable" : "tls-file-unreadable");
    line_str(&line, "file", t->path);
    line_c(&line, t->role == RELAY ? "reason" : "error", reason);
    log_line(LEVEL_ERROR, buf_str(&line));
    buf_free(&line);
}

static void give_tls_file(struct process *p, const struct file *t, int fd)
{
    struct msg_tls_file m = {.kind = MSG_TLS_FILE,
                             .number = t->number,
                             .what = t->what,
                             .name = t->name,
                             .path = t->path};

    process_give(p, &m, fd);
}

/* What others can read is no secret: it is not used before that is mended. NULL: it is one. */
static const char *password_trouble(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "it is no file";
    return st.st_mode & S_IRWXO ? "everybody on this machine can read it; say: chmod 600" : NULL;
}

static void give_password(struct process *p, const struct file *t, int fd)
{
    struct msg_secret m = {.kind = MSG_SECRET, .path = t->path};

    process_give(p, &m, fd);
}

static void tell_missing(struct process *p, const struct file *t, const char *why)
{
    struct msg_secret_missing m = {.kind = MSG_SECRET_MISSING, .path = t->path, .why = str_c(why)};

    if (t->role == RELAY)
        channel_send(p->channel, &m);
}

static void give_one(struct process *p, struct file *t)
{
    int fd = open_file(t->path);
    const char *why = fd < 0 ? strerror(errno) : t->role == RELAY ? password_trouble(fd) : NULL;

    t->seen = t->given = look_at(t->path);
    if (why) {
        log_unreadable(t, why);
        tell_missing(p, t, why);
    } else if (t->role == RELAY) {
        give_password(p, t, fd);
    } else {
        give_tls_file(p, t, fd);
    }
    if (fd >= 0)
        (void)close(fd);
}

void files_give(struct process *p)
{
    struct files *f = &p->server->files;
    struct msg_tls_files_end end = {.kind = MSG_TLS_FILES_END};

    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].role == p->row->role)
            give_one(p, &f->list[i]);
    }
    if (p->row->role == KEYS)
        channel_send(p->channel, &end);
}

/* New and still since the last look. */
static bool is_due(struct file *t)
{
    struct stat now = look_at(t->path);
    bool still = same(&now, &t->seen);

    t->seen = now;
    return still && !same(&now, &t->given);
}

static void on_look(void *arg)
{
    struct server *s = arg;
    struct files *f = &s->files;
    unsigned due = 0; /* roles */

    for (size_t i = 0; i < f->count; i++) {
        if (is_due(&f->list[i]))
            due |= (unsigned)f->list[i].role;
    }
    for (struct process *p = s->processes; due && p < s->processes + PROCESSES_MAX; p++) {
        if (p->channel && (due & (unsigned)p->row->role))
            files_give(p);
    }
    if (f->count > 0)
        timer_set(s->loop, &f->look, LOOK_US, on_look, s);
}

void files_reload(struct server *s)
{
    list_files(&s->files, s->config);
    timer_stop(&s->files.look);
    if (s->files.count > 0)
        timer_set(s->loop, &s->files.look, LOOK_US, on_look, s);
}

void files_stop(struct server *s)
{
    timer_stop(&s->files.look);
    free(s->files.list);
    s->files.list = NULL;
    s->files.count = 0;
}
