/* io/jail.c - the steps into the jail, in the order in which each is still allowed. */
// SPDX-License-Identifier: ISC
#include "io/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/jail_parts.h"

#ifdef TROIKA_UNJAILED
static const bool unjailed = true; /* sanitizers read /proc, map code, trace their own process */
#else
static const bool unjailed = false;
#endif

static int failed(struct buf *ret, const char *what, int error)
{
    buf_reset(ret);
    buf_add_c(ret, what);
    return error;
}

static void word(struct buf *ret, const char *text)
{
    if (ret->n > 0)
        buf_add_char(ret, ' ');
    buf_add_c(ret, text);
}

/* A folder that no longer has a name: empty, and nothing can ever be made in it. */
static int empty_folder(int *ret_fd)
{
    char name[] = "/tmp/troika-empty-XXXXXX";

    if (!mkdtemp(name))
        return -errno;
    int fd = open(name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;
    if (rmdir(name) < 0 && error == 0)
        error = -errno;
    if (error == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        (void)close(fd);
    return error;
}

static int chroot_to(int fd)
{
    if (fchdir(fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

/* linkat(AT_EMPTY_PATH) asks for no privilege from Linux 6.10 on. */
static bool links_need_proc(void)
{
    struct utsname u;
    uint64_t major = 0;
    uint64_t minor = 0;

    if (uname(&u) < 0)
        return true;
    struct str release = str_c(u.release);
    struct str first = str_cut(&release, '.');
    struct str second = str_cut(&release, '.');
    return !str_u64(first, &major) || !str_u64(second, &minor) || major < 6 ||
           (major == 6 && minor < 10);
}

static int enter_root(const struct jail *j, struct buf *ret)
{
    int root = j->root_fd;
    int error = root < 0 ? empty_folder(&root) : 0;

    if (error == 0 && j->may & JAIL_FILES_WRITE && links_need_proc())
        (void)disk_keep_links(); /* without it link_fd fails, and says so then */
    if (error == 0)
        error = chroot_to(root);
    if (root >= 0 && root != j->root_fd)
        (void)close(root);
    if (error)
        return failed(ret, "chroot", error);
    word(ret, "chroot");
    return 0;
}

/* What was given up must be gone for good. */
static int check_user(const struct passwd *user)
{
    uid_t uid[3];
    gid_t gid[3];

    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0 ||
        getgroups(0, NULL) != 0)
        return -EPERM;
    for (size_t i = 0; i < 3; i++)
        if (uid[i] != user->pw_uid || gid[i] != user->pw_gid)
            return -EPERM;
    if (setuid(0) == 0 || setgid(0) == 0 || chroot("/") == 0)
        return -EPERM;
    return 0;
}

static void word_of_user(const struct passwd *user, struct buf *ret)
{
    word(ret, "uid=");
    if (user->pw_name)
        buf_add_c(ret, user->pw_name);
    else
        buf_add_u64(ret, user->pw_uid);
}

static int become(const struct passwd *user, struct buf *ret)
{
    if (user->pw_uid == 0 || user->pw_gid == 0)
        return failed(ret, "the user is root", -EPERM);
    if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return failed(ret, "changing the user", -errno);
    if (check_user(user) < 0)
        return failed(ret, "the change of user is not final", -EPERM);
    word_of_user(user, ret);
    return 0;
}

static int leave_root(const struct jail *j, struct buf *ret)
{
    struct passwd by_number = {.pw_uid = j->uid, .pw_gid = j->gid};
    const struct passwd *user = j->uid ? &by_number : NULL;

    if (j->user) {
        errno = 0;
        user = getpwnam(j->user); /* before its files are out of sight */
        if (!user)
            return failed(ret, "there is no such user", errno ? -errno : -ENOENT);
    }
    int error = unjailed || j->may & JAIL_USERS ? 0 : enter_root(j, ret);
    return error == 0 && user ? become(user, ret) : error;
}

/* Reading what only root may, counting failures in files, becoming the user, telling the audit log;
 * and ending a child that has become somebody. */
static const unsigned pam_capabilities[] = {
    CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_CHOWN,       CAP_FOWNER,
    CAP_SETUID,          CAP_SETGID,       CAP_AUDIT_WRITE, CAP_KILL,
};

static bool pam_wants(unsigned capability)
{
    for (size_t i = 0; i < countof(pam_capabilities); i++)
        if (pam_capabilities[i] == capability)
            return true;
    return false;
}

/* Also out of the bounding set, so that no program it starts gets them back. */
static int keep_capabilities(struct buf *ret)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &head, data) < 0)
        return failed(ret, "capabilities", -errno);
    for (unsigned i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        if (pam_wants(i))
            continue;
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return failed(ret, "capabilities", -errno);
        data[CAP_TO_INDEX(i)].permitted &= ~CAP_TO_MASK(i);
    }
    for (size_t i = 0; i < countof(data); i++) {
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data) < 0)
        return failed(ret, "capabilities", -errno);
    word(ret, "capabilities");
    return 0;
}

static int close_filters(const struct jail *j, struct buf *ret)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return failed(ret, "no_new_privs", -errno);
    word(ret, "no_new_privs");
    if (j->may & JAIL_USERS)
        return 0;

    int abi = jail_landlock(j);
    if (abi < 0)
        return failed(ret, "landlock", abi);
    word(ret, abi ? "landlock=" : "no-landlock");
    if (abi)
        buf_add_u64(ret, (uint64_t)abi);

    int error = jail_seccomp(j->may);
    if (error)
        return failed(ret, "seccomp", error);
    word(ret, "seccomp");
    return 0;
}

int jail_enter(const struct jail *j, struct buf *ret)
{
    buf_reset(ret);
    if (geteuid() == 0) {
        int error = leave_root(j, ret);

        if (error == 0 && j->may & JAIL_PAM && !unjailed)
            error = keep_capabilities(ret);
        if (error)
            return error;
    }
    if (!unjailed)
        return close_filters(j, ret);
    word(ret, "unjailed-build");
    return 0;
}
