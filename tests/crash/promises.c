/* crash/promises.c - see promises.h. */
// SPDX-License-Identifier: ISC
#include "promises.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/map.h"
#include "io/disk.h"
#include "mail/drop.h"
#include "mail/id.h"
#include "sound.h"
#include "spool/internal.h"

enum { ROWS = 64, LINE_BYTES = 64, PACKET_ROOM = 128 * 1024 };

#define NEVER SIZE_MAX
#define FILE_BYTES_MAX (64 * MIB)

static bool problem(struct promises *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool problem(struct promises *p, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(p->problem, sizeof(p->problem), format, list);
    va_end(list);
    return false;
}

/* ---- the log's marks ---- */

static struct promise_recipient *recipient_of(struct promise *one, struct str address)
{
    for (size_t i = 0; one != NULL && i < one->count; i++)
        if (str_eq(one->to[i].address, address))
            return &one->to[i];
    return NULL;
}

static bool mark_given(struct promises *p, bool left, struct str rest, size_t at)
{
    struct promise *one = &p->all[p->count++];

    *one = (struct promise){.name = str_cut(&rest, '|'),
                            .id = str_cut(&rest, '|'),
                            .given_at = at,
                            .removed_at = NEVER,
                            .left = left};
    while (rest.n > 0 && one->count < PROMISE_RECIPIENTS_MAX)
        one->to[one->count++] =
            (struct promise_recipient){.address = str_cut(&rest, ','), .taken_at = NEVER};
    (void)map_put(p->by_name, one->name, one);
    if (!left)
        (void)map_put(p->by_id, one->id, one);
    return rest.n == 0 && one->count > 0;
}

/* Marks about a message may stand before the mark of its 250, which another thread made. */
static bool mark_about(struct promises *p, struct str what, struct str rest, size_t at)
{
    struct promise *one = map_get(p->by_name, str_cut(&rest, '|'));

    if (str_eq_c(what, "removing")) {
        if (one != NULL)
            one->removed_at = MIN_OF(one->removed_at, at);
        return true;
    }
    struct promise_recipient *to = recipient_of(one, rest);
    if (to != NULL)
        to->taken_at = MIN_OF(to->taken_at, at);
    return str_eq_c(what, "taken");
}

static bool mark_read(struct promises *p, struct str mark, size_t at, bool given)
{
    struct str what = str_cut(&mark, '|');
    bool left = str_eq_c(what, "left");
    bool gives = left || str_eq_c(what, "accepted");

    if (str_eq_c(what, "dm-log-writes-end") || gives != given)
        return true;
    return gives ? mark_given(p, left, mark, at) : mark_about(p, what, mark, at);
}

bool promises_read(struct promises *p, const struct disk_write *log, size_t count, struct arena *a)
{
    *p = (struct promises){.all = arena_alloc(a, count * sizeof(*p->all) + 1),
                           .by_name = map_new(),
                           .by_id = map_new()};
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++)
            if (log[i].mark.p != NULL && !mark_read(p, log[i].mark, i, pass == 0))
                return problem(p, "the log has the mark %.*s", STR_ARG(log[i].mark));
    return true;
}

void promises_done(struct promises *p)
{
    map_free(&p->by_name);
    map_free(&p->by_id);
}

/* ---- is this text whole? ---- */

static bool header(struct str text, const char *name, struct str *ret)
{
    struct str head = str_c(name);

    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (line.n == 0)
            return false;
        if (str_starts(line, head)) {
            *ret = str_skip(line, head.n);
            return true;
        }
    }
    return false;
}

static bool line_is(struct str line, struct str name, uint64_t number)
{
    char begin[LINE_BYTES + 1];
    int n =
        snprintf(begin, sizeof(begin), "%.*s %08llu ", STR_ARG(name), (unsigned long long)number);

    if (n < 0 || n > LINE_BYTES || line.n != LINE_BYTES ||
        !str_starts(line, str_n(begin, (size_t)n)))
        return false;
    for (size_t i = (size_t)n; i < line.n; i++)
        if (line.p[i] != 'x')
            return false;
    return true;
}

static bool text_is_whole(struct str text, struct str *ret_name)
{
    struct str count_text, rest = text;
    uint64_t count;

    if (!header(text, "Subject: ", ret_name) || !header(text, "X-Lines: ", &count_text) ||
        !str_u64(count_text, &count))
        return false;
    while (rest.n > 0 && str_trim(str_cut(&rest, '\n')).n > 0)
        ; /* the header */
    for (uint64_t i = 0; i < count; i++)
        if (!line_is(str_trim(str_cut(&rest, '\n')), *ret_name, i))
            return false;
    return rest.n == 0;
}

