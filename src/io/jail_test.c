/* Each probe runs in a child that has entered a jail: once as a plain user, and, when the test is
 * run by root, once as a user of its own in a changed root. It returns NULL or what went wrong. */
// SPDX-License-Identifier: ISC
#include "io/jail.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/socket.h"

enum { NOBODY = 65534 };
enum { QUEUE_MAY = JAIL_FILES_READ | JAIL_FILES_WRITE | JAIL_LOCK | JAIL_THREADS };

static char folder[128];
static int folder_fd;
static int listener_fd; /* TCP, on loopback */
static struct sock_address listener_address;

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct sock_address a[2];

    (void)snprintf(folder, sizeof(folder), "%s/troika-jail-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder) || (geteuid() == 0 && chown(folder, NOBODY, NOBODY) < 0))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sock_address_parse(STR("127.0.0.1:0"), a) != 1 || listen_tcp(&a[0], &listener_fd) < 0)
        return -1;
    listener_address = a[0];
    return getsockname(listener_fd, (struct sockaddr *)&listener_address.sa,
                       &listener_address.bytes);
}

static int teardown(void **state)
{
    static const char *const names[] = {"file", "large", "q.db", "q.db-wal", "q.db-shm"};

    for (size_t i = 0; i < countof(names); i++)
        (void)unlinkat(folder_fd, names[i], 0);
    (void)unlinkat(folder_fd, "dir", AT_REMOVEDIR);
    (void)close(folder_fd);
    (void)close(listener_fd);
    return rmdir(folder);
}

/* ---- the child ---- */

static void child(unsigned may, bool as_root, const char *(*probe)(void))
{
    struct jail j = {.root_fd = may & (JAIL_FILES_READ | JAIL_FILES_WRITE) ? folder_fd : -1,
                     .may = may,
                     .user = as_root ? "nobody" : NULL};
    struct buf words = buf_init(200);

    if (fchdir(folder_fd) < 0)
        _exit(2);
    if (!as_root && geteuid() == 0 &&
        (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
        _exit(2);
    int error = jail_enter(&j, &words);
    if (error < 0) {
        (void)fprintf(stderr, "jail: %s: %s\n", buf_c(&words), strerror(-error));
        _exit(3);
    }
    const char *wrong = probe();
    if (wrong)
        (void)fprintf(stderr, "%s: %s (%s)\n", buf_c(&words), wrong, strerror(errno));
    _exit(wrong ? 1 : 0);
}

static int status_of_child(unsigned may, bool as_root, const char *(*probe)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        child(may, as_root, probe);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void in_jail(unsigned may, const char *(*probe)(void))
{
#ifdef TROIKA_UNJAILED
    print_message("skipped: a sanitizer build is not jailed\n");
    skip();
#endif
    assert_int_equal(status_of_child(may, false, probe), 0);
    if (geteuid() != 0) {
        print_message("skipped as root: not run by root\n");
        return;
    }
    assert_int_equal(status_of_child(may, true, probe), 0);
}

/* ---- what nobody may ---- */

static bool denied(long r)
{
    return r < 0 && (errno == EPERM || errno == EACCES);
}

static const char *probe_process(void)
{
    char *const argv[] = {NULL};

    if (!denied(syscall(SYS_fork)) || !denied(syscall(SYS_vfork)) ||
        !denied(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)))
        return "fork";
    if (!denied(execve("/bin/true", argv, argv)) ||
        !denied(syscall(SYS_execveat, 0, "", argv, argv, 0)))
        return "exec";
    if (!denied(ptrace(PTRACE_TRACEME, 0, NULL, NULL)) ||
        !denied(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)))
        return "look into a process";
    if (!denied(kill(getppid(), 0)) || !denied(kill(1, 0)) || !denied(kill(-1, 0)) ||
        !denied(syscall(SYS_tgkill, getppid(), getppid(), 0)) ||
        !denied(syscall(SYS_pidfd_open, getppid(), 0)))
        return "see a process";
    if (!denied(setuid(0)) || !denied(setgid(0)) || !denied(syscall(SYS_setgroups, 0, NULL)))
        return "change the user";
    return NULL;
}

static const char *probe_kernel(void)
{
    if (!denied(mount("none", "/", "tmpfs", 0, NULL)) || !denied(chroot("/")) ||
        !denied(syscall(SYS_unshare, CLONE_NEWUSER)) || !denied(syscall(SYS_setns, 0, 0)))
        return "mounts or namespaces";
    if (!denied(syscall(SYS_bpf, 0, NULL, 0)) ||
        !denied(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0)) ||
        !denied(syscall(SYS_io_uring_setup, 1, NULL)) ||
        !denied(syscall(SYS_keyctl, 0, 0, 0, 0, 0)) || !denied(syscall(SYS_userfaultfd, 0)))
        return "bpf, perf, io_uring, keys, userfaultfd";
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return "executable memory";
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || !denied(mprotect(p, 4096, PROT_READ | PROT_EXEC)))
        return "memory made executable";
    return denied(fcntl(0, F_SETOWN, 1)) ? NULL : "signals by descriptor";
}

