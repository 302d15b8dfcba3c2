/* ipc/worker.c - see worker.h.
 *
 * What the parent hands over before START is kept and replayed through the same functions after
 * the jail has closed, so a role never sees a peer or a listener before it can serve them. */
// SPDX-License-Identifier: ISC
#include "ipc/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

enum { PARENT_FD = 3, ASK_CHANNEL_FD = 3, ASK_CONFIG_FD = 4 };
enum { LOCK_FD = 4 }; /* only held: it keeps STATE/lock while we live */
enum { CONTROL_CLIENTS_MAX = 32, PEERS_MAX = WORKERS_MAX + 1, KEPT_MAX = 1024, GROUPS_MAX = 256 };
#define ALIVE_US (5 * US_PER_S)
#define ACCEPT_REST_US US_PER_S
#define DONE_STEP_US (US_PER_S / 100)
#define DONE_STEPS_MAX 200
#define NOBODY UINT32_MAX

struct peer {
    uint32_t number;
    struct channel *channel;
};

struct peers { /* of one role, by number */
    struct peer list[PEERS_MAX];
    size_t count;
};

struct kept { /* a message that waits for START */
    union message m;
    char *address;
};

struct life {
    struct worker w;
    const struct role_handler *handlers[MSG_COUNT];
    struct peers peers[ROLE_COUNT];
    bool started, asked, done;

    struct kept *kept;
    size_t kept_count;

    uint32_t control_uid, control_gid;
    uint32_t control_number; /* of the last client */
    int control_fd;          /* the listener, or -1 */
    struct watch control;
    struct timer control_rest, alive, done_timer;
    unsigned done_steps;
};

static struct life life; /* one process is one worker */

static struct life *life_of(struct worker *w)
{
    return (struct life *)w; /* its first member */
}

static _Noreturn void give_up(const char *what, int error, int status)
{
    log_event(LEVEL_ERROR, "start-failed", "at", what, "error", strerror(error), NULL);
    exit(status);
}

/* ---- peers ---- */

static size_t role_index(enum role r)
{
    return (size_t)__builtin_ctz((unsigned)r);
}

static bool role_is_one(uint32_t r)
{
    return r && !(r & (r - 1)) && r < 1U << ROLE_COUNT;
}

struct channel *worker_peer(struct worker *w, enum role role, size_t index)
{
    const struct peers *of = &life_of(w)->peers[role_index(role)];

    return index < of->count ? of->list[index].channel : NULL;
}

static void peer_remove(struct life *f, struct channel *c)
{
    struct peers *of = &f->peers[role_index(channel_peer(c))];
    size_t i = 0;

    while (i < of->count && of->list[i].channel != c)
        i++;
    if (i == of->count)
        return;
    of->count--;
    memmove(&of->list[i], &of->list[i + 1], (of->count - i) * sizeof of->list[0]);
    if (f->w.spec->peer_down)
        f->w.spec->peer_down(&f->w, c);
    channel_free(&c);
}

static void on_peer_message(void *arg, struct channel *c, union message *m)
{
    struct life *f = arg;
    const struct role_handler *h = f->handlers[m->kind];

    if (h) {
        h->fn(&f->w, c, m);
        return;
    }
    int *fd = message_fd(m);
    if (fd)
        (void)close(*fd); /* never used */
    channel_break(c, "a message that this role does not take");
}

static void on_peer_room(void *arg, struct channel *c)
{
    struct life *f = arg;

    if (f->w.spec->peer_room)
        f->w.spec->peer_room(&f->w, c);
}

static void on_peer_down(void *arg, struct channel *c, const char *why)
{
    struct life *f = arg;

    if (why != CHANNEL_CLOSED)
        log_event(LEVEL_ERROR, "channel-broken", "peer", role_name(channel_peer(c)), "reason", why,
                  NULL);
    if (why == CHANNEL_NO_DESCRIPTORS) /* the peer did nothing wrong: only a new start joins us */
        exit(EX_OSERR);
    peer_remove(f, c);
    if (f->asked)
        loop_stop(f->w.loop);
}

static const struct channel_events peer_events = {on_peer_message, on_peer_room, on_peer_down};

