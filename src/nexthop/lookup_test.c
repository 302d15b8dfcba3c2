/* Which servers a next hop means, in which order, and why there is none. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/parse.h"
#include "dns/fake.h"
#include "nexthop/lookup.h"

static const struct dns_fake_row rows[] = {
    /* by preference; IPv6 and IPv4 in turn */
    {"pref.test", DNS_MX, "30 c.test", false},
    {"pref.test", DNS_MX, "10 a.test", false},
    {"pref.test", DNS_MX, "20 b.test", false},
    {"a.test", DNS_A, "203.0.113.1", false},
    {"a.test", DNS_A, "203.0.113.2", false},
    {"a.test", DNS_A, "203.0.113.3", false},
    {"a.test", DNS_AAAA, "2001:db8::1", false},
    {"a.test", DNS_AAAA, "2001:db8::2", false},
    {"b.test", DNS_A, "203.0.113.4", false},
    {"c.test", DNS_AAAA, "2001:db8::5", false},
    /* equals */
    {"equal.test", DNS_MX, "10 b.test", false},
    {"equal.test", DNS_MX, "10 c.test", false},
    {"equal.test", DNS_MX, "20 d.test", false},
    {"d.test", DNS_A, "203.0.113.6", false},
    /* no MX, a CNAME, a null MX, and one among others */
    {"plain.test", DNS_A, "203.0.113.7", false},
    {"alias.test", DNS_CNAME, "pref.test", false},
    {"null.test", DNS_MX, "0 .", false},
    {"halfnull.test", DNS_MX, "0 .", false},
    {"halfnull.test", DNS_MX, "10 b.test", false},
    {"toalias.test", DNS_MX, "10 aliasb.test", false},
    {"aliasb.test", DNS_CNAME, "b.test", false},
    /* trouble */
    {"broken.test", DNS_MX, "SERVFAIL", false},
    {"bogus.test", DNS_MX, "BOGUS", true},
    {"half.test", DNS_MX, "10 brokenhost.test", false},
    {"half.test", DNS_MX, "20 b.test", false},
    {"brokenhost.test", DNS_A, "SERVFAIL", false},
    {"later.test", DNS_MX, "10 brokenhost.test", false},
    {"later.test", DNS_MX, "20 gone.test", false},
    {"onefamily.test", DNS_AAAA, "SERVFAIL", false},
    {"onefamily.test", DNS_A, "203.0.113.8", false},
    {"gone.test", DNS_PTR, "x.test", false},
    {"nohost.test", DNS_MX, "10 gone.test", false},
    {"nohost.test", DNS_MX, "20 none.test", false},
    /* this server */
    {"own.test", DNS_MX, "10 b.test", false},
    {"own.test", DNS_MX, "20 me.example.org", false},
    {"own.test", DNS_MX, "20 c.test", false},
    {"own.test", DNS_MX, "30 d.test", false},
    {"ownlater.test", DNS_MX, "10 brokenhost.test", false},
    {"ownlater.test", DNS_MX, "20 me.example.org", false},
    {"onlyown.test", DNS_MX, "10 ME.example.org", false},
    {"onlyown.test", DNS_MX, "20 d.test", false},
    {"me.example.org", DNS_A, "203.0.113.9", false},
    {"ownip.test", DNS_MX, "10 b.test", false},
    {"ownip.test", DNS_MX, "20 here.test", false},
    {"ownip.test", DNS_MX, "20 c.test", false},
    {"ownip.test", DNS_MX, "30 d.test", false},
    {"here.test", DNS_A, "192.0.2.7", false},
    {"here.test", DNS_A, "203.0.113.10", false},
    /* where a stranger may not send us */
    {"inner.test", DNS_MX, "10 inner1.test", false},
    {"inner.test", DNS_MX, "20 b.test", false},
    {"inner1.test", DNS_A, "10.0.0.1", false},
    {"inner1.test", DNS_A, "127.0.0.1", false},
    {"inner1.test", DNS_AAAA, "::ffff:192.168.1.1", false},
    {"onlyinner.test", DNS_A, "127.0.0.2", false},
    /* signed */
    {"signed.test", DNS_MX, "10 signedhost.test", true},
    {"signedhost.test", DNS_A, "203.0.113.11", true},
    {"signedhost.test", DNS_AAAA, "2001:db8::b", false},
    /* very many */
    {"many.test", DNS_A, "203.0.113.1", false},
    {"many.test", DNS_A, "203.0.113.2", false},
    {"many.test", DNS_A, "203.0.113.3", false},
    {"many.test", DNS_A, "203.0.113.4", false},
    {"many.test", DNS_A, "203.0.113.5", false},
    {"many.test", DNS_A, "203.0.113.6", false},
    {"many.test", DNS_A, "203.0.113.7", false},
    {"many.test", DNS_A, "203.0.113.8", false},
    {"many.test", DNS_A, "203.0.113.9", false},
    {"crowd.test", DNS_MX, "10 many.test", false},
    {"crowd.test", DNS_MX, "10 many.test", false},
};

