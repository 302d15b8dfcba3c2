/* Two ends of a channel in one loop: packets, descriptors, back-pressure, broken contracts. */
// SPDX-License-Identifier: ISC
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

enum { CHUNK = 60 * 1024, TURNS_MAX = 10000 };

struct end { /* one end and what happened there */
    struct channel *channel;
    unsigned messages, rooms, downs;
    uint64_t last_ticket;
    bool in_order, pauses, frees;
    int last_fd;
    char why[160];
};

struct pair {
    struct loop *loop;
    struct end smtpd, queue;
    int raw; /* instead of smtpd's channel: its bare socket */
    int fds_before;
};

static int open_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void on_message(void *arg, struct channel *c, union message *m)
{
    struct end *e = arg;
    int *fd = message_fd(m);
    uint64_t ticket = m->kind == MSG_PUT ? m->put.ticket : 0;

    e->in_order = e->in_order && (m->kind != MSG_PUT || ticket == e->last_ticket + 1);
    e->last_ticket = ticket;
    e->messages++;
    if (fd) {
        if (e->last_fd >= 0)
            close(e->last_fd);
        e->last_fd = *fd;
    }
    if (e->pauses)
        channel_pause(c);
    if (e->frees)
        channel_free(&e->channel);
}

static void on_room(void *arg, struct channel *c)
{
    struct end *e = arg;

    (void)c;
    e->rooms++;
}

static void on_down(void *arg, struct channel *c, const char *why)
{
    struct end *e = arg;

    assert_ptr_equal(c, e->channel);
    e->downs++;
    (void)snprintf(e->why, sizeof e->why, "%s", why);
    channel_free(&e->channel);
}

static const struct channel_events events = {on_message, on_room, on_down};

static void setup(struct pair *p, bool raw)
{
    int fds[2];

    *p = (struct pair){.raw = -1, .fds_before = open_fds()};
    p->smtpd.last_fd = p->queue.last_fd = -1;
    p->queue.in_order = true;
    assert_int_equal(loop_new(&clock_system, &p->loop), 0);
    assert_int_equal(channel_pair(fds), 0);
    if (raw)
        p->raw = fds[0];
    else
        p->smtpd.channel = channel_new(p->loop, fds[0], SMTPD, QUEUE, &events, &p->smtpd);
    p->queue.channel = channel_new(p->loop, fds[1], QUEUE, SMTPD, &events, &p->queue);
}

static void teardown(struct pair *p)
{
    channel_free(&p->smtpd.channel);
    channel_free(&p->queue.channel);
    if (p->raw >= 0)
        close(p->raw);
    if (p->queue.last_fd >= 0)
        close(p->queue.last_fd);
    if (p->smtpd.last_fd >= 0)
        close(p->smtpd.last_fd);
    loop_free(&p->loop);
    assert_int_equal(open_fds(), p->fds_before);
}

static void turns(struct pair *p, unsigned count)
{
    while (count--)
        loop_turn(p->loop, false);
}

static void put(struct channel *c, uint64_t ticket, size_t bytes)
{
    static char content[CHUNK];
    struct msg_put m = {.kind = MSG_PUT, .ticket = ticket, .content = {content, bytes}};

    channel_send(c, &m);
}

static void test_messages_arrive_in_order(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    for (uint64_t i = 1; i <= 100; i++)
        put(p.smtpd.channel, i, i * 7 % 500);
    assert_false(channel_empty(p.smtpd.channel));
    turns(&p, 20);
    assert_true(channel_empty(p.smtpd.channel));
    assert_int_equal(p.queue.messages, 100);
    assert_true(p.queue.in_order);
    teardown(&p);
}

static void test_flush_sends_at_once(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    put(p.smtpd.channel, 1, 10);
    channel_flush(p.smtpd.channel);
    assert_true(channel_empty(p.smtpd.channel));
    assert_int_equal(p.queue.messages, 0);
    turns(&p, 1);
    assert_int_equal(p.queue.messages, 1);
    teardown(&p);
}

static void test_back_pressure(void **state)
{
    struct pair p;
    uint64_t sent = 0;

    (void)state;
    setup(&p, false);
    channel_pause(p.queue.channel);
    while (!channel_full(p.smtpd.channel) && sent < 10000)
        put(p.smtpd.channel, ++sent, CHUNK);
    turns(&p, 5);
    assert_true(channel_full(p.smtpd.channel) || sent > 60);
    assert_int_equal(p.queue.messages, 0);
    assert_int_equal(p.smtpd.rooms, 0);

    channel_resume(p.queue.channel);
    for (int i = 0; i < TURNS_MAX && p.queue.messages < sent; i++)
        turns(&p, 1);
    turns(&p, 2);
    assert_int_equal(p.queue.messages, sent);
    assert_true(p.queue.in_order);
    assert_true(channel_empty(p.smtpd.channel));
    assert_int_equal(p.smtpd.rooms, 1);
    assert_int_equal(p.smtpd.downs, 0);
    teardown(&p);
}

