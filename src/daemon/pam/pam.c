/* daemon/pam/pam.c - see pam.h. */
// SPDX-License-Identifier: ISC
#include "daemon/pam/pam.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/pam/check.h"
#include "io/disk.h"

enum { CHECK_FILES_MAX = 256, WHY_BYTES = 100, CHILDREN_BYTES_MAX = 64 * 1024 };
#define CHECK_MEMORY_MAX (512 * MIB)

struct question {
    struct list link; /* in pam.waiting or pam.running */
    struct channel *from;
    uint64_t ticket;
    struct buf login, password, client;
    pid_t pid; /* of its child; 0: it waits */
    bool late; /* it was killed */
    struct timer deadline;
};

static struct {
    struct worker *worker;
    struct config *config;
    struct list waiting, running;
    size_t waiting_count, running_count;
    struct watch on_child;
    const char *folder;
} pam;

void pam_use_folder(const char *folder)
{
    pam.folder = folder;
}

/* ---- in the child ---- */

static bool limit(int resource, uint64_t most)
{
    struct rlimit l = {most, most};

    return setrlimit(resource, &l) == 0;
}

static bool set_limits(void)
{
    uint64_t seconds = pam.config->pam_timeout_us / US_PER_S + 1;
    bool good = limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, CHECK_FILES_MAX) &&
                limit(RLIMIT_CPU, seconds);

#ifndef TROIKA_UNJAILED /* sanitizers need terabytes of addresses */
    good = good && limit(RLIMIT_AS, CHECK_MEMORY_MAX);
#endif
    return good;
}

/* Modules may start programs and wait for them. */
static void reset_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* None of our channels is open in it: what hangs there must not keep a peer from seeing our end.
 * What modules print is nothing for the log. */
static bool arrange_descriptors(void)
{
    int null = open("/dev/null", O_RDWR);
    bool good = null >= 0;

    for (int fd = STDIN_FILENO; good && fd <= STDERR_FILENO; fd++)
        good = dup2(null, fd) >= 0;
    return good && close_range(STDERR_FILENO + 1, ~0U, 0) == 0;
}

static _Noreturn void child(struct question *q, pid_t parent)
{
    struct arena a = ARENA_INIT;
    struct check c = {.service = arena_c(&a, pam.config->pam_service),
                      .folder = pam.folder,
                      .minimum_uid = (uid_t)pam.config->minimum_uid,
                      .login = buf_str(&q->login),
                      .password = buf_str(&q->password),
                      .client = buf_str(&q->client)};

    reset_signals();
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)prctl(PR_SET_NAME, "pam check", 0, 0, 0);
    if (getppid() != parent) /* it died before: nobody would ever end this */
        _exit(CHECK_LATER);
    if (!set_limits() || !arrange_descriptors())
        _exit(CHECK_LATER);
    _exit(check_password(&c));
}

/* ---- questions ---- */

static void question_free(struct question *q)
{
    timer_stop(&q->deadline);
    list_remove(&q->link);
    buf_wipe(&q->login);
    buf_wipe(&q->password);
    buf_wipe(&q->client);
    free(q);
}

static void answer(const struct question *q, enum password_verdict verdict, const char *why)
{
    if (q->from)
        channel_send(q->from, &(struct msg_pam_answer){.kind = MSG_PAM_ANSWER,
                                                       .ticket = q->ticket,
                                                       .verdict = (uint8_t)verdict,
                                                       .why = str_c(why)});
}

static void log_trouble(const struct question *q, const char *why)
{
    struct buf line = buf_init(LINE_BYTES_MAX);

    line_c(&line, "event", "pam-failed");
    line_str(&line, "user", buf_str(&q->login));
    line_str(&line, "service", pam.config->pam_service);
    line_c(&line, "why", why);
    log_line(LEVEL_WARNING, buf_str(&line));
    buf_free(&line);
}

static void fail(const struct question *q, const char *why)
{
    log_trouble(q, why);
    answer(q, PASSWORD_LATER, why);
}

static void on_deadline(void *arg)
{
    struct question *q = arg;

    q->late = true;
    (void)kill(q->pid, SIGKILL); /* what it started follows: on_child */
}

static void start_next(void);

static void start(struct question *q)
{
    pid_t self = getpid(), pid = fork();

    if (pid == 0)
        child(q, self);
    buf_wipe(&q->password); /* it has its own */
    if (pid < 0) {
        fail(q, "no process could be started");
        question_free(q);
        return;
    }
    q->pid = pid;
    list_add(&pam.running, &q->link);
    pam.running_count++;
    timer_set(pam.worker->loop, &q->deadline, pam.config->pam_timeout_us, on_deadline, q);
}

