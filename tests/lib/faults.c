/* faults.c - preloaded into the server by a test: calls that fail when the test wants it.
 *
 * TROIKA_FAULTS names a file (struct board, tests/lib/faults.py has the same) that is mapped before
 * the jail closes. Each place from which a call is made, told by its stack, is a site: all are
 * counted, and an order makes the calls of one site, or of one function of a role, fail with an
 * errno, some times or until it is withdrawn. Addresses must be the same in each process of a
 * program: run it below `setarch -R`. Nothing here makes a system call that a jail may refuse. */
// SPDX-License-Identifier: ISC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SITES_MAX = 32768, FRAMES_MAX = 12, OURS = 2 }; /* OURS: the frames of this file */

/* The order of tests/lib/faults.py. */
enum role { NOBODY, PARENT, CHILD, SMTPD, ROUTER, QUEUE, RELAY, LOCAL, HISTORY, COMMAND };
enum function {
    ANY,
    OPEN,
    CREATE,
    READ,
    WRITE,
    SYNC,
    RENAME,
    LINK,
    UNLINK,
    MKDIR,
    TRUNCATE,
    ALLOCATE,
    RECEIVE,
    SEND,
    SOCKET,
    ACCEPT,
    CONNECT,
    DUPLICATE,
    EPOLL,
    FORK,
    THREAD,
    MAP,
    MEMFD,
    MEMORY
};

struct site {
    _Atomic uint64_t key; /* 0: free */
    uint32_t role, function;
    _Atomic uint64_t calls,
        acts; /* acts: a bit for each part of the test in which it was reached */
    uint64_t frames[FRAMES_MAX];
};

struct board {
    _Atomic uint32_t counting, armed;
    uint32_t role, function; /* ANY, NOBODY: each */
    uint64_t site;           /* 0: each */
    int32_t error, pid;      /* pid: of the process that was hit last */
    _Atomic int64_t times;
    _Atomic uint64_t injected, act;
    struct site sites[SITES_MAX];
};

static struct board *board;
static enum role role;
static __thread bool inside;

static enum role role_of(const char *name)
{
    static const char *const names[] = {
        [PARENT] = "parent",          [SMTPD] = "troika: smtpd", [ROUTER] = "troika: router",
        [QUEUE] = "troika: queue",    [RELAY] = "troika: relay", [LOCAL] = "troika: local",
        [HISTORY] = "troika: history"};
    const char *slash = strrchr(name, '/');

    name = slash ? slash + 1 : name;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i] && strncmp(name, names[i], strlen(names[i])) == 0)
            return (enum role)i;
    return getenv("TROIKA_FAULTS_COMMAND") && strcmp(name, "setpriv") != 0 ? COMMAND : NOBODY;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TROIKA_FAULTS");
    void *frames[4];

    role = role_of(program_invocation_name);
    if (!path || role == NOBODY)
        return;
    inside = true;
    (void)backtrace(frames, 4); /* loads what it needs */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *p =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    inside = false;
    if (p != MAP_FAILED)
        board = p;
}

static uint64_t hash(uint64_t h, uint64_t value)
{
    h = (h ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static struct site *site_of(uint64_t key)
{
    for (size_t i = 0; i < SITES_MAX; i++) {
        struct site *s = &board->sites[(key + i) % SITES_MAX];
        uint64_t free_key = 0;

        if (atomic_load(&s->key) == key ||
            atomic_compare_exchange_strong(&s->key, &free_key, key) || free_key == key)
            return s;
    }
    return NULL;
}

/* Frames below main are the same for all; a stack that is deeper than kept is told by its top. */
static uint64_t look_around(enum function f, uint64_t frames[FRAMES_MAX])
{
    void *stack[FRAMES_MAX + OURS] = {0};
    int n = backtrace(stack, FRAMES_MAX + OURS);
    uint64_t key = hash(hash(1, (uint64_t)role), (uint64_t)f);

    for (int i = 0; i < FRAMES_MAX; i++) {
        frames[i] = i + OURS < n ? (uint64_t)(uintptr_t)stack[i + OURS] : 0;
        key = hash(key, frames[i]);
    }
    return key ? key : 1;
}

static void count(enum function f, uint64_t key, const uint64_t frames[FRAMES_MAX])
{
    struct site *s = site_of(key);

    if (!s)
        return;
    s->role = (uint32_t)role;
    s->function = (uint32_t)f;
    memcpy(s->frames, frames, sizeof(s->frames));
    atomic_fetch_add(&s->calls, 1);
    atomic_fetch_or(&s->acts, atomic_load(&board->act));
}

static bool ordered(enum function f, uint64_t key)
{
    int64_t left = atomic_load(&board->times);

    if (board->site && board->site != key)
        return false;
    while (left > 0)
        if (atomic_compare_exchange_weak(&board->times, &left, left - 1)) {
            board->pid = getpid();
            atomic_fetch_add(&board->injected, 1);
            return true;
        }
    return false;
}

/* The errno with which this call shall fail, or 0. */
__attribute__((noinline)) static int fault(enum function f)
{
    uint64_t frames[FRAMES_MAX];
    int error = 0;

    if (!board || inside)
        return 0;
    bool armed = atomic_load(&board->armed) && (board->role == NOBODY || board->role == role) &&
                 (board->function == ANY || board->function == f);
    bool counting = atomic_load(&board->counting);
    if (!armed && !counting)
        return 0;
    inside = true;
    int before = errno;
    uint64_t key = look_around(f, frames);
    if (counting)
        count(f, key, frames);
    if (armed && ordered(f, key))
        error = board->error;
    errno = before;
    inside = false;
    return error;
}

static bool is_file(int fd)
{
    struct stat st;
    int before = errno;
    bool file = syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode);

    errno = before;
    return file;
}

static enum function opens(int flags)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? CREATE : OPEN;
}

