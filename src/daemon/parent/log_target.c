// SPDX-License-Identifier: ISC
#include "daemon/parent/log_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

static enum log_level level_of(struct str word)
{
    static const char *const words[] = {
        [LEVEL_DEBUG] = "debug",
        [LEVEL_INFO] = "info",
        [LEVEL_WARNING] = "warning",
        [LEVEL_ERROR] = "error",
    };

    for (size_t i = 0; i < countof(words); i++) {
        if (str_eq_c(word, words[i]))
            return (enum log_level)i;
    }
    return LEVEL_INFO;
}

/* systemd says which file the journal reads: stderr may be something else by now. */
static bool journal_reads(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char expected[64];
    struct stat st;

    if (!stream || fstat(fd, &st) < 0)
        return false;
    (void)snprintf(expected, sizeof expected, "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return strcmp(stream, expected) == 0;
}

static int connect_syslog(void)
{
    const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    int error = -errno;
    if (fd >= 0)
        (void)close(fd);
    return error;
}

bool log_target_open(const struct config *c, struct log_target *ret, struct buf *error)
{
    struct log_target t = {.least = level_of(c->log_level)};

    if (str_eq_c(c->log, "syslog")) {
        t.form = LOG_FORM_SYSLOG;
        t.fd = connect_syslog();
    } else {
        t.form = journal_reads(STDERR_FILENO) ? LOG_FORM_JOURNAL : LOG_FORM_PLAIN;
        t.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        if (t.fd < 0 && errno == EBADF) /* started without one: nobody wants to read */
            t.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (t.fd < 0)
            t.fd = -errno;
    }
    if (t.fd < 0) {
        buf_printf(error, "log = %.*s: %s: %s\n", STR_ARG(c->log),
                   t.form == LOG_FORM_SYSLOG ? "/dev/log" : "standard error", strerror(-t.fd));
        return false;
    }
    *ret = t;
    return true;
}

void log_target_close(struct log_target *t)
{
    if (t->fd >= 0)
        (void)close(t->fd);
    t->fd = -1;
}
