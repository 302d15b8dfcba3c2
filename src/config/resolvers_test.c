// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "config/resolvers.h"

static const struct {
    const char *text, *resolvers;
} cases[] = {
    {"", ""},
    {"nameserver 192.0.2.53\n", "192.0.2.53@53 "},
    {"nameserver 192.0.2.53", "192.0.2.53@53 "},
    {"# nameserver 192.0.2.1\nsearch a.test\n\tnameserver\t2001:DB8::53 \r\noptions edns0\n"
     "nameserver 127.0.0.53 # the stub\n",
     "2001:db8::53@53 127.0.0.53@53 "},
    {"nameserver\nnameserver x\nnameserver fe80::1%eth0\nnameserver 192.0.2.1@54\n"
     "nameserver 192.0.2.0/24\nnameservers 192.0.2.1\n",
     ""},
    {"nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n"
     "nameserver 1.0.0.5\nnameserver 1.0.0.6\nnameserver 1.0.0.7\nnameserver 1.0.0.8\n"
     "nameserver 1.0.0.9\n",
     "1.0.0.1@53 1.0.0.2@53 1.0.0.3@53 1.0.0.4@53 1.0.0.5@53 1.0.0.6@53 1.0.0.7@53 1.0.0.8@53 "},
};

static void test_resolvers(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct buf got = buf_init(1 * KIB);
        struct str list[RESOLVERS_MAX];
        size_t count = resolvers_read(str_c(cases[i].text), &a, list);
        for (size_t k = 0; k < count; k++)
            buf_printf(&got, "%.*s ", STR_ARG(list[k]));
        assert_string_equal(buf_c(&got), cases[i].resolvers);
        buf_free(&got);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolvers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
