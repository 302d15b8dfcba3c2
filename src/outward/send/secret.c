// SPDX-License-Identifier: ISC
#include "outward/send/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/utf8.h"
#include "cli/prompt.h"
#include "outward/send/shell.h"

struct buf secret_init(void)
{
    struct buf b = buf_init(SECRET_BYTES_MAX);

    (void)buf_room(&b, SECRET_BYTES_MAX);
    return b;
}

void secret_wipe(struct buf *b)
{
    buf_wipe(b);
}

/* ---- the first line of something ---- */

/* All of it is read, so that whoever writes does not fail; or no byte behind the line, which is
 * somebody else's. 0 or a negative errno. */
static int read_line(int fd, bool all, struct buf *to)
{
    char piece[256];
    bool ended = false;
    ssize_t n = 1;

    while (n > 0 && (all || !ended)) {
        n = read(fd, piece, all ? sizeof(piece) : 1);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        for (ssize_t i = 0; i < n && !ended; i++) {
            ended = piece[i] == '\n';
            if (!ended)
                buf_add_char(to, piece[i]);
        }
    }
    int error = n < 0 ? -errno : 0;

    explicit_bzero(piece, sizeof(piece));
    buf_cut(to, line_end_cut(buf_str(to)).n);
    return error;
}

/* ---- where it may come from ---- */

static int from_file(const struct command_line *l, const char *name, struct buf *to)
{
    int fd = open(name, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return fail(l, EX_NOINPUT, "%s: %s", name, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        fail(l, 0, _("%s can be read by others; `chmod 600 %s` ends that"), name, name);
    int error = read_line(fd, true, to);

    (void)close(fd);
    return error < 0 ? fail(l, EX_NOINPUT, "%s: %s", name, strerror(-error)) : EX_OK;
}

static int from_stdin(const struct command_line *l, const char *unused, struct buf *to)
{
    int error = read_line(STDIN_FILENO, false, to);

    (void)unused;
    return error < 0 ? fail(l, EX_NOINPUT, _("standard input: %s"), strerror(-error)) : EX_OK;
}

/* What we start later need not have it. */
static int from_environment(const struct command_line *l, const char *name, struct buf *to)
{
    const char *value = getenv(name);

    if (!value)
        return fail(l, EX_USAGE, _("there is no environment variable %s"), name);
    buf_add_c(to, value);
    (void)unsetenv(name);
    return EX_OK;
}

static int from_command(const struct command_line *l, const char *command, struct buf *to)
{
    int ends[2], none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail(l, EX_OSERR, "%s", strerror(errno));
    int status = shell_start(command, NULL, none, ends[1], &child);

    (void)close(none);
    (void)close(ends[1]);
    if (status == 0) {
        (void)read_line(ends[0], true, to);
        status = shell_wait(child);
    }
    (void)close(ends[0]);
    if (status < 0)
        return fail(l, EX_OSERR, "%s: %s", command, strerror(-status));
    if (status > 0)
        return fail(l, EX_NOINPUT, _("%s: it ended with %d"), command, status);
    return EX_OK;
}

static int from_terminal(const struct command_line *l, struct str user, struct str host,
                         struct buf *to)
{
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct buf question = buf_init(2 * KIB);
    size_t n = 0;

    if (tty < 0)
        return fail(l, EX_USAGE,
                    _("there is no terminal to ask for the password of %.*s at; --password-file, "
                      "--password-env, --password-command or --password-stdin say where it is"),
                    STR_ARG(user));
    buf_printf(&question, _("Password of %.*s at %.*s: "), STR_ARG(user), STR_ARG(host));
    bool answered = prompt_hidden(tty, buf_c(&question), to->p, to->room, &n);

    to->n = n;
    buf_free(&question);
    (void)close(tty);
    return answered && n > 0 ? EX_OK : fail(l, EX_NOINPUT, _("no password was given"));
}

/* ---- which of them ---- */

static int check_secret(const struct command_line *l, const struct buf *b)
{
    struct str text = buf_str(b);

    if (text.n == 0)
        return fail(l, EX_NOINPUT, _("the password is empty: its first line counts"));
    if (b->full)
        return fail(l, EX_DATAERR, _("this is too long to be a password: over %d bytes"),
                    SECRET_BYTES_MAX);
    if (!utf8_valid(text) || str_find(text, '\0') < text.n)
        return fail(l, EX_DATAERR, _("this cannot be a password: it is no text in UTF-8"));
    return EX_OK;
}

bool secret_given(const struct command_line *l)
{
    return l->password_file || l->password_env || l->password_command || l->password_stdin ||
           l->token_command;
}

int secret_password(const struct command_line *l, struct str user, struct str host, struct buf *to)
{
    const struct {
        const char *given;
        int (*read)(const struct command_line *l, const char *given, struct buf *to);
    } sources[] = {
        {l->password_file, from_file},
        {l->password_env, from_environment},
        {l->password_command, from_command},
        {l->password_stdin ? "" : NULL, from_stdin},
    };
    size_t count = 0, chosen = 0;
    int code;

    for (size_t i = 0; i < countof(sources); i++) {
        count += sources[i].given != NULL;
        chosen = sources[i].given ? i : chosen;
    }
    if (count > 1)
        return fail(l, EX_USAGE,
                    _("only one of --password-file, --password-env, --password-command and "
                      "--password-stdin"));
    if (count == 1)
        code = sources[chosen].read(l, sources[chosen].given, to);
    else if (getenv("TROIKA_PASSWORD"))
        code = from_environment(l, "TROIKA_PASSWORD", to);
    else
        code = from_terminal(l, user, host, to);
    return code == EX_OK ? check_secret(l, to) : code;
}

int secret_token(const struct command_line *l, struct buf *to)
{
    if (!l->token_command)
        return EX_OK;
    int code = from_command(l, l->token_command, to);

    return code == EX_OK ? check_secret(l, to) : code;
}