static void test_over_the_hard_limit_it_goes_down(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    channel_pause(p.queue.channel);
    for (uint64_t i = 1; i <= 400; i++)
        put(p.smtpd.channel, i, CHUNK);
    assert_int_equal(p.smtpd.downs, 0); /* never inside a call of the owner */
    turns(&p, 2);
    assert_int_equal(p.smtpd.downs, 1);
    teardown(&p);
}

static void test_too_large_for_a_packet(void **state)
{
    struct pair p;
    char *bytes = mem_new(PACKET_BYTES_MAX);
    struct msg_put m = {.kind = MSG_PUT, .content = {bytes, PACKET_BYTES_MAX}};

    (void)state;
    setup(&p, false);
    channel_send(p.smtpd.channel, &m);
    turns(&p, 2);
    assert_int_equal(p.smtpd.downs, 1);
    free(bytes);
    teardown(&p);
}

static void test_largest_packet_passes(void **state)
{
    struct pair p;
    char *bytes = mem_new(PACKET_BYTES_MAX);
    struct msg_put m = {.kind = MSG_PUT, .ticket = 1, .content = {bytes, PACKET_BYTES_MAX - 64}};

    (void)state;
    setup(&p, false);
    channel_send(p.smtpd.channel, &m);
    turns(&p, 3);
    assert_int_equal(p.queue.messages, 1);
    free(bytes);
    teardown(&p);
}

static int some_file(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* queue to relay: the pair's first end is used as relay here. */
static void test_descriptor_travels(void **state)
{
    struct pair p;
    struct msg_job_file job = {.kind = MSG_JOB_FILE, .job = 5};
    int fds[2];

    (void)state;
    setup(&p, true);
    assert_int_equal(channel_pair(fds), 0);
    struct channel *queue = channel_new(p.loop, fds[0], QUEUE, RELAY, &events, &p.queue);
    p.smtpd.channel = channel_new(p.loop, fds[1], RELAY, QUEUE, &events, &p.smtpd);

    for (int i = 0; i < 40; i++) { /* more than a batch */
        job.file = some_file();
        channel_send(queue, &job);
    }
    turns(&p, 5);
    assert_int_equal(p.smtpd.messages, 40);
    assert_true(p.smtpd.last_fd >= 0);
    assert_true(fcntl(p.smtpd.last_fd, F_GETFD) & FD_CLOEXEC);

    for (int i = 0; i < 3; i++) { /* never sent: closed with the channel */
        job.file = some_file();
        channel_send(queue, &job);
    }
    channel_free(&queue);
    turns(&p, 2);
    assert_int_equal(p.smtpd.downs, 1);
    teardown(&p);
}

/* What cannot be taken for want of a descriptor is nobody's breach of a contract. */
static void test_no_descriptor_left(void **state)
{
    struct pair p;
    struct msg_job_file job = {.kind = MSG_JOB_FILE, .job = 5};
    struct rlimit before, none;
    struct end queue = {.last_fd = -1};
    int fds[2];

    (void)state;
    setup(&p, true);
    assert_int_equal(channel_pair(fds), 0);
    queue.channel = channel_new(p.loop, fds[0], QUEUE, RELAY, &events, &queue);
    p.smtpd.channel = channel_new(p.loop, fds[1], RELAY, QUEUE, &events, &p.smtpd);
    job.file = some_file();
    channel_send(queue.channel, &job);
    channel_flush(queue.channel);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turns(&p, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(p.smtpd.messages, 0);
    assert_int_equal(p.smtpd.downs, 1);
    assert_string_equal(p.smtpd.why, CHANNEL_NO_DESCRIPTORS);
    channel_free(&queue.channel);
    teardown(&p);
}

static void test_what_was_said_before_the_end_arrives(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    put(p.smtpd.channel, 1, 100);
    put(p.smtpd.channel, 2, 100);
    channel_flush(p.smtpd.channel);
    struct msg_put_credit unread = {.kind = MSG_PUT_CREDIT};
    channel_send(p.queue.channel, &unread); /* the end comes as ECONNRESET */
    channel_flush(p.queue.channel);
    channel_free(&p.smtpd.channel);
    channel_send(p.queue.channel, &unread); /* EPIPE */
    turns(&p, 5);
    assert_int_equal(p.queue.messages, 2);
    assert_int_equal(p.queue.downs, 1);
    assert_string_equal(p.queue.why, CHANNEL_CLOSED);
    teardown(&p);
}

static void test_owner_may_free_it_while_it_is_told(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    p.queue.frees = true;
    for (uint64_t i = 1; i <= 10; i++)
        put(p.smtpd.channel, i, 100);
    turns(&p, 5);
    assert_int_equal(p.queue.messages, 1);
    assert_int_equal(p.queue.downs, 0);
    assert_int_equal(p.smtpd.downs, 1);
    teardown(&p);
}

static void test_all_that_waits_is_read_in_one_turn(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    for (uint64_t i = 1; i <= 100; i++)
        put(p.smtpd.channel, i, 100);
    channel_flush(p.smtpd.channel);
    turns(&p, 1);
    assert_int_equal(p.queue.messages, 100);
    teardown(&p);
}

static void test_pause_keeps_the_rest_with_the_peer(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    p.queue.pauses = true;
    for (uint64_t i = 1; i <= 100; i++)
        put(p.smtpd.channel, i, 100);
    turns(&p, 10);
    assert_in_range(p.queue.messages, 1, 16);
    p.queue.pauses = false;
    channel_resume(p.queue.channel);
    turns(&p, 10);
    assert_int_equal(p.queue.messages, 100);
    assert_true(p.queue.in_order);
    teardown(&p);
}

static void raw_send(struct pair *p, struct str packet, const int *fds, size_t fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec iov = {(void *)(uintptr_t)packet.p, packet.n};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count) {
        h.msg_control = control;
        h.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&h);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
    }
    assert_int_equal(sendmsg(p->raw, &h, 0), (ssize_t)packet.n);
}