struct world {
    struct loop *loop;
    struct dns *dns;
    struct own own;
    struct config *config;
    struct str addresses[1];
    struct config_listen listen;
};

static int setup(void **state)
{
    struct world *w = mem_new(sizeof *w);

    assert_int_equal(loop_new(&clock_system, &w->loop), 0);
    w->dns = dns_fake_new(w->loop, rows, countof(rows));
    w->own.count = 1;
    memcpy(w->own.addresses[0], "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07", 16);
    w->config = config_new();
    w->config->hostname = STR("me.example.org");
    w->config->dns.smtp_port = 25;
    w->addresses[0] = STR("127.0.0.1:2525");
    w->listen = (struct config_listen){.addresses = w->addresses, .address_count = 1};
    w->config->listens = &w->listen;
    w->config->listen_count = 1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    dns_free(&w->dns);
    config_drop(&w->config);
    loop_free(&w->loop);
    free(w);
    return 0;
}

struct found {
    struct buf text; /* of all servers, each with what is special about it; then why no more */
    bool called, ended, next_hop_failed;
    bool free_in_call;
    struct lookup *lookup;
};

static void on_server(void *arg, const struct lookup_server *s, const struct status *st,
                      bool next_hop_failed)
{
    struct found *f = arg;

    f->called = true;
    if (s) {
        sock_address_print(&f->text, &s->address);
        buf_add_c(&f->text, s->secure ? "+" : "");
        buf_add_c(&f->text, s->last ? "! " : " ");
    } else {
        f->ended = true;
        f->next_hop_failed = next_hop_failed;
        buf_printf(&f->text, "%u.%u.%u", st->class, st->subject, st->detail);
    }
    if (f->free_in_call)
        lookup_free(&f->lookup);
}

static struct lookup_world world_of(const struct world *w)
{
    return (struct lookup_world){.dns = w->dns,
                                 .own = &w->own,
                                 .config = w->config,
                                 .private_too = w->config->private_next_hops,
                                 .smtp_port = (uint16_t)w->config->dns.smtp_port};
}

static void look_up(struct world *w, const char *next_hop, struct found *f, struct buf *notes)
{
    struct lookup_world world = world_of(w);

    f->lookup = lookup_new(&world, str_c(next_hop), notes, on_server, f);
    while (!f->ended) {
        f->called = false;
        lookup_next(f->lookup);
        while (!f->called)
            loop_turn(w->loop, true);
    }
    lookup_free(&f->lookup);
}

#define A1 "[2001:db8::1]:25 203.0.113.1:25 [2001:db8::2]:25 203.0.113.2:25 203.0.113.3:25 "

