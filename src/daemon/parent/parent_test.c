/* The whole parent with workers that are this very program: libexec is a folder of copies of it,
 * and under the title "troika: ROLE N" it is that role. Waits for log lines, never for time. */
// SPDX-License-Identifier: ISC
#include "daemon/parent/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/parent/worker_row.h"

enum { NOBODY = 65534, WAIT_MS = 20000, PATH_BYTES = 256 };

/* ---- the roles ---- */

static void peer_up(struct worker *w, struct channel *peer, uint32_t number)
{
    struct msg_note note = {.kind = MSG_NOTE, .line = STR("hello")};

    log_event(LEVEL_INFO, "peer-up", "peer", role_name(channel_peer(peer)), NULL);
    if (w->spec->role == SMTPD && channel_peer(peer) == HISTORY)
        channel_send(peer, &note);
}

static void on_note(struct worker *w, struct channel *from, union message *m)
{
    log_event(LEVEL_INFO, "noted", NULL);
}

static void on_list(struct worker *w, struct channel *from, union message *m)
{
    struct msg_end end = {.kind = MSG_END, .count = w->number};

    channel_send(from, &end);
}

static void on_listener(struct worker *w, uint32_t listen_index, struct str address, int fd)
{
    struct buf line = buf_init(KIB);

    line_c(&line, "event", "listens");
    line_str(&line, "address", address);
    log_line(LEVEL_INFO, buf_str(&line));
    buf_free(&line);
    close(fd);
}

/* Its own board is written, that of another is read and cannot be written. */
static int start(struct worker *w)
{
    uint32_t mark = w->number;
    uint32_t other = w->number == 1 ? 2 : 1;

    if (w->spec->role != SMTPD)
        return w->folder_fd >= 0 && w->boards[1] < 0 ? 0 : -EINVAL;
    if (pwrite(w->boards[w->number], &mark, sizeof mark, 0) != sizeof mark)
        return -EIO;
    if (w->boards[other] >= 0 && pwrite(w->boards[other], &mark, sizeof mark, 0) > 0)
        return -EPERM;
    return ftruncate(w->boards[w->number], 0) < 0 ? 0 : -EPERM;
}

static void on_user(struct worker *w, struct channel *from, union message *m)
{
    struct buf line = buf_init(KIB);

    line_c(&line, "event", "user");
    line_u64(&line, "uid", m->user.uid);
    line_u64(&line, "trusted", m->user.trusted);
    log_line(LEVEL_INFO, buf_str(&line));
    buf_free(&line);
    close(m->user.socket);
}

/* The first byte of the file says what becomes of it. */
static void on_drop(struct worker *w, struct channel *from, union message *m)
{
    struct msg_drop_done done = {
        .kind = MSG_DROP_DONE, .ticket = m->drop.ticket, .why = STR("because")};
    char first = 0;

    if (pread(m->drop.file, &first, 1, 0) != 1 || first == 'x')
        _exit(EX_SOFTWARE);
    close(m->drop.file);
    done.verdict = first == 't' ? DROP_TAKEN : first == 'a' ? DROP_ASIDE : DROP_LATER;
    channel_send(from, &done);
}

static const struct role_handler handlers[] = {
    {MSG_USER, on_user},
    {MSG_DROP, on_drop},
    {MSG_NOTE, on_note},
    {MSG_QUEUE_LIST, on_list},
};

static int be_role(int argc, char **argv)
{
    char name[32];
    unsigned number;

    if (sscanf(argv[0], "troika: %31s %u", name, &number) != 2)
        return EX_USAGE;
    for (size_t i = 0; i < countof(worker_rows); i++) {
        struct role_spec spec = {.role = worker_rows[i].role,
                                 .user = worker_rows[i].user,
                                 .jail_may = JAIL_FILES_READ,
                                 .handlers = handlers,
                                 .handler_count = countof(handlers),
                                 .start = start,
                                 .listener = on_listener,
                                 .peer_up = peer_up};
        if (strcmp(role_name(spec.role), name) == 0)
            return worker_main(argc, argv, &spec);
    }
    return EX_USAGE;
}

/* ---- the server under test ---- */

