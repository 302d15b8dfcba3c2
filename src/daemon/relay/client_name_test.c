/* Questions of an smtpd over its channel, answered out of the resolver for tests. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "daemon/relay/client_name.h"
#include "dns/fake.h"

struct asker { /* an smtpd */
    struct channel *channel;
    size_t count;
    uint64_t ticket; /* of the last answer */
    char name[300], why[300];
};

struct world {
    struct loop *loop;
    struct dns *dns;
    struct client_names names;
    struct channel *smtpd; /* our end */
    struct asker asker;
    bool broken;
};

static const struct dns_fake_row rows[] = {
    {"1.2.0.192.in-addr.arpa", DNS_PTR, "mail.client.test", false},
    {"mail.client.test", DNS_A, "192.0.2.1", false},
    {"2.2.0.192.in-addr.arpa", DNS_PTR, "SILENCE", false},
};

static void on_answer(void *arg, struct channel *c, union message *m)
{
    struct asker *a = arg;

    assert_int_equal(m->kind, MSG_NAME_ANSWER);
    a->count++;
    a->ticket = m->name_answer.ticket;
    snprintf(a->name, sizeof a->name, "%.*s", STR_ARG(m->name_answer.name));
    snprintf(a->why, sizeof a->why, "%.*s", STR_ARG(m->name_answer.why));
}

static void on_asker_down(void *arg, struct channel *c, const char *why) {}

static void on_question(void *arg, struct channel *c, union message *m)
{
    struct world *w = arg;

    assert_int_equal(m->kind, MSG_NAME_ASK);
    client_names_ask(&w->names, c, &m->name_ask);
}

static void on_down(void *arg, struct channel *c, const char *why)
{
    struct world *w = arg;

    client_names_lose(&w->names, c);
    w->broken = true;
}

static const struct channel_events asker_events = {on_answer, NULL, on_asker_down};
static const struct channel_events events = {on_question, NULL, on_down};

static int setup(void **state)
{
    static struct world w;
    int sockets[2];

    w = (struct world){0};
    assert_int_equal(loop_new(&clock_system, &w.loop), 0);
    assert_int_equal(channel_pair(sockets), 0);
    w.dns = dns_fake_new(w.loop, rows, countof(rows));
    client_names_init(&w.names, w.dns);
    w.smtpd = channel_new(w.loop, sockets[0], RELAY, SMTPD, &events, &w);
    w.asker.channel = channel_new(w.loop, sockets[1], SMTPD, RELAY, &asker_events, &w.asker);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    client_names_lose(&w->names, w->smtpd);
    assert_int_equal(w->names.count, 0);
    channel_free(&w->smtpd);
    channel_free(&w->asker.channel);
    dns_free(&w->dns);
    loop_free(&w->loop);
    return 0;
}

static void ask(struct world *w, uint64_t ticket, const char *address)
{
    channel_send(
        w->asker.channel,
        &(struct msg_name_ask){.kind = MSG_NAME_ASK, .ticket = ticket, .address = str_c(address)});
}

static void wait_answers(struct world *w, size_t count)
{
    while (w->asker.count < count)
        loop_turn(w->loop, true);
}

static void test_answers(void **state)
{
    struct world *w = *state;

    ask(w, 7, "192.0.2.1");
    wait_answers(w, 1);
    assert_true(w->asker.ticket == 7);
    assert_string_equal(w->asker.name, "mail.client.test");
    assert_string_equal(w->asker.why, "");
    ask(w, 8, "2001:db8::1");
    wait_answers(w, 2);
    assert_true(w->asker.ticket == 8);
    assert_string_equal(w->asker.name, "");
    assert_string_equal(w->asker.why, "the address has no name");
    assert_int_equal(w->names.count, 0);
}

static void test_there_is_a_limit(void **state)
{
    struct world *w = *state;

    for (uint64_t i = 1; i <= CLIENT_NAMES_MAX + 1; i++)
        ask(w, i, "192.0.2.2");
    wait_answers(w, 1);
    assert_true(w->asker.ticket == CLIENT_NAMES_MAX + 1);
    assert_string_equal(w->asker.why, "its name cannot be looked up now");
    assert_int_equal(w->names.count, CLIENT_NAMES_MAX);
}

static void test_rubbish_ends_the_channel(void **state)
{
    static const char *const rubbish[] = {"", "mail.test", "192.0.2.0/24", "192.0.2.1\n", "::1/64"};

    for (size_t i = 0; i < countof(rubbish); i++) {
        assert_int_equal(setup(state), 0);
        struct world *w = *state;

        ask(w, 1, rubbish[i]);
        while (!w->broken)
            loop_turn(w->loop, true);
        assert_int_equal(w->asker.count, 0);
        teardown(state);
    }
}

static void test_the_asker_dies(void **state)
{
    struct world *w = *state;

    ask(w, 1, "192.0.2.2");
    while (w->names.count == 0)
        loop_turn(w->loop, true);
    channel_free(&w->asker.channel);
    while (!w->broken)
        loop_turn(w->loop, true);
    assert_int_equal(w->names.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_there_is_a_limit, setup, teardown),
        cmocka_unit_test(test_rubbish_ends_the_channel),
        cmocka_unit_test_setup_teardown(test_the_asker_dies, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