static const char *probe_listening(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    int pair[2];

    if (!denied(bind(listener_fd, (struct sockaddr *)&in, sizeof(in))) ||
        !denied(listen(listener_fd, 5)))
        return "bind or listen";
    if (!denied(socket(AF_UNIX, SOCK_STREAM, 0)) || !denied(socket(AF_INET, SOCK_DGRAM, 0)) ||
        !denied(socket(AF_NETLINK, SOCK_RAW, 0)) || !denied(socket(AF_PACKET, SOCK_RAW, 0)) ||
        !denied(socket(AF_INET, SOCK_RAW, 0)) || !denied(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)))
        return "other sockets";
    return NULL;
}

static const char *probe_nothing(void)
{
    const char *wrong = probe_process();

    if (!wrong)
        wrong = probe_kernel();
    return wrong ? wrong : probe_listening();
}

static const char *probe_no_files(void)
{
    struct stat st;

    if (!denied(open("/", O_RDONLY)) || !denied(open("/etc/passwd", O_RDONLY)) ||
        !denied(open("file", O_WRONLY | O_CREAT, 0600)) ||
        !denied(openat(folder_fd, ".", O_RDONLY)))
        return "open";
    if (!denied(stat("/", &st)) || !denied(access("/", F_OK)) ||
        !denied(syscall(SYS_statx, AT_FDCWD, "/", 0, 0, NULL)))
        return "look at a name";
    if (!denied(mkdir("dir", 0700)) || !denied(unlink("/etc/passwd")) || !denied(chdir("/")) ||
        !denied(rename("a", "b")) || !denied(symlink("a", "b")) || !denied(chmod("/", 0)))
        return "change a name";
    return NULL;
}

static void *thread(void *arg)
{
    return arg;
}

static const char *probe_nothing_at_all(void)
{
    const char *wrong = probe_nothing();

    if (!wrong)
        wrong = probe_no_files();
    if (!wrong && !denied(socket(AF_INET, SOCK_STREAM, 0)))
        wrong = "socket";
    if (!wrong && !denied(accept(listener_fd, NULL, NULL)))
        wrong = "accept";
    pthread_t t;
    if (!wrong && pthread_create(&t, NULL, thread, NULL) == 0)
        wrong = "thread";
    return wrong;
}

static void test_nothing(void **state)
{
    in_jail(0, probe_nothing_at_all);
}

/* ---- what everybody may ---- */

static const char *probe_basics(void)
{
    struct stat st;
    struct timespec now;
    char random[8];
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, 4096) < 0 || fstat(fd, &st) < 0 || st.st_size != 4096)
        return "memfd and fstat";
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED || munmap(p, 4096) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0)
        return "seal";
    if (pread(fd, random, 8, 0) != 8 || close(fd) < 0)
        return "read";
    if (getentropy(random, 8) < 0 || clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return "chance and time";
    for (size_t bytes = 1; bytes < 64 * MIB; bytes *= 4)
        free(mem_resize(NULL, bytes));
    fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0 || epoll_wait(fd, &(struct epoll_event){0}, 1, 0) != 0)
        return "epoll";
    return NULL;
}

