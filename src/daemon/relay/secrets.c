// SPDX-License-Identifier: ISC
#include "daemon/relay/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/certificate.h"

enum { PASSWORD_BYTES_MAX = 1024 };

struct entry {
    struct secret secret;
    struct str path;
    char *password, *why, *path_memory;
};

static void forget(struct entry *e)
{
    if (e->password)
        explicit_bzero(e->password, e->secret.password.n);
    free(e->password);
    free(e->why);
    e->password = e->why = NULL;
    e->secret = (struct secret){0};
}

static void entry_free(struct entry *e)
{
    forget(e);
    free(e->path_memory);
    free(e);
}

void secrets_init(struct secrets *s)
{
    s->by_path = map_new();
}

void secrets_done(struct secrets *s)
{
    size_t at = 0;

    for (struct entry *e = map_next(s->by_path, &at); e; e = map_next(s->by_path, &at))
        entry_free(e);
    map_free(&s->by_path);
}

static struct entry *entry_of(struct secrets *s, struct str path)
{
    struct entry *e = map_get(s->by_path, path);

    if (e) {
        forget(e);
        return e;
    }
    e = mem_new(sizeof *e);
    e->path_memory = mem_copy(path.p, path.n);
    e->path = str_n(e->path_memory, path.n);
    (void)map_put(s->by_path, e->path, e);
    return e;
}

void secrets_missing(struct secrets *s, struct str path, struct str why)
{
    struct entry *e = entry_of(s, path);

    e->why = mem_copy(why.p, why.n);
    e->secret.why = str_n(e->why, why.n);
}

static const char *first_line(struct str text, struct str *ret)
{
    struct str line = str_cut(&text, '\n');

    if (str_ends(line, STR("\r")))
        line.n--;
    *ret = line;
    if (line.n == 0)
        return "its first line is empty";
    if (line.n > PASSWORD_BYTES_MAX)
        return "its first line is too long for a password";
    return str_find(line, '\0') < line.n ? "a NUL is in its first line" : NULL;
}

void secrets_take(struct secrets *s, struct str path, int fd)
{
    struct buf text = buf_init(CERTIFICATE_FILE_BYTES_MAX);
    struct str line = STR_NONE;
    int error = certificate_read(fd, &text);
    const char *why = error < 0 ? strerror(-error) : first_line(buf_str(&text), &line);

    if (why) {
        secrets_missing(s, path, str_c(why));
    } else {
        struct entry *e = entry_of(s, path);
        e->password = mem_copy(line.p, line.n);
        e->secret.password = str_n(e->password, line.n);
    }
    buf_wipe(&text);
}

static bool is_named(const struct config *c, struct str path)
{
    for (size_t i = 0; i < c->route_count; i++) {
        if (str_eq(c->routes[i].password_file, path))
            return true;
    }
    return str_eq(c->smarthost.password_file, path);
}

void secrets_keep(struct secrets *s, const struct config *c)
{
    size_t at = 0;

    for (struct entry *e = map_next(s->by_path, &at); e; e = map_next(s->by_path, &at)) {
        if (is_named(c, e->path))
            continue;
        (void)map_remove(s->by_path, e->path);
        entry_free(e);
    }
}

const struct secret *secret_find(const struct secrets *s, struct str path)
{
    const struct entry *e = map_get(s->by_path, path);

    return e ? &e->secret : NULL;
}