struct site {
    char folder[PATH_BYTES], config[PATH_BYTES], libexec[PATH_BYTES], state[PATH_BYTES];
    pid_t pid;
    int log; /* read end of its stderr */
    int notify;
    char notify_name[64];
    char text[64 * 1024]; /* everything logged so far */
    size_t text_bytes, seen;
};

static void write_config(const struct site *s, const char *more)
{
    FILE *f = fopen(s->config, "w");

    assert_non_null(f);
    fprintf(f, "hostname = \"mail.example.test\"\nstate = \"%s\"\n%s\n", s->state, more);
    assert_int_equal(fclose(f), 0);
}

static void path_of(char *to, const char *folder, const char *name)
{
    assert_in_range(snprintf(to, PATH_BYTES, "%s/%s", folder, name), 1, PATH_BYTES - 1);
}

static void open_notify(struct site *s)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int n = snprintf(s->notify_name, sizeof s->notify_name, "@troika-test-%d", (int)getpid());

    memcpy(un.sun_path, s->notify_name, (size_t)n);
    un.sun_path[0] = '\0';
    s->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
    assert_int_equal(bind(s->notify, (struct sockaddr *)&un, bytes), 0);
}

static void remove_tree(const char *folder)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

/* This program under the name of every role: a copy, as nobody may not enter the folder it is in. */
static void make_roles(const struct site *s)
{
    char first[PATH_BYTES + 16], next[PATH_BYTES + 16];
    struct stat st;
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_true(self >= 0 && fstat(self, &st) == 0);
    (void)snprintf(first, sizeof first, "%s/%s", s->libexec, role_name(worker_rows[0].role));
    int copy = open(first, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(copy >= 0);
    for (ssize_t n = 1; n > 0;) {
        n = sendfile(copy, self, NULL, (size_t)st.st_size);
        assert_true(n >= 0);
    }
    close(self);
    assert_int_equal(close(copy), 0);
    for (size_t i = 1; i < countof(worker_rows); i++) {
        (void)snprintf(next, sizeof next, "%s/%s", s->libexec, role_name(worker_rows[i].role));
        assert_int_equal(link(first, next), 0);
    }
}

static void setup(struct site *s)
{
    const char *tmp = getenv("TMPDIR");

    memset(s, 0, sizeof *s);
    path_of(s->folder, tmp ? tmp : "/tmp", "troika-parent-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    path_of(s->config, s->folder, "conf");
    path_of(s->libexec, s->folder, "libexec");
    path_of(s->state, s->folder, "state");
    umask(022);
    assert_int_equal(mkdir(s->libexec, 0755), 0);
    make_roles(s);
    write_config(s, "smtpd = 2\nrelay = 1");
    if (geteuid() == 0)
        assert_int_equal(chown(s->folder, NOBODY, NOBODY), 0);
    open_notify(s);
}

/* Never as root: this is not about privilege separation. */
static pid_t spawn_parent(const struct site *s, int err)
{
    char *argv[] = {(char[]){"parent"},
                    (char[]){"-c"},
                    (char *)(uintptr_t)s->config,
                    (char[]){"--libexec"},
                    (char *)(uintptr_t)s->libexec,
                    NULL};
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        _exit(EX_OSERR);
    setenv("NOTIFY_SOCKET", s->notify_name, 1);
    dup2(err, STDERR_FILENO);
    optind = 1;
    exit(parent_main(5, argv));
}

static void start_server(struct site *s)
{
    int err[2];

    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    s->pid = spawn_parent(s, err[1]);
    close(err[1]);
    s->log = err[0];
}

/* The next line with that text, after those already waited for. */
static void expect_line(struct site *s, const char *text)
{
    struct pollfd p = {.fd = s->log, .events = POLLIN};

    for (;;) {
        char *at = strstr(s->text + s->seen, text);
        if (at) {
            s->seen = (size_t)(at - s->text) + strlen(text);
            return;
        }
        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no line with '%s' in:\n%s", text, s->text);
        ssize_t n = read(s->log, s->text + s->text_bytes, sizeof s->text - 1 - s->text_bytes);
        if (n <= 0)
            fail_msg("the log ended before '%s':\n%s", text, s->text);
        s->text_bytes += (size_t)n;
    }
}

static void expect_notify(struct site *s, const char *text)
{
    struct pollfd p = {.fd = s->notify, .events = POLLIN};
    char said[512];

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    ssize_t n = recv(s->notify, said, sizeof said - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    if (!strstr(said, text))
        fail_msg("'%s' instead of '%s'", said, text);
}

static int wait_exit(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void stop_server(struct site *s)
{
    kill(s->pid, SIGTERM);
    expect_line(s, "event=stopped");
    assert_int_equal(wait_exit(s->pid), EX_OK);
}

static void teardown(struct site *s)
{
    if (s->log > 0)
        close(s->log);
    close(s->notify);
    remove_tree(s->folder);
}

static pid_t pid_of(struct site *s, const char *worker)
{
    char key[64];
    long pid = 0;

    (void)snprintf(key, sizeof key, "event=started worker=%s number=1 pid=", worker);
    for (char *at = strstr(s->text, key); at; at = strstr(at + 1, key))
        (void)sscanf(at + strlen(key), "%ld", &pid);
    assert_true(pid > 0);
    return (pid_t)pid;
}

/* ---- the stories ---- */

static void leave_file(const struct site *s, const char *name, const char *text)
{
    char path[PATH_BYTES * 2];

    (void)snprintf(path, sizeof path, "%s/drop/%s", s->state, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, NOBODY, NOBODY), 0);
}

static bool is_there(const struct site *s, const char *folder, const char *name)
{
    char path[PATH_BYTES * 2];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s/%s", s->state, folder, name);
    return lstat(path, &st) == 0;
}

static void connect_as_user(const struct site *s)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_in_range(snprintf(un.sun_path, sizeof un.sun_path, "%s/submit.sock", s->state), 1,
                    sizeof un.sun_path - 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(read(fd, &byte, 1), 0); /* it was handed on, and closed there */
    close(fd);
}

#define TAKEN "drop-0000000000000000000000000t"
#define LATER "drop-0000000000000000000000000m"
#define ASIDE "drop-0000000000000000000000000a"
#define POISON "drop-0000000000000000000000000x"
#define LINK "drop-0000000000000000000000000n"

static void test_mail_of_local_users(void **state)
{
    struct site s;
    char path[PATH_BYTES * 2];
    struct stat st;

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=ready");
    connect_as_user(&s);
    expect_line(&s, geteuid() == 0 ? "event=user uid=0 trusted=1" : "event=user uid=");
    (void)snprintf(path, sizeof path, "%s/drop", s.state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 01733);
    stop_server(&s);

    leave_file(&s, TAKEN, "taken");
    leave_file(&s, LATER, "later");
    leave_file(&s, ASIDE, "aside");
    leave_file(&s, "not-a-name-of-ours", "nothing");
    (void)snprintf(path, sizeof path, "%s/drop/" LINK, s.state);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    start_server(&s);
    expect_line(&s, "event=ready");
    for (bool done = false; !done;) { /* in the order of the folder, whatever that is */
        expect_line(&s, "event=drop-");
        done = strstr(s.text, "event=drop-taken file=" TAKEN) &&
               strstr(s.text, "event=drop-waits file=" LATER) &&
               strstr(s.text, "event=drop-put-aside file=" ASIDE " reason=because") &&
               strstr(s.text, "event=drop-put-aside file=" LINK);
    }
    assert_true(!is_there(&s, "drop", TAKEN) && is_there(&s, "drop", LATER));
    assert_true(is_there(&s, "aside", ASIDE) && is_there(&s, "aside", LINK));
    assert_true(is_there(&s, "drop", "not-a-name-of-ours"));
    stop_server(&s);
    teardown(&s);
}

/* What ends every smtpd that gets it does so twice, then no more. */
static void test_a_file_that_smtpd_dies_of(void **state)
{
    struct site s;

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=ready");
    leave_file(&s, POISON, "x");
    expect_line(&s, "event=worker-died worker=smtpd");
    expect_line(&s, "event=worker-died worker=smtpd");
    expect_line(&s, "event=drop-put-aside file=" POISON);
    assert_true(is_there(&s, "aside", POISON) && !is_there(&s, "drop", POISON));
    stop_server(&s);
    teardown(&s);
}

static void test_life_of_a_server(void **state)
{
    struct site s;

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=noted"); /* smtpd reached history */
    expect_notify(&s, "READY=1");
    expect_line(&s, "event=ready");

    int before = (int)pid_of(&s, "history");
    kill(before, SIGKILL);
    expect_line(&s, "event=worker-died worker=history");
    expect_line(&s, "event=noted"); /* through a new channel */
    expect_line(&s, "event=noted"); /* both smtpd */

    stop_server(&s);
    expect_notify(&s, "STOPPING=1");
    teardown(&s);
}

static void test_reload(void **state)
{
    struct site s;

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=ready");
    expect_notify(&s, "READY=1");

    write_config(&s, "smtpd = 2\nnonsense = 3");
    kill(s.pid, SIGHUP);
    expect_notify(&s, "RELOADING=1\nMONOTONIC_USEC=");
    expect_line(&s, "event=reload-refused");
    expect_notify(&s, "READY=1");

    write_config(&s, "smtpd = 2\nrelay = 1\nconnections = 90000");
    kill(s.pid, SIGHUP);
    expect_line(&s, "event=reload-refused");
    expect_line(&s, "restart the server for that");
    expect_notify(&s, "RELOADING=1\nMONOTONIC_USEC=");
    expect_notify(&s, "the reload was refused");

    write_config(&s, "smtpd = 3\nrelay = 2");
    kill(s.pid, SIGHUP);
    expect_line(&s, "event=started worker=");
    expect_line(&s, "event=started worker=");
    expect_line(&s, "event=reloaded");
    expect_notify(&s, "RELOADING=1\nMONOTONIC_USEC=");
    expect_notify(&s, "READY=1\nSTATUS=Accepting mail.");

    write_config(&s, "smtpd = 1\nrelay = 1\nlog-level = \"debug\"");
    kill(s.pid, SIGHUP);
    expect_line(&s, "event=worker-stopped worker=");
    stop_server(&s);
    teardown(&s);
}

static void test_second_server_is_refused(void **state)
{
    struct site s;
    int err[2];
    char said[1024];

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=ready");
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    pid_t second = spawn_parent(&s, err[1]);
    assert_int_equal(wait_exit(second), EX_TEMPFAIL);
    ssize_t n = read(err[0], said, sizeof said - 1);
    assert_true(n > 0);
    said[n] = '\0';
    char expected[64];
    (void)snprintf(expected, sizeof expected, "another server (pid %d)", (int)s.pid);
    assert_non_null(strstr(said, expected));
    close(err[0]);
    close(err[1]);
    stop_server(&s);
    teardown(&s);
}

/* kill -9 of the parent: the workers go by themselves, and the next server starts at once. */
static void test_killed_server_is_followed_by_another(void **state)
{
    struct site s;

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=ready");
    kill(s.pid, SIGKILL);
    assert_int_equal(wait_exit(s.pid), -SIGKILL);
    close(s.log);
    start_server(&s);
    expect_line(&s, "event=ready");
    stop_server(&s);
    teardown(&s);
}

static void test_control_socket(void **state)
{
    struct site s;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct msg_queue_list ask = {.kind = MSG_QUEUE_LIST};
    struct buf packet = buf_init(PACKET_BYTES_MAX);
    struct stat st;
    char answer[2048], path[PATH_BYTES];
    union message m;

    (void)state;
    setup(&s);
    start_server(&s);
    expect_line(&s, "event=ready");
    path_of(path, s.state, "control/queue.sock");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    memcpy(un.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_true(message_encode(&packet, &ask));
    assert_int_equal(send(fd, packet.p, packet.n, 0), (ssize_t)packet.n);
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    assert_true(n > 0);
    assert_true(message_decode(str_n(answer, (size_t)n), -1, &m));
    assert_int_equal(m.kind, MSG_END);
    assert_int_equal(m.end.count, 1);

    struct msg_trace not_for_queue = {.kind = MSG_TRACE};
    buf_reset(&packet);
    assert_true(message_encode(&packet, &not_for_queue));
    assert_int_equal(send(fd, packet.p, packet.n, 0), (ssize_t)packet.n);
    expect_line(&s, "event=channel-broken peer=control");
    assert_int_equal(recv(fd, answer, sizeof answer, 0), 0);
    close(fd);
    buf_free(&packet);
    stop_server(&s);
    assert_int_equal(stat(path, &st), -1); /* it goes with the server */
    teardown(&s);
}

/* Everything that can be wrong before the first worker: what is said, and the exit status. */
static void test_refusals(void **state)
{
    static const struct {
        const char *config;
        const char *remove; /* below the site */
        int status;
        const char *said;
    } cases[] = {
        {"listen smtp { address = { \"192.0.2.1:2525\" } }", NULL, EX_OSERR, "no such address"},
        {"nonsense = 1", NULL, EX_CONFIG, "nonsense"},
        {"", "libexec/queue", EX_UNAVAILABLE, "queue"},
        {"", "conf", EX_CONFIG, "conf"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct site s;
        char path[PATH_BYTES];

        setup(&s);
        write_config(&s, cases[i].config);
        if (cases[i].remove) {
            path_of(path, s.folder, cases[i].remove);
            assert_int_equal(unlink(path), 0);
        }
        start_server(&s);
        expect_line(&s, cases[i].said);
        assert_int_equal(wait_exit(s.pid), cases[i].status);
        teardown(&s);
    }
}

static void test_port_in_use(void **state)
{
    struct site s;
    struct sock_address any[2], at = {.bytes = sizeof at.sa};
    struct buf text = buf_init(KIB);
    int fd;

    (void)state;
    setup(&s);
    assert_int_equal(sock_address_parse(STR("127.0.0.1:1"), any), 1);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ((struct sockaddr_in *)(void *)&any[0].sa)->sin_port = 0;
    assert_int_equal(bind(fd, (struct sockaddr *)&any[0].sa, any[0].bytes), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at.sa, &at.bytes), 0);
    buf_add_c(&text, "listen smtp { address = { \"");
    sock_address_print(&text, &at);
    buf_add_c(&text, "\" } }");
    write_config(&s, buf_c(&text));
    start_server(&s);
    expect_line(&s, "another program listens there");
    assert_int_equal(wait_exit(s.pid), EX_OSERR);
    close(fd);
    buf_free(&text);
    teardown(&s);
}

/* ---- the table ---- */

static const struct worker_row *row_of(unsigned role)
{
    for (size_t i = 0; i < countof(worker_rows); i++) {
        if (worker_rows[i].role == (enum role)role)
            return &worker_rows[i];
    }
    return NULL;
}

static bool talk(unsigned from, unsigned to)
{
    for (int kind = MSG_NONE + 1; kind < MSG_COUNT; kind++) {
        if ((message_table[kind].senders & from) && (message_table[kind].receivers & to))
            return true;
    }
    return false;
}

/* Two workers have a channel exactly when the message table gives them something to say. */
static void test_peers_are_those_that_talk(void **state)
{
    unsigned roles = 0;

    (void)state;
    for (size_t i = 0; i < countof(worker_rows); i++) {
        const struct worker_row *row = &worker_rows[i];
        roles |= (unsigned)row->role;
        for (size_t j = 0; j < countof(worker_rows); j++) {
            const struct worker_row *other = &worker_rows[j];
            bool peers = (row->peers & (unsigned)other->role) != 0;
            assert_int_equal(peers, (other->peers & (unsigned)row->role) != 0);
            assert_int_equal(peers, i != j && (talk((unsigned)row->role, (unsigned)other->role) ||
                                               talk((unsigned)other->role, (unsigned)row->role)));
        }
        assert_int_equal(row->control, talk(CONTROL, (unsigned)row->role));
    }
    assert_int_equal(roles, WORKERS);
    assert_string_equal(row_of(SMTPD)->folder, "empty");
    assert_false(row_of(SMTPD)->owns_state);
    assert_false(row_of(RELAY)->owns_state);
}

static void test_users_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(worker_rows); i++) {
        const char *user = worker_rows[i].user;

        assert_int_equal(user == NULL, worker_rows[i].role == PAM);
        for (size_t j = 0; j < i; j++)
            assert_true(!user || !worker_rows[j].user || strcmp(user, worker_rows[j].user) != 0);
        assert_true(!user || strlen(user) <= 32);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_are_those_that_talk),
        cmocka_unit_test(test_users_differ),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_life_of_a_server),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_mail_of_local_users),
        cmocka_unit_test(test_a_file_that_smtpd_dies_of),
        cmocka_unit_test(test_second_server_is_refused),
        cmocka_unit_test(test_killed_server_is_followed_by_another),
        cmocka_unit_test(test_control_socket),
    };

    if (strncmp(argv[0], "troika: ", 8) == 0)
        return be_role(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
