// SPDX-License-Identifier: ISC
#include "outward/send/shell.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"

extern char **environ;

enum { COMMAND_BYTES_MAX = 64 * 1024 };

static int spawn(char *const arguments[], int in, int out, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    int error = posix_spawn_file_actions_init(&files);

    if (error)
        return -error;
    if (in >= 0)
        error = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    if (!error && out >= 0)
        error = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (!error)
        error = posix_spawn(ret, "/bin/sh", &files, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    return -error;
}

int shell_start(const char *command, const char *argument, int in, int out, pid_t *ret)
{
    struct buf line = buf_init(COMMAND_BYTES_MAX);

    buf_add_c(&line, command);
    if (argument)
        buf_add_c(&line, " \"$1\"");
    if (line.full) {
        buf_free(&line);
        return -E2BIG;
    }
    char *script = buf_take(&line), *copy = argument ? mem_copy(argument, strlen(argument)) : NULL;
    char *const arguments[] = {(char[]){"sh"}, (char[]){"-c"}, script, (char[]){"sh"}, copy, NULL};
    int error = spawn(arguments, in, out, ret);

    free(script);
    free(copy);
    return error;
}

int shell_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
