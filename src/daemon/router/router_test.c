/* The role as a process in --ask mode, asked over its channel while accounts come and go. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config.h"
#include "daemon/router/router.h"
#include "login/account.h"
#include "mail/envelope.h"

static char folder[256], accounts_folder[300], config_path[300];

static int folder_make(void **state)
{
    (void)state;
    static const char text[] = "hostname = mx.test\nlisten a { address = \"127.0.0.1:2525\" }\n"
                               "domain local.test { }\nroute far.test { via = \"192.0.2.1:26\" }\n";
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/troika-router-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(accounts_folder, sizeof accounts_folder, "%s/accounts", folder);
    snprintf(config_path, sizeof config_path, "%s/t.conf", folder);
    int fd = open(config_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool good = mkdir(accounts_folder, 0700) == 0 && write(fd, text, sizeof text - 1) > 0;
    close(fd);
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() == 0)
        good = good && nobody && chown(accounts_folder, nobody->pw_uid, nobody->pw_gid) == 0 &&
               chmod(folder, 0711) == 0; /* for builds without chroot */
    return good ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    char file[320];
    snprintf(file, sizeof file, "%s/accounts.db", accounts_folder);
    unlink(file);
    rmdir(accounts_folder);
    unlink(config_path);
    return rmdir(folder);
}

struct asker {
    struct loop *loop;
    struct channel *channel;
    pid_t pid;
    /* the last answer */
    bool answered, down;
    uint64_t ticket;
    uint16_t code;
    char next_hop[300], why[300];
};

static void on_answer(void *arg, struct channel *c, union message *m)
{
    struct asker *a = arg;
    struct reader r = reader_init(m->route_answer.targets);
    struct target t = {.next_hop = STR("")};
    assert_int_equal(m->kind, MSG_ROUTE_ANSWER);
    a->answered = true;
    a->ticket = m->route_answer.ticket;
    a->code = m->route_answer.status.code;
    if (status_done(&m->route_answer.status)) {
        assert_true(target_decode(&r, &t));
        assert_true(reader_ended(&r));
    }
    snprintf(a->next_hop, sizeof a->next_hop, "%.*s", STR_ARG(t.next_hop));
    snprintf(a->why, sizeof a->why, "%.*s", STR_ARG(m->route_answer.why));
    loop_stop(a->loop);
}

static void on_down(void *arg, struct channel *c, const char *why)
{
    struct asker *a = arg;
    a->down = true;
    loop_stop(a->loop);
}

static const struct channel_events events = {.on_message = on_answer, .on_down = on_down};

static _Noreturn void run_router(int socket, int snapshot_fd)
{
    char *argv[] = {(char[]){"router"}, (char[]){"--ask"}, accounts_folder, NULL};
    int a = fcntl(socket, F_DUPFD, 10), b = fcntl(snapshot_fd, F_DUPFD, 10);
    if (dup2(a, 3) < 0 || dup2(b, 4) < 0)
        _exit(1);
    close(a);
    close(b);
    /* By root the jail closes as in the server, but under a user that every system has. */
    struct role_spec spec = router_spec;
    spec.user = "nobody";
    int status = worker_main(3, argv, &spec);
    _exit(status);
}

static void asker_start(struct asker *a)
{
    int sockets[2], snapshot = -1;
    struct buf errors = buf_init(4 * KIB);
    *a = (struct asker){0};
    assert_int_equal(config_check_file(config_path, &snapshot, &errors), 0);
    assert_int_equal(channel_pair(sockets), 0);
    a->pid = fork();
    if (a->pid == 0) {
        close(sockets[0]);
        run_router(sockets[1], snapshot);
    }
    close(sockets[1]);
    close(snapshot);
    buf_free(&errors);
    assert_int_equal(loop_new(&clock_system, &a->loop), 0);
    a->channel = channel_new(a->loop, sockets[0], CONTROL, ROUTER, &events, a);
}

static void asker_stop(struct asker *a)
{
    int status = -1;
    channel_free(&a->channel);
    assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
    assert_int_equal(status, 0);
    loop_free(&a->loop);
}

static void ask(struct asker *a, const char *recipient, bool may_relay, uint16_t code,
                const char *next_hop)
{
    static uint64_t ticket;
    struct msg_route_ask question = {.kind = MSG_ROUTE_ASK,
                                     .ticket = ++ticket,
                                     .may_relay = may_relay,
                                     .sender = STR("x@y.test"),
                                     .recipient = str_c(recipient)};
    a->answered = false;
    channel_send(a->channel, &question);
    loop_run(a->loop);
    assert_true(a->answered && !a->down);
    assert_true(a->ticket == ticket);
    assert_int_equal(a->code, code);
    assert_string_equal(a->next_hop, next_hop);
    assert_true(a->why[0] != '\0');
}

static void test_asked(void **state)
{
    (void)state;
    struct asker a;
    struct accounts *writer = NULL;
    struct address alice = {STR("alice"), STR("local.test")};
    asker_start(&a);
    ask(&a, "postmaster", false, 250, "postmaster");
    ask(&a, "alice@local.test", false, 550, "");
    assert_string_equal(a.why, "t.conf:3 domain local.test: no account alice");
    assert_int_equal(accounts_open(accounts_folder, true, &writer), 0);
    ask(&a, "alice@local.test", false, 550, "");
    assert_int_equal(accounts_add(writer, &alice), 0);
    ask(&a, "Alice+tag@local.test", false, 250, "local.test/alice");
    ask(&a, "x@far.test", false, 550, "");
    ask(&a, "x@far.test", true, 250, "192.0.2.1:26");
    ask(&a, "x%far.test@local.test", true, 550, "");
    ask(&a, "postmaster@[127.0.0.1]", false, 250, "postmaster");
    assert_int_equal(accounts_remove(writer, &alice), 0);
    ask(&a, "alice@local.test", false, 550, "");
    accounts_close(&writer);
    asker_stop(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