static const struct {
    const char *next_hop, *servers;
    bool private_next_hops;
} cases[] = {
    {"@pref.test", A1 "203.0.113.4:25 [2001:db8::5]:25! 5.4.4", false},
    {"@PREF.test", A1 "203.0.113.4:25 [2001:db8::5]:25! 5.4.4", false},
    {"@alias.test", A1 "203.0.113.4:25 [2001:db8::5]:25! 5.4.4", false},
    {"@plain.test", "203.0.113.7:25! 5.4.4", false},
    {"@halfnull.test", "203.0.113.4:25! 5.4.4", false},
    {"@toalias.test", "203.0.113.4:25! 5.4.4", false},
    {"@null.test", "5.1.10", false},
    {"@none.test", "5.1.2", false},
    {"@nohost.test", "5.4.4", false},
    {"@gone.test", "5.4.4", false},
    {"@broken.test", "4.4.3", false},
    {"@bogus.test", "4.4.3", false},
    {"@half.test", "203.0.113.4:25! 4.4.3", false},
    {"@later.test", "4.4.3", false},
    {"@onefamily.test", "203.0.113.8:25! 5.4.4", false},
    {"@own.test", "203.0.113.4:25! 5.4.6", false},
    {"@onlyown.test", "5.4.6", false},
    {"@ownlater.test", "4.4.3", false},
    {"@me.example.org", "5.4.6", false},
    {"@ownip.test", "203.0.113.4:25 5.4.6", false},
    {"@here.test", "5.4.6", false},
    {"@here.test", "192.0.2.7:25 203.0.113.10:25! 5.4.4", true}, /* no listener there */
    {"@inner.test", "203.0.113.4:25! 5.4.4", false},
    {"@inner.test", "192.168.1.1:25 10.0.0.1:25 127.0.0.1:25 203.0.113.4:25! 5.4.4", true},
    {"@onlyinner.test", "5.4.4", false},
    {"@onlyinner.test", "127.0.0.2:25! 5.4.4", true},
    {"@signed.test", "[2001:db8::b]:25 203.0.113.11:25+! 5.4.4", false},
    {"@[203.0.113.1]", "203.0.113.1:25! 5.4.4", false},
    {"@[IPv6:2001:DB8::1]", "[2001:db8::1]:25! 5.4.4", false},
    {"@[127.0.0.5]", "5.4.4", false},
    {"@[127.0.0.5]", "127.0.0.5:25! 5.4.4", true},
    {"@[192.0.2.7]", "5.4.6", false},
    {"@[x:y]", "5.4.4", false},
    /* what the configuration says may be private, but not ourselves */
    {"203.0.113.1:26", "203.0.113.1:26! 4.4.1", false},
    {"10.0.0.1:25", "10.0.0.1:25! 4.4.1", false},
    {"[2001:db8::1]:465", "[2001:db8::1]:465! 4.4.1", false},
    {"localhost:26", "127.0.0.1:26 [::1]:26! 4.4.1", false},
    {"b.test:26", "203.0.113.4:26! 4.4.3", false},
    {"a.test:25",
     "[2001:db8::1]:25 203.0.113.1:25 [2001:db8::2]:25 203.0.113.2:25 "
     "203.0.113.3:25! 4.4.3",
     false},
    {"pref.test:25", "4.4.3", false}, /* MX do not count */
    {"onlyinner.test:25", "127.0.0.2:25! 4.4.3", false},
    {"none.test:25", "4.4.3", false},
    {"brokenhost.test:25", "4.4.3", false},
    {"inner1.test:2525", "4.4.6", false},
    {"127.0.0.1:2525", "4.4.6", false},
    {"localhost:2525", "4.4.6", false},
    {"b.test", "4.4.1", false},
    {"b.test:0", "4.4.1", false},
    {"b.test:65536", "4.4.1", false},
    {":25", "4.4.3", false},
    {"", "4.4.1", false},
    {"@", "5.1.2", false},
    {"@[]", "5.4.4", false},
    {"@[", "5.4.4", false},
    {"@a b.test", "5.1.2", false},
};

