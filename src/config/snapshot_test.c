/* Snapshots: there and back, and anything that is none. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/parse.h"
#include "config/snapshot.h"

static const char text[] =
    "hostname = a.test\nstate = '/s \"x\\\\'\nlisten a { address = { '*:25', '[::1]:26' } }\n"
    "domain b.test { }\ndomain c.test { accounts = no aliases = '/etc/aliases' }\nroute .d { via = "
    "h.test }\n"
    "smarthost \"192.0.2.1:26\" { }\nrelay-for = { \"10.0.0.0/8\", \"::1\", 127.0.0.1 }\n"
    "dns { forward = \"192.0.2.53\" }\nretry = { 90s, 1h }\nmessage-size = 65537\nhold = yes\n";

static struct config *parsed(const char *from)
{
    struct buf errors = buf_init(16 * KIB);
    struct config *c = NULL;
    struct machine machine = {.hostname = STR("host.test")};
    if (!config_parse(str_c(from), STR("/etc/t.conf"), &machine, &c, &errors))
        fail_msg("%s", buf_c(&errors));
    buf_free(&errors);
    return c;
}

static struct buf encoded(const struct config *c)
{
    struct buf b = buf_init(SNAPSHOT_BYTES_MAX);
    snapshot_encode(&b, c);
    assert_false(b.full);
    return b;
}

static void assert_same(const struct config *a, const struct config *b)
{
    struct buf x = encoded(a), y = encoded(b);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    buf_free(&x);
    buf_free(&y);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct config *c = parsed(text), *back = NULL;
    struct buf b = encoded(c);
    assert_int_equal(snapshot_decode(buf_str(&b), &back), 0);
    assert_same(c, back);
    assert_true(c->routing_fingerprint == back->routing_fingerprint);
    assert_true(str_eq_c(back->state, "/s \"x\\"));
    assert_true(str_eq_c(back->listens[0].at, "t.conf:3"));
    assert_true(str_eq_c(back->relay_for_at, "t.conf:8"));
    assert_true(str_eq_c(back->smarthost.at, "t.conf:7"));
    assert_int_equal(back->message_bytes_max, 65537);
    assert_int_equal(back->relay_for_count, 3);
    assert_int_equal(back->relay_for[2].bits, 32);
    config_drop(&back);
    config_drop(&c);
    buf_free(&b);
}

/* Every cut and every changed byte: refused, or a config with exactly these bytes. */
static void test_damaged(void **state)
{
    (void)state;
    struct config *c = parsed(text), *back = NULL;
    struct buf b = encoded(c);
    for (size_t n = 0; n < b.n; n++)
        assert_true(snapshot_decode(str_sub(buf_str(&b), 0, n), &back) < 0);
    for (size_t i = 0; i < b.n; i++)
        for (unsigned bit = 0; bit < 8; bit += 3) {
            b.p[i] = (char)(b.p[i] ^ (1 << bit));
            if (snapshot_decode(buf_str(&b), &back) == 0) {
                struct buf again = encoded(back);
                assert_int_equal(again.n, b.n);
                assert_memory_equal(again.p, b.p, b.n);
                buf_free(&again);
                config_drop(&back);
            }
            b.p[i] = (char)(b.p[i] ^ (1 << bit));
        }
    buf_add_char(&b, 'x');
    assert_true(snapshot_decode(buf_str(&b), &back) < 0);
    config_drop(&c);
    buf_free(&b);
}

/* The printed file says the same, but for the places of its statements. */
static void test_print(void **state)
{
    (void)state;
    struct config *c = parsed(text);
    struct buf first = buf_init(64 * KIB), second = buf_init(64 * KIB);
    config_print(&first, c);
    struct config *again = parsed(buf_c(&first));
    config_print(&second, again);
    assert_string_equal(buf_c(&first), buf_c(&second));
    assert_non_null(strstr(buf_c(&first), "retry = { 90s, 1h }\n"));
    assert_non_null(strstr(buf_c(&first), "state = '/s \"x\\\\'\n"));
    assert_non_null(strstr(buf_c(&first),
                           "domain \"c.test\" {\n    accounts = no\n    system-users = no\n    "
                           "aliases = \"/etc/aliases\"\n}\n"));
    config_drop(&again);
    config_drop(&c);
    buf_free(&first);
    buf_free(&second);
}

static void test_manual(void **state)
{
    (void)state;
    struct buf b = buf_init(64 * KIB);
    config_manual(&b);
    assert_false(b.full);
    assert_non_null(strstr(buf_c(&b), ".It Ic message-size = Ar size\n"));
    assert_non_null(strstr(buf_c(&b), "From 64K to 2G.\n"));
    assert_non_null(strstr(buf_c(&b), ".Ss route Qo Ar domain Qc { ... }\n"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