/* A number that is there already has been restarted: its old channel is dead. */
static void peer_add(struct life *f, enum role role, uint32_t number, int socket)
{
    struct peers *of = &f->peers[role_index(role)];
    size_t i = 0;

    while (i < of->count && of->list[i].number < number)
        i++;
    if (i < of->count && of->list[i].number == number)
        peer_remove(f, of->list[i].channel);
    if (of->count == PEERS_MAX) {
        (void)close(socket);
        return;
    }
    memmove(&of->list[i + 1], &of->list[i], (of->count - i) * sizeof of->list[0]);
    of->count++;

    struct channel *c = channel_new(f->w.loop, socket, f->w.spec->role, role, &peer_events, f);
    of->list[i] = (struct peer){number, c};
    if (f->w.spec->peer_up)
        f->w.spec->peer_up(&f->w, c, number);
}

/* ---- the control socket ---- */

static bool in_control_group(const struct life *f, int socket, gid_t primary)
{
    gid_t groups[GROUPS_MAX];
    socklen_t bytes = sizeof groups;

    if (f->control_gid == NOBODY)
        return false;
    if (primary == f->control_gid)
        return true;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
        return false;
    for (size_t i = 0; i < bytes / sizeof groups[0]; i++) {
        if (groups[i] == f->control_gid)
            return true;
    }
    return false;
}

static bool may_control(const struct life *f, int socket)
{
    struct ucred who;
    socklen_t bytes = sizeof who;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return false;
    return who.uid == 0 || (who.uid == f->control_uid && who.uid != NOBODY) ||
           in_control_group(f, socket, who.gid);
}

static void on_control(void *arg, unsigned what);

static void control_watch(void *arg)
{
    struct life *f = arg;

    watch_start(f->w.loop, &f->control, f->control_fd, WATCH_READ, on_control, f);
}

static void on_control(void *arg, unsigned what)
{
    struct life *f = arg;
    int socket = accept4(f->control_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    if (socket < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            log_event(LEVEL_WARNING, "accepting-paused", "socket", "control", "error",
                      strerror(errno), NULL);
            watch_stop(&f->control); /* out of descriptors: waiting is better than spinning */
            timer_set(f->w.loop, &f->control_rest, ACCEPT_REST_US, control_watch, f);
        }
        return;
    }
    if (f->peers[role_index(CONTROL)].count >= CONTROL_CLIENTS_MAX || !may_control(f, socket))
        (void)close(socket);
    else
        peer_add(f, CONTROL, ++f->control_number, socket);
}

static void control_stop(struct life *f)
{
    watch_stop(&f->control);
    timer_stop(&f->control_rest);
    if (f->control_fd >= 0)
        (void)close(f->control_fd);
    f->control_fd = -1;
}

/* ---- ending ---- */

static bool all_sent(struct life *f)
{
    bool empty = true;

    for (size_t r = 0; r < ROLE_COUNT; r++) {
        for (size_t i = 0; i < f->peers[r].count; i++) {
            channel_flush(f->peers[r].list[i].channel);
            empty = empty && channel_empty(f->peers[r].list[i].channel);
        }
    }
    return empty;
}

static void done_step(void *arg)
{
    struct life *f = arg;

    if (all_sent(f) || ++f->done_steps > DONE_STEPS_MAX)
        loop_stop(f->w.loop);
    else
        timer_set(f->w.loop, &f->done_timer, DONE_STEP_US, done_step, f);
}

void worker_done(struct worker *w)
{
    struct life *f = life_of(w);

    if (f->done)
        return;
    f->done = true;
    control_stop(f);
    timer_set(w->loop, &f->done_timer, 0, done_step, f);
}

/* ---- from the command to work to working ---- */

/* Whom a worker that root started becomes: the role's user. Asked without a server, the owner of
 * the folder: the server whose files these are may have run as any user. */