static void servers_in_order(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < countof(cases); i++) {
        struct found f = {.text = buf_init(2 * KIB)};
        struct buf notes = buf_init(2 * KIB);

        w->config->private_next_hops = cases[i].private_next_hops;
        look_up(w, cases[i].next_hop, &f, &notes);
        if (!str_eq_c(buf_str(&f.text), cases[i].servers))
            fail_msg("%s: got %s (%s)", cases[i].next_hop, buf_c(&f.text), buf_c(&notes));
        bool later = f.text.p[str_find_last(buf_str(&f.text), ' ') == f.text.n
                                  ? 0
                                  : str_find_last(buf_str(&f.text), ' ') + 1] == '4';
        assert_int_equal(f.next_hop_failed, later);
        buf_free(&f.text);
        buf_free(&notes);
    }
}

static void equals_are_shuffled(void **state)
{
    static const char *const orders[] = {
        "203.0.113.4:25 [2001:db8::5]:25 203.0.113.6:25! 5.4.4",
        "[2001:db8::5]:25 203.0.113.4:25 203.0.113.6:25! 5.4.4",
    };
    struct world *w = *state;
    size_t seen[2] = {0};

    for (size_t i = 0; i < 200; i++) {
        struct found f = {.text = buf_init(2 * KIB)};
        struct buf notes = buf_init(2 * KIB);
        size_t which = 0;

        look_up(w, "@equal.test", &f, &notes);
        while (which < 2 && !str_eq_c(buf_str(&f.text), orders[which]))
            which++;
        assert_true(which < 2);
        seen[which]++;
        buf_free(&f.text);
        buf_free(&notes);
    }
    assert_true(seen[0] > 20 && seen[1] > 20);
}

static void notes_say_what_was_left_out(void **state)
{
    static const struct {
        const char *next_hop, *notes;
    } told[] = {
        {"@inner.test", "inner1.test 192.168.1.1 is no public address; inner1.test 10.0.0.1 is no "
                        "public address; inner1.test 127.0.0.1 is no public address"},
        {"@nohost.test", "gone.test has no address; none.test has no address"},
        {"@broken.test", "MX the name servers do not answer properly"},
        {"@half.test",
         "brokenhost.test cannot be looked up: the name servers do not answer properly"},
        {"@pref.test", ""},
    };
    struct world *w = *state;

    for (size_t i = 0; i < countof(told); i++) {
        struct found f = {.text = buf_init(2 * KIB)};
        struct buf notes = buf_init(2 * KIB);

        look_up(w, told[i].next_hop, &f, &notes);
        assert_string_equal(buf_c(&notes), told[i].notes);
        buf_free(&f.text);
        buf_free(&notes);
    }
}

static void tries_are_bounded(void **state)
{
    struct world *w = *state;
    struct found f = {.text = buf_init(2 * KIB)};
    struct buf notes = buf_init(2 * KIB);
    size_t count = 0;

    look_up(w, "@crowd.test", &f, &notes);
    for (size_t i = 0; i < f.text.n; i++)
        count += f.text.p[i] == ' ';
    assert_int_equal(count, LOOKUP_TRIES_MAX);
    assert_true(str_ends(buf_str(&f.text), STR("! 5.4.4")));
    buf_free(&f.text);
    buf_free(&notes);
}

/* Freed while it asks, and out of its own call. */
static void a_lookup_ends_at_any_time(void **state)
{
    static const char *const next_hops[] = {"@pref.test", "@none.test",  "@half.test",
                                            "b.test:25",  "10.0.0.1:25", "@[10.0.0.1]"};
    struct world *w = *state;
    struct lookup_world world = world_of(w);

    for (size_t i = 0; i < countof(next_hops); i++) {
        for (size_t turns = 0; turns < 6; turns++) {
            struct found f = {.text = buf_init(2 * KIB), .free_in_call = true};
            struct buf notes = buf_init(2 * KIB);

            f.lookup = lookup_new(&world, str_c(next_hops[i]), &notes, on_server, &f);
            lookup_next(f.lookup);
            for (size_t k = 0; k < turns; k++)
                loop_turn(w->loop, false);
            lookup_free(&f.lookup);
            buf_free(&f.text);
            buf_free(&notes);
        }
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(servers_in_order),
        STORY(equals_are_shuffled),
        STORY(notes_say_what_was_left_out),
        STORY(tries_are_bounded),
        STORY(a_lookup_ends_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
