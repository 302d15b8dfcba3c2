// SPDX-License-Identifier: ISC
#include "base/check.h"

#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

/* The address sanitizer would rather stop the test than refuse memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void break_a_promise(void)
{
    check(1 + 1 == 3);
}

static void ask_for_too_much(void)
{
    free(mem_new(SIZE_MAX / 2));
}

/* Runs what ends the process in a child; its log goes to text. */
static int run(void (*what)(void), char *text, size_t room)
{
    int log_fd[2];
    int status;

    assert_int_equal(pipe(log_fd), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        log_open(log_fd[1], LOG_FORM_PLAIN, LEVEL_INFO, "test");
        what();
        _exit(0);
    }
    close(log_fd[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    ssize_t n = read(log_fd[0], text, room - 1);
    text[n > 0 ? n : 0] = '\0';
    close(log_fd[0]);
    return status;
}

static void a_broken_promise_aborts(void **state)
{
    char text[1024];
    int status = run(break_a_promise, text, sizeof(text));

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "level=error role=test event=bug check=\"1 + 1 == 3\" at="));
    assert_non_null(strstr(text, "check_test.c:"));
}

static void no_memory_ends_the_process(void **state)
{
    char text[1024];
    int status = run(ask_for_too_much, text, sizeof(text));

    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EX_OSERR);
    assert_non_null(strstr(text, "event=out-of-memory"));
}

static void wait_for_too_much(void)
{
    mem_wait_max(1);
    ask_for_too_much();
}

static void a_patient_process_waits_for_memory(void **state)
{
    char text[1024];
    int status = run(wait_for_too_much, text, sizeof(text));

    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EX_OSERR);
    assert_non_null(strstr(text, "event=out-of-memory then=\"waits for some\""));
}

static void memory_is_copied_and_zeroed(void **state)
{
    char *p = mem_copy("ab", 2);
    char *zeros = mem_new(3);

    assert_string_equal(p, "ab");
    assert_memory_equal(zeros, "\0\0\0", 3);
    p = mem_resize(p, 100);
    assert_string_equal(p, "ab");
    free(p);
    free(zeros);
    p = mem_copy(NULL, 0);
    assert_string_equal(p, "");
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_promise_aborts),
        cmocka_unit_test(no_memory_ends_the_process),
        cmocka_unit_test(a_patient_process_waits_for_memory),
        cmocka_unit_test(memory_is_copied_and_zeroed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
