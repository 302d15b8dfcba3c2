/* Sockets as a service manager hands them over: from descriptor 3 on. */
// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "daemon/parent/inherited.h"

enum { FIRST = 3 };

enum kind { LISTENS, LISTENS_BOTH, CONNECTS, DATAGRAM, LOCAL, A_FILE };

static int make(enum kind kind)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    int off = 0, fd;

    if (kind == A_FILE)
        return open("/dev/null", O_RDONLY);
    fd = socket(kind == LISTENS_BOTH ? AF_INET6
                : kind == LOCAL      ? AF_UNIX
                                     : AF_INET,
                kind == DATAGRAM ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (kind == LISTENS_BOTH) {
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof in6), 0);
    } else if (kind != LOCAL) {
        assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    }
    if (kind == LISTENS || kind == LISTENS_BOTH)
        assert_int_equal(listen(fd, 5), 0);
    return fd;
}

/* Away from the descriptors that are handed over, then to its place. */
static void hand_over(int place, enum kind kind)
{
    int fd = make(kind);
    int high = fcntl(fd, F_DUPFD, 50);

    assert_true(high >= 50);
    close(fd);
    assert_int_equal(dup2(high, FIRST + place), FIRST + place);
    close(high);
}

static void say(uint64_t pid, const char *count, const char *names)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_FDNAMES", names, 1);
}

static struct sock_address address_of(int fd)
{
    struct sock_address at = {.bytes = sizeof at.sa};

    assert_int_equal(getsockname(fd, (struct sockaddr *)&at.sa, &at.bytes), 0);
    return at;
}

static void test_taken(void **state)
{
    struct buf error = buf_init(KIB);
    struct inherited in = {0};

    (void)state;
    hand_over(0, LISTENS);
    hand_over(1, LISTENS_BOTH);
    struct sock_address first = address_of(FIRST), second = address_of(FIRST + 1), other = first;
    other.sa.ss_family = AF_INET6;
    say((uint64_t)getpid(), "2", "troika.socket:both");
    assert_true(inherited_take(&in, &error));
    assert_int_equal(in.count, 2);
    assert_int_equal(error.n, 0);
    assert_true(str_eq_c(in.list[0].name, "troika.socket") && str_eq_c(in.list[1].name, "both"));
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
    assert_int_equal(fcntl(FIRST, F_GETFD), -1); /* not where a worker would get it */
    for (size_t i = 0; i < in.count; i++) {
        assert_true(fcntl(in.list[i].fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(in.list[i].fd, F_GETFL) & O_NONBLOCK);
    }
    int copy = inherited_dup(&in, &first);
    assert_true(copy >= 10 && copy != in.list[0].fd);
    close(copy);
    assert_int_equal(inherited_dup(&in, &other), -1);
    assert_true(inherited_both(&in, &second) && !inherited_both(&in, &first));
    assert_false(inherited_both(&in, &other));
    inherited_free(&in);
    buf_free(&error);
}

static void test_not_ours(void **state)
{
    static const struct {
        int pid_off;
        const char *count;
    } cases[] = {{1, "1"}, {0, "0"}, {0, ""}, {0, "x"}, {0, "-1"}};

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf error = buf_init(KIB);
        struct inherited in = {0};

        say((uint64_t)(getpid() + cases[i].pid_off), cases[i].count, "x");
        assert_true(inherited_take(&in, &error));
        assert_int_equal(in.count, 0);
        assert_null(getenv("LISTEN_PID"));
        inherited_free(&in);
    }
}

static void test_no_listeners(void **state)
{
    static const enum kind kinds[] = {CONNECTS, DATAGRAM, LOCAL, A_FILE};

    (void)state;
    for (size_t i = 0; i < countof(kinds); i++) {
        struct buf error = buf_init(KIB);
        struct inherited in = {0};

        hand_over(0, LISTENS);
        hand_over(1, kinds[i]);
        say((uint64_t)getpid(), "2", "good.socket:bad.socket");
        assert_false(inherited_take(&in, &error));
        assert_non_null(strstr(buf_c(&error), "\"bad.socket\", which is no TCP socket"));
        assert_null(strstr(buf_c(&error), "good"));
        assert_int_equal(in.count, 0);
        buf_free(&error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_no_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