static void find_user(const struct life *f, struct jail *j)
{
    struct stat st;

    if (geteuid() != 0)
        return;
    if (f->asked && fstat(f->w.folder_fd, &st) == 0 && st.st_uid != 0) {
        j->uid = st.st_uid;
        j->gid = st.st_gid ? st.st_gid : st.st_uid; /* root's group is no group to work in */
        return;
    }
    const struct passwd *user = f->w.spec->user ? getpwnam(f->w.spec->user) : NULL;
    if (f->w.spec->user && !user)
        give_up(f->w.spec->user, ENOENT, EX_OSERR);
    if (user) {
        j->user = f->w.spec->user;
        j->uid = user->pw_uid;
        j->gid = user->pw_gid;
    }
}

static bool start_as_user(const struct jail *j)
{
    return setgroups(0, NULL) == 0 && setegid(j->gid) == 0 && seteuid(j->uid) == 0;
}

/* Files that the role makes must be its own. The jail needs root once more. */
static void role_start(struct life *f, const struct jail *j)
{
    const struct role_spec *spec = f->w.spec;

    if (f->w.folder_fd >= 0 && fchdir(f->w.folder_fd) < 0)
        give_up("folder", errno, EX_NOPERM);
    if (j->uid && !start_as_user(j))
        give_up("user", errno, EX_OSERR);
    int error = spec->start ? spec->start(&f->w) : 0;
    if (error == -ENOSPC || error == -EDQUOT)
        give_up("start", -error, EX_TEMPFAIL); /* there may be room when the parent tries again */
    if (error < 0)
        give_up("start", -error, EX_CONFIG);
    if (j->uid && (seteuid(0) < 0 || setegid(0) < 0))
        give_up("user", errno, EX_OSERR);
}

static void jail_close(struct life *f, const struct jail *j, struct buf *protections)
{
    const struct role_spec *spec = f->w.spec;
    int error = jail_enter(j, protections);

    if (error < 0) {
        log_event(LEVEL_ERROR, "start-failed", "at", "jail", "reason", buf_c(protections), "error",
                  strerror(-error), NULL);
        exit(EX_OSERR);
    }
    if (f->w.parent) /* changing the uid forgot it; a jail may refuse it, the channel's end stays */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (spec->probe)
        spec->probe(&f->w);
}

static void on_listener(struct life *f, union message *m);
static void on_listeners_end(struct life *f, union message *m);
static void on_channel(struct life *f, union message *m);

static void keep(struct life *f, const union message *m)
{
    check(f->kept_count < KEPT_MAX);
    f->kept = mem_resize(f->kept, (f->kept_count + 1) * sizeof *f->kept);
    struct kept *k = &f->kept[f->kept_count++];

    *k = (struct kept){.m = *m};
    if (m->kind == MSG_LISTENER) {
        k->address = mem_copy(m->listener.address.p, m->listener.address.n);
        k->m.listener.address.p = k->address;
    }
}

static void replay(struct life *f, uint16_t kind, void (*fn)(struct life *f, union message *m))
{
    for (size_t i = 0; i < f->kept_count; i++) {
        if (f->kept[i].m.kind == kind)
            fn(f, &f->kept[i].m);
    }
}

static void replay_all(struct life *f)
{
    replay(f, MSG_CHANNEL, on_channel);
    replay(f, MSG_LISTENER, on_listener);
    replay(f, MSG_LISTENERS_END, on_listeners_end);
    for (size_t i = 0; i < f->kept_count; i++)
        free(f->kept[i].address);
    free(f->kept);
    f->kept = NULL;
    f->kept_count = 0;
}

static void set_name(const struct life *f)
{
    char name[16];

    (void)snprintf(name, sizeof name, "%s %u", role_name(f->w.spec->role), f->w.number);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0); /* for people only */
}

/* ---- what the parent says ---- */

static void on_log(struct life *f, union message *m)
{
    uint8_t form = MIN_OF(m->log.form, (uint8_t)LOG_FORM_SYSLOG);
    uint8_t level = MIN_OF(m->log.level, (uint8_t)LEVEL_ERROR);

    log_open(m->log.socket, (enum log_form)form, (enum log_level)level, role_name(f->w.spec->role));
}