static void test_basics(void **state)
{
    in_jail(0, probe_basics);
}

static const char *probe_abort(void)
{
    abort();
}

static void test_abort(void **state)
{
#ifdef TROIKA_UNJAILED
    skip();
#endif
    int status = status_of_child(0, false, probe_abort);

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* ---- sockets ---- */

static const char *probe_accept(void)
{
    if (accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK) >= 0 || errno != EAGAIN)
        return "accept";
    return probe_no_files();
}

static void test_accept(void **state)
{
    in_jail(JAIL_ACCEPT, probe_accept);
    in_jail(JAIL_ACCEPT, probe_nothing);
}

static const char *probe_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return "socket";
    if (connect(fd, (struct sockaddr *)&listener_address.sa, listener_address.bytes) < 0 &&
        errno != EINPROGRESS)
        return "connect";
    return probe_no_files();
}

static void test_connect(void **state)
{
    in_jail(JAIL_CONNECT, probe_connect);
    in_jail(JAIL_CONNECT, probe_nothing);
}

static const char *probe_ask_names(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(in);
    int on = 1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
        getsockname(fd, (struct sockaddr *)&in, &bytes) < 0)
        return "a UDP socket";
    if (setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) < 0)
        return "its options";
    if (sendto(fd, "x", 1, 0, (struct sockaddr *)&in, bytes) != 1)
        return "sending";
    (void)bind(stream, (struct sockaddr *)&in, sizeof(in)); /* Landlock may know to deny it */
    if (stream < 0 || !denied(listen(stream, 1)) || !denied(accept(stream, NULL, NULL)))
        return "listen";
    if (!denied(socket(AF_UNIX, SOCK_DGRAM, 0)) || !denied(socket(AF_NETLINK, SOCK_RAW, 0)) ||
        !denied(socket(AF_INET, SOCK_RAW, 0)))
        return "other sockets";
    const char *wrong = probe_process();
    return wrong ? wrong : probe_no_files();
}

static void test_ask_names(void **state)
{
    in_jail(JAIL_CONNECT | JAIL_DNS, probe_ask_names);
    in_jail(JAIL_CONNECT | JAIL_DNS, probe_kernel);
}

/* ---- files ---- */

static const char *probe_outside(void)
{
    static const char *const names[] = {"/etc/passwd", "/proc/1/status", "/tmp/..", "/dev/null",
                                        "../../../etc/passwd"};

    for (size_t i = 0; i < countof(names); i++)
        if (open(names[i], O_RDONLY) >= 0 || (errno != EACCES && errno != ENOENT))
            return names[i];
    return probe_nothing();
}

static const char *probe_files(void)
{
    const struct disk *d = &disk_system;
    struct buf b = buf_init(100);
    uint64_t n;

    if (file_replace(d, folder_fd, "file", STR("text"), 0600) != 0 ||
        file_read(folder_fd, "file", 100, &b) != 0 || b.n != 4)
        return "write and read";
    buf_free(&b);
    int fd = d->open(d, folder_fd, ".", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0 || d->allocate(d, fd, 100000) < 0 || d->sync(d, fd) < 0)
        return "a file without a name";
    (void)d->unlink(d, folder_fd, "large");
    errno = -d->link_fd(d, fd, folder_fd, "large");
    if (errno != 0)
        return "link_fd";
    if (d->make_dir(d, folder_fd, "dir", 0700) < 0 || rmdir("dir") < 0 ||
        disk_free_bytes(folder_fd, &n) < 0)
        return "folder";
    return probe_outside();
}

static void test_files(void **state)
{
    in_jail(QUEUE_MAY, probe_files);
}

static const char *probe_read_only(void)
{
    char c;
    int fd = open("file", O_RDONLY);

    if (fd < 0 || read(fd, &c, 1) != 1 || c != 't')
        return "read";
    if (!denied(open("file", O_RDWR)) || !denied(open("dir", O_WRONLY | O_CREAT, 0600)) ||
        !denied(unlink("file")) || !denied(truncate("file", 0)))
        return "write";
    return probe_outside();
}

