// SPDX-License-Identifier: ISC
#include "daemon/parent/deliveries.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/parent/server.h"
#include "mail/place.h"

enum { CHANNEL_AT_FD = 3, HELPER_FILES_MAX = 1024, HELPER_CPU_S = 3600 };
#define HELPER_MEMORY_MAX (1024 * MIB)

/* ---- in the child ---- */

static const struct {
    int exit_status;
    enum deliver_outcome outcome;
    const char *why;
} endings[] = {
    {EX_OK, DELIVER_DONE, ""},
    {EX_NOUSER, DELIVER_NO_USER, "there is no such user on this machine now"},
    {EX_NOPERM, DELIVER_REFUSED, "root and system users get no mail; an alias says who reads it"},
    {EX_TEMPFAIL, DELIVER_LATER, "the users of this machine cannot be looked up now"},
    {EX_CONFIG, DELIVER_LATER, "the home directory of the user is no absolute path"},
    {EX_OSERR, DELIVER_LATER, "the delivery could not be started; the log says why"},
};

static int exit_status_of(enum user_found found)
{
    static const int statuses[USER_FOUND_COUNT] = {
        [USER_UNKNOWN] = EX_NOUSER,
        [USER_FOUND] = EX_OK,
        [USER_REFUSED] = EX_NOPERM,
        [USER_TRY_LATER] = EX_TEMPFAIL,
    };
    return statuses[found];
}

static _Noreturn void child_failed(const char *what)
{
    log_event(LEVEL_ERROR, "user-delivery-not-started", "at", what, "error", strerror(errno), NULL);
    _exit(EX_OSERR);
}

static void limit(int resource, uint64_t most)
{
    struct rlimit l = {most, most};

    if (setrlimit(resource, &l) < 0)
        child_failed("limits");
}

static void set_limits(void)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, HELPER_FILES_MAX);
    limit(RLIMIT_CPU, HELPER_CPU_S);
#ifndef TROIKA_UNJAILED /* sanitizers need terabytes of addresses */
    limit(RLIMIT_AS, HELPER_MEMORY_MAX);
#endif
}

