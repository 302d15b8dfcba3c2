/* cli/ask.c - asking a role: over its control socket, or, when the server is down, over a
 * socketpair to the same role program started just for this question (--ask).
 *
 * The second way takes STATE/lock first, so a server cannot start under it. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "ipc/channel.h"

struct asked {
    const struct command_line *line;
    int fd, lock_fd;
    pid_t pid; /* of the role started for the question, or 0 */
    struct buf out;
    union message message;
    char packet[PACKET_BYTES_MAX];
};

static const char not_allowed[] =
    "only root, the user of the server and members of the group troika may ask that";

/* The folder below STATE that a role works in. */
static const char *role_folder(enum role role)
{
    return role == QUEUE ? "spool" : role == HISTORY ? "history" : "accounts";
}

static int connect_control(const struct config *config, enum role role, int *ret)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int n = snprintf(to.sun_path, sizeof(to.sun_path), "%.*s/control/%s.sock",
                     STR_ARG(config->state), role_name(role));

    if (n < 0 || (size_t)n >= sizeof(to.sun_path))
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    *ret = fd;
    return 0;
}

static int take_lock(struct asked *a, const struct config *config)
{
    char path[4200];

    snprintf(path, sizeof(path), "%.*s/lock", STR_ARG(config->state));
    a->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (a->lock_fd < 0 && errno == EACCES)
        return fail(a->line, EX_NOPERM, not_allowed);
    if (a->lock_fd < 0)
        return fail(a->line, EX_NOINPUT,
                    "%s: %s; the server has never run here (`troika serve` starts it)", path,
                    strerror(errno));
    if (flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return fail(a->line, EX_TEMPFAIL,
                    "a server holds %s but does not answer; it may be starting: try again", path);
    return EX_OK;
}

static _Noreturn void become_role(int socket_fd, int snapshot_fd, const char *program,
                                  const char *folder)
{
    char ask[] = "--ask";
    /* Both are moved out of the way first: one may already be where the other must go. */
    int socket_copy = fcntl(socket_fd, F_DUPFD, 10);
    int snapshot_copy = fcntl(snapshot_fd, F_DUPFD, 10);
    char *const argv[] = {(char *)(uintptr_t)program, ask, (char *)(uintptr_t)folder, NULL};

    if (dup2(socket_copy, 3) == 3 && dup2(snapshot_copy, 4) == 4) {
        close(socket_copy);
        close(snapshot_copy);
        execv(program, argv);
    }
    _exit(EX_OSERR);
}

static int start_role(struct asked *a, const struct config *config, int snapshot_fd, enum role role)
{
    char program[4200];
    char folder[4200];
    int pair[2];

    if (!libexec_path(a->line, role_name(role), program, sizeof(program)))
        return fail(a->line, EX_UNAVAILABLE, "the server is down, and %s: %s", program,
                    strerror(errno));
    snprintf(folder, sizeof(folder), "%.*s/%s", STR_ARG(config->state), role_folder(role));
    if (access(folder, F_OK) < 0)
        return fail(a->line, EX_NOINPUT, "%s: %s; the server has never run here", folder,
                    strerror(errno));
    if (channel_pair(pair) < 0)
        return fail(a->line, EX_OSERR, "socketpair: %s", strerror(errno));
    a->pid = fork();
    if (a->pid == 0)
        become_role(pair[1], snapshot_fd, program, folder);
    close(pair[1]);
    if (a->pid < 0)
        return fail(a->line, EX_OSERR, "fork: %s", strerror(errno));
    int flags = fcntl(pair[0], F_GETFL);

    (void)fcntl(pair[0], F_SETFL, flags & ~O_NONBLOCK);
    a->fd = pair[0];
    return EX_OK;
}

int ask_open(const struct command_line *l, enum role role, struct asked **ret)
{
    int snapshot_fd = -1;
    struct config *config = load_config(l, &snapshot_fd);

    if (!config)
        return EX_CONFIG;
    struct asked *a = mem_new(sizeof(*a));

    *a = (struct asked){.line = l, .fd = -1, .lock_fd = -1, .out = buf_init(PACKET_BYTES_MAX)};
    int code = EX_OK;
    int error = connect_control(config, role, &a->fd);

    if (error == -ENOENT || error == -ECONNREFUSED) {
        code = take_lock(a, config);
        if (code == EX_OK)
            code = start_role(a, config, snapshot_fd, role);
    } else if (error == -EACCES) {
        code = fail(l, EX_NOPERM, not_allowed);
    } else if (error) {
        code = fail(l, EX_UNAVAILABLE, "cannot ask the server (%.*s/control/%s.sock): %s",
                    STR_ARG(config->state), role_name(role), strerror(-error));
    }
    close(snapshot_fd);
    config_drop(&config);
    if (code == EX_OK)
        *ret = a;
    else
        ask_close(&a);
    return code;
}

void ask_close(struct asked **a)
{
    if (!*a)
        return;
    if ((*a)->fd >= 0)
        close((*a)->fd);
    if ((*a)->pid > 0)
        (void)waitpid((*a)->pid, NULL, 0);
    if ((*a)->lock_fd >= 0)
        close((*a)->lock_fd);
    buf_free(&(*a)->out);
    free(*a);
    *a = NULL;
}

int ask_send(struct asked *a, void *message)
{
    buf_reset(&a->out);
    if (!message_encode(&a->out, message))
        return fail(a->line, EX_DATAERR, "the question is too long");
    if (send(a->fd, a->out.p, a->out.n, MSG_NOSIGNAL) < 0)
        return fail(a->line, EX_IOERR, "the server went away: %s", strerror(errno));
    return EX_OK;
}

union message *ask_receive(struct asked *a)
{
    ssize_t n;

    do {
        n = recv(a->fd, a->packet, sizeof(a->packet), 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        fail(a->line, EX_IOERR, "the server went away before it answered%s%s", n < 0 ? ": " : "",
             n < 0 ? strerror(errno) : "; see its log");
        return NULL;
    }
    if (!message_decode(str_n(a->packet, (size_t)n), -1, &a->message)) {
        fail(a->line, EX_PROTOCOL, "the server answered something unknown; is it another version?");
        return NULL;
    }
    return &a->message;
}

int ask_lines(struct asked *a, void *question, void (*fn)(void *arg, struct str line), void *arg,
              struct msg_end *end)
{
    int code = ask_send(a, question);

    while (code == EX_OK) {
        union message *m = ask_receive(a);

        if (!m)
            return EX_IOERR;
        if (m->kind == MSG_END) {
            if (end)
                *end = m->end;
            return EX_OK;
        }
        if (m->kind != MSG_LINES)
            continue;
        struct str lines = m->lines.lines;

        while (lines.n) {
            struct str one = str_cut(&lines, '\n');

            if (one.n)
                fn(arg, one);
        }
    }
    return code;
}
