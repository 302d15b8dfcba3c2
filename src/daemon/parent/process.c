/* daemon/parent/process.c - one worker: start, hand over, watch, bury, start again. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/parent/server.h"
#include "daemon/parent/unix_hop.h"

enum { CHANNEL_AT_FD = 3, LOCK_AT_FD = 4 };
#define PAUSE_US_MIN (US_PER_S / 10)
#define PAUSE_US_MAX (10 * US_PER_S)
#define LIFE_US_GOOD (60 * US_PER_S)  /* after this long a death is news, not a pattern */
#define READY_US_MAX (600 * US_PER_S) /* a spool may have to be recovered first */
#define ALIVE_US_MAX (30 * US_PER_S)
#define SUSPECT_US (2 * US_PER_S)

/* ---- log lines ---- */

static void line_begin_for(struct buf *line, const char *event, const struct process *p)
{
    *line = buf_init(LINE_BYTES_MAX);
    line_c(line, "event", event);
    line_c(line, "worker", role_name(p->row->role));
    line_u64(line, "number", p->number);
    line_u64(line, "pid", (uint64_t)p->pid);
}

static void line_log(struct buf *line, enum log_level level)
{
    log_line(level, buf_str(line));
    buf_free(line);
}

static void log_why(const struct process *p, enum log_level level, const char *event,
                    const char *why)
{
    struct buf line;

    line_begin_for(&line, event, p);
    line_c(&line, "why", why);
    line_log(&line, level);
}

/* ---- handing over ---- */

/* It would go on without what it should have: with an old configuration, or no peer. */
static void not_given(struct process *p)
{
    if (!p->hand_over_failed)
        process_kill(p, "out of descriptors");
    p->hand_over_failed = true;
}

void process_give(struct process *p, void *m, int fd)
{
    int *slot = message_fd(m);

    *slot = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (*slot < 0)
        not_given(p);
    else
        channel_send(p->channel, m);
}

void process_give_log(struct process *p)
{
    const struct log_target *t = &p->server->log;
    struct msg_log m = {.kind = MSG_LOG, .form = (uint8_t)t->form, .level = (uint8_t)t->least};

    process_give(p, &m, t->fd);
}

void process_give_config(struct process *p)
{
    struct msg_config m = {.kind = MSG_CONFIG, .generation = p->server->generation};

    process_give(p, &m, p->server->snapshot_fd);
}

static void give_folder(struct process *p)
{
    struct msg_folder m = {.kind = MSG_FOLDER};
    int fd = state_folder(&p->server->state, p->row->folder);

    process_give(p, &m, fd);
    if (fd >= 0)
        (void)close(fd);
}

