/* io/jail_seccomp.c - the system calls a jailed process may make, as one table.
 *
 * What is not in it fails with EPERM. No row lets a process start a program, another process,
 * trace, mount, load code (no mapping is executable), or signal anybody but itself. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "io/jail_parts.h"

/* glibc before 2.39 makes fstat from newfstatat, which takes a path: it would show every name of a
 * plain user's machine to a process that may not have any. */
int fstat(int fd, struct stat *st)
{
    return (int)syscall(SYS_fstat, fd, st);
}

enum { ALWAYS = 0, FILES = JAIL_FILES_READ | JAIL_FILES_WRITE, CHANGE = JAIL_FILES_WRITE };

#define CALL(name) SCMP_SYS(name)

static const struct {
    unsigned may; /* any of these */
    int call;
} plain[] = {
    /* bytes through descriptors that are open already */
    {ALWAYS, CALL(read)},
    {ALWAYS, CALL(write)},
    {ALWAYS, CALL(readv)},
    {ALWAYS, CALL(writev)},
    {ALWAYS, CALL(pread64)},
    {ALWAYS, CALL(pwrite64)},
    {ALWAYS, CALL(preadv)},
    {ALWAYS, CALL(pwritev)},
    {ALWAYS, CALL(lseek)},
    {ALWAYS, CALL(fstat)},
    {ALWAYS, CALL(ftruncate)},
    {ALWAYS, CALL(memfd_create)},
    {ALWAYS, CALL(close)},
    {ALWAYS, CALL(close_range)},
    {ALWAYS, CALL(dup)},
    {ALWAYS, CALL(dup2)},
    {ALWAYS, CALL(dup3)},
    {ALWAYS, CALL(recvfrom)},
    {ALWAYS, CALL(sendto)},
    {ALWAYS, CALL(recvmsg)},
    {ALWAYS, CALL(sendmsg)},
    {ALWAYS, CALL(recvmmsg)},
    {ALWAYS, CALL(sendmmsg)},
    {ALWAYS, CALL(shutdown)},
    {ALWAYS, CALL(getsockopt)},
    {ALWAYS, CALL(getsockname)},
    {ALWAYS, CALL(getpeername)},
    /* waiting */
    {ALWAYS, CALL(epoll_ctl)},
    {ALWAYS, CALL(epoll_wait)},
    {ALWAYS, CALL(epoll_pwait)},
    {ALWAYS, CALL(epoll_pwait2)},
    {ALWAYS, CALL(epoll_create1)},
    {ALWAYS, CALL(poll)},
    {ALWAYS, CALL(ppoll)},
    {ALWAYS, CALL(eventfd2)},
    {ALWAYS, CALL(pipe2)},
    {ALWAYS, CALL(timerfd_create)},
    {ALWAYS, CALL(timerfd_settime)},
    {ALWAYS, CALL(nanosleep)},
    {ALWAYS, CALL(clock_nanosleep)},
    {ALWAYS, CALL(restart_syscall)},
    {ALWAYS, CALL(sched_yield)},
    /* memory */
    {ALWAYS, CALL(brk)},
    {ALWAYS, CALL(munmap)},
    {ALWAYS, CALL(mremap)},
    {ALWAYS, CALL(madvise)},
    /* itself, the time, chance */
    {ALWAYS, CALL(rt_sigaction)},
    {ALWAYS, CALL(rt_sigprocmask)},
    {ALWAYS, CALL(rt_sigreturn)},
    {ALWAYS, CALL(sigaltstack)},
    {ALWAYS, CALL(futex)},
    {ALWAYS, CALL(set_robust_list)},
    {ALWAYS, CALL(rseq)},
    {ALWAYS, CALL(membarrier)},
    {ALWAYS, CALL(getpid)},
    {ALWAYS, CALL(getppid)},
    {ALWAYS, CALL(gettid)},
    {ALWAYS, CALL(getuid)},
    {ALWAYS, CALL(geteuid)},
    {ALWAYS, CALL(getgid)},
    {ALWAYS, CALL(getegid)},
    {ALWAYS, CALL(getrandom)},
    {ALWAYS, CALL(clock_gettime)},
    {ALWAYS, CALL(clock_getres)},
    {ALWAYS, CALL(gettimeofday)},
    {ALWAYS, CALL(time)},
    {ALWAYS, CALL(getrusage)},
    {ALWAYS, CALL(sysinfo)}, /* qsort asks for the size of memory */
    {ALWAYS, CALL(sched_getaffinity)},
    {ALWAYS, CALL(exit)},
    {ALWAYS, CALL(exit_group)},
    /* sockets */
    {JAIL_ACCEPT, CALL(accept)},
    {JAIL_ACCEPT, CALL(accept4)},
    {JAIL_CONNECT, CALL(connect)},
    {JAIL_DNS, CALL(bind)}, /* a port by chance for each question; nobody may listen */
    /* names below the root */
    {FILES, CALL(open)},
    {FILES, CALL(openat)},
    {FILES, CALL(openat2)},
    {FILES, CALL(stat)},
    {FILES, CALL(lstat)},
    {FILES, CALL(newfstatat)},
    {FILES, CALL(statx)},
    {FILES, CALL(access)},
    {FILES, CALL(faccessat)},
    {FILES, CALL(faccessat2)},
    {FILES, CALL(readlink)},
    {FILES, CALL(readlinkat)},
    {FILES, CALL(getdents64)},
    {FILES, CALL(getcwd)},
    {FILES, CALL(fchdir)},
    {FILES, CALL(statfs)},
    {FILES, CALL(fstatfs)},
    {FILES, CALL(fadvise64)},
    {CHANGE, CALL(fsync)},
    {CHANGE, CALL(fdatasync)},
    {CHANGE, CALL(sync_file_range)},
    {CHANGE, CALL(fallocate)},
    {CHANGE, CALL(truncate)},
    {CHANGE, CALL(copy_file_range)},
    {CHANGE, CALL(sendfile)},
    {CHANGE, CALL(rename)},
    {CHANGE, CALL(renameat)},
    {CHANGE, CALL(renameat2)},
    {CHANGE, CALL(link)},
    {CHANGE, CALL(linkat)},
    {CHANGE, CALL(unlink)},
    {CHANGE, CALL(unlinkat)},
    {CHANGE, CALL(mkdir)},
    {CHANGE, CALL(mkdirat)},
    {CHANGE, CALL(rmdir)},
    {CHANGE, CALL(fchmod)},
    {CHANGE, CALL(umask)},
    {JAIL_LOCK, CALL(flock)},
};

