/* What becomes of each kind of domain, with a resolver for tests. There is no web server here:
 * tests/e2e/test_providers.py has one. */
// SPDX-License-Identifier: ISC
#include "discover/discover.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/fake.h"

static const struct dns_fake_row rows[] = {
    {"_submissions._tcp.full.test", DNS_SRV, "20 1 465 second.full.test", false},
    {"_submissions._tcp.full.test", DNS_SRV, "10 1 465 light.full.test", false},
    {"_submissions._tcp.full.test", DNS_SRV, "10 9 465 heavy.full.test", false},
    {"_submission._tcp.full.test", DNS_SRV, "0 0 587 mail.full.test", false},
    {"_imaps._tcp.full.test", DNS_SRV, "0 0 993 imap.full.test", false},
    {"_pop3._tcp.full.test", DNS_SRV, "0 0 110 pop.full.test", false},
    {"_imap._tcp.full.test", DNS_SRV, "0 0 0 .", false},

    {"_submission._tcp.xn--80a1acny.test", DNS_SRV, "0 0 587 mail.full.test", false},

    {"_imaps._tcp.half.test", DNS_SRV, "0 0 993 imap.half.test", false},
    {"_submissions._tcp.half.test", DNS_SRV, "0 0 0 .", false},

    {"_imaps._tcp.both.test", DNS_SRV, "0 0 993 imap.both.test", false},
    {"both.test", DNS_MX, "10 mx.known.test", false},

    {"hosted.test", DNS_MX, "30 mx2.known.test", false},
    {"hosted.test", DNS_MX, "10 mx.elsewhere.test", false},
    {"hosted.test", DNS_MX, "20 in.other-known.test", false},

    {"foreign.test", DNS_MX, "10 mx.elsewhere.test", false},
    {"null.test", DNS_MX, "0 .", false},
    {"late.test", DNS_MX, "SERVFAIL", false},
    {"_submission._tcp.late.test", DNS_SRV, "SERVFAIL", false},
    {"autoconfig.refused.test", DNS_A, "127.0.0.1", false},
    {"_submissions._tcp.dead.test", DNS_SRV, "SERVFAIL", false},
    {"_submission._tcp.dead.test", DNS_SRV, "SERVFAIL", false},
    {"_imaps._tcp.dead.test", DNS_SRV, "SERVFAIL", false},
    {"_imap._tcp.dead.test", DNS_SRV, "SERVFAIL", false},
    {"_pop3s._tcp.dead.test", DNS_SRV, "SERVFAIL", false},
    {"_pop3._tcp.dead.test", DNS_SRV, "SERVFAIL", false},
};

static const char known_text[] = "provider known\nmx known.test\nsmtp smtp.known.test:465 tls\n"
                                 "provider other\nmx other-known.test\n";

struct told {
    struct loop *loop;
    struct discover *discover;
    size_t count;
    char how[100], provider[100], endpoints[500], steps[2000];
    size_t step_count;
    bool later, free_at_once;
};

static void on_found(void *arg, const struct discovered *found)
{
    static const char *const protocols[] = {"smtp", "pop", "imap"};
    struct told *t = arg;
    size_t n = 0;

    t->count++;
    t->later = found->later;
    if (t->free_at_once)
        discover_free(&t->discover);
    snprintf(t->how, sizeof t->how, "%s", found->how);
    if (found->provider)
        snprintf(t->provider, sizeof t->provider, "%.*s", STR_ARG(found->provider->name));
    for (size_t i = 0; found->provider && i < found->provider->endpoint_count; i++) {
        const struct provider_endpoint *e = &found->provider->endpoints[i];

        n += (size_t)snprintf(t->endpoints + n, sizeof t->endpoints - n, "%s %.*s:%u/%d ",
                              protocols[e->protocol], STR_ARG(e->host), e->port, (int)e->tls);
    }
    n = 0;
    for (size_t i = 0; i < found->step_count; i++)
        n += (size_t)snprintf(t->steps + n, sizeof t->steps - n, "%.*s: %.*s\n",
                              STR_ARG(found->steps[i].what), STR_ARG(found->steps[i].came_of));
    t->step_count = found->step_count;
    loop_stop(t->loop);
}

static struct told discover(const char *address, bool free_at_once)
{
    struct told t = {.free_at_once = free_at_once};
    struct http_options http = {.port = 1}; /* nobody is there */
    struct arena a = ARENA_INIT;
    struct buf error = buf_init(1000);
    struct providers known;

    assert_true(providers_parse(&a, str_c(known_text), "known", NULL, &known, &error));
    assert_int_equal(loop_new(&clock_system, &t.loop), 0);
    struct dns *d = dns_fake_new(t.loop, rows, countof(rows));
    assert_int_equal(
        discover_new(t.loop, d, &known, str_c(address), &http, on_found, &t, &t.discover), 0);
    assert_int_equal(t.count, 0);
    loop_run(t.loop);
    assert_int_equal(t.count, 1);
    discover_free(&t.discover);
    dns_free(&d);
    loop_free(&t.loop);
    arena_free(&a);
    buf_free(&error);
    return t;
}

