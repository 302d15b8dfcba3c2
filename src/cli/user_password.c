/* cli/user_password.c - where `troika user` gets a new password: a file, standard input, or a
 * terminal without echo, twice. Never the command line, which everybody on the machine can see. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/prompt.h"
#include "cli/user.h"

/* ---- a terminal ---- */

static bool ask(int tty, const char *prompt, const char *whose, struct new_password *ret)
{
    struct buf text = buf_init(KIB);

    buf_printf(&text, prompt, whose);
    bool answered = prompt_hidden(tty, buf_c(&text), ret->text, sizeof ret->text, &ret->n);

    buf_free(&text);
    return answered;
}

/* ---- is it a good one? ---- */

static int check_password(const struct user_command *u, const struct new_password *p)
{
    struct prepared_password prepared;
    struct str text = str_n(p->text, p->n);
    const char *malformed = password_prepare(text, &prepared);
    const char *problem = u->line->allow_weak ? malformed : password_problem(text, &u->address);

    explicit_bzero(&prepared, sizeof prepared);
    if (!problem)
        return EX_OK;
    return fail(u->line, EX_DATAERR, "this cannot be the password of %s: %s%s", u->text, problem,
                malformed ? "" : "; --allow-weak takes it nevertheless");
}

static int read_terminal(const struct user_command *u, bool may_be_none, struct new_password *ret)
{
    struct new_password again = {.n = 0};
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (tty < 0)
        return fail(u->line, EX_NOINPUT, "there is no terminal to ask at: %s", strerror(errno));
    int code = EX_OK;

    if (!ask(tty,
             may_be_none ? "Password for %s (empty: it cannot log in): " : "New password for %s: ",
             u->text, ret))
        code = fail(u->line, EX_NOINPUT, "no password was given; nothing was changed");
    else if (ret->n > 0 || !may_be_none)
        code = check_password(u, ret);
    if (code == EX_OK && ret->n > 0) {
        (void)ask(tty, "The same again: ", u->text, &again);
        if (!str_eq(str_n(again.text, again.n), str_n(ret->text, ret->n)))
            code = fail(u->line, EX_DATAERR,
                        "these are two different passwords; nothing was "
                        "changed");
    }
    explicit_bzero(&again, sizeof again);
    (void)close(tty);
    return code;
}

/* ---- a file ---- */

static int read_whole(const struct user_command *u, int fd, const char *name,
                      struct new_password *ret)
{
    ssize_t n = 1;

    while (n > 0 && ret->n < sizeof ret->text) {
        n = read(fd, ret->text + ret->n, sizeof ret->text - ret->n);
        if (n > 0)
            ret->n += (size_t)n;
    }
    if (n < 0)
        return fail(u->line, EX_NOINPUT, "%s: %s", name, strerror(errno));
    ret->n = line_end_cut(str_n(ret->text, ret->n)).n;
    return check_password(u, ret);
}

static int read_file(const struct user_command *u, const char *name, struct new_password *ret)
{
    int fd = open(name, O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return fail(u->line, EX_NOINPUT, "%s: %s", name, strerror(errno));
    int code = read_whole(u, fd, name, ret);

    (void)close(fd);
    return code;
}

int user_read_password(const struct user_command *u, bool may_be_none, struct new_password *ret)
{
    const struct command_line *l = u->line;

    ret->n = 0;
    if (l->password_file && l->password_stdin)
        return fail(l, EX_USAGE, "either --password-file or --password-stdin");
    if (l->password_file)
        return read_file(u, l->password_file, ret);
    if (l->password_stdin)
        return read_whole(u, STDIN_FILENO, "standard input", ret);
    if (isatty(STDIN_FILENO))
        return read_terminal(u, may_be_none, ret);
    if (may_be_none)
        return EX_OK;
    return fail(l, EX_USAGE,
                "there is no terminal to ask at; --password-stdin or --password-file "
                "FILE says where the password comes from");
}
