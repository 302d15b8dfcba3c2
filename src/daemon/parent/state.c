// SPDX-License-Identifier: ISC
#include "daemon/parent/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/parent/worker_row.h"

/* What a killed server leaves may take this long to go: its workers share the lock. */
enum { LOCK_TRIES = 50, LOCK_TRY_MS = 100 };

/* ---- users ---- */

bool state_may_have_system_users(const struct config *c, struct buf *error)
{
    if (geteuid() == 0 || !config_has_system_users(c))
        return true;
    buf_add_c(error, "system-users = yes needs a server that root starts: only root can write mail "
                     "with the rights of each user; start it as root, or take the statement out\n");
    return false;
}

int state_check_users(const struct config *c, struct buf *error)
{
    size_t missing = 0;

    if (!state_may_have_system_users(c, error))
        return EX_CONFIG;
    if (geteuid() != 0)
        return EX_OK;
    for (size_t i = 0; i < countof(worker_rows); i++) {
        const char *user = worker_rows[i].user;

        if (!user || worker_rows[i].count(c) == 0 || getpwnam(user))
            continue;
        if (missing++ == 0)
            buf_add_c(error,
                      "started as root, each process runs as a user of its own; make them:\n");
        buf_printf(error,
                   "  useradd --system --user-group --no-create-home --home-dir /nonexistent "
                   "--shell /usr/sbin/nologin %s\n",
                   user);
    }
    if (missing)
        buf_add_c(error, "or start it as a plain user: then all processes run as that user\n");
    return missing ? EX_CONFIG : EX_OK;
}

/* ---- folders ---- */

static const struct {
    long magic;
    const char *name;
} remote_systems[] = {
    {NFS_SUPER_MAGIC, "NFS"},  {SMB_SUPER_MAGIC, "SMB"}, {CIFS_SUPER_MAGIC, "CIFS"},
    {SMB2_SUPER_MAGIC, "SMB"}, {AFS_SUPER_MAGIC, "AFS"},
};

static int check_local(const struct state *s, struct buf *error)
{
    struct statfs fs;

    if (fstatfs(s->dir_fd, &fs) < 0) {
        buf_printf(error, "state: %s: %s\n", s->path, strerror(errno));
        return EX_OSERR;
    }
    for (size_t i = 0; i < countof(remote_systems); i++) {
        if ((long)fs.f_type != remote_systems[i].magic)
            continue;
        buf_printf(error,
                   "state: %s is on %s, where neither locks nor syncs can be relied on; use a "
                   "local file system\n",
                   s->path, remote_systems[i].name);
        return EX_CONFIG;
    }
    return EX_OK;
}

static int open_state(struct state *s, struct buf *error)
{
    mode_t mode = geteuid() == 0 ? 0755 : 0711; /* everybody comes to submit.sock and drop */

    if (mkdir(s->path, mode) < 0 && errno != EEXIST) {
        buf_printf(error, "state: %s cannot be made: %s%s\n", s->path, strerror(errno),
                   errno == ENOENT ? ": the folder above it does not exist" : "");
        return EX_CANTCREAT;
    }
    s->dir_fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0) {
        buf_printf(error, "state: %s: %s\n", s->path, strerror(errno));
        return EX_NOPERM;
    }
    return EX_OK;
}

/* `troika user add` and `troika send` by root may have been here first. Nobody but root could
 * have put a name into the folder so far, so its files are what they seem. */
static void give_files(int dir_fd, const struct passwd *user)
{
    int copy = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);

    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_type == DT_REG)
            (void)fchownat(dir_fd, e->d_name, user->pw_uid, user->pw_gid, AT_SYMLINK_NOFOLLOW);
    }
    (void)closedir(d);
}

static int folder_of_user(const struct state *s, int fd, const char *name, const char *user_name,
                          struct buf *error)
{
    const struct passwd *user = getpwnam(user_name);
    struct stat st;

    if (fstat(fd, &st) < 0) {
        buf_printf(error, "state: %s/%s: %s\n", s->path, name, strerror(errno));
        return EX_OSERR;
    }
    /* Those who are needed exist (state_check_users); for others it stays ours until they do. */
    if (!user || st.st_uid == user->pw_uid)
        return EX_OK;
    if (st.st_uid != 0) {
        buf_printf(error,
                   "state: %s/%s belongs to uid %u; if that is right now: chown -R %s: %s/%s\n",
                   s->path, name, (unsigned)st.st_uid, user_name, s->path, name);
        return EX_NOPERM;
    }
    give_files(fd, user);
    return fchown(fd, user->pw_uid, user->pw_gid) < 0 ? EX_OSERR : EX_OK;
}

/* user: NULL for folders that stay ours. */
static int make_folder(const struct state *s, const char *name, const char *user, mode_t mode,
                       struct buf *error)
{
    int code = EX_OK;

    if (mkdirat(s->dir_fd, name, 0700) < 0 && errno != EEXIST) {
        buf_printf(error, "state: %s/%s cannot be made: %s\n", s->path, name, strerror(errno));
        return EX_CANTCREAT;
    }
    int fd = openat(s->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        buf_printf(error, "state: %s/%s: %s\n", s->path, name, strerror(errno));
        return EX_NOPERM;
    }
    if (geteuid() == 0 && user)
        code = folder_of_user(s, fd, name, user, error);
    if (code == EX_OK && fchmod(fd, mode) < 0) {
        buf_printf(error, "state: %s/%s: %s\n", s->path, name, strerror(errno));
        code = EX_NOPERM;
    }
    (void)close(fd);
    return code;
}

