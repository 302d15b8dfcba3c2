// SPDX-License-Identifier: ISC
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static void test_parse(void **state)
{
    static const struct {
        const char *in;
        size_t count;
        const char *first, *second;
    } rows[] = {
        {"127.0.0.1:25", 1, "127.0.0.1:25", ""},
        {"[::1]:2525", 1, "[::1]:2525", ""},
        {"[2001:DB8:0:0::1]:0", 1, "[2001:db8::1]:0", ""},
        {"*:65535", 2, "0.0.0.0:65535", "[::]:65535"},
        {"[::ffff:192.0.2.1]:25", 1, "192.0.2.1:25", ""},
        {"*:65536", 0, "", ""},
        {"127.0.0.1", 0, "", ""},
        {"127.0.0.1:", 0, "", ""},
        {":25", 0, "", ""},
        {"", 0, "", ""},
        {"::1:25", 0, "", ""},
        {"[127.0.0.1]:25", 0, "", ""},
        {"[]:25", 0, "", ""},
        {"[:25", 0, "", ""},
        {"]:25", 0, "", ""},
        {"127.1:25", 0, "", ""},
        {"127.0.0.256:25", 0, "", ""},
        {"localhost:25", 0, "", ""},
        {"127.0.0.1:+25", 0, "", ""},
        {"[fe80:0000:0000:0000:0000:0000:0000:00000000000000000000001]:25", 0, "", ""},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct sock_address a[2] = {0};
        struct buf b = buf_init(200);

        assert_int_equal(sock_address_parse(str_c(rows[i].in), a), rows[i].count);
        if (rows[i].count > 0) {
            sock_address_print(&b, &a[0]);
            assert_string_equal(buf_c(&b), rows[i].first);
        }
        if (rows[i].count > 1) {
            buf_reset(&b);
            sock_address_print(&b, &a[1]);
            assert_string_equal(buf_c(&b), rows[i].second);
        }
        buf_free(&b);
    }
}

static struct sock_address address(const char *text)
{
    struct sock_address a[2] = {0};

    assert_int_equal(sock_address_parse(str_c(text), a), 1);
    return a[0];
}

static void test_eq(void **state)
{
    struct sock_address a = address("192.0.2.1:25");
    struct sock_address mapped = address("[::ffff:192.0.2.1]:25");
    struct sock_address port = address("192.0.2.1:26");
    struct sock_address six = address("[::1]:25");
    struct sock_address local = {.sa.ss_family = AF_UNIX};
    struct buf b = buf_init(100);

    assert_true(sock_address_eq(&a, &a));
    assert_true(sock_address_eq(&a, &mapped));
    assert_false(sock_address_eq(&a, &port));
    assert_false(sock_address_eq(&a, &six));
    assert_false(sock_address_eq(&local, &local));
    assert_int_equal(sock_address_port(&six), 25);
    assert_int_equal(sock_address_port(&local), 0);
    sock_address_print_ip(&b, &mapped);
    assert_string_equal(buf_c(&b), "192.0.2.1");
    buf_reset(&b);
    sock_address_print(&b, &local);
    assert_string_equal(buf_c(&b), "local");
    buf_free(&b);
}