static void on_config(struct life *f, union message *m)
{
    struct msg_config_taken taken = {.kind = MSG_CONFIG_TAKEN, .generation = m->config.generation};

    int error = f->w.spec->config ? f->w.spec->config(&f->w, m->config.snapshot) : 0;

    (void)close(m->config.snapshot); /* only read */
    if (error < 0) {
        log_event(LEVEL_ERROR, "config-unreadable", "error", strerror(-error), NULL);
        exit(EX_TEMPFAIL);
    }
    if (f->w.parent)
        channel_send(f->w.parent, &taken);
}

static void on_folder(struct life *f, union message *m)
{
    if (f->w.folder_fd >= 0)
        (void)close(f->w.folder_fd);
    f->w.folder_fd = m->folder.directory;
}

static void on_board(struct life *f, union message *m)
{
    uint32_t number = m->board.number;

    if (number < 1 || number > WORKERS_MAX) {
        (void)close(m->board.memory);
        return;
    }
    if (f->w.boards[number] >= 0)
        (void)close(f->w.boards[number]);
    f->w.boards[number] = m->board.memory;
}

static void on_channel(struct life *f, union message *m)
{
    if (role_is_one(m->channel.role))
        peer_add(f, (enum role)m->channel.role, m->channel.number, m->channel.socket);
    else
        (void)close(m->channel.socket);
}

static void on_listener(struct life *f, union message *m)
{
    const struct msg_listener *l = &m->listener;

    if (l->listen_index == LISTEN_CONTROL) {
        control_stop(f);
        f->control_fd = l->socket;
        control_watch(f);
    } else if (f->w.spec->listener) {
        f->w.spec->listener(&f->w, l->listen_index, l->address, l->socket);
    } else {
        (void)close(l->socket);
    }
}

static void on_listeners_end(struct life *f, union message *m)
{
    (void)m;
    if (f->w.spec->listeners_end)
        f->w.spec->listeners_end(&f->w);
}

/* Everything after the jail but peers and listeners; also what --ask does. */
static void begin(struct life *f, struct buf *protections)
{
    for (size_t i = 0; i < f->kept_count; i++) { /* the jail must allow accepting on it */
        const struct msg_listener *l = &f->kept[i].m.listener;
        if (l->kind == MSG_LISTENER && l->listen_index == LISTEN_CONTROL)
            f->control_fd = l->socket;
    }
    struct jail j = {
        .root_fd = f->w.folder_fd,
        .may = f->w.spec->jail_may | (f->control_fd >= 0 ? JAIL_ACCEPT : 0U),
    };
    find_user(f, &j);
    role_start(f, &j);
    jail_close(f, &j, protections);
    f->control_fd = -1; /* until it is replayed */
    f->started = true;
}

static void on_start(struct life *f, union message *m)
{
    struct buf protections = buf_init(LINE_VALUE_BYTES_MAX);

    if (f->started)
        return;
    f->w.number = m->start.number;
    f->w.count = m->start.count;
    f->control_uid = m->start.control_uid;
    f->control_gid = m->start.control_gid;
    set_name(f);
    begin(f, &protections);
    if (f->w.spec->run)
        f->w.spec->run(&f->w);
    replay_all(f);

    struct msg_ready ready = {.kind = MSG_READY, .protections = buf_str(&protections)};
    channel_send(f->w.parent, &ready);
    buf_free(&protections);
}

static void on_stop(struct life *f, union message *m)
{
    (void)m;
    if (f->started && f->w.spec->stop)
        f->w.spec->stop(&f->w);
    else
        worker_done(&f->w);
}

static const struct parent_handler {
    void (*fn)(struct life *f, union message *m);
    bool waits_for_start;
} parent_handlers[MSG_COUNT] = {
    [MSG_LOG] = {on_log, false},
    [MSG_CONFIG] = {on_config, false},
    [MSG_FOLDER] = {on_folder, false},
    [MSG_BOARD] = {on_board, false},
    [MSG_CHANNEL] = {on_channel, true},
    [MSG_LISTENER] = {on_listener, true},
    [MSG_LISTENERS_END] = {on_listeners_end, true},
    [MSG_START] = {on_start, false},
    [MSG_STOP] = {on_stop, false},
};

