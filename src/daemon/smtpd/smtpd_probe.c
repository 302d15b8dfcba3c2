/* smtpd/smtpd_probe.c - for tests only: the smtpd that has been captured. Right after the jail
 * closed it tries what an attacker would, says in the log how each attempt ended, and serves on
 * only if all of them failed. Every attempt is harmless where it succeeds. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/smtpd/smtpd.h"

static const struct config *config; /* as smtpd knows it */

/* Each attempt returns a negative errno, or 0 and more when it got what it wanted. */
static int result(long r)
{
    return r < 0 ? -errno : 0;
}

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int r = result(fd);

    if (fd >= 0)
        (void)close(fd);
    return r;
}

/* A name below STATE, as smtpd knows it from its configuration. */
static int try_state(const char *name, int flags)
{
    struct buf path = buf_init(4 * KIB);
    int r;

    buf_printf(&path, "%.*s/%s", STR_ARG(config->state), name);
    r = try_open(buf_c(&path), flags);
    buf_free(&path);
    return r;
}

static int try_proc(const char *name)
{
    struct buf path = buf_init(KIB);
    int r;

    buf_printf(&path, "/proc/%d/%s", (int)getppid(), name);
    r = try_open(buf_c(&path), O_RDONLY);
    buf_free(&path);
    return r;
}

/* ---- files ---- */

static int read_passwd(void)
{
    return try_open("/etc/passwd", O_RDONLY);
}
static int list_root(void)
{
    return try_open("/", O_RDONLY | O_DIRECTORY);
}
static int list_here(void)
{
    return try_open(".", O_RDONLY | O_DIRECTORY);
}
static int list_above(void)
{
    return try_open("../..", O_RDONLY | O_DIRECTORY);
}
static int make_file(void)
{
    return try_open("troika-probe", O_WRONLY | O_CREAT);
}
static int make_tmp_file(void)
{
    return try_open("/tmp", O_RDWR | O_TMPFILE);
}
static int read_spool(void)
{
    return try_state("spool/queue.db", O_RDONLY);
}
static int write_spool(void)
{
    return try_state("spool/queue.db", O_RDWR);
}
static int list_mail(void)
{
    return try_state("mail", O_RDONLY | O_DIRECTORY);
}
static int read_accounts(void)
{
    return try_state("accounts", O_RDONLY);
}
static int list_state(void)
{
    return try_state(".", O_RDONLY | O_DIRECTORY);
}

static int read_config(void)
{
    struct buf path = buf_init(4 * KIB);
    int r;

    buf_add(&path, config->file);
    r = try_open(buf_c(&path), O_RDONLY);
    buf_free(&path);
    return r;
}

static int stat_passwd(void)
{
    struct stat st;
    return result(stat("/etc/passwd", &st));
}

static int change_root(void)
{
    return result(chroot("."));
}
static int make_folder(void)
{
    return result(mkdir("troika-probe.d", 0700));
}

/* ---- other processes ---- */

static int own_memory_file(void)
{
    return try_open("/proc/self/mem", O_RDWR);
}
static int list_processes(void)
{
    return try_open("/proc", O_RDONLY | O_DIRECTORY);
}
static int read_init(void)
{
    return try_open("/proc/1/status", O_RDONLY);
}
static int parent_memory_file(void)
{
    return try_proc("mem");
}
static int parent_environment(void)
{
    return try_proc("environ");
}
static int parent_descriptors(void)
{
    return try_proc("fd");
}
static int signal_parent(void)
{
    return result(kill(getppid(), 0));
}
static int signal_group(void)
{
    return result(kill(0, 0));
}
static int signal_everybody(void)
{
    return result(kill(-1, 0));
}

static int signal_sibling(void)
{
    /* Workers are started one after the other. */
    for (pid_t pid = getpid() - 8; pid < getpid() + 8; pid++) {
        if (pid > 1 && pid != getpid() && kill(pid, 0) == 0)
            return 0;
    }
    return -EPERM;
}

