/* smtpd/connections_test.c - two workers that count their clients together. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "daemon/smtpd/connections.h"

static struct sock_address address(const char *text)
{
    struct sock_address a[2];

    assert_int_equal(sock_address_parse(str_c(text), a), 1);
    return a[0];
}

static int board(size_t slots)
{
    int fd = memfd_create("board", MFD_CLOEXEC);

    assert_int_equal(ftruncate(fd, (off_t)((slots + 1) * CONNECTION_SLOT_BYTES)), 0);
    return fd;
}

static void counts_over_all_boards(void **state)
{
    int fd_a = board(4), fd_b = board(4);
    struct connections *a = connections_new(), *b = connections_new();
    struct connection in_a[4], in_b[2];
    struct sock_address one = address("192.0.2.1:1000"), also_one = address("192.0.2.1:2000"),
                        mapped = address("[::ffff:192.0.2.1]:25"), two = address("192.0.2.2:1"),
                        six = address("[2001:db8::1]:1");

    assert_int_equal(connections_own(a, fd_a), 0);
    assert_int_equal(connections_own(b, fd_b), 0);
    assert_int_equal(connections_other(a, 2, fd_b), 0);
    assert_int_equal(connections_other(b, 1, fd_a), 0);
    assert_int_equal(connections_other(b, 1000, fd_a), -22);

    assert_true(connections_enter(a, &in_a[0], &one));
    assert_true(connections_enter(a, &in_a[1], &two));
    assert_true(connections_enter(a, &in_a[2], &also_one));
    assert_true(connections_enter(b, &in_b[0], &mapped));
    assert_true(connections_enter(b, &in_b[1], &six));
    assert_int_equal(connections_count(a), 5);
    assert_int_equal(connections_count(b), 5);
    assert_int_equal(connections_count_from(b, &one), 3);
    assert_int_equal(connections_count_from(a, &mapped), 3);
    assert_int_equal(connections_count_from(a, &six), 1);

    assert_false(connections_crowded(a, 2));
    assert_true(connections_enter(a, &in_a[3], &two));
    connections_leave(b, &in_b[0]);
    connections_leave(b, &in_b[1]);
    assert_true(connections_crowded(a, 2));
    assert_false(connections_crowded(a, 1));
    assert_false(connections_crowded(b, 2));
    assert_true(connections_enter(b, &in_b[0], &mapped));
    assert_true(connections_enter(b, &in_b[1], &six));
    connections_leave(a, &in_a[3]);

    connections_leave(a, &in_a[0]); /* the last moves into its place, and leaves from there */
    connections_leave(a, &in_a[0]);
    assert_int_equal(connections_count_from(b, &one), 2);
    connections_leave(a, &in_a[2]);
    assert_int_equal(connections_count_from(b, &one), 1);
    assert_int_equal(connections_count_from(b, &two), 1);
    connections_leave(a, &in_a[1]);
    assert_int_equal(connections_count(b), 2);

    connections_free(&a);
    connections_free(&b);
    close(fd_a);
    close(fd_b);
}

static void a_full_board_and_a_new_process(void **state)
{
    int fd = board(2);
    struct connections *c = connections_new();
    struct connection in[3];
    struct sock_address one = address("192.0.2.1:1000");

    assert_int_equal(connections_own(c, fd), 0);
    assert_true(connections_enter(c, &in[0], &one));
    assert_true(connections_enter(c, &in[1], &one));
    assert_false(connections_enter(c, &in[2], &one));
    connections_leave(c, &in[2]);
    assert_int_equal(connections_count(c), 2);
    connections_free(&c);

    c = connections_new(); /* restarted: its clients are gone */
    assert_int_equal(connections_own(c, fd), 0);
    assert_int_equal(connections_count(c), 0);
    connections_free(&c);
    close(fd);
}

/* A captured worker may write anything: that must not lead anybody out of its board. */
static void a_board_that_lies(void **state)
{
    int fd = board(2);
    uint32_t used = UINT32_MAX;
    struct connections *c = connections_new();
    struct sock_address one = address("192.0.2.1:1000");

    assert_int_equal(pwrite(fd, &used, sizeof used, 0), sizeof used);
    assert_int_equal(connections_other(c, 2, fd), 0);
    assert_int_equal(connections_count(c), 2);
    assert_int_equal(connections_count_from(c, &one), 0);
    connections_free(&c);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_over_all_boards),
        cmocka_unit_test(a_full_board_and_a_new_process),
        cmocka_unit_test(a_board_that_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
