/* worker_main in a child of ours: this test is its parent, its peers and its command line. The
 * role says what is called in which order, one letter each, through a pipe. */
// SPDX-License-Identifier: ISC
#include "ipc/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

/* ---- the role ---- */

static int calls = -1; /* write end */
static int start_result;

static void called(char what)
{
    assert_int_equal(write(calls, &what, 1), 1);
}

static int start(struct worker *w)
{
    called('s');
    return start_result;
}
static void run(struct worker *w)
{
    called('r');
}
static int config(struct worker *w, int snapshot_fd)
{
    called('c');
    return 0;
}
static void listener(struct worker *w, uint32_t listen_index, struct str address, int fd)
{
    close(fd);
    called(str_eq_c(address, "127.0.0.1:25") && listen_index == 7 ? 'l' : '?');
}
static void listeners_end(struct worker *w)
{
    called('e');
}
static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    called(channel_peer(peer) == CONTROL ? 'C' : 'u');
}
static void peer_down(struct worker *w, struct channel *peer)
{
    called('d');
}
static void on_list(struct worker *w, struct channel *from, union message *m)
{
    struct msg_end end = {.kind = MSG_END, .count = 42};

    channel_send(from, &end);
}

static const struct role_handler handlers[] = {{MSG_QUEUE_LIST, on_list}};
static const struct role_spec spec = {
    .role = QUEUE,
    .handlers = handlers,
    .handler_count = countof(handlers),
    .start = start,
    .run = run,
    .config = config,
    .listener = listener,
    .listeners_end = listeners_end,
    .peer_up = peer_up,
    .peer_down = peer_down,
};

/* ---- the test's side ---- */

struct child {
    pid_t pid;
    int socket; /* its parent's, or asker's, channel */
    int calls;
};

static void become(int argc, const char *arg, int socket, int call_fd)
{
    char *argv[] = {(char[]){"queue"}, (char[]){"--ask"}, (char *)(uintptr_t)arg, NULL};

    if (!arg)
        argv[1] = NULL;
    calls = fcntl(call_fd, F_DUPFD, 20);
    int channel = fcntl(socket, F_DUPFD, 20);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDERR_FILENO);
    dup2(channel, 3);
    dup2(null, 4);
    for (int fd = 5; fd < 100; fd++) {
        if (fd != calls)
            close(fd);
    }
    _exit(worker_main(argc, argv, &spec));
}

static struct child spawn(const char *ask_folder)
{
    struct child c;
    int pair[2], pipes[2];

    assert_int_equal(channel_pair(pair), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0)
        become(ask_folder ? 3 : 1, ask_folder, pair[1], pipes[1]);
    close(pair[1]);
    close(pipes[1]);
    (void)fcntl(pair[0], F_SETFL, 0); /* wait */
    c.socket = pair[0];
    c.calls = pipes[0];
    return c;
}

static void say(int socket, void *m, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct buf packet = buf_init(PACKET_BYTES_MAX);

    assert_true(message_encode(&packet, m));
    struct iovec iov = {packet.p, packet.n};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        h.msg_control = control;
        h.msg_controllen = sizeof control;
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&h);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    }
    assert_int_equal(sendmsg(socket, &h, 0), (ssize_t)packet.n);
    buf_free(&packet);
}

/* The next message of that kind, or MSG_NONE when the channel has ended. */
static uint16_t hear(int socket, uint16_t kind)
{
    static char packet[4096];
    union message m;

    for (;;) {
        ssize_t n = recv(socket, packet, sizeof packet, 0);
        if (n <= 0)
            return MSG_NONE;
        assert_true(message_decode(str_n(packet, (size_t)n), -1, &m));
        if (m.kind == kind)
            return m.kind;
    }
}

static void expect_calls(const struct child *c, const char *expected)
{
    for (const char *at = expected; *at; at++) {
        char what = 0;
        assert_int_equal(read(c->calls, &what, 1), 1);
        if (what != *at)
            fail_msg("called '%c' where '%s' was expected", what, at);
    }
}

