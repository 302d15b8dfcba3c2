/* Each kind of value at its edges: what it takes, how it prints, what it refuses. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/config.h"
#include "config/statement.h"
#include "config/value.h"
#include "io/socket.h"

union any {
    bool flag;
    uint64_t number;
    struct str text;
    struct network network;
    struct rate rate;
};

static const struct {
    enum value_kind kind;
    const char *min, *max, *text;
    const char *printed; /* NULL: refused */
} cases[] = {
    {VALUE_FLAG, "", "", "YES", "yes"},
    {VALUE_FLAG, "", "", "off", "no"},
    {VALUE_FLAG, "", "", "", NULL},
    {VALUE_USERS, "", "", "www-data", "www-data"},
    {VALUE_USERS, "", "", "_a.b", "_a.b"},
    {VALUE_USERS, "", "", "", NULL},
    {VALUE_USERS, "", "", "-x", NULL},
    {VALUE_USERS, "", "", "a b", NULL},
    {VALUE_PLACE, "", "", "~/Maildir", "~/Maildir"},
    {VALUE_PLACE, "", "", "/var/mail/{user}", "/var/mail/{user}"},
    {VALUE_PLACE, "", "", "/var/mail", NULL},
    {VALUE_PLACE, "", "", "~/../x", NULL},
    {VALUE_PLACE, "", "", "", NULL},
    {VALUE_RATES, "1", "1000", "500/hour", "500/hour"},
    {VALUE_RATES, "1", "1000", "1000/DAY", "1000/day"},
    {VALUE_RATES, "1", "1000", "1001/day", NULL},
    {VALUE_RATES, "1", "1000", "0/day", NULL},
    {VALUE_RATES, "1", "1000", "500", NULL},
    {VALUE_RATES, "1", "1000", "500/minute", NULL},
    {VALUE_RATES, "1", "1000", "/hour", NULL},
    {VALUE_RATES, "1", "1000", "500 / hour", NULL},
    {VALUE_RATES, "1", "1000", "5/hour/day", NULL},
    {VALUE_RATES, "1", "1000", "", NULL},
    {VALUE_LIMITS, "1", "1000", "500/Hour", "500/hour"},
    {VALUE_LIMITS, "1", "1000", "1/minute", "1/minute"},
    {VALUE_LIMITS, "1", "1000", "5/second", "5/second"},
    {VALUE_LIMITS, "1", "1000", "50/15m", "50/15m"},
    {VALUE_LIMITS, "1", "1000", "50/60m", "50/hour"},
    {VALUE_LIMITS, "1", "1000", "50/61m", NULL},
    {VALUE_LIMITS, "1", "1000", "50/2h", NULL},
    {VALUE_LIMITS, "1", "1000", "50/0s", NULL},
    {VALUE_LIMITS, "1", "1000", "0/day", NULL},
    {VALUE_LIMITS, "1", "1000", "5", NULL},
    {VALUE_LOGIN, "", "", "me@example.org", "me@example.org"},
    {VALUE_LOGIN, "", "", "я@пример.рф", "я@пример.рф"},
    {VALUE_LOGIN, "", "", "", ""},
    {VALUE_LOGIN, "", "", "a b", NULL},
    {VALUE_LOGIN, "", "", "a\r\nb", NULL},
    {VALUE_LOGIN, "", "", "\xff", NULL},
    {VALUE_COUNT, "1", "64", "64", "64"},
    {VALUE_COUNT, "1", "64", "65", NULL},
    {VALUE_COUNT, "1", "64", "0", NULL},
    {VALUE_COUNT, "", "", "18446744073709551615", "18446744073709551615"},
    {VALUE_COUNT, "", "", "18446744073709551616", NULL},
    {VALUE_COUNT, "", "", "-1", NULL},
    {VALUE_COUNT, "", "", "1k", NULL},
    {VALUE_BYTES, "", "", "1023", "1023"},
    {VALUE_BYTES, "", "", "1024", "1K"},
    {VALUE_BYTES, "", "", "1048576k", "1G"},
    {VALUE_BYTES, "", "", "16777215T", "16777215T"},
    {VALUE_BYTES, "", "", "16777216T", NULL},
    {VALUE_BYTES, "", "", "K", NULL},
    {VALUE_BYTES, "", "", "1 K", NULL},
    {VALUE_BYTES, "64K", "2G", "2G", "2G"},
    {VALUE_BYTES, "64K", "2G", "2147483649", NULL},
    {VALUE_BYTES, "0", "1T", "0", "0"},
    {VALUE_DURATION, "", "", "90s", "90s"},
    {VALUE_DURATION, "", "", "60s", "1m"},
    {VALUE_DURATION, "", "", "48H", "2d"},
    {VALUE_DURATION, "", "", "0", "0"},
    {VALUE_DURATION, "", "", "0s", "0"},
    {VALUE_DURATION, "", "", "5", NULL},
    {VALUE_DURATION, "", "", "5w", NULL},
    {VALUE_DURATION, "", "", "1h30m", NULL},
    {VALUE_DURATION, "", "", "213503982334602d", NULL},
    {VALUE_DOMAIN, "", "", "Mail.Example.ORG", "mail.example.org"},
    {VALUE_DOMAIN, "", "", "mail", NULL},
    {VALUE_DOMAIN, "", "", "", NULL},
    {VALUE_DOMAIN, "", "", "[127.0.0.1]", NULL},
    {VALUE_DOMAIN, "", "", "a_b.test", NULL},
    {VALUE_FOLDER, "", "", "/a//b/", "/a//b"},
    {VALUE_FOLDER, "", "", "/", NULL},
    {VALUE_FOLDER, "", "", "//", NULL},
    {VALUE_FOLDER, "", "", "a/b", NULL},
    {VALUE_FOLDER, "", "", "/a/../b", NULL},
    {VALUE_FOLDER, "", "", "/a/..", NULL},
    {VALUE_FOLDER, "", "", "/a/..b", "/a/..b"},
    {VALUE_FILE, "", "", "/etc/aliases", "/etc/aliases"},
    {VALUE_FILE, "", "", "", ""},
    {VALUE_FILE, "", "", "aliases", NULL},
    {VALUE_FILE, "", "", "/etc/../aliases", NULL},
    {VALUE_FILE, "", "", "/etc/", NULL},
    {VALUE_CHOICE, "stderr syslog", "", "SysLog", "syslog"},
    {VALUE_CHOICE, "stderr syslog", "", "stderr syslog", NULL},
    {VALUE_CHOICE, "stderr syslog", "", "", NULL},
    {VALUE_NETWORKS, "", "", "10.0.0.0/8", "10.0.0.0/8"},
    {VALUE_NETWORKS, "", "", "192.0.2.1", "192.0.2.1/32"},
    {VALUE_NETWORKS, "", "", "2001:DB8::/32", "2001:db8::/32"},
    {VALUE_NETWORKS, "", "", "10.0.0.0/33", NULL},
    {VALUE_NETWORKS, "", "", "example.org", NULL},
    {VALUE_ADDRESSES, "", "", "*:65535", "*:65535"},
    {VALUE_ADDRESSES, "", "", "*:65536", NULL},
    {VALUE_ADDRESSES, "", "", "*:0", NULL},
    {VALUE_ADDRESSES, "", "", "*", NULL},
    {VALUE_ADDRESSES, "", "", "127.0.0.1:25", "127.0.0.1:25"},
    {VALUE_ADDRESSES, "", "", "::1:25", NULL},
    {VALUE_HOST_PORT, "", "", "Host.Test", "host.test:25"},
    {VALUE_HOST_PORT, "", "", "host:65535", "host:65535"},
    {VALUE_HOST_PORT, "", "", "host:65536", NULL},
    {VALUE_HOST_PORT, "", "", "host:", NULL},
    {VALUE_HOST_PORT, "", "", ":25", NULL},
    {VALUE_HOST_PORT, "", "", "192.0.2.1", "192.0.2.1:25"},
    {VALUE_HOST_PORT, "", "", "192.0.2.256:25", NULL},
    {VALUE_HOST_PORT, "", "", "192.0.2.0/24:25", NULL},
    {VALUE_HOST_PORT, "", "", "[::1]", "[::1]:25"},
    {VALUE_HOST_PORT, "", "", "::1", NULL},
    {VALUE_HOST_PORT, "", "", "[::1]x:25", NULL},
    {VALUE_HOST_PORT, "", "", "[host]:25", NULL},
    {VALUE_HOST_PORT, "", "", "*:25", NULL},
    {VALUE_NAME, "", "", "smtp-2", "smtp-2"},
    {VALUE_NAME, "", "", "12345678901234567890123456789012", "12345678901234567890123456789012"},
    {VALUE_NAME, "", "", "123456789012345678901234567890123", NULL},
    {VALUE_NAME, "", "", "a.b", NULL},
    {VALUE_NAME, "", "", "", NULL},
    {VALUE_OUR_DOMAIN, "", "", "A.test", "a.test"},
    {VALUE_OUR_DOMAIN, "", "", "", ""},
    {VALUE_OUR_DOMAIN, "", "", "a b", NULL},
    {VALUE_ADDRESSES, "", "", "unix:/run/x/lmtp.sock", "unix:/run/x/lmtp.sock"},
    {VALUE_ADDRESSES, "", "", "unix:run/x", NULL},
    {VALUE_ADDRESSES, "", "", "unix:/run/../x", NULL},
    {VALUE_ADDRESSES, "", "", "unix:/run/", NULL},
    {VALUE_ADDRESSES, "", "", "unix:", NULL},
    {VALUE_NEXT_HOP, "", "", "unix:/run/dovecot/lmtp", "unix:/run/dovecot/lmtp"},
    {VALUE_NEXT_HOP, "", "", "MX.example.org", "mx.example.org:25"},
    {VALUE_NEXT_HOP, "", "", "unix:lmtp", NULL},
    {VALUE_WORD, "", "", "", ""},
    {VALUE_WORD, "", "", "www-data", "www-data"},
    {VALUE_WORD, "", "", "-x", NULL},
    {VALUE_WORD, "", "", "../x", NULL},
    {VALUE_WORD, "", "", "a b", NULL},
    {VALUE_MAIL_DOMAIN, "", "", "LocalHost", "localhost"},
    {VALUE_MAIL_DOMAIN, "", "", "PostMaster", NULL},
    {VALUE_MAIL_DOMAIN, "", "", ".a.test", NULL},
    {VALUE_MAIL_DOMAIN, "", "", "a/b", NULL},
    {VALUE_RESOLVERS, "", "", "192.0.2.53", "192.0.2.53@53"},
    {VALUE_RESOLVERS, "", "", "192.0.2.53@65535", "192.0.2.53@65535"},
    {VALUE_RESOLVERS, "", "", "2001:DB8::53", "2001:db8::53@53"},
    {VALUE_RESOLVERS, "", "", "192.0.2.53@65536", NULL},
    {VALUE_RESOLVERS, "", "", "192.0.2.53@", NULL},
    {VALUE_RESOLVERS, "", "", "192.0.2.0/24", NULL},
    {VALUE_RESOLVERS, "", "", "[::1]", NULL},
    {VALUE_RESOLVERS, "", "", "dns.test", NULL},
    {VALUE_RESOLVERS, "", "", "", NULL},
    {VALUE_NONE, "", "", "", ""},
    {VALUE_NONE, "", "", "x", NULL},
    {VALUE_ROUTE_DOMAIN, "", "", ".A.test", ".a.test"},
    {VALUE_ROUTE_DOMAIN, "", "", ".", NULL},
    {VALUE_ROUTE_DOMAIN, "", "", "..a", NULL},
    {VALUE_ROUTE_DOMAIN, "", "", "*", NULL},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct buf why = buf_init(2 * KIB), printed = buf_init(2 * KIB);
        struct value_range range = {cases[i].min, cases[i].max};
        union any value = {0};
        bool good = value_parse(cases[i].kind, &range, str_c(cases[i].text), &a, &value, &why);
        if (good)
            value_print(cases[i].kind, &value, &printed);
        if (good != (cases[i].printed != NULL))
            fail_msg("kind %d: %s: %s", cases[i].kind, cases[i].text, buf_c(&why));
        if (good)
            assert_string_equal(buf_c(&printed), cases[i].printed);
        assert_int_equal(good, why.n == 0);
        buf_free(&why);
        buf_free(&printed);
        arena_free(&a);
    }
}

