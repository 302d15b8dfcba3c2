// SPDX-License-Identifier: ISC
#include "daemon/parent/local.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/parent/server.h"
#include "daemon/parent/who.h"

#define REST_US (US_PER_S / 2) /* after accepting failed, or while nobody can take more */

static bool can_take(const struct process *p)
{
    return p->row->role == SMTPD && p->ready && p->channel && !p->asked_to_stop &&
           !channel_full(p->channel);
}

struct process *local_smtpd(struct server *s)
{
    for (uint32_t i = 1; i <= PROCESSES_MAX; i++) {
        uint32_t at = (s->local.last + i) % PROCESSES_MAX;

        if (can_take(&s->processes[at])) {
            s->local.last = at;
            return &s->processes[at];
        }
    }
    return NULL;
}

static void rest(struct server *s);

static bool peer_uid(int fd, uid_t *ret)
{
    struct ucred who;
    socklen_t bytes = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return false;
    *ret = who.uid;
    return true;
}

static void hand_on(struct server *s, struct process *smtpd, int fd)
{
    uid_t uid;

    if (!peer_uid(fd, &uid)) {
        (void)close(fd);
        return;
    }
    struct who who = who_is(s->config, uid, s->state.control_gid);
    struct msg_user m = {.kind = MSG_USER,
                         .uid = who.uid,
                         .trusted = who.trusted,
                         .login = str_c(who.login),
                         .socket = fd};

    channel_send(smtpd->channel, &m);
}

static bool error_passes(int error)
{
    return error == EAGAIN || error == EINTR || error == ECONNABORTED;
}

static void on_connection(void *arg, unsigned what)
{
    struct server *s = arg;
    struct process *smtpd = local_smtpd(s);

    (void)what;
    if (!smtpd) {
        rest(s);
        return;
    }
    int fd = accept4(s->local.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        hand_on(s, smtpd, fd);
    } else if (!error_passes(errno)) {
        log_event(LEVEL_WARNING, "accepting-paused", "error", strerror(errno), NULL);
        rest(s);
    }
}

static void on_rested(void *arg)
{
    local_start(arg);
}

static void rest(struct server *s)
{
    watch_stop(&s->local.ready);
    timer_set(s->loop, &s->local.rest, REST_US, on_rested, s);
}

void local_start(struct server *s)
{
    timer_stop(&s->local.rest);
    if (s->local.fd >= 0 && !s->local.ready.event)
        watch_start(s->loop, &s->local.ready, s->local.fd, WATCH_READ, on_connection, s);
}

void local_stop(struct server *s)
{
    timer_stop(&s->local.rest);
    watch_stop(&s->local.ready);
}
