/* daemon/deliver/main.c - the helper that writes the mail of one user of this machine.
 *
 *   deliver BASE PATH HOSTNAME      a channel to local at descriptor 3
 *
 * The parent has looked the user up and become them before it execs this: nothing here can change
 * a uid. It opens the Maildir, gives up everything else (Landlock: that folder; seccomp), and ends
 * with its channel. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/deliver/deliver.h"
#include "daemon/deliver/place.h"
#include "io/jail.h"

enum { CHANNEL_FD = 3 };
/* Files in tmp/ older than this were left by a crash: the habit of Maildir. */
#define SWEEP_AGE_US (36 * 3600 * US_PER_S)

static struct deliver deliver = {.wall = &clock_system, .disk = &disk_system, .maildir_fd = -1};

static void on_message(void *arg, struct channel *c, union message *m)
{
    int *fd = message_fd(m);

    if (m->kind == MSG_USER_JOB || m->kind == MSG_USER_JOB_FILE) {
        deliver_job(&deliver, c, m);
        return;
    }
    if (fd)
        (void)close(*fd); /* never used */
    channel_break(c, "a message that is none for a helper");
}

static void on_down(void *arg, struct channel *c, const char *why)
{
    loop_stop(deliver.loop);
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Also without a Maildir: then there is only the trouble to tell. */
static int close_jail(void)
{
    struct buf protections = buf_init(LINE_VALUE_BYTES_MAX);
    struct jail j = {.root_fd = deliver.maildir_fd,
                     .may = deliver.maildir_fd < 0 ? 0U : JAIL_FILES_READ | JAIL_FILES_WRITE};
    int error = jail_enter(&j, &protections);

    buf_free(&protections);
    return error;
}

static void sweep(void)
{
    uint64_t now = clock_now_us(deliver.wall);

    if (deliver.maildir_fd >= 0)
        maildir_sweep_in(deliver.maildir_fd, deliver.disk, now - MIN_OF(now, SWEEP_AGE_US));
}

static int serve(void)
{
    static const struct channel_events events = {.on_message = on_message, .on_down = on_down};

    if (loop_new(deliver.wall, &deliver.loop) < 0 || close_jail() < 0)
        return EX_OSERR;
    sweep();
    deliver.channel = channel_new(deliver.loop, CHANNEL_FD, DELIVER, LOCAL, &events, NULL);
    deliver_init(&deliver);
    loop_run(deliver.loop);
    deliver_done(&deliver);
    channel_free(&deliver.channel);
    loop_free(&deliver.loop);
    return EX_OK;
}

int main(int argc, char **argv)
{
    struct buf detail = buf_init(LINE_BYTES_MAX);

    if (argc != 4 || !is_socket(CHANNEL_FD)) {
        (void)fprintf(stderr, "This is a part of Troika. It is started by `troika serve`.\n");
        return EX_USAGE;
    }
    if (geteuid() == 0 || getuid() == 0)
        return EX_NOPERM;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(S_IRWXG | S_IRWXO);
    (void)fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    deliver.hostname = str_c(argv[3]);
    line_c(&detail, "mailbox", argv[2]);
    deliver.detail = buf_str(&detail);
    (void)place_open(deliver.disk, str_c(argv[1]), str_c(argv[2]), &deliver.maildir_fd,
                     &deliver.trouble);
    int code = serve();
    buf_free(&detail);
    return code;
}