/* A worker writes its own board and reads those of the others. */
void process_give_board(struct process *p, const struct process *owner)
{
    struct msg_board m = {.kind = MSG_BOARD, .number = owner->number};
    char path[64];

    if (p == owner) {
        process_give(p, &m, owner->board);
        return;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", owner->board);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    process_give(p, &m, fd);
    if (fd >= 0)
        (void)close(fd);
}

static void give_boards(struct process *p)
{
    struct server *s = p->server;

    for (struct process *q = s->processes; q < s->processes + PROCESSES_MAX; q++) {
        if (q->board >= 0)
            process_give_board(p, q);
    }
}

static void give_control(struct process *p)
{
    int fd = p->server->control[p->row - worker_rows];
    struct msg_listener m = {.kind = MSG_LISTENER, .listen_index = LISTEN_CONTROL};

    if (fd >= 0)
        process_give(p, &m, fd);
}

void process_give_listeners(struct process *p)
{
    const struct listeners *l = &p->server->listeners;
    struct msg_listeners_end end = {.kind = MSG_LISTENERS_END, .generation = l->generation};

    if (p->row->role != SMTPD)
        return;
    for (size_t i = 0; i < l->count; i++) {
        struct buf address = buf_init(256);
        struct msg_listener m = {.kind = MSG_LISTENER,
                                 .generation = l->generation,
                                 .listen_index = l->list[i].listen_index};
        sock_address_print(&address, &l->list[i].at);
        m.address = buf_str(&address);
        process_give(p, &m, l->list[i].fd);
        buf_free(&address);
    }
    channel_send(p->channel, &end);
}

static void give_channel(struct process *p, const struct process *peer, int fd)
{
    struct msg_channel m = {
        .kind = MSG_CHANNEL,
        .role = (uint32_t)peer->row->role,
        .number = peer->number,
        .socket = fd,
    };

    channel_send(p->channel, &m);
}

/* New channels to all peers that run; one that does not run makes its own when it starts. */
static void give_channels(struct process *p)
{
    struct server *s = p->server;

    for (struct process *q = s->processes; q < s->processes + PROCESSES_MAX; q++) {
        int pair[2];

        if (q == p || !q->channel || !(p->row->peers & (unsigned)q->row->role))
            continue;
        if (channel_pair(pair) < 0) {
            not_given(p);
            return;
        }
        give_channel(p, q, pair[0]);
        give_channel(q, p, pair[1]);
    }
}

static void give_start(struct process *p)
{
    struct msg_start m = {
        .kind = MSG_START,
        .number = p->number,
        .count = p->row->count(p->server->config),
        .control_uid = getuid(),
        .control_gid = p->server->state.control_gid,
    };

    channel_send(p->channel, &m);
}

static void hand_over(struct process *p)
{
    p->hand_over_failed = false;
    process_give_log(p);
    process_give_config(p);
    give_folder(p);
    if (p->row->role == SMTPD)
        give_boards(p);
    give_control(p);
    process_give_listeners(p);
    give_channels(p);
    give_start(p);
    files_give(p);
}

/* ---- watching ---- */

/* What it said may still wait to be read when we ourselves were stopped or slow: one more look. */
static void on_silence(void *arg)
{
    struct process *p = arg;

    if (!p->suspect && !p->asked_to_stop) {
        p->suspect = true;
        timer_set(p->server->loop, &p->deadline, SUSPECT_US, on_silence, p);
        return;
    }
    process_kill(p, p->asked_to_stop ? "it does not stop"
                    : p->ready       ? "it says nothing any more"
                                     : "it does not get ready");
}

static void expect(struct process *p, uint64_t within_us)
{
    p->suspect = false;
    if (!p->asked_to_stop)
        timer_set(p->server->loop, &p->deadline, within_us, on_silence, p);
}

static void on_ready(struct process *p, struct str protections)
{
    struct buf line;

    if (p->ready)
        return;
    p->ready = true;
    expect(p, ALIVE_US_MAX);
    line_begin_for(&line, "started", p);
    line_str(&line, "protections", protections);
    line_log(&line, LEVEL_INFO);
    server_ready(p->server);
    server_config_taken(p->server);
}

static void on_config_taken(struct process *p, uint32_t generation)
{
    p->generation = generation;
    server_config_taken(p->server);
}

static void on_message(void *arg, struct channel *c, union message *m)
{
    struct process *p = arg;

    (void)c;
    if (m->kind == MSG_READY)
        on_ready(p, m->ready.protections);
    else if (m->kind == MSG_CONFIG_TAKEN)
        on_config_taken(p, m->config_taken.generation);
    else if (m->kind == MSG_DROP_DONE)
        pickup_answered(p->server, p, &m->drop_done);
    else if (m->kind == MSG_DELIVER)
        deliveries_begin(p->server, &m->deliver);
    else if (m->kind == MSG_UNIX_HOP)
        unix_hop_connect(p, &m->unix_hop);
    else if (m->kind == MSG_DELIVER_END)
        deliveries_end(p->server, m->deliver_end.ticket);
    else if (p->ready)
        expect(p, ALIVE_US_MAX);
}

/* Its end is told by SIGCHLD; a worker that lives without us is of no use. */
static void on_down(void *arg, struct channel *c, const char *why)
{
    struct process *p = arg;

    (void)c;
    if (why != CHANNEL_CLOSED)
        log_why(p, LEVEL_ERROR, "channel-broken", why);
    channel_free(&p->channel);
    if (p->pid > 0)
        (void)kill(p->pid, SIGKILL);
}

static const struct channel_events events = {on_message, NULL, on_down};

/* ---- starting ---- */

static _Noreturn void child_failed(const char *program)
{
    char text[4400];
    int n = snprintf(text, sizeof text, "%s: %s\n", program, strerror(errno));

    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(EX_OSERR);
}

void process_reset_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: nothing of ours is open in the worker but stderr, its channel and, for owners of
 * STATE, the lock. */
static _Noreturn void become_worker(const struct process *p, int socket)
{
    char program[4200], title[64];
    char *const argv[] = {title, NULL};
    int null = open("/dev/null", O_RDWR);
    int lock = p->row->owns_state ? fcntl(p->server->state.lock_fd, F_DUPFD, 10) : -1;
    int channel = fcntl(socket, F_DUPFD, 10);

    (void)snprintf(program, sizeof program, "%s/%s", p->server->libexec, role_name(p->row->role));
    (void)snprintf(title, sizeof title, "troika: %s %u", role_name(p->row->role), p->number);
    process_reset_signals();
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(channel, CHANNEL_AT_FD) < 0 || (lock >= 0 && dup2(lock, LOCK_AT_FD) < 0))
        child_failed(program);
    (void)close_range(lock >= 0 ? LOCK_AT_FD + 1 : LOCK_AT_FD, ~0U, 0);
    execv(program, argv);
    child_failed(program);
}