enum { THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD };
enum {
    NAMESPACE_FLAGS = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                      CLONE_NEWPID | CLONE_NEWNET
};
enum { SOCKET_TYPE = 0xf }; /* without SOCK_NONBLOCK and SOCK_CLOEXEC */

/* Calls of which only some arguments are allowed: argument & mask == value, for up to two. */
static const struct {
    unsigned may;
    int call;
    struct {
        unsigned index;
        uint64_t mask, value;
    } where[2];
    unsigned where_count;
} filtered[] = {
    {ALWAYS, CALL(mmap), {{2, PROT_EXEC, 0}}, 1},
    {ALWAYS, CALL(mprotect), {{2, PROT_EXEC, 0}}, 1},
    {ALWAYS, CALL(prlimit64), {{0, UINT64_MAX, 0}, {2, UINT64_MAX, 0}}, 2}, /* asking, of itself */
    {ALWAYS, CALL(prctl), {{0, UINT32_MAX, PR_SET_NAME}}, 1},
    {ALWAYS, CALL(prctl), {{0, UINT32_MAX, PR_SET_PDEATHSIG}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_GETFL}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_SETFL}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_GETFD}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_SETFD}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_DUPFD_CLOEXEC}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_GET_SEALS}}, 1},
    {ALWAYS, CALL(fcntl), {{1, UINT32_MAX, F_ADD_SEALS}}, 1},
    {ALWAYS, CALL(setsockopt), {{1, UINT32_MAX, SOL_SOCKET}}, 1},
    {ALWAYS, CALL(setsockopt), {{1, UINT32_MAX, IPPROTO_TCP}}, 1},
    {JAIL_PAIRS, CALL(socketpair), {{0, UINT32_MAX, AF_UNIX}, {1, SOCKET_TYPE, SOCK_SEQPACKET}}, 2},
    {JAIL_CONNECT, CALL(socket), {{0, UINT32_MAX, AF_INET}, {1, SOCKET_TYPE, SOCK_STREAM}}, 2},
    {JAIL_CONNECT, CALL(socket), {{0, UINT32_MAX, AF_INET6}, {1, SOCKET_TYPE, SOCK_STREAM}}, 2},
    {JAIL_DNS, CALL(socket), {{0, UINT32_MAX, AF_INET}, {1, SOCKET_TYPE, SOCK_DGRAM}}, 2},
    {JAIL_DNS, CALL(socket), {{0, UINT32_MAX, AF_INET6}, {1, SOCKET_TYPE, SOCK_DGRAM}}, 2},
    {JAIL_DNS, CALL(setsockopt), {{1, UINT32_MAX, IPPROTO_IP}}, 1}, /* no fragments */
    {JAIL_DNS, CALL(setsockopt), {{1, UINT32_MAX, IPPROTO_IPV6}}, 1},
    {JAIL_THREADS, CALL(clone), {{0, THREAD_FLAGS | NAMESPACE_FLAGS, THREAD_FLAGS}}, 1},
    {JAIL_LOCK, CALL(fcntl), {{1, UINT32_MAX, F_GETLK}}, 1},
    {JAIL_LOCK, CALL(fcntl), {{1, UINT32_MAX, F_SETLK}}, 1},
    {JAIL_LOCK, CALL(fcntl), {{1, UINT32_MAX, F_SETLKW}}, 1},
    {JAIL_LOCK, CALL(fcntl), {{1, UINT32_MAX, F_OFD_GETLK}}, 1},
    {JAIL_LOCK, CALL(fcntl), {{1, UINT32_MAX, F_OFD_SETLK}}, 1},
};