static void start_next(void)
{
    while (pam.running_count < CHECKS_AT_ONCE_MAX && !list_empty(&pam.waiting)) {
        struct question *q = list_of(pam.waiting.next, struct question, link);

        list_remove(&q->link);
        pam.waiting_count--;
        start(q);
    }
}

static void judge(const struct question *q, int status)
{
    char why[WHY_BYTES] = "PAM took longer than pam-timeout and was killed";
    int end = WIFEXITED(status) ? WEXITSTATUS(status) : CHECK_END_COUNT;

    if (end < CHECK_END_COUNT) {
        if (check_ends[end].verdict == PASSWORD_LATER)
            fail(q, check_ends[end].why);
        else
            answer(q, check_ends[end].verdict, check_ends[end].why);
        return;
    }
    if (!q->late && WIFSIGNALED(status))
        (void)snprintf(why, sizeof why, "a module of PAM died of SIG%s",
                       sigabbrev_np(WTERMSIG(status)));
    else if (!q->late)
        (void)snprintf(why, sizeof why, "a module of PAM ended the check with status %d", end);
    fail(q, why);
}

static struct question *running_find(pid_t pid)
{
    list_each (link, &pam.running) {
        struct question *q = list_of(link, struct question, link);

        if (q->pid == pid)
            return q;
    }
    return NULL;
}

/* What a check left running, in whatever session, has become our child (we are the subreaper): its
 * number is nobody else's before we have waited for it. */
static void kill_strays(void)
{
    char path[64];
    struct buf text = buf_init(CHILDREN_BYTES_MAX);

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    (void)file_read(AT_FDCWD, path, CHILDREN_BYTES_MAX, &text); /* without: they live on */
    for (struct str rest = buf_str(&text); rest.n > 0;) {
        uint64_t pid;

        if (str_u64(str_cut_word(&rest), &pid) && !running_find((pid_t)pid))
            (void)kill((pid_t)pid, SIGKILL);
    }
    buf_free(&text);
}

static void on_child(void *arg, unsigned what)
{
    int status;

    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        struct question *q = running_find(pid);

        if (!q)
            continue;
        judge(q, status);
        pam.running_count--;
        question_free(q);
    }
    kill_strays();
    start_next();
}

/* ---- messages ---- */

static void keep(struct buf *to, struct str s)
{
    *to = buf_init(s.n + 1);
    buf_add(to, s);
}

static void on_pam_ask(struct worker *w, struct channel *from, union message *m)
{
    const struct msg_pam_ask *asked = &m->pam_ask;
    struct question *q = mem_new(sizeof *q);

    *q = (struct question){.from = from, .ticket = asked->ticket};
    list_init(&q->link);
    keep(&q->login, asked->login);
    keep(&q->password, asked->password);
    explicit_bzero((char *)(uintptr_t)asked->password.p, asked->password.n);
    keep(&q->client, asked->client);
    if (pam.config->pam_service.n == 0 || pam.waiting_count >= CHECKS_WAITING_MAX) {
        fail(q, "too many wait for PAM");
        question_free(q);
        return;
    }
    list_add(&pam.waiting, &q->link);
    pam.waiting_count++;
    start_next();
}

/* A check that runs goes on: a failure is to be counted by PAM in any case. */
static void peer_down(struct worker *w, struct channel *peer)
{
    list_each (link, &pam.running) {
        struct question *q = list_of(link, struct question, link);

        if (q->from == peer)
            q->from = NULL;
    }
    list_each (link, &pam.waiting) {
        struct question *q = list_of(link, struct question, link);

        if (q->from != peer)
            continue;
        pam.waiting_count--;
        question_free(q);
    }
}

/* ---- life ---- */

static int take_config(struct worker *w, int snapshot_fd)
{
    struct config *c = NULL;
    int error = config_load(snapshot_fd, &c);

    if (error < 0)
        return error;
    config_drop(&pam.config);
    pam.config = c;
    return 0;
}

static int begin(struct worker *w)
{
    if (!pam.config)
        return -EINVAL;
    pam.worker = w;
    list_init(&pam.waiting);
    list_init(&pam.running);
    watch_signal(w->loop, &pam.on_child, SIGCHLD, on_child, NULL);
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    channel_wipe(peer); /* passwords */
}

static void stop(struct worker *w)
{
    list_each (link, &pam.running) {
        const struct question *q = list_of(link, struct question, link);

        (void)kill(q->pid, SIGKILL);
        (void)waitpid(q->pid, NULL, 0);
    }
    list_init(&pam.running);
    kill_strays();
    worker_done(w);
}

static const struct role_handler handlers[] = {{MSG_PAM_ASK, on_pam_ask}};

const struct role_spec pam_spec = {
    .role = PAM,
    .jail_may = JAIL_USERS | JAIL_PAM,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = begin,
    .config = take_config,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .stop = stop,
};
