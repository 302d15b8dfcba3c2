// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "nexthop/public.h"

static void test_addresses(void **state)
{
    static const char *const public[] = {
        "1.1.1.1:25",          "9.255.255.255:25",     "11.0.0.0:25",     "100.63.255.255:25",
        "100.128.0.0:25",      "126.255.255.255:25",   "172.15.0.1:25",   "172.32.0.1:25",
        "192.0.1.0:25",        "192.167.0.1:25",       "198.17.0.1:25",   "198.20.0.1:25",
        "223.1.1.1:25",        "[2a00:1450::1]:25",    "[2606:4700::]:1", "[64:ff9b::1.1.1.1]:25",
        "[::ffff:1.1.1.1]:25", "[2002:101:101::1]:25",
    };
    static const char *const other[] = {
        "0.0.0.0:25",
        "0.1.2.3:25",
        "10.255.255.255:25",
        "100.64.0.1:25",
        "127.0.0.1:25",
        "127.255.255.255:25",
        "169.254.169.254:25",
        "172.16.0.1:25",
        "172.31.255.1:25",
        "192.0.0.8:25",
        "192.168.1.1:25",
        "198.19.1.1:25",
        "224.0.0.1:25",
        "255.255.255.255:25",
        "[::]:25",
        "[::1]:25",
        "[::7f00:1]:25",
        "[::ffff:10.0.0.1]:25",
        "[::ffff:127.0.0.1]:25",
        "[fc00::1]:25",
        "[fd12::1]:25",
        "[fe80::1]:25",
        "[fec0::1]:25",
        "[ff02::1]:25",
        "[100::1]:25",
        "[64:ff9b::10.0.0.1]:25",
        "[64:ff9b:1::1]:25",
        "[2002:7f00:1::1]:25",
        "[2002:a00:1::]:25",
    };
    struct sock_address a[2];

    (void)state;
    for (size_t i = 0; i < countof(public); i++) {
        assert_int_equal(sock_address_parse(str_c(public[i]), a), 1);
        if (!address_is_public(&a[0]))
            fail_msg("%s", public[i]);
    }
    for (size_t i = 0; i < countof(other); i++) {
        assert_int_equal(sock_address_parse(str_c(other[i]), a), 1);
        if (address_is_public(&a[0]))
            fail_msg("%s", other[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
