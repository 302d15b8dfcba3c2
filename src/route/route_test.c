/* Every kind of recipient against one table, by strangers and by clients that may relay. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "route/route.h"

static const char *const accounts[] = {
    "alice@local.test",     "bill@local.test",   "bill+list@local.test", "o'neil@local.test",
    "busy@local.test",      "x/../y@local.test", "alice@both.test",      ".dot@local.test",
    "postmaster@boss.test", "+@local.test",
};

static enum account_answer account(void *arg, struct str local, struct str domain, struct arena *a,
                                   struct address *ret)
{
    char text[400];
    size_t n = 0;
    assert_true(arg == accounts && local.n + domain.n + 2 < sizeof text);
    for (size_t i = 0; i < local.n; i++)
        text[n++] = char_lower(local.p[i]);
    text[n++] = '@';
    memcpy(text + n, domain.p, domain.n);
    n += domain.n;
    if (str_eq_c(str_n(text, n), "busy@local.test") || str_eq_c(domain, "down.test"))
        return ACCOUNT_TRY_LATER;
    *ret = (struct address){local, domain};
    for (size_t i = 0; i < countof(accounts); i++)
        if (str_eq_c(str_n(text, n), accounts[i]))
            return ACCOUNT_YES;
    *ret = (struct address){STR("alice"), STR("both.test")};
    if (str_eq_c(str_n(text, n), "info@local.test") || str_eq_c(str_n(text, n), "a@both.test"))
        return ACCOUNT_YES;
    return ACCOUNT_NO;
}

static enum login_answer login(void *arg, struct str local, struct arena *a, struct str *ret)
{
    static const struct {
        const char *name;
        enum login_answer answer;
    } logins[] = {{"alice", LOGIN_YES},
                  {"Bob", LOGIN_YES},
                  {"root", LOGIN_REFUSED},
                  {"slow", LOGIN_TRY_LATER}};
    for (size_t i = 0; i < countof(logins); i++)
        if (str_eq_nocase(local, str_c(logins[i].name))) {
            *ret = arena_copy(a, str_c(logins[i].name));
            return logins[i].answer;
        }
    return LOGIN_NO;
}

#define S(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
static const struct route_domain domains[] = {
    {S("local.test"), true, S("t.conf:1")},
    {S("none.test"), false, S("t.conf:2")},
    {S("boss.test"), true, S("t.conf:3")},
    {S("down.test"), true, S("t.conf:4")},
    {S("unix.test"), false, S("t.conf:10"), {NULL, 0}, true},
    {S("both.test"), true, S("t.conf:11"), {NULL, 0}, true},
};
static const struct route_via routes[] = {
    {S(".partner.test"), S("below:25"), S("t.conf:5")},
    {S("partner.test"), S("exact:25"), S("t.conf:6")},
    {S(".deep.partner.test"), S("deep:25"), S("t.conf:7")},
    {S("x.deep.partner.test"), S("[::1]:26"), S("t.conf:8")},
};
static const struct str addresses[] = {S("192.0.2.1"), S("2001:db8::1")};

static const struct route_table table = {
    .hostname = S("mx.test"),
    .domains = domains,
    .domain_count = countof(domains),
    .routes = routes,
    .route_count = countof(routes),
    .smarthost = S("smart:465"),
    .smarthost_at = S("t.conf:9"),
    .config_name = S("t.conf"),
    .addresses = addresses,
    .address_count = countof(addresses),
    .account = account,
    .login = login,
    .arg = (void *)(uintptr_t)accounts,
};

enum who { STRANGER, CLIENT, BOTH };

static const struct {
    enum who who;
    const char *recipient;
    uint16_t code; /* 250: next_hop, transport by the slash or the colon in it */
    const char *next_hop, *address, *why;
} cases[] = {
    /* local users */
    {BOTH, "alice@local.test", 250, "local.test/alice", "alice@local.test",
     "t.conf:1 domain local.test: account alice"},
    {BOTH, "ALICE@Local.TEST", 250, "local.test/alice", "ALICE@local.test",
     "t.conf:1 domain local.test: account ALICE"},
    {BOTH, "alice@local.test.", 250, "local.test/alice", "alice@local.test",
     "t.conf:1 domain local.test: account alice"},
    {BOTH, "\"alice\"@local.test", 250, "local.test/alice", "alice@local.test",
     "t.conf:1 domain local.test: account alice"},
    {BOTH, "nobody@local.test", 550, NULL, "5.1.1",
     "t.conf:1 domain local.test: no account nobody"},
    {BOTH, "alice@sub.local.test", 0, NULL, NULL, NULL}, /* not local: see below */
    {BOTH, "busy@local.test", 451, NULL, "4.3.0",
     "t.conf:1 domain local.test: the accounts cannot be read now"},
    {BOTH, "o'neil@local.test", 250, "local.test/o%27neil", "o'neil@local.test",
     "t.conf:1 domain local.test: account o'neil"},
    {BOTH, "x/../y@local.test", 501, NULL, "5.1.3", NULL},
    {BOTH, "\"x/../y\"@local.test", 250, "local.test/x%2f..%2fy", "\"x/../y\"@local.test",
     "t.conf:1 domain local.test: account x/../y"},
    {BOTH, "\".dot\"@local.test", 250, "local.test/%2edot", "\".dot\"@local.test",
     "t.conf:1 domain local.test: account .dot"},
    {BOTH, "alice@none.test", 550, NULL, "5.1.1",
     "t.conf:2 domain none.test without accounts: only postmaster exists there"},
    /* further addresses of an account */
    {BOTH, "Info@local.test", 250, "both.test/alice", "Info@local.test",
     "t.conf:1 domain local.test: Info is an address of account alice@both.test"},
    {BOTH, "info+tag@local.test", 250, "both.test/alice", "info+tag@local.test",
     "t.conf:1 domain local.test: info is an address of account alice@both.test"},
    /* tags */
    {BOTH, "bill+tag@local.test", 250, "local.test/bill", "bill+tag@local.test",
     "t.conf:1 domain local.test: account bill"},
    {BOTH, "bill+a+b@local.test", 250, "local.test/bill", "bill+a+b@local.test",
     "t.conf:1 domain local.test: account bill"},
    {BOTH, "bill+list@local.test", 250, "local.test/bill+list", "bill+list@local.test",
     "t.conf:1 domain local.test: account bill+list"},
    {BOTH, "bill+@local.test", 250, "local.test/bill", "bill+@local.test",
     "t.conf:1 domain local.test: account bill"},
    {BOTH, "nobody+tag@local.test", 550, NULL, "5.1.1",
     "t.conf:1 domain local.test: no account nobody+tag"},
    {BOTH, "+tag@local.test", 550, NULL, "5.1.1", "t.conf:1 domain local.test: no account +tag"},
    {BOTH, "busy+tag@local.test", 451, NULL, "4.3.0",
     "t.conf:1 domain local.test: the accounts cannot be read now"},
    /* postmaster */
    {BOTH, "postmaster", 250, "postmaster", "postmaster@mx.test",
     "t.conf: mx.test is this server itself: the mailbox of postmaster, who always exists"},
    {BOTH, "PostMaster", 250, "postmaster", "postmaster@mx.test", NULL},
    {BOTH, "postmaster@mx.test", 250, "postmaster", "postmaster@mx.test", NULL},
    {BOTH, "Postmaster@MX.test", 250, "postmaster", "Postmaster@mx.test", NULL},
    {BOTH, "postmaster@local.test", 250, "postmaster", "postmaster@local.test",
     "t.conf:1 domain local.test: the mailbox of postmaster, who always exists"},
    {BOTH, "postmaster+dsn@local.test", 250, "postmaster", "postmaster+dsn@local.test", NULL},
    {BOTH, "postmaster@none.test", 250, "postmaster", "postmaster@none.test", NULL},
    {BOTH, "POSTMASTER@boss.test", 250, "boss.test/postmaster", "POSTMASTER@boss.test", NULL},
    {BOTH, "postmaster@down.test", 451, NULL, "4.3.0", NULL},
    {BOTH, "postmaster@[192.0.2.1]", 250, "postmaster", "postmaster@[192.0.2.1]", NULL},
    {BOTH, "postmaster@[IPv6:2001:DB8:0::1]", 250, "postmaster", "postmaster@[IPv6:2001:DB8:0::1]",
     NULL},
    {BOTH, "alice@[192.0.2.1]", 550, NULL, "5.1.1", NULL},
    {BOTH, "alice@mx.test", 550, NULL, "5.1.1",
     "t.conf: mx.test is this server itself: only postmaster exists there"},
    {BOTH, "abuse@local.test", 550, NULL, "5.1.1", NULL},
    {STRANGER, "postmaster@[192.0.2.2]", 550, NULL, "5.7.1", NULL},
    {STRANGER, "postmaster@[IPv6:2001:db8::2]", 550, NULL, "5.7.1", NULL},
    /* elsewhere */
    {STRANGER, "a@partner.test", 550, NULL, "5.7.1",
     "t.conf: no domain statement names partner.test, and relay-for does not name the client"},
    {STRANGER, "a@unknown.test", 550, NULL, "5.7.1", NULL},
    {STRANGER, "alice@sub.local.test", 550, NULL, "5.7.1", NULL},
    {STRANGER, "alice@xlocal.test", 550, NULL, "5.7.1", NULL},
    {STRANGER, "alice@local.test.evil.test", 550, NULL, "5.7.1", NULL},
    {CLIENT, "a@Partner.test", 250, "exact:25", "a@partner.test",
     "t.conf:6 route partner.test: via exact:25"},
    {CLIENT, "a@x.partner.test", 250, "below:25", "a@x.partner.test",
     "t.conf:5 route .partner.test: via below:25"},
    {CLIENT, "a@deep.partner.test", 250, "below:25", "a@deep.partner.test", NULL},
    {CLIENT, "a@y.deep.partner.test", 250, "deep:25", "a@y.deep.partner.test", NULL},
    {CLIENT, "a@x.deep.partner.test", 250, "[::1]:26", "a@x.deep.partner.test", NULL},
    {CLIENT, "a@xpartner.test", 250, "smart:465", "a@xpartner.test",
     "t.conf:9 smarthost smart:465"},
    {CLIENT, "bill+tag@unknown.test", 250, "smart:465", "bill+tag@unknown.test", NULL},
    {CLIENT, "a@[192.0.2.2]", 250, "smart:465", "a@[192.0.2.2]", NULL},
    /* users of this machine */
    {BOTH, "alice@unix.test", 250, "~alice", "alice@unix.test",
     "t.conf:10 domain unix.test: user alice of this machine"},
    {BOTH, "BOB@unix.test", 250, "~Bob", "BOB@unix.test", NULL},
    {BOTH, "alice+tag@unix.test", 250, "~alice", "alice+tag@unix.test", NULL},
    {BOTH, "alice@both.test", 250, "both.test/alice", "alice@both.test", NULL},
    {BOTH, "bob@both.test", 250, "~Bob", "bob@both.test", NULL},
    {BOTH, "alice@local.test", 250, "local.test/alice", "alice@local.test", NULL},
    {BOTH, "bob@local.test", 550, NULL, "5.1.1", NULL},
    {BOTH, "nobody@unix.test", 550, NULL, "5.1.1", "t.conf:10 domain unix.test: no account nobody"},
    {BOTH, "root@unix.test", 550, NULL, "5.1.1",
     "t.conf:10 domain unix.test: root is no person but root or a system user, who get no mail; an "
     "alias says who reads it (root: somebody)"},
    {BOTH, "slow@unix.test", 451, NULL, "4.3.0",
     "t.conf:10 domain unix.test: the users of this machine cannot be looked up now"},
    {BOTH, "postmaster@unix.test", 250, "postmaster", "postmaster@unix.test", NULL},
    /* older ways to ask for relaying: never, for nobody */
    {BOTH, "a%b@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "alice%unknown.test@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "a%b@unknown.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "@local.test:a@unknown.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "@unknown.test:alice@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "\"a@unknown.test\"@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "\"alice@local.test\"@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "\"a@b\"@unknown.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "unknown.test!a@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "alice!x@local.test", 550, NULL, "5.1.3", NULL},
    {BOTH, "a@b@local.test", 501, NULL, "5.1.3", NULL},
    {BOTH, "local.test!alice", 501, NULL, "5.1.3", NULL},
    /* no address at all */
    {BOTH, "", 501, NULL, "5.1.3", NULL},
    {BOTH, "alice", 501, NULL, "5.1.3", NULL},
    {BOTH, "@", 501, NULL, "5.1.3",
     "an address looks like bill@example.org: the name before the @ is missing"},
    {BOTH, "@local.test", 501, NULL, "5.1.3",
     "an address looks like bill@example.org: the name before the @ is missing"},
    {BOTH, "<alice@local.test>", 501, NULL, "5.1.3", NULL},
    {BOTH, "alice@local.test ", 501, NULL, "5.1.3", NULL},
    {BOTH, "alice\r\n@local.test", 501, NULL, "5.1.3", NULL},
};

