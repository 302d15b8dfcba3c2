// SPDX-License-Identifier: ISC
#include "daemon/parent/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* What a person can do about it. */
static const struct {
    int error;
    const char *advice;
} advices[] = {
    {EADDRINUSE, "another program listens there; `ss -ltnp` shows which"},
    {EACCES, "ports below 1024 need root or CAP_NET_BIND_SERVICE; or use a port such as 2525"},
    {EADDRNOTAVAIL, "this machine has no such address; `ip address` shows those it has"},
    {EAFNOSUPPORT, "this machine has no IPv6; write an IPv4 address"},
    {ENOENT,
     "its folder is not there; make it, for a folder in /run by RuntimeDirectory= of the unit "
     "(systemctl edit troika)"},
    {EMFILE, "too many open files; raise the limit (ulimit -n, LimitNOFILE=)"},
};

static const char *advice_for(int error)
{
    for (size_t i = 0; i < countof(advices); i++) {
        if (advices[i].error == error)
            return advices[i].advice;
    }
    return "";
}

static void say_failure(struct buf *to, const struct config_listen *l,
                        const struct sock_address *at, int error)
{
    const char *advice = advice_for(error);

    buf_printf(to, "%.*s: listen \"%.*s\": ", STR_ARG(l->at), STR_ARG(l->name));
    sock_address_print(to, at);
    buf_printf(to, ": %s%s%s\n", strerror(error), *advice ? ": " : "", advice);
}

/* ---- Unix sockets ---- */

/* uid and gid to give the file to; -1: as it is. False: *error says what there is not. */
static bool find_owner(const struct config_listen *l, uid_t *uid, gid_t *gid, struct buf *error)
{
    struct arena a = ARENA_INIT;
    const struct passwd *user = l->socket_user.n > 0 ? getpwnam(arena_c(&a, l->socket_user)) : NULL;
    const struct group *group =
        l->socket_group.n > 0 ? getgrnam(arena_c(&a, l->socket_group)) : NULL;
    bool good = true;

    arena_free(&a);
    *uid = user ? user->pw_uid : (uid_t)-1;
    *gid = group ? group->gr_gid : (gid_t)-1;
    if (l->socket_user.n > 0 && !user) {
        buf_printf(error, "%.*s: socket-user: there is no user \"%.*s\" on this machine\n",
                   STR_ARG(l->at), STR_ARG(l->socket_user));
        good = false;
    }
    if (l->socket_group.n > 0 && !group) {
        buf_printf(error, "%.*s: socket-group: there is no group \"%.*s\" on this machine\n",
                   STR_ARG(l->at), STR_ARG(l->socket_group));
        good = false;
    }
    return good;
}

static unsigned mode_of(const struct config_listen *l)
{
    unsigned mode = 0;

    for (size_t i = 0; i < l->socket_mode.n; i++)
        mode = mode * 8 + (unsigned)(l->socket_mode.p[i] - '0');
    return mode;
}

/* Also of one that was taken over: the statements may have changed. */
static bool give_away(const struct config_listen *l, const char *path, struct buf *error)
{
    uid_t uid;
    gid_t gid;

    if (!find_owner(l, &uid, &gid, error))
        return false;
    if (lchown(path, uid, gid) == 0 && chmod(path, (mode_t)mode_of(l)) == 0)
        return true;
    buf_printf(
        error,
        "%.*s: listen \"%.*s\": %s cannot be given to its user, group and mode: %s; only root "
        "gives files to other users, and to groups that it is not in\n",
        STR_ARG(l->at), STR_ARG(l->name), path, strerror(errno));
    return false;
}

static int take_over(const struct listeners *old, const struct sock_address *at)
{
    for (size_t i = 0; i < old->count; i++) {
        if (sock_address_eq(&old->list[i].at, at))
            return fcntl(old->list[i].fd, F_DUPFD_CLOEXEC, 10);
    }
    return -1;
}

static struct listener *add(struct listeners *l, uint32_t listen_index,
                            const struct sock_address *at, int fd)
{
    l->list = mem_resize(l->list, (l->count + 1) * sizeof *l->list);
    l->list[l->count] = (struct listener){.listen_index = listen_index, .at = *at, .fd = fd};
    return &l->list[l->count++];
}