static void on_parent_message(void *arg, struct channel *c, union message *m)
{
    struct life *f = arg;
    const struct parent_handler *h = &parent_handlers[m->kind];

    (void)c;
    if (h->waits_for_start && !f->started)
        keep(f, m);
    else if (h->fn)
        h->fn(f, m);
    else if (f->started) /* what the parent asks of this role only */
        on_peer_message(arg, c, m);
}

static void on_parent_down(void *arg, struct channel *c, const char *why)
{
    (void)arg;
    (void)c;
    if (why != CHANNEL_CLOSED) {
        log_event(LEVEL_ERROR, "channel-broken", "peer", "parent", "reason", why, NULL);
        _exit(EX_SOFTWARE);
    }
    _exit(EX_OK); /* nobody would restart us or our peers */
}

static const struct channel_events parent_events = {on_parent_message, NULL, on_parent_down};

static void say_alive(void *arg)
{
    struct life *f = arg;
    struct msg_alive alive = {.kind = MSG_ALIVE};

    channel_send(f->w.parent, &alive);
    timer_set(f->w.loop, &f->alive, ALIVE_US, say_alive, f);
}

/* ---- life ---- */

/* The parent decides when a worker ends; a terminal's Ctrl-C reaches the whole group. */
static void ignore_signals(bool asked)
{
    static const int parents[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    sigset_t none;

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < countof(parents) && !asked; i++)
        (void)signal(parents[i], SIG_IGN);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void life_init(struct life *f, const struct role_spec *spec)
{
    *f = (struct life){
        .w = {.spec = spec, .clock = &clock_system, .number = 1, .count = 1, .folder_fd = -1},
        .control_uid = NOBODY,
        .control_gid = NOBODY,
        .control_fd = -1,
    };
    for (size_t i = 0; i < countof(f->w.boards); i++)
        f->w.boards[i] = -1;
    for (size_t i = 0; i < spec->handler_count; i++) {
        check(spec->handlers[i].kind < MSG_COUNT);
        f->handlers[spec->handlers[i].kind] = &spec->handlers[i];
    }
    int error = loop_new(f->w.clock, &f->w.loop);
    if (error < 0)
        give_up("loop", -error, EX_OSERR);
}

static void serve_parent(struct life *f)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* a second net: the channel ends, too */
    (void)fcntl(PARENT_FD, F_SETFD, FD_CLOEXEC);
    (void)fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC);
    f->w.parent = channel_new(f->w.loop, PARENT_FD, f->w.spec->role, PARENT, &parent_events, f);
    say_alive(f);
}

static void serve_asker(struct life *f, const char *folder)
{
    struct buf protections = buf_init(LINE_VALUE_BYTES_MAX);
    union message config = {.config = {.kind = MSG_CONFIG, .snapshot = ASK_CONFIG_FD}};

    log_open(STDERR_FILENO, LOG_FORM_PLAIN, LEVEL_WARNING, role_name(f->w.spec->role));
    (void)fcntl(ASK_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    (void)fcntl(ASK_CONFIG_FD, F_SETFD, FD_CLOEXEC);
    f->asked = true;
    f->w.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->w.folder_fd < 0)
        give_up(folder, errno, EX_NOINPUT);
    on_config(f, &config);
    begin(f, &protections);
    buf_free(&protections);
    peer_add(f, CONTROL, 1, ASK_CHANNEL_FD);
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Buffers of a message come and go with it; without this their pages go back to the system each
 * time, and each page that comes again is a fault: 21 of them for 100 KB in a relay. A smtpd
 * gathers some MiB for the queue when large messages come. */
static void keep_freed_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 8 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
}

int worker_main(int argc, char **argv, const struct role_spec *spec)
{
    struct life *f = &life;
    bool asked = argc == 3 && strcmp(argv[1], "--ask") == 0;

    if ((!asked && argc > 1) || !is_socket(PARENT_FD)) {
        (void)fprintf(stderr, "This is a part of Troika. It is started by `troika serve`.\n");
        return EX_USAGE;
    }
    ignore_signals(asked);
    keep_freed_memory();
    (void)umask(S_IRWXG | S_IRWXO);
    life_init(f, spec);
    if (asked)
        serve_asker(f, argv[2]);
    else
        serve_parent(f);
    loop_run(f->w.loop);
    return EX_OK;
}
