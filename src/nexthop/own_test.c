// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "nexthop/own.h"

/* The host of the test has 192.0.2.7 and 2001:db8::7. */
static struct own host(void)
{
    struct own o = {.count = 2};

    memcpy(o.addresses[0], "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07", 16);
    memcpy(o.addresses[1], "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
    return o;
}

static void next_hops_are_compared_with_listeners(void **state)
{
    static const struct {
        const char *listen, *next_hop;
        bool own;
    } cases[] = {
        {"127.0.0.1:2525", "127.0.0.1:2525", true},
        {"127.0.0.1:2525", "127.0.0.1:2526", false},
        {"127.0.0.1:2525", "127.0.0.2:2525", false},
        {"127.0.0.1:2525", "0.0.0.0:2525", true},
        {"127.0.0.1:2525", "[::1]:2525", false},
        {"*:25", "127.0.0.1:25", true},
        {"*:25", "127.9.9.9:25", true},
        {"*:25", "[::1]:25", true},
        {"*:25", "192.0.2.7:25", true},
        {"*:25", "192.0.2.8:25", false},
        {"*:25", "[2001:db8::7]:25", true},
        {"*:25", "[2001:db8::8]:25", false},
        {"*:25", "192.0.2.7:26", false},
        {"192.0.2.7:25", "192.0.2.7:25", true},
        {"192.0.2.7:25", "127.0.0.1:25", false},
        {"192.0.2.7:25", "0.0.0.0:25", false},
    };
    struct own o = host();

    for (size_t i = 0; i < countof(cases); i++) {
        struct str addresses[] = {STR("127.0.0.1:9"), str_c(cases[i].listen)};
        struct config_listen listens[] = {
            {.name = STR("smtp"), .addresses = addresses, .address_count = 2}};
        struct config c = {.listens = listens, .listen_count = 1};
        struct sock_address a[2];

        assert_int_equal(sock_address_parse(str_c(cases[i].next_hop), a), 1);
        assert_int_equal(own_listens(&o, &c, &a[0]), cases[i].own);
    }
}

static void others_know_this_host_by_its_interfaces(void **state)
{
    static const struct {
        const char *address;
        bool known;
    } cases[] = {
        {"192.0.2.7:25", true},     {"[2001:db8::7]:25", true}, {"[::ffff:192.0.2.7]:25", true},
        {"192.0.2.8:25", false},    {"127.0.0.1:25", false},    {"0.0.0.0:25", false},
        {"[2001:db8::8]:1", false}, {"[::1]:25", false},
    };
    struct own o = host();
    struct sock_address a[2];

    for (size_t i = 0; i < countof(cases); i++) {
        assert_int_equal(sock_address_parse(str_c(cases[i].address), a), 1);
        assert_int_equal(own_is_known_as(&o, &a[0]), cases[i].known);
    }
}

static void the_addresses_of_this_host_are_learnt(void **state)
{
    struct own o;
    struct sock_address a[2];

    own_learn_before_jail(&o);
    sock_address_parse(STR("127.0.0.1:25"), a);
    assert_true(own_has(&o, &a[0]));
    assert_false(own_is_known_as(&o, &a[0]));
    sock_address_parse(STR("203.0.113.250:25"), a);
    assert_false(own_has(&o, &a[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_hops_are_compared_with_listeners),
        cmocka_unit_test(others_know_this_host_by_its_interfaces),
        cmocka_unit_test(the_addresses_of_this_host_are_learnt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
