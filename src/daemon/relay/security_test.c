// SPDX-License-Identifier: ISC
#include "daemon/relay/security.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"

static void the_strictest_route_to_a_server_holds(void **state)
{
    static struct config_route routes[] = {
        {.via = {"10.0.0.1:25", 11}, .tls = {"off", 3}},
        {.via = {"10.0.0.2:25", 11}, .tls = {"required", 8}},
        {.via = {"10.0.0.2:25", 11}, .tls = {"off", 3}},
        {.via = {"10.0.0.3:25", 11}, .tls = {"default", 7}},
        {.via = {"10.0.0.4:25", 11}, .tls = {"off", 3}},
        {.via = {"10.0.0.5:465", 12}, .tls = {"default", 7}},
        {.via = {"10.0.0.6:25", 11}, .tls = {"default", 7}, .login = {"me", 2}},
        {.via = {"10.0.0.7:25", 11}, .tls = {"required", 8}, .login = {"me", 2}},
    };
    static const struct {
        const char *outgoing, *next_hop;
        enum tls_policy expect;
    } rows[] = {
        {"opportunistic", "10.0.0.1:25", TLS_NONE},
        {"off", "10.0.0.2:25", TLS_REQUIRED},
        {"opportunistic", "10.0.0.3:25", TLS_OPPORTUNISTIC},
        {"required", "10.0.0.3:25", TLS_REQUIRED},
        {"required", "10.0.0.4:25", TLS_REQUIRED}, /* as the smarthost */
        {"opportunistic", "@example.org", TLS_OPPORTUNISTIC},
        {"off", "10.0.0.6:25", TLS_VERIFIED},
        {"off", "10.0.0.7:25", TLS_REQUIRED},
        {"opportunistic", "10.0.0.5:465", TLS_OPPORTUNISTIC}, /* which the client makes required */
        {"required", "@example.org", TLS_REQUIRED},
        {"off", "@example.org", TLS_NONE},
        {"opportunistic", "10.0.0.1:2525", TLS_OPPORTUNISTIC},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct config c = {.routes = routes,
                           .route_count = countof(routes),
                           .smarthost = {.via = STR("10.0.0.4:25"), .tls = STR("default")},
                           .tls.outgoing = str_c(rows[i].outgoing)};
        assert_int_equal(security_policy(config_hop(&c, str_c(rows[i].next_hop))), rows[i].expect);
    }
}

static void roots_that_are_not_there_are_no_end(void **state)
{
    struct config c = {.tls.roots = STR("/nonexistent/roots.pem")};
    struct tls_context *t = security_before_jail(&c);

    assert_non_null(t);
    tls_context_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_strictest_route_to_a_server_holds),
        cmocka_unit_test(roots_that_are_not_there_are_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