static int finish(struct child *c)
{
    int status;

    close(c->socket);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    close(c->calls);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void say_start(const struct child *c)
{
    struct msg_start m = {.kind = MSG_START,
                          .number = 1,
                          .count = 1,
                          .control_uid = UINT32_MAX,
                          .control_gid = UINT32_MAX};

    say(c->socket, &m, -1);
}

static void say_config(const struct child *c)
{
    struct msg_config m = {.kind = MSG_CONFIG};

    say(c->socket, &m, c->calls);
}

static int say_channel(const struct child *c, enum role role, uint32_t number)
{
    struct msg_channel m = {.kind = MSG_CHANNEL, .role = (uint32_t)role, .number = number};
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    (void)fcntl(pair[0], F_SETFL, 0);
    say(c->socket, &m, pair[1]);
    close(pair[1]);
    return pair[0];
}

/* ---- the stories ---- */

static void test_what_comes_before_start_waits_for_it(void **state)
{
    struct child c = spawn(NULL);
    struct msg_listener l = {
        .kind = MSG_LISTENER, .listen_index = 7, .address = STR("127.0.0.1:25")};
    struct msg_listeners_end end = {.kind = MSG_LISTENERS_END};

    (void)state;
    say_config(&c);
    say(c.socket, &l, c.calls);
    say(c.socket, &end, -1);
    int peer = say_channel(&c, SMTPD, 1);
    say_start(&c);
    assert_int_equal(hear(c.socket, MSG_READY), MSG_READY);
    expect_calls(&c, "csrule");
    int again = say_channel(&c, SMTPD, 1); /* restarted: the old one goes first */
    expect_calls(&c, "du");
    say_config(&c);
    expect_calls(&c, "c");
    close(peer);
    close(again);
    expect_calls(&c, "d");
    assert_int_equal(finish(&c), EX_OK);
}

static void test_signals_do_not_end_it_but_the_parents_end_does(void **state)
{
    struct child c = spawn(NULL);

    (void)state;
    say_start(&c);
    assert_int_equal(hear(c.socket, MSG_READY), MSG_READY);
    kill(c.pid, SIGTERM);
    kill(c.pid, SIGINT);
    kill(c.pid, SIGHUP);
    say_config(&c);
    expect_calls(&c, "src");
    assert_int_equal(finish(&c), EX_OK);
}

static void test_stop(void **state)
{
    struct child c = spawn(NULL);
    struct msg_stop stop = {.kind = MSG_STOP};

    (void)state;
    say_start(&c);
    say(c.socket, &stop, -1);
    assert_int_equal(hear(c.socket, MSG_NONE), MSG_NONE); /* ends by itself */
    assert_int_equal(finish(&c), EX_OK);
}

static void test_stop_before_start(void **state)
{
    struct child c = spawn(NULL);
    struct msg_stop stop = {.kind = MSG_STOP};

    (void)state;
    say(c.socket, &stop, -1);
    assert_int_equal(hear(c.socket, MSG_NONE), MSG_NONE);
    assert_int_equal(finish(&c), EX_OK);
}

/* What a person must look at ends the server; a full disk is waited for. */
static void test_start_that_fails(void **state)
{
    static const struct {
        int error, exit;
    } table[] = {{-EBADMSG, EX_CONFIG}, {-ENOSPC, EX_TEMPFAIL}, {-EDQUOT, EX_TEMPFAIL}};

    (void)state;
    for (size_t i = 0; i < countof(table); i++) {
        start_result = table[i].error;
        struct child c = spawn(NULL);
        start_result = 0;
        say_start(&c);
        assert_int_equal(hear(c.socket, MSG_READY), MSG_NONE);
        assert_int_equal(finish(&c), table[i].exit);
    }
}

/* A peer that says what the role has no row for, or what it may not say, loses its channel. */
static void test_broken_contracts_cost_the_peer_only(void **state)
{
    struct child c = spawn(NULL);
    struct msg_put_abort no_row = {.kind = MSG_PUT_ABORT};
    struct msg_queue_list not_allowed = {.kind = MSG_QUEUE_LIST};

    (void)state;
    say_start(&c);
    int first = say_channel(&c, SMTPD, 1);
    int second = say_channel(&c, SMTPD, 2);
    expect_calls(&c, "sruu");
    say(first, &no_row, -1);
    assert_int_equal(hear(first, MSG_NONE), MSG_NONE);
    expect_calls(&c, "d");
    say(second, &not_allowed, -1);
    assert_int_equal(hear(second, MSG_NONE), MSG_NONE);
    expect_calls(&c, "d");
    close(first);
    close(second);
    say_config(&c); /* still works */
    expect_calls(&c, "c");
    assert_int_equal(finish(&c), EX_OK);
}

static void test_asked_without_a_server(void **state)
{
    struct child c = spawn("/");
    struct msg_queue_list list = {.kind = MSG_QUEUE_LIST};

    (void)state;
    expect_calls(&c, "csC");
    say(c.socket, &list, -1);
    assert_int_equal(hear(c.socket, MSG_END), MSG_END);
    say(c.socket, &list, -1);
    assert_int_equal(hear(c.socket, MSG_END), MSG_END);
    assert_int_equal(finish(&c), EX_OK);
}

static void test_asked_about_a_folder_that_is_not_there(void **state)
{
    struct child c = spawn("/nonexistent/folder");

    (void)state;
    assert_int_equal(hear(c.socket, MSG_END), MSG_NONE);
    assert_int_equal(finish(&c), EX_NOINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_before_start_waits_for_it),
        cmocka_unit_test(test_signals_do_not_end_it_but_the_parents_end_does),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_before_start),
        cmocka_unit_test(test_start_that_fails),
        cmocka_unit_test(test_broken_contracts_cost_the_peer_only),
        cmocka_unit_test(test_asked_without_a_server),
        cmocka_unit_test(test_asked_about_a_folder_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