static void test_host_port(void **state)
{
    (void)state;
    struct str host;
    uint64_t port;
    assert_true(host_port_split(STR("[::1]:25"), &host, &port));
    assert_true(str_eq_c(host, "::1") && port == 25);
    assert_true(host_port_split(STR("a.test:1"), &host, &port));
    assert_true(str_eq_c(host, "a.test") && port == 1);
    assert_false(host_port_split(STR("a.test"), &host, &port));
    assert_false(host_port_split(STR(":1"), &host, &port));
    assert_false(host_port_split(STR("[::1]"), &host, &port));
}

/* Every default is a value its own row takes, in its own range. */
static void test_rows(void **state)
{
    (void)state;
    struct config c = {0};
    struct config_listen listen = {0};
    struct config_domain domain = {0};
    struct config_route route = {0};
    struct config smarthost = {0};
    struct config_certificate certificate = {0};
    void *const bases[SCOPE_COUNT] = {
        [SCOPE_TOP] = &c,         [SCOPE_LISTEN] = &listen,
        [SCOPE_DOMAIN] = &domain, [SCOPE_CERTIFICATE] = &certificate,
        [SCOPE_ROUTE] = &route,   [SCOPE_SMARTHOST] = &smarthost.smarthost,
        [SCOPE_DNS] = &c.dns,     [SCOPE_TLS] = &c.tls,
    };
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        assert_true(statement_find(s->scope, str_c(s->name)) == s);
        assert_true(s->help[0] && s->since[0] && s->min && s->max);
        if (s->text && s->text[0])
            assert_true(statement_set_default(s, &c.arena, bases[s->scope]));
    }
    arena_free(&c.arena);
}

static void test_suggest(void **state)
{
    (void)state;
    assert_string_equal(statement_suggest(SCOPE_TOP, STR("hostnam")), "hostname");
    assert_string_equal(statement_suggest(SCOPE_TOP, STR("Message_Size")), "message-size");
    assert_string_equal(statement_suggest(SCOPE_TOP, STR("domains")), "domain");
    assert_string_equal(statement_suggest(SCOPE_LISTEN, STR("adress")), "address");
    assert_null(statement_suggest(SCOPE_TOP, STR("imap")));
    assert_null(statement_suggest(SCOPE_TOP, STR("")));
    assert_null(statement_suggest(SCOPE_SMARTHOST, STR("via")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_host_port),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_suggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