static void note_file(struct listener *l)
{
    struct stat st;

    if (lstat(sock_address_path(&l->at), &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    l->made = true;
    l->device = st.st_dev;
    l->inode = st.st_ino;
}

static bool open_unix(const struct config *c, uint32_t index, struct str path,
                      const struct inherited *held, const struct listeners *old,
                      struct listeners *ret, struct buf *error)
{
    const struct config_listen *l = &c->listens[index];
    struct arena a = ARENA_INIT;
    const char *name = arena_c(&a, path);
    struct sock_address at;
    int fd = -1, failure = sock_address_unix(name, &at) ? 0 : -ENAMETOOLONG;
    bool inherited = false;

    if (failure == 0)
        fd = take_over(old, &at);
    if (failure == 0 && fd < 0) {
        fd = inherited_dup(held, &at);
        inherited = fd >= 0;
    }
    if (failure == 0 && fd < 0)
        failure = listen_unix_stream(name, 0600, &fd);

    bool good = failure == 0 && (inherited || give_away(l, name, error));

    if (failure < 0)
        say_failure(error, l, &at, -failure);
    if (fd >= 0) {
        struct listener *made = add(ret, index, &at, fd);

        if (!inherited)
            note_file(made);
    }
    arena_free(&a);
    return good;
}

/* "*:25" is two sockets; a machine without IPv6 is content with one. */
static bool open_address(const struct config *c, uint32_t index, struct str text,
                         const struct inherited *held, const struct listeners *old,
                         struct listeners *ret, struct buf *error)
{
    struct sock_address at[2];
    size_t count;
    bool good;

    if (str_starts(text, STR("unix:")))
        return open_unix(c, index, str_skip(text, 5), held, old, ret, error);
    count = sock_address_parse(text, at);
    good = count > 0;

    for (size_t i = 0; i < count; i++) {
        if (count == 2 && i == 0 && inherited_both(held, &at[1]))
            continue; /* that one takes both */
        int fd = take_over(old, &at[i]);
        if (fd < 0)
            fd = inherited_dup(held, &at[i]);
        int failure = fd >= 0 ? 0 : listen_tcp(&at[i], &fd);
        if (failure == 0) {
            (void)add(ret, index, &at[i], fd);
        } else if (!(failure == -EAFNOSUPPORT && count == 2)) {
            say_failure(error, &c->listens[index], &at[i], -failure);
            good = false;
        }
    }
    return good;
}

static bool has(const struct listeners *l, const struct sock_address *at)
{
    for (size_t i = 0; i < l->count; i++) {
        if (sock_address_eq(&l->list[i].at, at))
            return true;
    }
    return false;
}

static bool all_held_are_used(const struct inherited *held, const struct listeners *made,
                              struct buf *error)
{
    bool good = true;

    for (size_t i = 0; i < held->count; i++) {
        const struct inherited_socket *s = &held->list[i];
        struct buf at = buf_init(128);

        sock_address_print(&at, &s->at);
        if (!has(made, &s->at)) {
            buf_printf(error,
                       "the service manager holds a socket at %s (\"%.*s\") and no listen "
                       "statement names that address: write \"%s\" into one, or take it out of "
                       "the socket unit (systemctl edit --full troika.socket)\n",
                       buf_c(&at), STR_ARG(s->name), buf_c(&at));
            good = false;
        }
        buf_free(&at);
    }
    return good;
}

bool listeners_open(const struct config *c, const struct inherited *held,
                    const struct listeners *old, struct listeners *ret, struct buf *error)
{
    struct listeners made = {.generation = old->generation + 1};
    bool good = true;

    for (size_t i = 0; i < c->listen_count; i++) {
        const struct config_listen *l = &c->listens[i];
        for (size_t j = 0; j < l->address_count; j++)
            good = open_address(c, (uint32_t)i, l->addresses[j], held, old, &made, error) && good;
    }
    good = all_held_are_used(held, &made, error) && good;
    if (!good) {
        listeners_remove_files(&made, old);
        listeners_close(&made);
        return false;
    }
    *ret = made;
    return true;
}

void listeners_remove_files(const struct listeners *l, const struct listeners *kept)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct listener *one = &l->list[i];
        struct stat st;

        if (!one->made || (kept && has(kept, &one->at)))
            continue;
        if (lstat(sock_address_path(&one->at), &st) == 0 && st.st_dev == one->device &&
            st.st_ino == one->inode)
            (void)unlink(
                sock_address_path(&one->at)); /* a dead one is replaced at the next start */
    }
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++)
        (void)close(l->list[i].fd);
    free(l->list);
    *l = (struct listeners){.generation = l->generation};
}