static void try_one(size_t i, bool may_relay)
{
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    struct route_question q = {
        .sender = STR("x@y.test"), .recipient = str_c(cases[i].recipient), .may_relay = may_relay};
    route_decide(&table, &q, &a, &answer);
    if (answer.status.code != cases[i].code)
        print_error("%s (%s): %u %s | %.*s\n", cases[i].recipient,
                    may_relay ? "client" : "stranger", answer.status.code, answer.status.text,
                    STR_ARG(answer.why));
    assert_int_equal(answer.status.code, cases[i].code);
    assert_true(answer.why.n > 0);
    if (cases[i].why)
        assert_true(str_eq_c(answer.why, cases[i].why));
    if (cases[i].code == 250) {
        assert_int_equal(answer.target_count, 1);
        const struct target *t = &answer.targets[0];
        assert_true(str_eq_c(t->next_hop, cases[i].next_hop));
        assert_true(str_eq_c(t->address, cases[i].address));
        assert_true(t->why.n > 0);
        assert_int_equal(t->transport, str_find(t->next_hop, ':') < t->next_hop.n
                                           ? TRANSPORT_RELAY
                                           : TRANSPORT_LOCAL);
    } else {
        struct buf enhanced = buf_init(64);
        assert_int_equal(answer.target_count, 0);
        status_print_enhanced(&enhanced, &answer.status);
        assert_string_equal(buf_c(&enhanced), cases[i].address);
        buf_free(&enhanced);
    }
    arena_free(&a);
}

