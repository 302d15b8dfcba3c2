/* Names of addresses, by the resolver for tests. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/fake.h"
#include "dns/reverse.h"
#include "io/socket.h"

struct told {
    struct reverse reverse;
    size_t count;
    enum reverse_verdict verdict;
    char name[DNS_NAME_BYTES_MAX];
};

static void on_told(void *arg, enum reverse_verdict v, struct str name)
{
    struct told *t = arg;

    t->count++;
    t->verdict = v;
    memcpy(t->name, name.p ? name.p : "", name.n);
    t->name[name.n] = '\0';
}

#define V4(n) n ".2.0.192.in-addr.arpa"
static const struct dns_fake_row rows[] = {
    {V4("1"), DNS_PTR, "Good.test", false},
    {"good.test", DNS_A, "192.0.2.9", false},
    {"good.test", DNS_A, "192.0.2.1", false},
    {V4("2"), DNS_PTR, "good.test", false},
    {V4("3"), DNS_PTR, "liar.test", false},
    {V4("3"), DNS_PTR, "third.test", false},
    {"third.test", DNS_A, "192.0.2.3", false},
    {V4("4"), DNS_PTR, "SERVFAIL", false},
    {V4("5"), DNS_PTR, "broken.test", false},
    {"broken.test", DNS_A, "SERVFAIL", false},
    {V4("6"), DNS_PTR, "bad name(x).test", false},
    {V4("7"), DNS_PTR, ".", false},
    {V4("8"), DNS_PTR, "bogus.test", false},
    {"bogus.test", DNS_A, "BOGUS", false},
    {V4("9"), DNS_CNAME, "9.0-24.test", false},
    {"9.0-24.test", DNS_PTR, "good.test", false},
    {V4("10"), DNS_MX, "10 good.test", false},
    {V4("11"), DNS_PTR, "broken.test", false},
    {V4("11"), DNS_PTR, "eleven.test", false},
    {"eleven.test", DNS_A, "192.0.2.11", false},
    {V4("12"), DNS_PTR, "six.test", false},
    {"six.test", DNS_AAAA, "2001:db8::1", false},
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_PTR,
     "six.test", false},
    /* more names than are looked up, the good one last */
    {V4("13"), DNS_PTR, "a.test", false},
    {V4("13"), DNS_PTR, "b.test", false},
    {V4("13"), DNS_PTR, "c.test", false},
    {V4("13"), DNS_PTR, "d.test", false},
    {V4("13"), DNS_PTR, "e.test", false},
    {V4("13"), DNS_PTR, "thirteen.test", false},
    {"thirteen.test", DNS_A, "192.0.2.13", false},
    {V4("14"), DNS_PTR, "mute.test", false},
    {"mute.test", DNS_A, "SILENCE", false},
};

static const struct {
    const char *address;
    enum reverse_verdict verdict;
    const char *name;
} cases[] = {
    {"192.0.2.1", REVERSE_FOUND, "good.test"},
    {"192.0.2.2", REVERSE_MISMATCH, ""},
    {"192.0.2.3", REVERSE_FOUND, "third.test"},
    {"192.0.2.4", REVERSE_LATER, ""},
    {"192.0.2.5", REVERSE_LATER, ""},
    {"192.0.2.6", REVERSE_MISMATCH, ""},
    {"192.0.2.7", REVERSE_MISMATCH, ""},
    {"192.0.2.8", REVERSE_LATER, ""},
    {"192.0.2.9", REVERSE_FOUND, "good.test"},
    {"192.0.2.10", REVERSE_NONE, ""},
    {"192.0.2.11", REVERSE_FOUND, "eleven.test"},
    {"192.0.2.12", REVERSE_MISMATCH, ""}, /* its only address is of the other family */
    {"192.0.2.13", REVERSE_MISMATCH, ""},
    {"192.0.2.99", REVERSE_NONE, ""},
    {"2001:db8::1", REVERSE_FOUND, "six.test"},
    {"2001:db8::2", REVERSE_NONE, ""},
};

static void ask(struct dns *d, struct told *t, const char *text)
{
    struct network address;

    *t = (struct told){0};
    assert_true(network_parse(str_c(text), &address));
    reverse_ask(d, &t->reverse, address.bytes, address.bits / 8, on_told, t);
    assert_int_equal(t->count, 0); /* never from within */
}

static void test_verdicts(void **state)
{
    struct loop *l = NULL;

    (void)state;
    assert_int_equal(loop_new(&clock_system, &l), 0);
    struct dns *d = dns_fake_new(l, rows, countof(rows));
    for (size_t i = 0; i < countof(cases); i++) {
        struct told t;

        ask(d, &t, cases[i].address);
        while (t.count == 0)
            loop_turn(l, true);
        if (t.count != 1 || t.verdict != cases[i].verdict || strcmp(t.name, cases[i].name) != 0)
            fail_msg("%s: %d %s", cases[i].address, t.verdict, t.name);
        assert_true((reverse_why(t.verdict)[0] == '\0') == (t.verdict == REVERSE_FOUND));
    }
    dns_free(&d);
    loop_free(&l);
}

static void test_cancelling(void **state)
{
    struct loop *l = NULL;
    struct told early, amid;

    (void)state;
    assert_int_equal(loop_new(&clock_system, &l), 0);
    struct dns *d = dns_fake_new(l, rows, countof(rows));
    ask(d, &early, "192.0.2.1");
    reverse_cancel(&early.reverse);
    ask(d, &amid, "192.0.2.14");
    for (size_t i = 0; i < 3; i++)
        loop_turn(l, false);
    assert_int_equal(amid.reverse.open_count, 1); /* its name is known and looked up */
    reverse_cancel(&amid.reverse);
    reverse_cancel(&amid.reverse);
    assert_int_equal(early.count + amid.count, 0);
    dns_free(&d);
    loop_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_cancelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