static bool wanted(unsigned row_may, unsigned may)
{
    return row_may == ALWAYS || row_may & may;
}

/* A call that this architecture does not have is left out. */
static int add_plain(scmp_filter_ctx f, unsigned may)
{
    int r = 0;

    for (size_t i = 0; i < countof(plain) && r == 0; i++)
        if (plain[i].call >= 0 && wanted(plain[i].may, may))
            r = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain[i].call, 0);
    return r;
}

static int add_filtered(scmp_filter_ctx f, unsigned may)
{
    int r = 0;

    for (size_t i = 0; i < countof(filtered) && r == 0; i++) {
        struct scmp_arg_cmp where[2];

        for (unsigned k = 0; k < filtered[i].where_count; k++)
            where[k] = (struct scmp_arg_cmp){.arg = filtered[i].where[k].index,
                                             .op = SCMP_CMP_MASKED_EQ,
                                             .datum_a = filtered[i].where[k].mask,
                                             .datum_b = filtered[i].where[k].value};
        if (wanted(filtered[i].may, may))
            r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, filtered[i].call, filtered[i].where_count,
                                       where);
    }
    return r;
}

static int add_special(scmp_filter_ctx f, unsigned may)
{
    /* abort() signals itself; this process and no other. */
    int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));

    /* Its flags are out of a filter's sight: glibc then uses clone. */
    if (r == 0 && may & JAIL_THREADS)
        r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r;
}

int jail_seccomp(unsigned may)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (!f)
        return -ENOMEM;
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list; only faster */
    int r = add_plain(f, may);
    if (r == 0)
        r = add_filtered(f, may);
    if (r == 0)
        r = add_special(f, may);
    if (r == 0)
        r = seccomp_load(f);
    seccomp_release(f);
    return r;
}