static void test_decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        if (cases[i].code == 0)
            continue;
        if (cases[i].who != CLIENT)
            try_one(i, false);
        if (cases[i].who != STRANGER)
            try_one(i, true);
    }
}

/* Nothing configured: clients send by DNS, strangers get nowhere. */
static void test_empty_table(void **state)
{
    (void)state;
    struct route_table empty = {
        .hostname = STR("mx.test"), .config_name = STR("t.conf"), .account = account};
    static const struct {
        const char *recipient;
        bool may_relay;
        uint16_t code;
        const char *why, *next_hop;
    } asked[] = {
        {"a@B.test", true, 250, "t.conf: by DNS (MX of b.test)", "@b.test"},
        {"a@25", true, 250, "t.conf: by DNS (MX of 25)", "@25"},
        {"a@[192.0.2.2]", true, 250, "t.conf: to the address itself, [192.0.2.2]", "@[192.0.2.2]"},
        {"a@[IPv6:2001:DB8::2]", true, 250, "t.conf: to the address itself, [IPv6:2001:DB8::2]",
         "@[IPv6:2001:DB8::2]"},
        {"a@[192.0.2.2]", false, 550,
         "t.conf: no domain statement names [192.0.2.2], and relay-for does not name the client"},
        {"a@b.test", false, 550,
         "t.conf: no domain statement names b.test, and relay-for does not name the client"},
        {"postmaster", false, 250,
         "t.conf: mx.test is this server itself: the mailbox of postmaster, who always exists"},
    };
    for (size_t i = 0; i < countof(asked); i++) {
        struct arena a = ARENA_INIT;
        struct route_answer answer = {0};
        struct route_question q = {.recipient = str_c(asked[i].recipient),
                                   .may_relay = asked[i].may_relay};
        route_decide(&empty, &q, &a, &answer);
        assert_int_equal(answer.status.code, asked[i].code);
        assert_true(str_eq_c(answer.why, asked[i].why));
        if (asked[i].next_hop)
            assert_true(str_eq_c(answer.targets[0].next_hop, asked[i].next_hop));
        arena_free(&a);
    }
}