static void test_networks(void **state)
{
    static const struct {
        const char *network, *in, *out;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1:1", "11.0.0.1:1"},
        {"10.0.0.0/9", "10.127.255.255:1", "10.128.0.0:1"},
        {"0.0.0.0/0", "255.255.255.255:1", "[::1]:1"},
        {"::/0", "[::1]:1", "127.0.0.1:1"},
        {"192.0.2.1", "192.0.2.1:1", "192.0.2.2:1"},
        {"192.0.2.1/32", "[::ffff:192.0.2.1]:1", "[::c000:201]:1"},
        {"192.0.2.0/31", "192.0.2.1:1", "192.0.2.2:1"},
        {"2001:db8::/32", "[2001:db8:ffff::1]:1", "[2001:db9::1]:1"},
        {"2001:db8::/33", "[2001:db8:7fff::1]:1", "[2001:db8:8000::1]:1"},
        {"::1", "[::1]:1", "[::2]:1"},
        {"[::1]", "[::1]:1", "[::2]:1"},
        {"::ffff:10.0.0.0/104", "10.1.2.3:1", "11.1.2.3:1"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct network n;
        struct sock_address in = address(rows[i].in);
        struct sock_address out = address(rows[i].out);

        assert_true(network_parse(str_c(rows[i].network), &n));
        assert_true(network_has(&n, &in));
        assert_false(network_has(&n, &out));
    }
}

static void test_network_lists(void **state)
{
    struct network list[2];
    struct sock_address in = address("10.1.2.3:1"), out = address("192.0.2.1:1");

    assert_true(network_parse(STR("::1"), &list[0]) && network_parse(STR("10.0.0.0/8"), &list[1]));
    assert_true(networks_have(list, 2, &in));
    assert_false(networks_have(list, 1, &in) || networks_have(list, 2, &out));
    assert_false(networks_have(NULL, 0, &in));
}

static void test_not_networks(void **state)
{
    static const char *const rows[] = {
        "",       "/8",       "10.0.0.0/",   "10.0.0.0/33", "10.0.0.1/8",  "::/129",
        "::1/64", "10.0.0/8", "example.org", "10.0.0.0/8x", "10.0.0.0/-1", "[10.0.0.1]"};

    for (size_t i = 0; i < countof(rows); i++) {
        struct network n = {.bits = 77};

        assert_false(network_parse(str_c(rows[i]), &n));
        assert_int_equal(n.bits, 77);
    }
}

static void test_listen_tcp(void **state)
{
    struct sock_address a = address("127.0.0.1:0");
    int fd = -1;
    int taken = -1;

    assert_int_equal(listen_tcp(&a, &fd), 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a.sa, &a.bytes), 0);
    assert_true(sock_address_port(&a) != 0);
    assert_int_equal(listen_tcp(&a, &taken), -EADDRINUSE);
    assert_int_equal(taken, -1);
    (void)close(fd);
}

/* Everybody's stream: the address that leads there, and its life after a crash. */
static void test_listen_unix_stream(void **state)
{
    char folder[] = "/tmp/troika-socket-XXXXXX", path[64];
    char longest[200];
    struct sock_address to;
    struct stat st;
    int fd, second, client;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/s", folder);
    assert_int_equal(listen_unix_stream(path, 0666, &fd), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    assert_true(sock_address_unix(path, &to));
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&to.sa, to.bytes), 0);
    assert_int_equal(listen_unix_stream(path, 0666, &second), -EADDRINUSE);
    close(client);
    close(fd);
    assert_int_equal(listen_unix_stream(path, 0666, &second), 0); /* the old one was dead */
    close(second);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_false(sock_address_unix(longest, &to));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_listen_unix(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char folder[128];
    char path[160];
    struct stat st;
    int fd = -1;
    int second = -1;

    (void)snprintf(folder, sizeof(folder), "%s/troika-sock-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    assert_int_equal(listen_unix(path, 0660, &fd), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(listen_unix(path, 0600, &second), -EADDRINUSE);
    (void)close(fd);
    assert_int_equal(listen_unix(path, 0600, &second), 0); /* the old one was dead */
    (void)close(second);
    assert_int_equal(unlink(path), 0);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(listen_unix(path, 0600, &second), -EADDRINUSE); /* a file is not replaced */
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);

    char *longest = mem_new(200);
    memset(longest, 'x', 199);
    assert_int_equal(listen_unix(longest, 0600, &fd), -ENAMETOOLONG);
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),        cmocka_unit_test(test_eq),
        cmocka_unit_test(test_networks),     cmocka_unit_test(test_network_lists),
        cmocka_unit_test(test_not_networks), cmocka_unit_test(test_listen_tcp),
        cmocka_unit_test(test_listen_unix),  cmocka_unit_test(test_listen_unix_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
