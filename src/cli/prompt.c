// SPDX-License-Identifier: ISC
#include "cli/prompt.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/check.h"

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t ended_by;

static void note_signal(int number)
{
    ended_by = number;
}

/* Signals come only while it waits, so none is missed between a look and the next wait. */
static ssize_t read_line(int tty, const sigset_t *while_waiting, char *to, size_t room)
{
    struct pollfd line = {.fd = tty, .events = POLLIN};

    if (ppoll(&line, 1, NULL, while_waiting) < 0)
        return -1;
    return read(tty, to, room);
}

static bool read_hidden(int tty, char *to, size_t room, size_t *ret_n)
{
    struct sigaction note = {.sa_handler = note_signal}, old[countof(endings)];
    struct termios before, hidden;
    sigset_t blocked, unblocked;

    if (tcgetattr(tty, &before) < 0)
        return false;
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    ended_by = 0;
    (void)sigemptyset(&blocked);
    for (size_t i = 0; i < countof(endings); i++) {
        (void)sigaddset(&blocked, endings[i]);
        (void)sigaction(endings[i], &note, &old[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &blocked, &unblocked);
    (void)tcsetattr(tty, TCSAFLUSH, &hidden);
    ssize_t n = read_line(tty, &unblocked, to, room);
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    (void)!write(tty, "\n", 1);
    (void)sigprocmask(SIG_SETMASK, &unblocked, NULL);
    for (size_t i = 0; i < countof(endings); i++)
        (void)sigaction(endings[i], &old[i], NULL);
    if (ended_by)
        (void)raise(ended_by);
    *ret_n = n > 0 ? (size_t)n : 0;
    return n > 0;
}

struct str line_end_cut(struct str text)
{
    if (str_ends(text, STR("\n")))
        text.n--;
    if (str_ends(text, STR("\r")))
        text.n--;
    return text;
}

bool prompt_hidden(int tty, const char *question, char *to, size_t room, size_t *ret_n)
{
    size_t n = 0;

    (void)!write(tty, question, strlen(question));
    bool answered = read_hidden(tty, to, room, &n);

    *ret_n = line_end_cut(str_n(to, n)).n;
    return answered;
}