static enum function reads(int fd)
{
    return is_file(fd) ? READ : RECEIVE;
}

static enum function writes(int fd)
{
    return is_file(fd) ? WRITE : SEND;
}

/* One call: what it is, what it fails with, what it does otherwise. */
#define CALL(type, name, bad, function, takes, gives)                                              \
    type name takes                                                                                \
    {                                                                                              \
        static type(*real) takes;                                                                  \
                                                                                                   \
        if (!real)                                                                                 \
            real = (type(*) takes)dlsym(RTLD_NEXT, #name);                                         \
        int error = fault(function);                                                               \
        if (error == 0)                                                                            \
            return real gives;                                                                     \
        errno = error;                                                                             \
        return (type)(bad);                                                                        \
    }

/* Calls with one more argument that not every caller gives. */
#define CALL_MORE(name, function, takes, last, gives, type)                                        \
    int name takes                                                                                 \
    {                                                                                              \
        static int(*real) takes;                                                                   \
        va_list list;                                                                              \
                                                                                                   \
        va_start(list, last);                                                                      \
        type more = va_arg(list, type);                                                            \
        va_end(list);                                                                              \
        if (!real)                                                                                 \
            real = (int(*) takes)dlsym(RTLD_NEXT, #name);                                          \
        int error = fault(function);                                                               \
        if (error == 0)                                                                            \
            return real gives;                                                                     \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }

CALL_MORE(open, opens(flags), (const char *path, int flags, ...), flags, (path, flags, more), int)
CALL_MORE(open64, opens(flags), (const char *path, int flags, ...), flags, (path, flags, more), int)
CALL_MORE(openat, opens(flags), (int fd, const char *path, int flags, ...), flags,
          (fd, path, flags, more), int)
CALL_MORE(openat64, opens(flags), (int fd, const char *path, int flags, ...), flags,
          (fd, path, flags, more), int)

static bool duplicates(int what)
{
    return what == F_DUPFD || what == F_DUPFD_CLOEXEC;
}

static int control(int (*real)(int, int, ...), int fd, int what, void *more)
{
    int error = duplicates(what) ? fault(DUPLICATE) : 0;

    if (error == 0)
        return real(fd, what, more);
    errno = error;
    return -1;
}

#define CONTROL(name)                                                                              \
    int name(int fd, int what, ...)                                                                \
    {                                                                                              \
        static int (*real)(int, int, ...);                                                         \
        va_list list;                                                                              \
                                                                                                   \
        va_start(list, what);                                                                      \
        void *more = va_arg(list, void *);                                                         \
        va_end(list);                                                                              \
        if (!real)                                                                                 \
            real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name);                                \
        return control(real, fd, what, more);                                                      \
    }

CONTROL(fcntl)
CONTROL(fcntl64)

typedef const struct iovec *iov;
typedef struct sockaddr *sa;
typedef const struct sockaddr *const_sa;

CALL(ssize_t, read, -1, reads(fd), (int fd, void *to, size_t n), (fd, to, n))
CALL(ssize_t, readv, -1, reads(fd), (int fd, iov v, int n), (fd, v, n))
CALL(ssize_t, pread, -1, READ, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
CALL(ssize_t, pread64, -1, READ, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at))
CALL(ssize_t, write, -1, writes(fd), (int fd, const void *p, size_t n), (fd, p, n))
CALL(ssize_t, writev, -1, writes(fd), (int fd, iov v, int n), (fd, v, n))
CALL(ssize_t, pwrite, -1, WRITE, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
CALL(ssize_t, pwrite64, -1, WRITE, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
CALL(ssize_t, pwritev, -1, WRITE, (int fd, iov v, int n, off_t at), (fd, v, n, at))
CALL(ssize_t, pwritev64, -1, WRITE, (int fd, iov v, int n, off64_t at), (fd, v, n, at))
CALL(int, fsync, -1, SYNC, (int fd), (fd))
CALL(int, fdatasync, -1, SYNC, (int fd), (fd))
CALL(int, rename, -1, RENAME, (const char *a, const char *b), (a, b))
CALL(int, renameat, -1, RENAME, (int d, const char *a, int e, const char *b), (d, a, e, b))
CALL(int, link, -1, LINK, (const char *a, const char *b), (a, b))
CALL(int, linkat, -1, LINK, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
CALL(int, unlink, -1, UNLINK, (const char *a), (a))
CALL(int, unlinkat, -1, UNLINK, (int d, const char *a, int f), (d, a, f))
CALL(int, mkdir, -1, MKDIR, (const char *a, mode_t m), (a, m))
CALL(int, mkdirat, -1, MKDIR, (int d, const char *a, mode_t m), (d, a, m))
CALL(int, ftruncate, -1, TRUNCATE, (int fd, off_t n), (fd, n))
CALL(int, ftruncate64, -1, TRUNCATE, (int fd, off64_t n), (fd, n))
CALL(int, fallocate, -1, ALLOCATE, (int fd, int m, off_t at, off_t n), (fd, m, at, n))
CALL(int, fallocate64, -1, ALLOCATE, (int fd, int m, off64_t at, off64_t n), (fd, m, at, n))
CALL(ssize_t, recv, -1, RECEIVE, (int fd, void *p, size_t n, int f), (fd, p, n, f))
CALL(ssize_t, recvfrom, -1, RECEIVE, (int fd, void *p, size_t n, int f, sa a, socklen_t *l),
     (fd, p, n, f, a, l))
CALL(ssize_t, recvmsg, -1, RECEIVE, (int fd, struct msghdr *m, int f), (fd, m, f))
CALL(int, recvmmsg, -1, RECEIVE, (int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t),
     (fd, m, n, f, t))
CALL(ssize_t, send, -1, SEND, (int fd, const void *p, size_t n, int f), (fd, p, n, f))
CALL(ssize_t, sendto, -1, SEND, (int fd, const void *p, size_t n, int f, const_sa a, socklen_t l),
     (fd, p, n, f, a, l))
CALL(ssize_t, sendmsg, -1, SEND, (int fd, const struct msghdr *m, int f), (fd, m, f))
CALL(int, sendmmsg, -1, SEND, (int fd, struct mmsghdr *m, unsigned n, int f), (fd, m, n, f))
CALL(int, socket, -1, SOCKET, (int d, int t, int p), (d, t, p))
CALL(int, socketpair, -1, SOCKET, (int d, int t, int p, int fds[2]), (d, t, p, fds))
CALL(int, accept, -1, ACCEPT, (int fd, sa a, socklen_t *l), (fd, a, l))
CALL(int, accept4, -1, ACCEPT, (int fd, sa a, socklen_t *l, int f), (fd, a, l, f))
CALL(int, connect, -1, CONNECT, (int fd, const_sa a, socklen_t l), (fd, a, l))
CALL(int, dup, -1, DUPLICATE, (int fd), (fd))
CALL(int, dup2, -1, DUPLICATE, (int fd, int to), (fd, to))
CALL(int, pipe2, -1, DUPLICATE, (int fds[2], int f), (fds, f))
CALL(int, eventfd, -1, DUPLICATE, (unsigned n, int f), (n, f))
CALL(int, epoll_create1, -1, DUPLICATE, (int f), (f))
CALL(int, memfd_create, -1, MEMFD, (const char *name, unsigned f), (name, f))
CALL(void *, mmap, MAP_FAILED, MAP, (void *p, size_t n, int a, int f, int fd, off_t at),
     (p, n, a, f, fd, at))
CALL(void *, mmap64, MAP_FAILED, MAP, (void *p, size_t n, int a, int f, int fd, off64_t at),
     (p, n, a, f, fd, at))

/* Only something new to watch takes memory. */
int epoll_ctl(int fd, int op, int at, struct epoll_event *e)
{
    static int (*real)(int, int, int, struct epoll_event *);
    int error = op == EPOLL_CTL_ADD ? fault(EPOLL) : 0;

    if (!real)
        real = (int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl");
    if (error == 0)
        return real(fd, op, at, e);
    errno = error;
    return -1;
}

/* A call that forked is the parent's; what its child does, the child's. */
pid_t fork(void)
{
    static pid_t (*real)(void);
    int error = fault(FORK);

    if (!real)
        real = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
    errno = error;
    pid_t pid = error ? -1 : real();
    if (pid == 0 && role == PARENT)
        role = CHILD;
    return pid;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int error = fault(THREAD);

    if (!real)
        real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
            RTLD_NEXT, "pthread_create");
    return error ? error : real(thread, attributes, fn, arg);
}

/* ---- memory: dlsym may itself ask for some, so glibc's own names ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static bool no_memory(void)
{
    int error = fault(MEMORY);

    if (error)
        errno = error;
    return error != 0;
}

void *malloc(size_t n)
{
    return no_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    return no_memory() ? NULL : __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    return no_memory() ? NULL : __libc_realloc(p, n);
}

int posix_memalign(void **p, size_t alignment, size_t n)
{
    void *got = no_memory() ? NULL : __libc_memalign(alignment, n);

    if (got)
        *p = got;
    return got ? 0 : ENOMEM;
}
