// SPDX-License-Identifier: ISC
#include "daemon/parent/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { FIRST_FD = 3, FDS_MAX = 256, OWN_FD_LEAST = 10 };

/* How many were handed over, to this process and not to one that started it. */
static size_t count_told(void)
{
    uint64_t count = 0, pid = 0;

    if (!str_u64(str_c(getenv("LISTEN_PID")), &pid) || pid != (uint64_t)getpid() ||
        !str_u64(str_c(getenv("LISTEN_FDS")), &count))
        return 0;
    return (size_t)MIN_OF(count, (uint64_t)FDS_MAX);
}

static int socket_fact(int fd, int level, int option)
{
    int value = 0;
    socklen_t bytes = sizeof value;

    return getsockopt(fd, level, option, &value, &bytes) < 0 ? -1 : value;
}

static bool is_listener(int fd, struct sock_address *at)
{
    *at = (struct sock_address){.bytes = sizeof at->sa};
    return socket_fact(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
           socket_fact(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 &&
           getsockname(fd, (struct sockaddr *)&at->sa, &at->bytes) == 0 &&
           (at->sa.ss_family == AF_INET || at->sa.ss_family == AF_INET6);
}

/* Away from the low numbers, which workers are handed other things by, and not theirs to have. */
static int move_away(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD_LEAST);

    (void)close(fd);
    if (moved >= 0)
        (void)fcntl(moved, F_SETFL, fcntl(moved, F_GETFL) | O_NONBLOCK);
    return moved;
}

static bool take_one(struct inherited *in, int fd, struct str name, struct buf *error)
{
    struct inherited_socket s = {.name = name};
    bool good = is_listener(fd, &s.at);

    if (!good)
        buf_printf(error,
                   "the service manager hands over \"%.*s\", which is no TCP socket that listens: "
                   "only ListenStream= with a port belongs into the socket unit\n",
                   STR_ARG(name));
    s.both_families =
        good && s.at.sa.ss_family == AF_INET6 && socket_fact(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
    s.fd = move_away(fd);
    if (s.fd >= 0 && good) {
        in->list[in->count++] = s;
        return true;
    }
    if (s.fd >= 0)
        (void)close(s.fd);
    else if (good)
        buf_printf(error, "a socket of the service manager: %s\n", strerror(errno));
    return false;
}

bool inherited_take(struct inherited *ret, struct buf *error)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    size_t count = count_told();
    struct str names = str_c(getenv("LISTEN_FDNAMES"));
    struct inherited in = {.names = mem_copy(names.p ? names.p : "", names.n)};
    bool good = true;

    for (size_t i = 0; i < countof(variables); i++)
        (void)unsetenv(variables[i]); /* they are not for a program that we start */
    in.list = count > 0 ? mem_new(count * sizeof *in.list) : NULL;
    names = str_c(in.names);
    for (size_t i = 0; i < count; i++)
        good = take_one(&in, FIRST_FD + (int)i, str_cut(&names, ':'), error) && good;
    if (good)
        *ret = in;
    else
        inherited_free(&in);
    return good;
}

void inherited_free(struct inherited *in)
{
    for (size_t i = 0; i < in->count; i++)
        (void)close(in->list[i].fd);
    free(in->list);
    free(in->names);
    *in = (struct inherited){0};
}

static const struct inherited_socket *find(const struct inherited *in,
                                           const struct sock_address *at)
{
    for (size_t i = 0; i < in->count; i++) {
        if (sock_address_eq(&in->list[i].at, at))
            return &in->list[i];
    }
    return NULL;
}

int inherited_dup(const struct inherited *in, const struct sock_address *at)
{
    const struct inherited_socket *s = find(in, at);

    return s ? fcntl(s->fd, F_DUPFD_CLOEXEC, OWN_FD_LEAST) : -1;
}

bool inherited_both(const struct inherited *in, const struct sock_address *at)
{
    const struct inherited_socket *s = find(in, at);

    return s && s->both_families;
}