static bool make_board(struct process *p)
{
    if (p->row->role != SMTPD || p->board >= 0)
        return true;
    int fd = memfd_create("troika-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return false;
    /* Sealed: a captured worker must not be able to pull the pages away under the others. */
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)p->server->board_bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        (void)close(fd);
        return false;
    }
    p->board = fd;
    for (struct process *q = p->server->processes; q < p->server->processes + PROCESSES_MAX; q++) {
        if (q != p && q->channel && q->row->role == SMTPD)
            process_give_board(q, p);
    }
    return true;
}

static void on_again(void *arg)
{
    process_start(arg);
}

static void start_later(struct process *p)
{
    struct server *s = p->server;
    uint64_t now = clock_monotonic_us(loop_clock(s->loop));

    if (p->pause_us == 0 || now - p->started_us >= LIFE_US_GOOD)
        p->pause_us = PAUSE_US_MIN;
    timer_set(s->loop, &p->again, p->pause_us, on_again, p);
    p->pause_us = MIN_OF(2 * p->pause_us, PAUSE_US_MAX);
}

static bool fork_worker(struct process *p, int *ret_socket)
{
    int pair[2];

    if (!make_board(p) || channel_pair(pair) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        become_worker(p, pair[1]);
    int error = errno;
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        errno = error;
        return false;
    }
    p->pid = pid;
    *ret_socket = pair[0];
    return true;
}

void process_start(struct process *p)
{
    int socket;

    timer_stop(&p->again);
    p->started_us = clock_monotonic_us(loop_clock(p->server->loop));
    p->ready = p->asked_to_stop = false;
    if (!fork_worker(p, &socket)) {
        log_why(p, LEVEL_ERROR, "worker-not-started", strerror(errno));
        start_later(p);
        return;
    }
    p->channel = channel_new(p->server->loop, socket, PARENT, p->row->role, &events, p);
    expect(p, READY_US_MAX);
    hand_over(p);
}

/* ---- ending ---- */

void process_stop(struct process *p, uint64_t within_us)
{
    struct msg_stop m = {.kind = MSG_STOP};

    timer_stop(&p->again);
    if (!p->channel || p->asked_to_stop)
        return;
    channel_send(p->channel, &m);
    expect(p, within_us);
    p->asked_to_stop = true;
}

void process_kill(struct process *p, const char *why)
{
    if (p->pid <= 0)
        return;
    log_why(p, LEVEL_ERROR, "worker-killed", why);
    (void)kill(p->pid, SIGKILL);
}

static void log_end(const struct process *p, int wait_status)
{
    bool polite = p->asked_to_stop && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    struct buf line;

    line_begin_for(&line, polite ? "worker-stopped" : "worker-died", p);
    if (WIFSIGNALED(wait_status))
        line_c(&line, "signal", sigabbrev_np(WTERMSIG(wait_status)));
    else
        line_u64(&line, "exit", (uint64_t)WEXITSTATUS(wait_status));
    line_log(&line, polite ? LEVEL_DEBUG : LEVEL_ERROR);
}

void process_ended(struct process *p, int wait_status)
{
    bool asked = p->asked_to_stop;

    log_end(p, wait_status);
    pickup_lost(p->server, p);
    if (p->row->role == LOCAL)
        deliveries_end_all(p->server);
    p->pid = 0;
    p->ready = p->asked_to_stop = false;
    timer_stop(&p->deadline);
    channel_free(&p->channel);
    if (p->board >= 0) /* its sessions are gone */
        (void)fallocate(p->board, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                        (off_t)p->server->board_bytes);
    if (p->server->phase <= PHASE_RUNNING && process_wanted(p)) {
        if (asked)
            p->pause_us = 0; /* was not wanted for a while */
        start_later(p);
    }
    server_config_taken(p->server);
}

bool process_wanted(const struct process *p)
{
    return p->number <= p->row->count(p->server->config);
}

void process_init(struct process *p, struct server *s, const struct worker_row *row,
                  uint32_t number)
{
    *p = (struct process){.server = s, .row = row, .number = number, .board = -1};
}