static int trace_parent(void)
{
    return result(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int read_parent_memory(void)
{
    char bytes[16];
    struct iovec to = {bytes, sizeof bytes}, from = {(void *)(uintptr_t)&config, sizeof bytes};

    return result(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int open_parent(void)
{
    return result(syscall(SYS_pidfd_open, getppid(), 0));
}

static int make_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return result(pid);
}

static int run_program(void)
{
    char *const arguments[] = {NULL};

    return result(execve("/bin/false", arguments, arguments));
}

/* ---- the network ---- */

static int try_connect(int family, const void *address, socklen_t bytes)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;

    int r = result(connect(fd, address, bytes));

    (void)close(fd);
    return r == -ECONNREFUSED ? 0 : r; /* refused by somebody: so it went out */
}

static int connect_tcp(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(25), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    return try_connect(AF_INET, &a, sizeof a);
}

static int connect_unix(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/notify"};

    return try_connect(AF_UNIX, &a, sizeof a);
}

static int listen_anew(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;

    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int r = result(bind(fd, (struct sockaddr *)&a, sizeof a));

    (void)close(fd);
    return r;
}

static int send_datagram(void)
{
    return result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

/* ---- more power ---- */

static int become_root(void)
{
    return getuid() == 0 ? 0 : result(setresuid(0, 0, 0));
}
static int own_namespaces(void)
{
    return result(unshare(CLONE_NEWUSER));
}
static int use_bpf(void)
{
    return result(syscall(SYS_bpf, 0, NULL, 0)) == -EPERM ? -EPERM : 0;
}

static int use_io_uring(void)
{
    int r = result(syscall(SYS_io_uring_setup, 0, NULL));
    return r == -EPERM || r == -ENOSYS ? r : 0;
}

static int use_keys(void)
{
    return result(syscall(SYS_add_key, "user", "troika-probe", "x", 1, -4));
}

static int share_memory(void)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

    if (id >= 0)
        (void)shmctl(id, IPC_RMID, NULL);
    return result(id);
}

static int run_new_code(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -errno : 0;
}

/* ---- what other workers share with us ---- */

static const struct worker *self;

static int write_other_board(void)
{
    for (size_t i = 0; i < countof(self->boards); i++) {
        if (i == self->number || self->boards[i] < 0)
            continue;
        if (pwrite(self->boards[i], "", 1, 0) == 1)
            return 0;
        if (mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, self->boards[i], 0) != MAP_FAILED)
            return 0;
    }
    return -EBADF;
}

static int pull_board_away(void)
{
    return result(ftruncate(self->boards[self->number], 0));
}

static const struct attempt {
    const char *name;
    int (*run)(void);
} attempts[] = {
    {"read-passwd", read_passwd},
    {"stat-passwd", stat_passwd},
    {"list-root", list_root},
    {"list-here", list_here},
    {"list-above", list_above},
    {"make-file", make_file},
    {"make-tmp-file", make_tmp_file},
    {"make-folder", make_folder},
    {"change-root", change_root},
    {"read-config", read_config},
    {"list-state", list_state},
    {"read-spool", read_spool},
    {"write-spool", write_spool},
    {"list-mail", list_mail},
    {"read-accounts", read_accounts},
    {"own-memory-file", own_memory_file},
    {"list-processes", list_processes},
    {"read-init", read_init},
    {"parent-memory-file", parent_memory_file},
    {"parent-environment", parent_environment},
    {"parent-descriptors", parent_descriptors},
    {"signal-parent", signal_parent},
    {"signal-group", signal_group},
    {"signal-everybody", signal_everybody},
    {"signal-sibling", signal_sibling},
    {"trace-parent", trace_parent},
    {"read-parent-memory", read_parent_memory},
    {"open-parent", open_parent},
    {"make-process", make_process},
    {"connect-tcp", connect_tcp},
    {"connect-unix", connect_unix},
    {"listen", listen_anew},
    {"send-datagram", send_datagram},
    {"become-root", become_root},
    {"own-namespaces", own_namespaces},
    {"use-bpf", use_bpf},
    {"use-io-uring", use_io_uring},
    {"use-keys", use_keys},
    {"share-memory", share_memory},
    {"run-new-code", run_new_code},
    {"write-other-board", write_other_board},
    {"pull-board-away", pull_board_away},
    {"run-program", run_program}, /* the last: where it works this process is gone */
};

static void probe(struct worker *w)
{
    bool captured = false;

    self = w;
    config = smtpd_config();
    for (size_t i = 0; i < countof(attempts); i++) {
        int r = attempts[i].run();

        log_event(r < 0 ? LEVEL_INFO : LEVEL_ERROR, "probe", "name", attempts[i].name, "outcome",
                  r < 0 ? "denied" : "ALLOWED", "error", r < 0 ? strerrorname_np(-r) : "none",
                  NULL);
        captured = captured || r >= 0;
    }
    if (captured)
        exit(1);
}

int main(int argc, char **argv)
{
    struct role_spec spec = smtpd_spec;

    spec.probe = probe;
    return worker_main(argc, argv, &spec);
}