/* Whatever the bytes of a recipient: a stranger's mail never leaves, and a mailbox is one safe
 * folder in one domain. */
static void test_never_by_accident(void **state)
{
    (void)state;
    static const char alphabet[] = "ab@%!\".+[]:/\\ <>\0\xff";
    uint64_t seed = 1;
    for (unsigned round = 0; round < 200000; round++) {
        char text[40];
        size_t n = 0;
        for (size_t length = seed >> 60; n < length; n++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            text[n] = alphabet[(seed >> 33) % (sizeof alphabet - 1)];
        }
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        static const char end[] = "@local.test";
        memcpy(text + n, end, sizeof end);
        n += (seed >> 40) % 2 ? sizeof end - 1 : 0;

        struct arena a = ARENA_INIT;
        struct route_answer answer = {0};
        struct route_question q = {.recipient = str_n(text, n)};
        route_decide(&table, &q, &a, &answer);
        for (size_t i = 0; i < answer.target_count; i++) {
            struct str hop = answer.targets[i].next_hop;
            assert_int_equal(answer.targets[i].transport, TRANSPORT_LOCAL);
            assert_true(str_eq_c(hop, "postmaster") || str_starts(hop, STR("local.test/")));
            struct str rest = str_skip(hop, 11);
            assert_true(str_find(rest, '/') == rest.n);
        }
        assert_true(answer.status.code >= 200 && answer.status.code < 600);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_empty_table),
        cmocka_unit_test(test_never_by_accident),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
