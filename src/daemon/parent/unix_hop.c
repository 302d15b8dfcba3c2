// SPDX-License-Identifier: ISC
#include "daemon/parent/unix_hop.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/parent/server.h"

static bool is_next_hop(const struct config *c, struct str next_hop)
{
    for (size_t i = 0; i < c->route_count; i++)
        if (str_eq(c->routes[i].via, next_hop))
            return str_starts(next_hop, STR("unix:"));
    return false;
}

/* Never waits: a Unix socket connects at once, or its server is too busy (EAGAIN). */
static int connect_to(struct str next_hop, int *ret_fd)
{
    struct arena a = ARENA_INIT;
    struct sock_address to;
    int error = -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (sock_address_unix(arena_c(&a, str_skip(next_hop, 5)), &to))
        error = connect(fd, (const struct sockaddr *)&to.sa, to.bytes) < 0 ? -errno : 0;
    arena_free(&a);
    if (error < 0)
        (void)close(fd);
    else
        *ret_fd = fd;
    return error;
}

void unix_hop_connect(struct process *relay, const struct msg_unix_hop *m)
{
    int fd = -1;
    int error =
        is_next_hop(relay->server->config, m->next_hop) ? connect_to(m->next_hop, &fd) : -EACCES;

    if (error < 0)
        channel_send(relay->channel, &(struct msg_unix_hop_failed){.kind = MSG_UNIX_HOP_FAILED,
                                                                   .ticket = m->ticket,
                                                                   .error = (uint32_t)-error});
    else
        channel_send(relay->channel, &(struct msg_unix_hop_open){.kind = MSG_UNIX_HOP_OPEN,
                                                                 .ticket = m->ticket,
                                                                 .socket = fd});
}