/* For good: checked, for a helper that could become root again would be root. */
static void become(const struct user *u)
{
    uid_t uid[3];
    gid_t gid[3];

    if (u->uid == 0 || initgroups(u->name, u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
        setresuid(u->uid, u->uid, u->uid) < 0)
        child_failed("user");
    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
        child_failed("user");
    for (size_t i = 0; i < 3; i++)
        if (uid[i] != u->uid || gid[i] != u->gid)
            child_failed("user");
    if (setuid(0) == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        child_failed("user");
}

static void arrange_descriptors(int socket)
{
    int null = open("/dev/null", O_RDWR);
    int channel = fcntl(socket, F_DUPFD, 10);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (dup2(null, fd) < 0)
            _exit(EX_OSERR);
    if (dup2(channel, CHANNEL_AT_FD) < 0)
        _exit(EX_OSERR);
    (void)close_range(CHANNEL_AT_FD + 1, ~0U, 0);
}

static void run_helper(const struct server *s, const struct user *u, char *base, char *path,
                       int socket)
{
    char program[4200], title[64], hostname[256];
    char *const argv[] = {title, base, path, hostname, NULL};
    char *const environment[] = {NULL};

    (void)snprintf(program, sizeof program, "%s/deliver", s->libexec);
    (void)snprintf(title, sizeof title, "troika: deliver %s", u->name);
    (void)snprintf(hostname, sizeof hostname, "%.*s", STR_ARG(s->config->hostname));
    if (access(program, X_OK) < 0 || chdir("/") < 0)
        child_failed(program);
    set_limits();
    become(u);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    arrange_descriptors(socket);
    execve(program, argv, environment);
    _exit(EX_OSERR);
}

static _Noreturn void child(const struct server *s, const char *login, int socket)
{
    struct user u;
    struct buf path = buf_init(PLACE_PATH_BYTES_MAX);
    struct arena a = ARENA_INIT;
    size_t base_bytes;

    process_reset_signals();
    (void)setsid();
    enum user_found found = user_find(str_c(login), (uid_t)s->config->minimum_uid, &u);
    if (found != USER_FOUND)
        _exit(exit_status_of(found));
    if (!place_expand(s->config->mailbox, str_c(u.name), str_c(u.home), &path, &base_bytes))
        _exit(EX_CONFIG);
    run_helper(s, &u, arena_c(&a, str_sub(buf_str(&path), 0, base_bytes)),
               arena_c(&a, buf_str(&path)), socket);
    _exit(EX_OSERR);
}

/* ---- in the parent ---- */

static struct channel *local_channel(struct server *s)
{
    for (struct process *p = s->processes; p < s->processes + PROCESSES_MAX; p++)
        if (p->row->role == LOCAL && p->channel)
            return p->channel;
    return NULL;
}

static void tell(struct server *s, uint64_t ticket, enum deliver_outcome outcome, const char *why)
{
    struct msg_deliver_ended m = {.kind = MSG_DELIVER_ENDED,
                                  .ticket = ticket,
                                  .outcome = (uint8_t)outcome,
                                  .why = str_c(why)};

    struct channel *local = local_channel(s);

    if (local)
        channel_send(local, &m);
}

static struct delivery *free_place(struct deliveries *d, struct str login, const char **why)
{
    struct delivery *place = NULL;

    *why = "too many deliveries to users are under way";
    for (struct delivery *at = d->list; at < d->list + DELIVERIES_MAX; at++) {
        if (at->pid == 0) {
            place = at;
        } else if (str_eq_c(login, at->login)) {
            *why = "an earlier delivery to this user has not ended";
            return NULL;
        }
    }
    return place;
}

static bool start(struct server *s, struct delivery *d, const struct msg_deliver *m)
{
    struct msg_deliver_begun begun = {.kind = MSG_DELIVER_BEGUN, .ticket = m->ticket};
    struct channel *local = local_channel(s);
    int pair[2];

    *d = (struct delivery){.ticket = m->ticket};
    memcpy(d->login, m->login.p, m->login.n);
    if (!local || channel_pair(pair) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        child(s, d->login, pair[1]);
    if (pid < 0)
        log_event(LEVEL_ERROR, "user-delivery-not-started", "error", strerror(errno), NULL);
    d->pid = pid < 0 ? 0 : pid;
    (void)close(pair[1]);
    begun.socket = pair[0];
    if (pid > 0)
        channel_send(local, &begun);
    else
        (void)close(pair[0]);
    return pid > 0;
}

void deliveries_begin(struct server *s, const struct msg_deliver *m)
{
    const char *why = "system users need a server that root starts";
    struct delivery *d = NULL;

    if (geteuid() == 0 && user_name_valid(m->login))
        d = free_place(&s->deliveries, m->login, &why);
    if (!d || !start(s, d, m))
        tell(s, m->ticket, DELIVER_LATER, d ? "no process could be started" : why);
}

void deliveries_end(struct server *s, uint64_t ticket)
{
    for (struct delivery *d = s->deliveries.list; d < s->deliveries.list + DELIVERIES_MAX; d++)
        if (d->pid > 0 && d->ticket == ticket)
            (void)kill(d->pid, SIGKILL);
}

void deliveries_end_all(struct server *s)
{
    for (struct delivery *d = s->deliveries.list; d < s->deliveries.list + DELIVERIES_MAX; d++)
        if (d->pid > 0)
            (void)kill(d->pid, SIGKILL);
}

static void log_death(const struct delivery *d, const char *how)
{
    log_event(LEVEL_WARNING, "user-delivery-died", "user", d->login, "how", how, NULL);
}

static void tell_end(struct server *s, const struct delivery *d, int wait_status)
{
    char why[100] = "the delivery ended unexpectedly";

    for (size_t i = 0; i < countof(endings); i++)
        if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == endings[i].exit_status) {
            tell(s, d->ticket, endings[i].outcome, endings[i].why);
            return;
        }
    if (WIFSIGNALED(wait_status))
        (void)snprintf(why, sizeof why, "the delivery was ended by SIG%s",
                       sigabbrev_np(WTERMSIG(wait_status)));
    log_death(d, why);
    tell(s, d->ticket, DELIVER_DIED, why);
}

bool deliveries_ended(struct server *s, pid_t pid, int wait_status)
{
    for (struct delivery *d = s->deliveries.list; d < s->deliveries.list + DELIVERIES_MAX; d++) {
        if (d->pid != pid)
            continue;
        d->pid = 0;
        tell_end(s, d, wait_status);
        return true;
    }
    return false;
}