static void found(struct promises *p, struct str name, struct str address)
{
    struct promise_recipient *to = recipient_of(map_get(p->by_name, name), address);

    if (to != NULL)
        to->seen_in = p->state;
}

/* ---- files ---- */

/* Calls check for each name; a folder that is not there has none. */
static bool walk(struct promises *p, int dir_fd, const char *folder,
                 bool (*check_one)(struct promises *p, int dir_fd, const char *name))
{
    int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    bool good = true;

    if (dir == NULL)
        return errno == ENOENT ? true : problem(p, "%s: %s", folder, strerror(errno));
    for (struct dirent *e = readdir(dir); good && e != NULL; e = readdir(dir))
        if (e->d_name[0] != '.')
            good = check_one(p, fd, e->d_name);
    (void)closedir(dir);
    return good;
}

static bool copy_check(struct promises *p, int dir_fd, const char *name)
{
    struct buf text = buf_init(FILE_BYTES_MAX);
    struct str subject, to;
    int r = file_read(dir_fd, name, FILE_BYTES_MAX, &text);
    bool good = r == 0 && text_is_whole(buf_str(&text), &subject) &&
                header(buf_str(&text), "Delivered-To: ", &to);

    if (good)
        found(p, subject, to);
    else
        (void)problem(p, "new/%s is not a whole message (%zu bytes)", name, text.n);
    p->whole += good;
    buf_free(&text);
    return good;
}

static bool mailbox_check(struct promises *p, int dir_fd, const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof(path), "%s/new", name);
    return walk(p, dir_fd, path, copy_check);
}

static bool drop_is_whole(struct promises *p, struct str file)
{
    struct arena a = ARENA_INIT;
    struct drop_head head;
    struct drop_end end;
    struct str name;
    bool good = file.n > DROP_END_BYTES &&
                drop_end_parse(str_skip(file, file.n - DROP_END_BYTES), &end) &&
                drop_head_parse(file, &a, &head) == NULL &&
                head.bytes + end.message_bytes + DROP_END_BYTES == file.n &&
                text_is_whole(str_sub(file, head.bytes, file.n - DROP_END_BYTES), &name);

    for (size_t i = 0; good && i < head.recipient_count; i++)
        found(p, name, head.recipients[i]);
    arena_free(&a);
    return good;
}

static bool drop_check(struct promises *p, int dir_fd, const char *name)
{
    struct buf file = buf_init(FILE_BYTES_MAX);
    bool good = true;

    if (drop_name_valid(str_c(name)))
        good =
            file_read(dir_fd, name, FILE_BYTES_MAX, &file) == 0 && drop_is_whole(p, buf_str(&file));
    if (!good)
        (void)problem(p, "drop/%s is not a whole file (%zu bytes)", name, file.n);
    buf_free(&file);
    return good;
}

static bool aside_check(struct promises *p, int dir_fd, const char *name)
{
    (void)dir_fd;
    return problem(p, "aside/%s: put there", name);
}

/* ---- the life of messages ---- */

static void told(struct promises *p, struct str lines)
{
    struct str mark = STR(" event=accepted msg=");

    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');
        struct str id =
            str_sub(str_skip(line, str_find_str(line, mark) + mark.n), 0, ID_TEXT_BYTES);
        struct promise *one = id.n == ID_TEXT_BYTES ? map_get(p->by_id, id) : NULL;
        if (one != NULL)
            one->told_in = p->state;
    }
}

static bool history_check(struct promises *p, int dir_fd, const char *name)
{
    struct buf lines = buf_init(FILE_BYTES_MAX);
    int r =
        str_ends(str_c(name), STR(".log")) ? file_read(dir_fd, name, FILE_BYTES_MAX, &lines) : 0;

    told(p, buf_str(&lines));
    buf_free(&lines);
    return r == 0 ? true : problem(p, "history/%s: %s", name, strerror(-r));
}

/* ---- the spool ---- */

static bool content_check(struct promises *p, struct spool *s, const struct spool_message *m,
                          struct arena *a, struct str *ret_name)
{
    struct str text;
    int fd;
    int r = 0;