static void test_read_only(void **state)
{
    assert_int_equal(file_replace(&disk_system, folder_fd, "file", STR("text"), 0644), 0);
    in_jail(JAIL_FILES_READ, probe_read_only);
}

/* ---- SQLite, opened at run time so that src/io does not link it ---- */

struct sqlite_api {
    int (*open)(const char *name, void **ret);
    int (*exec)(void *db, const char *sql, int (*row)(void *, int, char **, char **), void *arg,
                char **error);
    int (*close)(void *db);
};
static struct sqlite_api sqlite;

static void *load(void *library, const char *name)
{
    void *f = library ? dlsym(library, name) : NULL;

    return f;
}

static void *checkpoint(void *arg)
{
    void *db;
    bool good = sqlite.open("q.db", &db) == 0 &&
                sqlite.exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) == 0;

    (void)sqlite.close(db);
    return good ? arg : NULL;
}

static const char *probe_sqlite(void)
{
    void *db;
    void *result = NULL;
    pthread_t t;

    if (sqlite.open("q.db", &db) != 0)
        return "open the database";
    if (sqlite.exec(db,
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    "CREATE TABLE IF NOT EXISTS t (a, b); BEGIN; INSERT INTO t VALUES (1, 2);"
                    "INSERT INTO t SELECT a, randomblob(5000) FROM t; COMMIT;",
                    NULL, NULL, NULL) != 0)
        return "write to the database";
    if (pthread_create(&t, NULL, checkpoint, db) != 0 || pthread_join(t, &result) != 0 || !result)
        return "checkpoint in a thread";
    if (sqlite.exec(db, "DELETE FROM t", NULL, NULL, NULL) != 0 || sqlite.close(db) != 0)
        return "close the database";
    return probe_outside();
}

static void test_sqlite(void **state)
{
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
    void *calls[] = {load(library, "sqlite3_open"), load(library, "sqlite3_exec"),
                     load(library, "sqlite3_close")};

    static_assert(sizeof(calls) == sizeof(sqlite), "one pointer for each call");
    if (!library)
        print_message("skipped: no libsqlite3.so.0\n");
    if (!library)
        skip();
    memcpy(&sqlite, calls, sizeof(sqlite));
    in_jail(QUEUE_MAY, probe_sqlite);
    (void)dlclose(library);
}

/* ---- the report, and what must not go on ---- */

static void enter_and_say(int to_fd, const char *user)
{
    struct jail j = {.root_fd = -1, .user = user};
    struct buf words = buf_init(200);
    int error = jail_enter(&j, &words);

    buf_printf(&words, ":%d", error);
    if (write(to_fd, words.p, words.n) < 0)
        _exit(1);
    _exit(0);
}

static struct str words_of(const char *user, char *to, size_t room)
{
    int fd[2];
    int status;
    ssize_t n;

    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (pid == 0)
        enter_and_say(fd[1], user);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    n = read(fd[0], to, room);
    assert_true(n > 0);
    (void)close(fd[0]);
    (void)close(fd[1]);
    return str_n(to, (size_t)n);
}

static void test_words(void **state)
{
    char text[300];
    struct str words = words_of(geteuid() == 0 ? "nobody" : NULL, text, sizeof(text));

    print_message("%.*s\n", STR_ARG(words));
    assert_true(str_ends(words, STR(":0")));
#ifdef TROIKA_UNJAILED
    assert_true(str_find_str(words, STR("unjailed-build")) < words.n);
#else
    assert_true(str_ends(words, STR(" seccomp:0")));
    assert_true(str_find_str(words, STR("no_new_privs")) < words.n);
    assert_true(geteuid() != 0 || str_starts(words, STR("chroot uid=nobody ")));
#endif
}

static void test_wrong_users(void **state)
{
    char text[300];

    if (geteuid() != 0) {
        print_message("skipped: not run by root\n");
        skip();
    }
    assert_true(
        str_eq_c(words_of("no-such-user-here", text, sizeof(text)), "there is no such user:-2"));
    assert_true(str_eq_c(words_of("root", text, sizeof(text)), "the user is root:-1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_basics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ask_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sqlite, setup, teardown),
        cmocka_unit_test_setup_teardown(test_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_users, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