static int make_folders(const struct state *s, struct buf *error)
{
    bool root = geteuid() == 0;
    int code = make_folder(s, "control", NULL, root ? 0755 : 0700, error);

    if (code == EX_OK) /* everybody may put files there, nobody may look or take others' away */
        code = make_folder(s, "drop", NULL, 01733, error);
    if (code == EX_OK)
        code = make_folder(s, "aside", NULL, 0700, error);
    for (size_t i = 0; i < countof(worker_rows) && code == EX_OK; i++) {
        const struct worker_row *row = &worker_rows[i];
        bool empty = strcmp(row->folder, "empty") == 0;
        bool given = !empty && row->user &&
                     getpwnam(row->user); /* a role that is not used may have no user */
        code = make_folder(s, row->folder, given ? row->user : NULL, empty ? 0555 : 0700, error);
    }
    return code;
}

int state_folder(const struct state *s, const char *name)
{
    int fd = openat(s->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* ---- the lock ---- */

static uint64_t pid_in(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text, 0);
    uint64_t pid = 0;

    if (n > 0)
        (void)str_u64(str_trim(str_n(text, (size_t)n)), &pid);
    return pid;
}

static void write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

    /* For people; the lock itself is what counts. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)n, 0);
}

static bool pid_lives(uint64_t pid)
{
    return pid > 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

static bool lock_within_patience(int fd)
{
    const struct timespec pause = {.tv_nsec = LOCK_TRY_MS * 1000000L};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK || pid_lives(pid_in(fd)))
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static int take_lock(struct state *s, struct buf *error)
{
    s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (s->lock_fd < 0) {
        buf_printf(error, "state: %s/lock: %s\n", s->path, strerror(errno));
        return EX_CANTCREAT;
    }
    if (!lock_within_patience(s->lock_fd)) {
        uint64_t pid = pid_in(s->lock_fd);
        if (pid_lives(pid))
            buf_printf(error, "state: another server (pid %llu) runs on %s\n",
                       (unsigned long long)pid, s->path);
        else
            buf_printf(error, "state: %s/lock is held; `fuser -v %s/lock` shows by whom\n", s->path,
                       s->path);
        (void)close(s->lock_fd);
        s->lock_fd = -1;
        return EX_TEMPFAIL;
    }
    write_pid(s->lock_fd);
    return EX_OK;
}

/* ---- all of it ---- */

int state_open(const char *path, struct state *ret, struct buf *error)
{
    struct state s = {.dir_fd = -1, .lock_fd = -1, .control_gid = (gid_t)-1};
    const struct group *group = geteuid() == 0 ? getgrnam("troika") : NULL;

    s.path = mem_copy(path, strlen(path));
    if (group)
        s.control_gid = group->gr_gid;
    int code = open_state(&s, error);
    if (code == EX_OK)
        code = check_local(&s, error);
    if (code == EX_OK)
        code = take_lock(&s, error);
    if (code == EX_OK)
        code = make_folders(&s, error);
    if (code == EX_OK)
        *ret = s;
    else {
        if (s.lock_fd >= 0)
            (void)close(s.lock_fd);
        if (s.dir_fd >= 0)
            (void)close(s.dir_fd);
        free(s.path);
    }
    return code;
}

static void control_path(const struct state *s, const char *role, struct buf *to)
{
    buf_printf(to, "%s/control/%s.sock", s->path, role);
}

int state_control_socket(const struct state *s, const char *role, int *ret_fd, struct buf *error)
{
    struct buf path = buf_init(8 * KIB);
    bool root = geteuid() == 0;

    control_path(s, role, &path);
    int failure = listen_unix(buf_c(&path), root ? 0660 : 0600, ret_fd);
    if (failure == 0 && root && chown(buf_c(&path), 0, s->control_gid) < 0)
        failure = -errno;
    if (failure < 0)
        buf_printf(error, "state: %s: %s%s\n", buf_c(&path), strerror(-failure),
                   failure == -ENAMETOOLONG ? ": choose a shorter path" : "");
    buf_free(&path);
    return failure < 0 ? EX_CANTCREAT : EX_OK;
}

static void submit_path(const struct state *s, struct buf *to)
{
    buf_printf(to, "%s/submit.sock", s->path);
}

int state_submit_socket(const struct state *s, int *ret_fd, struct buf *error)
{
    struct buf path = buf_init(8 * KIB);

    submit_path(s, &path);
    int failure = listen_unix_stream(buf_c(&path), 0666, ret_fd);
    if (failure < 0)
        buf_printf(error, "state: %s: %s%s\n", buf_c(&path), strerror(-failure),
                   failure == -ENAMETOOLONG ? ": choose a shorter path" : "");
    buf_free(&path);
    return failure < 0 ? EX_CANTCREAT : EX_OK;
}

void state_close(struct state *s)
{
    struct buf path = buf_init(8 * KIB);

    for (size_t i = 0; i < countof(worker_rows); i++) {
        buf_reset(&path);
        control_path(s, role_name(worker_rows[i].role), &path);
        if (worker_rows[i].control)
            (void)unlink(buf_c(&path)); /* a leftover is replaced at the next start */
    }
    buf_reset(&path);
    submit_path(s, &path);
    (void)unlink(buf_c(&path));
    buf_free(&path);
    (void)ftruncate(s->lock_fd, 0);
    (void)close(s->lock_fd);
    (void)close(s->dir_fd);
    free(s->path);
    *s = (struct state){.dir_fd = -1, .lock_fd = -1};
}