    if (m->in_file) {
        char *bytes = arena_alloc(a, (size_t)m->size + 1);
        r = spool_content_fd(s, m->id.key, &fd);
        if (r == 0)
            r = disk_read_at(fd, bytes, (size_t)m->size, 0);
        if (fd >= 0)
            (void)close(fd);
        text = str_n(bytes, (size_t)m->size);
    } else {
        r = spool_content(s, m->id.key, a, &text);
    }
    if (r < 0)
        return problem(p, "message %s: %s", id_print(m->id).p, strerror(-r));
    p->whole++;
    return text_is_whole(text, ret_name)
               ? true
               : problem(p, "message %s is not what was sent", id_print(m->id).p);
}

struct reading { /* the message whose rows are read */
    struct arena arena;
    uint64_t key;
    struct str name;
};

static bool row_check(struct promises *p, struct spool *s, struct reading *now,
                      const struct spool_recipient *row)
{
    struct spool_message m;

    if (row->key != now->key) {
        arena_free(&now->arena);
        now->key = row->key;
        if (spool_message(s, row->key, &now->arena, &m) < 0)
            return problem(p, "recipient %.*s has no message", STR_ARG(row->address));
        if (!content_check(p, s, &m, &now->arena, &now->name))
            return false;
    }
    found(p, now->name, row->address);
    return true;
}

static bool rows_check(struct promises *p, struct spool *s)
{
    struct spool_cursor at = {0};
    struct spool_recipient rows[ROWS];
    struct arena a = ARENA_INIT;
    struct reading now = {.arena = ARENA_INIT};
    bool good = true;
    int n = 0;

    do {
        arena_free(&a);
        n = spool_list(s, &at, &a, rows, ROWS);
        if (n < 0)
            good = problem(p, "the queue cannot be listed: %s", strerror(-n));
        for (int i = 0; good && i < n; i++)
            good = row_check(p, s, &now, &rows[i]);
    } while (good && n > 0);
    arena_free(&now.arena);
    arena_free(&a);
    return good;
}

static bool events_check(struct promises *p, struct spool *s)
{
    struct buf lines = buf_init(PACKET_ROOM);
    uint64_t number = 0;
    int r;

    while ((r = spool_events(s, number, &lines, &number)) > 0) {
        told(p, buf_str(&lines));
        buf_reset(&lines);
    }
    buf_free(&lines);
    return r == 0 ? true : problem(p, "the events cannot be read: %s", strerror(-r));
}

static bool spool_check(struct promises *p, int state_fd)
{
    int fd = openat(state_fd, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct spool_options o = {
        .disk = &disk_system, .clock = &clock_system, .reserve_bytes = 64 * KIB};
    struct spool *s = NULL;
    int r = fd >= 0 ? spool_open(fd, &o, &s) : -ENOENT;
    bool good = true;

    if (r == -ENOENT) /* the power was cut before the first start had ended */
        return true;
    if (r < 0) {
        good = problem(p, "the spool does not open: %s", strerror(-r));
    } else {
        const char *unsound = database_problem(s->db.handle);
        good = unsound == NULL ? true : problem(p, "the database: %s", unsound);
        good = good && rows_check(p, s) && events_check(p, s);
    }
    spool_close(&s);
    (void)close(fd);
    return good;
}

/* ---- all of it ---- */

static bool promise_kept(struct promises *p, struct promise *one, size_t at)
{
    p->checked++;
    for (size_t i = 0; i < one->count && one->removed_at >= at; i++)
        if (one->to[i].seen_in != p->state && one->to[i].taken_at >= at)
            return problem(p, "%.*s to %.*s is lost (promised at %zu)", STR_ARG(one->name),
                           STR_ARG(one->to[i].address), one->given_at);
    if (!one->left && one->told_in != p->state)
        return problem(p, "%.*s: nobody remembers that it was accepted", STR_ARG(one->name));
    return true;
}

bool promises_kept(struct promises *p, int state_fd, size_t at)
{
    bool good;

    p->state++;
    good = spool_check(p, state_fd) && walk(p, state_fd, "mail/example.test", mailbox_check) &&
           walk(p, state_fd, "drop", drop_check) && walk(p, state_fd, "aside", aside_check) &&
           walk(p, state_fd, "history", history_check);
    for (size_t i = 0; good && i < p->count; i++)
        if (p->all[i].given_at < at)
            good = promise_kept(p, &p->all[i], at);
    return good;
}