static void finds_in_its_order(void **state)
{
    static const char full[] =
        "smtp heavy.full.test:465/2 smtp light.full.test:465/2 smtp second.full.test:465/2 "
        "smtp mail.full.test:587/1 imap imap.full.test:993/2 pop pop.full.test:110/1 ";
    static const struct {
        const char *address, *how, *provider, *endpoints;
        size_t step_count;
    } cases[] = {
        {"me@full.test", "SRV", "full.test", full, 6},
        {"Full.Test.", "SRV", "full.test", full, 6},
        {"me@\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0.test", "SRV", "xn--80a1acny.test",
         "smtp mail.full.test:587/1 ", 6},
        {"half.test", "SRV", "half.test", "imap imap.half.test:993/2 ", 9},
        {"both.test", "MX", "known", "smtp smtp.known.test:465/2 ", 9},
        {"me@hosted.test", "MX", "other", "", 9},
        {"foreign.test", "nobody says which servers it has", "", "", 9},
        {"null.test", "nobody says which servers it has", "", "", 9},
        {"late.test", "nobody says which servers it has", "", "", 9},
        {"none.test", "nobody says which servers it has", "", "", 9},
        {"dead.test", "names cannot be looked up now", "", "", 6},
    };

    for (size_t i = 0; i < countof(cases); i++)
        for (int at_once = 0; at_once < 2; at_once++) {
            struct told t = discover(cases[i].address, at_once);

            if (strcmp(t.how, cases[i].how) != 0 || strcmp(t.provider, cases[i].provider) != 0 ||
                strcmp(t.endpoints, cases[i].endpoints) != 0 ||
                t.later != (cases[i].provider[0] == '\0' && cases[i].step_count == 6) ||
                t.step_count != cases[i].step_count)
                fail_msg("%s: %s '%s' '%s'\n%s", cases[i].address, t.how, t.provider, t.endpoints,
                         t.steps);
        }
}

static void tells_what_was_asked(void **state)
{
    static const struct {
        const char *address, *step;
    } cases[] = {
        {"full.test", "_submissions._tcp.full.test SRV: heavy.full.test:465, light.full.test:465, "
                      "second.full.test:465\n"},
        {"full.test", "_imap._tcp.full.test SRV: not offered\n"},
        {"full.test", "_pop3s._tcp.full.test SRV: no such name\n"},
        {"none.test", "https://autoconfig.none.test/mail/config-v1.1.xml: autoconfig.none.test has "
                      "no address\n"},
        {"none.test", "https://none.test/.well-known/autoconfig/mail/config-v1.1.xml: none.test "
                      "has no address\n"},
        {"none.test", "none.test MX: no such name\n"},
        {"refused.test", "https://autoconfig.refused.test/mail/config-v1.1.xml: "
                         "autoconfig.refused.test: Failed to connect"},
        {"foreign.test", "foreign.test MX: mx.elsewhere.test: of no provider that is known\n"},
        {"null.test", "null.test MX: it takes no mail\n"},
        {"late.test", "late.test MX: the name servers do not answer properly\n"},
        {"late.test", "_submission._tcp.late.test SRV: the name servers do not answer properly\n"},
        {"hosted.test", "hosted.test MX: in.other-known.test\n"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct told t = discover(cases[i].address, false);

        if (!strstr(t.steps, cases[i].step))
            fail_msg("%s: no '%s' in\n%s", cases[i].address, cases[i].step, t.steps);
    }
}

static void refuses_what_is_no_domain(void **state)
{
    static const char *const addresses[] = {
        "",         "@",          "me@",   "localhost",    "me@localhost", "me@[127.0.0.1]",
        "a b.test", "me@a..test", ".test", "me@\xff.test", "a_b",
    };
    struct providers none = {0};
    struct discover *d = NULL;
    struct loop *l = NULL;

    assert_int_equal(loop_new(&clock_system, &l), 0);
    struct dns *dns = dns_fake_new(l, rows, countof(rows));
    for (size_t i = 0; i < countof(addresses); i++)
        if (discover_new(l, dns, &none, str_c(addresses[i]), NULL, on_found, NULL, &d) != -EINVAL)
            fail_msg("taken: %s", addresses[i]);
    assert_null(d);
    dns_free(&dns);
    loop_free(&l);
}

static void can_be_freed_at_any_time(void **state)
{
    struct providers none = {0};
    struct http_options http = {.port = 1};

    for (size_t turns = 0; turns < 20; turns++) {
        struct told t = {.count = 0};

        assert_int_equal(loop_new(&clock_system, &t.loop), 0);
        struct dns *d = dns_fake_new(t.loop, rows, countof(rows));
        assert_int_equal(discover_new(t.loop, d, &none, STR("me@refused.test"), &http, on_found, &t,
                                      &t.discover),
                         0);
        for (size_t i = 0; i < turns && t.count == 0; i++)
            loop_turn(t.loop, true);
        size_t before = t.count;
        discover_free(&t.discover);
        discover_free(&t.discover);
        for (size_t i = 0; i < 3; i++)
            loop_turn(t.loop, false);
        assert_int_equal(t.count, before);
        dns_free(&d);
        loop_free(&t.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_in_its_order),
        cmocka_unit_test(tells_what_was_asked),
        cmocka_unit_test(refuses_what_is_no_domain),
        cmocka_unit_test(can_be_freed_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
