/* daemon/pam/pam_test.c - the role as logind sees it: what hangs is killed, what crashes is "later",
 * so many run at once, and the others wait. The modules are scripts (pam_exec). */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config.h"
#include "daemon/pam/pam.h"
#include "io/disk.h"
#include "io/user.h"

enum { ANSWERS_MAX = 256 };

struct answer {
    uint64_t ticket;
    enum password_verdict verdict;
    char why[100];
};

static struct {
    char folder[64], person[USER_NAME_BYTES_MAX + 1];
    struct worker worker;
    struct channel *pam, *logind;
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
} t;

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[200];

    (void)snprintf(path, sizeof path, "%s/%s", t.folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* ---- both ends ---- */

static void role_message(void *arg, struct channel *c, union message *m)
{
    assert_int_equal(m->kind, MSG_PAM_ASK);
    pam_spec.handlers[0].fn(&t.worker, c, m);
}

static void role_down(void *arg, struct channel *c, const char *why)
{
    pam_spec.peer_down(&t.worker, c);
    channel_free(&t.pam);
}

static void logind_message(void *arg, struct channel *c, union message *m)
{
    struct answer *a = &t.answers[t.answer_count++];

    assert_true(t.answer_count < ANSWERS_MAX);
    a->ticket = m->pam_answer.ticket;
    a->verdict = (enum password_verdict)m->pam_answer.verdict;
    (void)snprintf(a->why, sizeof a->why, "%.*s", STR_ARG(m->pam_answer.why));
}

static void logind_down(void *arg, struct channel *c, const char *why) {}

static const struct channel_events role_events = {role_message, NULL, role_down};
static const struct channel_events logind_events = {logind_message, NULL, logind_down};

static int meet(void **state)
{
    int pair[2];

    t.answer_count = 0;
    if (channel_pair(pair) < 0)
        return -1;
    t.pam = channel_new(t.worker.loop, pair[0], PAM, LOGIND, &role_events, NULL);
    t.logind = channel_new(t.worker.loop, pair[1], LOGIND, PAM, &logind_events, NULL);
    pam_spec.peer_up(&t.worker, t.pam, 1);
    return 0;
}

static int part(void **state)
{
    channel_free(&t.logind);
    while (t.pam)
        loop_turn(t.worker.loop, true);
    return 0;
}

/* ---- the world ---- */

static void config_take(const char *timeout)
{
    char text[500];
    struct buf errors = buf_init(4096);
    int snapshot = -1;
    char path[100];

    (void)snprintf(
        text, sizeof text,
        "hostname = mx.test\nlisten s { address = { \"127.0.0.1:2525\" } auth = required }\n"
        "domain example.test { system-users = yes }\nminimum-uid = 1\n"
        "pam-service = \"troika-test\"\npam-timeout = %s\n",
        timeout);
    write_file("t.conf", text, 0644);
    (void)snprintf(path, sizeof path, "%s/t.conf", t.folder);
    if (config_check_file(path, &snapshot, &errors) < 0)
        fail_msg("%s", buf_c(&errors));
    pam_spec.config(&t.worker, snapshot);
    buf_free(&errors);
}

/* The password says what the module does. */
static const char script[] = "#!/bin/sh\n"
                             "read -r password\n"
                             "case $password in\n"
                             "right) exit 0 ;;\n"
                             "hang) sleep 3600 & echo $! >%s/hung; sleep 3600 ;;\n"
                             "crash) kill -SEGV $PPID; sleep 3600 ;;\n"
                             "leave) sleep 3600 & echo $! >%s/left; exit 0 ;;\n"
                             "wait) while [ ! -e %s/go ]; do sleep 0.01; done ;;\n"
                             "*) exit 1 ;;\n"
                             "esac\n";

/* Every system has some beside root and nobody: bin, daemon. */
static int set_up(void **state)
{
    char text[2000];
    const struct passwd *p;

    (void)snprintf(t.folder, sizeof t.folder, "/tmp/troika-pamd-XXXXXX");
    if (!mkdtemp(t.folder) || chmod(t.folder, 0777) < 0)
        return -1;
    while (!t.person[0] && (p = getpwent()))
        if (p->pw_uid > 0 && p->pw_uid != 65534 && user_name_valid(str_c(p->pw_name)))
            (void)snprintf(t.person, sizeof t.person, "%s", p->pw_name);
    endpwent();
    if (!t.person[0])
        return -1;
    (void)snprintf(text, sizeof text, script, t.folder, t.folder, t.folder);
    write_file("script", text, 0755);
    (void)snprintf(text, sizeof text,
                   "auth required pam_exec.so quiet expose_authtok %s/script\n"
                   "account required pam_permit.so\n",
                   t.folder);
    write_file("troika-test", text, 0644);
    t.worker.clock = &clock_system;
    if (loop_new(t.worker.clock, &t.worker.loop) < 0)
        return -1;
    config_take("30s");
    pam_use_folder(t.folder);
    return pam_spec.start(&t.worker);
}

static int tear_down(void **state)
{
    static const char *const names[] = {"t.conf", "script", "troika-test", "hung", "left", "go"};
    char path[200];

    for (size_t i = 0; i < countof(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", t.folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(t.folder);
}

static void ask(uint64_t ticket, const char *password)
{
    channel_send(t.logind, &(struct msg_pam_ask){.kind = MSG_PAM_ASK,
                                                 .ticket = ticket,
                                                 .login = str_c(t.person),
                                                 .password = str_c(password),
                                                 .client = STR("192.0.2.1")});
}

static const struct answer *answers(size_t count)
{
    while (t.answer_count < count)
        loop_turn(t.worker.loop, true);
    assert_int_equal(t.answer_count, count);
    return &t.answers[count - 1];
}

static void check_answer(const struct answer *a, uint64_t ticket, enum password_verdict verdict,
                         const char *why)
{
    assert_int_equal(a->ticket, ticket);
    assert_int_equal(a->verdict, verdict);
    if (!strstr(a->why, why))
        fail_msg("%s", a->why);
}

/* The process of which the module wrote the number into this file is gone. */
static void check_gone(const char *name)
{
    char path[200];
    struct buf text = buf_init(100);
    uint64_t pid = 0;

    (void)snprintf(path, sizeof path, "%s/%s", t.folder, name);
    assert_int_equal(file_read(AT_FDCWD, path, 100, &text), 0);
    assert_true(str_u64(str_trim(buf_str(&text)), &pid));
    buf_free(&text);
    (void)snprintf(path, sizeof path, "/proc/%u/exe", (unsigned)pid);
    while (access(path, F_OK) == 0) /* killed and, as the role inherits it, buried */
        loop_turn(t.worker.loop, true);
}

/* ---- cases ---- */

static void right_and_wrong(void **state)
{
    ask(1, "right");
    check_answer(answers(1), 1, PASSWORD_RIGHT, "");
    ask(2, "wrong");
    check_answer(answers(2), 2, PASSWORD_WRONG, "its command refused");
}

static void what_hangs_is_killed(void **state)
{
    config_take("1s");
    ask(1, "hang");
    ask(2, "right"); /* is not held up */
    check_answer(answers(1), 2, PASSWORD_RIGHT, "");
    check_answer(answers(2), 1, PASSWORD_LATER, "longer than pam-timeout");
    check_gone("hung");
    config_take("30s");
}

static void what_crashes_is_later(void **state)
{
    ask(1, "crash");
    check_answer(answers(1), 1, PASSWORD_LATER, "SIGSEGV");
    ask(2, "right");
    check_answer(answers(2), 2, PASSWORD_RIGHT, "");
}

static void what_it_leaves_running_is_killed(void **state)
{
    ask(1, "leave");
    check_answer(answers(1), 1, PASSWORD_RIGHT, "");
    check_gone("left");
}

static void so_many_wait(void **state)
{
    size_t most = CHECKS_AT_ONCE_MAX + CHECKS_WAITING_MAX;

    for (uint64_t i = 0; i <= most; i++)
        ask(i, i < CHECKS_AT_ONCE_MAX ? "wait" : "right");
    check_answer(answers(1), most, PASSWORD_LATER, "too many");
    write_file("go", "", 0644);
    (void)answers(most + 1);
    for (size_t i = 1; i <= most; i++)
        assert_int_equal(t.answers[i].verdict, PASSWORD_RIGHT);
}

/* Answers for a peer that is gone go nowhere, and the next one is served. */
static void a_peer_that_is_gone(void **state)
{
    ask(1, "right");
    part(state);
    meet(state);
    ask(2, "right");
    check_answer(answers(1), 2, PASSWORD_RIGHT, "");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, meet, part)
    const struct CMUnitTest tests[] = {
        CASE(right_and_wrong),       CASE(what_hangs_is_killed),
        CASE(what_crashes_is_later), CASE(what_it_leaves_running_is_killed),
        CASE(so_many_wait),          CASE(a_peer_that_is_gone),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