/* Whatever smtpd says wrongly: queue's channel goes down once, with the kind named, and no
 * descriptor stays behind. */
static void test_a_broken_contract_costs_the_channel(void **state)
{
    static const struct {
        const char *name;
        uint16_t kind;
        size_t bytes; /* of zeros behind the kind */
        size_t fd_count;
        const char *why;
    } cases[] = {
        {"no such kind", MSG_COUNT, 8, 0, "does not exist"},
        {"kind 0", MSG_NONE, 8, 1, "does not exist"},
        {"only queue says this", MSG_PUT_DONE, 25, 0, "not allowed"},
        {"not for queue", MSG_ROUTE_ASK, 17, 0, "not allowed"},
        {"the parent's word", MSG_STOP, 0, 0, "not allowed"},
        {"the parent's word with a descriptor", MSG_FOLDER, 0, 1, "not allowed"},
        {"too short", MSG_PUT_ABORT, 7, 0, "malformed"},
        {"too long", MSG_PUT_ABORT, 9, 0, "malformed"},
        {"descriptor not asked for", MSG_PUT_ABORT, 8, 1, "malformed"},
        {"two descriptors", MSG_PUT_ABORT, 8, 2, "malformed"},
        {"seven descriptors", MSG_PUT_ABORT, 8, 7, "malformed"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct pair p;
        char packet[64] = {(char)(cases[i].kind & 0xff), (char)(cases[i].kind >> 8)};

        setup(&p, true);
        int fd = some_file();
        const int fds[8] = {fd, fd, fd, fd, fd, fd, fd, fd};
        raw_send(&p, str_n(packet, 2 + cases[i].bytes), fds, cases[i].fd_count);
        raw_send(&p, STR("not even looked at"), fds, 1);
        close(fd);
        turns(&p, 3);
        assert_int_equal(p.queue.downs, 1);
        assert_int_equal(p.queue.messages, 0);
        if (!strstr(p.queue.why, cases[i].why))
            fail_msg("%s: %s", cases[i].name, p.queue.why);
        teardown(&p);
    }
}

static void test_larger_than_any_packet(void **state)
{
    struct pair p;
    char *bytes = mem_new(PACKET_BYTES_MAX + 1);

    (void)state;
    setup(&p, true);
    bytes[0] = MSG_NOTE;
    raw_send(&p, str_n(bytes, PACKET_BYTES_MAX + 1), NULL, 0);
    turns(&p, 2);
    assert_int_equal(p.queue.downs, 1);
    free(bytes);
    teardown(&p);
}

static void test_owner_breaks_it(void **state)
{
    struct pair p;

    (void)state;
    setup(&p, false);
    channel_break(p.queue.channel, "said nonsense");
    put(p.smtpd.channel, 1, 1);
    assert_int_equal(p.queue.downs, 0);
    turns(&p, 3);
    assert_int_equal(p.queue.downs, 1);
    assert_int_equal(p.queue.messages, 0);
    assert_string_equal(p.queue.why, "said nonsense");
    assert_int_equal(p.smtpd.downs, 1);
    teardown(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_arrive_in_order),
        cmocka_unit_test(test_flush_sends_at_once),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_over_the_hard_limit_it_goes_down),
        cmocka_unit_test(test_too_large_for_a_packet),
        cmocka_unit_test(test_largest_packet_passes),
        cmocka_unit_test(test_descriptor_travels),
        cmocka_unit_test(test_no_descriptor_left),
        cmocka_unit_test(test_what_was_said_before_the_end_arrives),
        cmocka_unit_test(test_owner_may_free_it_while_it_is_told),
        cmocka_unit_test(test_all_that_waits_is_read_in_one_turn),
        cmocka_unit_test(test_pause_keeps_the_rest_with_the_peer),
        cmocka_unit_test(test_a_broken_contract_costs_the_channel),
        cmocka_unit_test(test_larger_than_any_packet),
        cmocka_unit_test(test_owner_breaks_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
