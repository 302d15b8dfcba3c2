// SPDX-License-Identifier: ISC
#include "daemon/parent/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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

static int take_over(const struct listeners *old, const struct sock_address *at)
{
    for (size_t i = 0; i < old->count; i++) {
        if (sock_address_eq(&old->list[i].at, at))
            return fcntl(old->list[i].fd, F_DUPFD_CLOEXEC, 10);
    }
    return -1;
}

static void add(struct listeners *l, uint32_t listen_index, const struct sock_address *at, int fd)
{
    l->list = mem_resize(l->list, (l->count + 1) * sizeof *l->list);
    l->list[l->count++] = (struct listener){listen_index, *at, fd};
}

/* "*:25" is two sockets; a machine without IPv6 is content with one. */
static bool open_address(const struct config *c, uint32_t index, struct str text,
                         const struct inherited *held, const struct listeners *old,
                         struct listeners *ret, struct buf *error)
{
    struct sock_address at[2];
    size_t count = sock_address_parse(text, at);
    bool good = count > 0;

    for (size_t i = 0; i < count; i++) {
        if (count == 2 && i == 0 && inherited_both(held, &at[1]))
            continue; /* that one takes both */
        int fd = take_over(old, &at[i]);
        if (fd < 0)
            fd = inherited_dup(held, &at[i]);
        int failure = fd >= 0 ? 0 : listen_tcp(&at[i], &fd);
        if (failure == 0) {
            add(ret, index, &at[i], fd);
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
        listeners_close(&made);
        return false;
    }
    *ret = made;
    return true;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++)
        (void)close(l->list[i].fd);
    free(l->list);
    *l = (struct listeners){.generation = l->generation};
}
