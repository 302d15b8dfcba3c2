// SPDX-License-Identifier: ISC
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "daemon/relay/relay.h"
#include "dns/fake.h"
#include "io/stream.h"
#include "mail/reply.h"

enum { CONNECTIONS_MAX = 16, RESULTS_MAX = 64 };

/* ---- a next hop in the same loop ---- */

struct next_hop;

struct connection {
    struct next_hop *of;
    struct stream *stream;
    bool in_content;
    size_t message_count;
};

struct next_hop {
    struct loop *loop;
    int listener;
    char name[32]; /* "127.0.0.1:NNNN" */
    struct watch watch;
    struct connection connections[CONNECTIONS_MAX];
    size_t connection_count, message_count, quit_count;
    const char *greeting;
    size_t forget_after; /* messages on a connection; then MAIL gets 421. 0: never */
    bool forget_first;   /* the first connection hears it at the first MAIL */
    bool break_first;    /* the first connection hears 421 at the first RCPT */
    bool break_all;      /* every one hears it at RCPT of b@ */
    bool mute;           /* does not answer the dot */
};

static void say(struct connection *c, const char *line)
{
    if (c->stream)
        stream_write(c->stream, str_c(line));
}

static void answer(struct connection *c, struct str line)
{
    struct next_hop *h = c->of;

    bool forgets = (h->forget_after && c->message_count >= h->forget_after) ||
                   (h->forget_first && c == &h->connections[0]);

    if (str_starts(line, STR("MAIL")) && forgets) {
        say(c, "421 4.4.2 idle too long\r\n");
        stream_finish(&c->stream);
    } else if ((str_starts(line, STR("RCPT")) && h->break_first && c == &h->connections[0]) ||
               (str_starts(line, STR("RCPT TO:<b@")) && h->break_all)) {
        say(c, "421 4.3.2 going down\r\n");
        stream_finish(&c->stream);
    } else if (str_starts(line, STR("RCPT TO:<bad"))) {
        say(c, "550 5.1.1 no such user\r\n");
    } else if (str_eq_c(line, "DATA")) {
        c->in_content = true;
        say(c, "354 go\r\n");
    } else if (str_starts(line, STR("EHLO"))) {
        say(c, "250-mx\r\n250 PIPELINING\r\n");
    } else if (str_eq_c(line, "QUIT")) {
        h->quit_count++;
        say(c, "221 bye\r\n");
    } else {
        say(c, "250 ok\r\n");
    }
}

static void hop_line(struct connection *c, struct str line)
{
    if (!c->in_content) {
        answer(c, line);
        return;
    }
    if (!str_eq_c(line, "."))
        return;
    c->in_content = false;
    c->message_count++;
    c->of->message_count++;
    if (!c->of->mute)
        say(c, "250 2.0.0 taken\r\n");
}

static void hop_bytes(void *arg, struct buf *in)
{
    struct connection *c = arg;

    while (c->stream) {
        size_t end = str_find(buf_str(in), '\n');
        if (end == in->n)
            return;
        hop_line(c, str_sub(buf_str(in), 0, end - 1));
        buf_drop_front(in, end + 1);
    }
}

static void hop_end(void *arg, enum stream_end why, int error)
{
    struct connection *c = arg;
    stream_free(&c->stream);
}

static void hop_accept(void *arg, unsigned what)
{
    static const struct stream_events events = {hop_bytes, NULL, hop_end};
    struct next_hop *h = arg;
    int fd = accept4(h->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *c = &h->connections[h->connection_count++];

    assert_true(fd >= 0 && h->connection_count <= CONNECTIONS_MAX);
    *c = (struct connection){.of = h};
    assert_int_equal(stream_new(h->loop, fd, &events, c, 64 * KIB, 64 * KIB, &c->stream), 0);
    say(c, h->greeting);
}

static void hop_start(struct next_hop *h, struct loop *l)
{
    struct sock_address a[2];
    struct buf name = buf_init(sizeof h->name);

    *h = (struct next_hop){.loop = l, .greeting = "220 mx.example.net ESMTP\r\n"};
    sock_address_parse(STR("127.0.0.1:1"), a);
    ((struct sockaddr_in *)(void *)&a[0].sa)->sin_port = 0;
    assert_int_equal(listen_tcp(&a[0], &h->listener), 0);
    a[0].bytes = sizeof a[0].sa;
    getsockname(h->listener, (struct sockaddr *)&a[0].sa, &a[0].bytes);
    sock_address_print(&name, &a[0]);
    memcpy(h->name, name.p, name.n);
    buf_free(&name);
    watch_start(l, &h->watch, h->listener, WATCH_READ, hop_accept, h);
}

static void hop_stop(struct next_hop *h)
{
    watch_stop(&h->watch);
    close(h->listener);
    for (size_t i = 0; i < h->connection_count; i++)
        stream_free(&h->connections[i].stream);
}

/* ---- a queue at the other end of a channel ---- */

struct world {
    struct loop *loop;
    struct next_hop hop;
    struct dns *dns;
    struct relay relay;
    struct config *config;
    struct channel *queue_end, *relay_end;
    bool queue_end_seen_down;

    struct msg_result results[RESULTS_MAX];
    char hosts[RESULTS_MAX][64], details[RESULTS_MAX][512];
    size_t result_count, job_end_count, held_count, held_end_count, slots;
    bool stopped;
};

static void queue_message(void *arg, struct channel *c, union message *m)
{
    struct world *w = arg;

    if (m->kind == MSG_RESULT) {
        size_t i = w->result_count++;
        w->results[i] = m->result;
        memcpy(w->hosts[i], m->result.host.p, MIN_OF(m->result.host.n, 63u));
        memcpy(w->details[i], m->result.detail.p, MIN_OF(m->result.detail.n, 511u));
    }
    w->job_end_count += m->kind == MSG_JOB_END;
    w->held_count += m->kind == MSG_HELD;
    if (m->kind == MSG_HELD_END) {
        w->held_end_count++;
        assert_int_equal(w->slots, 0);
    }
    if (m->kind == MSG_SLOTS)
        w->slots += m->slots.count;
}

static void relay_message(void *arg, struct channel *c, union message *m)
{
    struct world *w = arg;

    if (m->kind == MSG_RESULTS_TAKEN)
        hold_results_taken(&w->relay.hold, m->results_taken.job);
    else
        relay_job(&w->relay, c, m);
}

static void queue_down(void *arg, struct channel *c, const char *why)
{
    struct world *w = arg;
    w->queue_end_seen_down = true;
}

static void relay_down(void *arg, struct channel *c, const char *why) {}

static void on_stopped(void *arg)
{
    struct world *w = arg;
    w->stopped = true;
}

static void queue_begins(struct world *w)
{
    static const struct channel_events queue_events = {queue_message, NULL, queue_down};
    static const struct channel_events relay_events = {relay_message, NULL, relay_down};
    int pair[2];

    assert_int_equal(channel_pair(pair), 0);
    w->queue_end = channel_new(w->loop, pair[0], QUEUE, RELAY, &queue_events, w);
    w->relay_end = channel_new(w->loop, pair[1], RELAY, QUEUE, &relay_events, w);
    hold_queue_up(&w->relay.hold, w->relay_end);
}

static void queue_dies(struct world *w)
{
    hold_queue_down(&w->relay.hold, w->relay_end);
    channel_free(&w->queue_end);
    channel_free(&w->relay_end);
    w->slots = 0;
}

/* Nobody listens on 127.0.0.3. */
static const struct dns_fake_row names[] = {
    {"hop.test", DNS_A, "127.0.0.1", false},
    {"one.test", DNS_MX, "10 mx.one.test", true},
    {"mx.one.test", DNS_A, "127.0.0.1", true},
    {"dead-first.test", DNS_MX, "10 dead.test", false},
    {"dead-first.test", DNS_MX, "20 gone.test", false},
    {"dead-first.test", DNS_MX, "30 hop.test", false},
    {"dead.test", DNS_A, "127.0.0.3", false},
    {"twice.test", DNS_MX, "10 mx.one.test", false},
    {"twice.test", DNS_MX, "20 hop.test", false},
    {"null.test", DNS_MX, "0 .", false},
    {"broken.test", DNS_MX, "SERVFAIL", false},
    {"mute.test", DNS_MX, "SILENCE", false},
    {"private.test", DNS_MX, "10 private.test", false},
    {"private.test", DNS_A, "10.0.0.1", false},
};

static int setup(void **state)
{
    struct world *w = mem_new(sizeof *w);

    assert_int_equal(loop_new(&clock_system, &w->loop), 0);
    w->config = mem_new(sizeof *w->config);
    w->config->references = 1;
    w->config->hostname = STR("me.example.org");
    hop_start(&w->hop, w->loop);
    w->dns = dns_fake_new(w->loop, names, countof(names));
    relay_init(&w->relay, w->loop, w->dns, on_stopped, w);
    pool_config(w->relay.pool, w->config);
    queue_begins(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    relay_done(&w->relay);
    dns_free(&w->dns);
    queue_dies(w);
    hop_stop(&w->hop);
    config_drop(&w->config);
    loop_turn(w->loop, false);
    loop_turn(w->loop, false);
    loop_free(&w->loop);
    free(w);
    return 0;
}

static void give_job(struct world *w, uint64_t number, const char *next_hop, const char *first,
                     const char *second)
{
    struct job_recipient list[] = {
        {.number = 3, .address = str_c(first), .next_hop = str_c(next_hop)},
        {.number = 8, .address = str_c(second), .next_hop = str_c(next_hop)}};
    struct buf recipients = buf_init(4096);
    job_recipients_encode(&recipients, list, countof(list));

    struct msg_job m = {.kind = MSG_JOB,
                        .job = number,
                        .key = 1000 + number,
                        .sender = STR("me@example.org"),
                        .next_hop = str_c(next_hop),
                        .recipients = buf_str(&recipients),
                        .prefix = STR("Received: here\r\n"),
                        .size = 11,
                        .content = STR("hi\r\n\r\nthere")};
    channel_send(w->queue_end, &m);
    buf_free(&recipients);
}

static void take_results(struct world *w, uint64_t number)
{
    struct msg_results_taken m = {.kind = MSG_RESULTS_TAKEN, .job = number};
    channel_send(w->queue_end, &m);
}

static void wait_for(struct world *w, const size_t *count, size_t until)
{
    while (*count < until)
        loop_turn(w->loop, true);
    assert_int_equal(*count, until);
}

static void quiet(struct world *w)
{
    for (size_t i = 0; i < 8; i++)
        loop_turn(w->loop, false);
}

/* ---- stories ---- */

static void sessions_are_used_again(void **state)
{
    struct world *w = *state;

    wait_for(w, &w->slots, RELAY_SLOTS_MAX);
    assert_int_equal(w->held_end_count, 1);
    for (size_t i = 1; i <= 5; i++) {
        give_job(w, i, w->hop.name, "good@example.net", "bad@example.net");
        wait_for(w, &w->job_end_count, i);
        take_results(w, i);
    }
    wait_for(w, &w->slots, RELAY_SLOTS_MAX + 5);
    assert_int_equal(w->relay.hold.job_count, 0);
    assert_int_equal(w->hop.connection_count, 1);
    assert_int_equal(w->hop.message_count, 5);
    assert_int_equal(w->result_count, 10);
    assert_int_equal(w->results[8].number, 3);
    assert_int_equal(w->results[8].key, 1005);
    assert_true(status_done(&w->results[8].status));
    assert_int_equal(w->results[9].number, 8);
    assert_true(status_never(&w->results[9].status));
    assert_false(w->results[9].next_hop_failed);
    assert_string_equal(w->hosts[9], w->hop.name);
    assert_non_null(strstr(w->details[0], "reused=0"));
    assert_non_null(strstr(w->details[9], "reused=1"));
}

static void jobs_at_the_same_time_have_their_own_sessions(void **state)
{
    struct world *w = *state;

    for (size_t i = 1; i <= 4; i++)
        give_job(w, i, w->hop.name, "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 4);
    assert_int_equal(w->hop.connection_count, 4);
    assert_int_equal(w->result_count, 8);
}

static void a_session_that_ran_out_is_replaced(void **state)
{
    struct world *w = *state;

    w->hop.forget_after = 1;
    for (size_t i = 1; i <= 3; i++) {
        give_job(w, i, w->hop.name, "a@example.net", "b@example.net");
        wait_for(w, &w->job_end_count, i);
        take_results(w, i);
    }
    assert_int_equal(w->hop.connection_count, 3);
    for (size_t i = 0; i < 6; i++)
        assert_true(status_done(&w->results[i].status));
}

static void a_dead_next_hop_is_told_apart(void **state)
{
    struct world *w = *state;

    watch_stop(&w->hop.watch);
    close(w->hop.listener);
    w->hop.listener = -1;
    give_job(w, 1, w->hop.name, "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1);
    assert_int_equal(w->result_count, 2);
    assert_true(status_try_later(&w->results[0].status));
    assert_true(w->results[1].next_hop_failed);
    give_job(w, 2, "no-address:25", "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 2);
    assert_true(status_try_later(&w->results[2].status));
}

/* DNS names no ports: the next hop of the test has one of its own. */
static void by_dns(struct world *w)
{
    w->config->private_next_hops = true;
    assert_true(str_u64(str_c(strchr(w->hop.name, ':') + 1), &w->config->dns.smtp_port));
}

static void servers_are_found_by_dns(void **state)
{
    static const char *const next_hops[] = {"@one.test", "@hop.test", "@dead-first.test",
                                            "@[127.0.0.1]"};
    struct world *w = *state;
    char host[100];

    by_dns(w);
    for (size_t i = 0; i < countof(next_hops); i++) {
        give_job(w, i + 1, next_hops[i], "a@example.net", "bad@example.net");
        wait_for(w, &w->job_end_count, i + 1);
        assert_true(status_done(&w->results[2 * i].status));
        assert_true(status_never(&w->results[2 * i + 1].status));
    }
    snprintf(host, sizeof host, "mx.one.test (%s)", w->hop.name);
    assert_string_equal(w->hosts[0], host);
    assert_non_null(strstr(w->details[0], "dnssec=1"));
    assert_null(strstr(w->details[2], "dnssec"));
    snprintf(host, sizeof host, "hop.test (%s)", w->hop.name);
    assert_string_equal(w->hosts[2], host);
    assert_string_equal(w->hosts[4], host);
    assert_non_null(strstr(w->details[4], "dead.test (127.0.0.3:"));
    assert_non_null(strstr(w->details[4], "Connection refused; gone.test has no address"));
    assert_string_equal(w->hosts[6], w->hop.name);
}

static void a_host_given_by_name_is_looked_up(void **state)
{
    struct world *w = *state;
    char name[64];

    (void)snprintf(name, sizeof name, "hop.test%s", strchr(w->hop.name, ':'));
    for (size_t i = 1; i <= 3; i++) {
        give_job(w, i, name, "a@example.net", "b@example.net");
        wait_for(w, &w->job_end_count, i);
        take_results(w, i);
        assert_true(status_done(&w->results[2 * i - 1].status));
    }
    assert_int_equal(w->hop.connection_count, 1);
}

static void dns_says_later_and_never(void **state)
{
    static const struct {
        const char *next_hop;
        uint16_t code;
        bool next_hop_failed;
        const char *text;
    } cases[] = {
        {"@none.test", 550, false, "no such domain: none.test"},
        {"@null.test", 556, false, "null.test takes no mail"},
        {"@broken.test", 451, true, "cannot look up broken.test"},
        {"@private.test", 550, false, "no server takes mail for private.test"},
        {"@[10.0.0.1]", 550, false, "no server takes mail for [10.0.0.1]"},
        {"none.test:25", 451, true, "cannot look up none.test:25"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < countof(cases); i++) {
        give_job(w, i + 1, cases[i].next_hop, "a@example.net", "b@example.net");
        wait_for(w, &w->job_end_count, i + 1);
        const struct msg_result *r = &w->results[2 * i];
        if (r->status.code != cases[i].code || r->next_hop_failed != cases[i].next_hop_failed ||
            strcmp(r->status.text, cases[i].text) != 0)
            fail_msg("%s: %u %s", cases[i].next_hop, r->status.code, r->status.text);
        assert_string_equal(w->hosts[2 * i], "");
    }
    assert_int_equal(w->hop.connection_count, 0);
}

/* A server that says 421 to MAIL has not answered to the message: the next one is asked. */
static void the_next_server_is_asked_when_one_breaks_off(void **state)
{
    struct world *w = *state;

    by_dns(w);
    w->hop.forget_first = true;
    give_job(w, 1, "@twice.test", "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1);
    assert_true(status_done(&w->results[0].status));
    assert_true(status_done(&w->results[1].status));
    assert_int_equal(w->hop.connection_count, 2);
    assert_non_null(strstr(w->details[0], "idle too long"));
}

static void the_next_server_is_asked_when_one_says_421_at_rcpt(void **state)
{
    struct world *w = *state;

    by_dns(w);
    w->hop.break_first = true;
    give_job(w, 1, "@twice.test", "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1);
    assert_true(status_done(&w->results[0].status));
    assert_true(status_done(&w->results[1].status));
    assert_non_null(strstr(w->details[0], "going down"));

    /* One of the two was refused before: that stands, the other one waits. */
    take_results(w, 1);
    w->hop.break_all = true;
    give_job(w, 2, "@one.test", "bad@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 2);
    assert_true(status_never(&w->results[2].status));
    assert_true(status_try_later(&w->results[3].status));
}

static void stopping_waits_for_names(void **state)
{
    struct world *w = *state;

    give_job(w, 1, "@mute.test", "a@example.net", "b@example.net");
    quiet(w);
    relay_stop(&w->relay);
    quiet(w);
    assert_false(w->stopped); /* and its end finds a question under way */
}

static void check_loop(struct world *w, const char *next_hop)
{
    give_job(w, 1, next_hop, "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1);
    assert_int_equal(w->results[0].status.class, 4);
    assert_int_equal(w->results[0].status.subject, 4);
    assert_int_equal(w->results[0].status.detail, 6);
    assert_true(w->results[1].next_hop_failed);
    assert_int_equal(w->hop.message_count, 0);
}

static void nothing_goes_to_our_own_listeners(void **state)
{
    struct world *w = *state;
    struct str address = str_c(w->hop.name);
    struct config_listen listen = {.name = STR("smtp"), .addresses = &address, .address_count = 1};

    w->config->listens = &listen;
    w->config->listen_count = 1;
    check_loop(w, w->hop.name);
    assert_int_equal(w->hop.connection_count, 0);
    w->config->listen_count = 0;
}

static void our_own_greeting_is_recognised(void **state)
{
    struct world *w = *state;

    w->hop.greeting = "220 me.example.org ESMTP Troika\r\n";
    check_loop(w, w->hop.name);
    assert_int_equal(w->hop.connection_count, 1);
}

static void localhost_is_the_loopback(void **state)
{
    struct world *w = *state;
    char name[64];

    (void)snprintf(name, sizeof name, "localhost%s", strchr(w->hop.name, ':'));
    give_job(w, 1, name, "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1);
    assert_true(status_done(&w->results[0].status));
}

static void a_new_queue_is_told_what_is_held(void **state)
{
    struct world *w = *state;

    wait_for(w, &w->slots, RELAY_SLOTS_MAX);
    give_job(w, 1, w->hop.name, "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1); /* not confirmed */
    w->hop.mute = true;
    give_job(w, 2, w->hop.name, "a@example.net", "b@example.net");
    wait_for(w, &w->hop.message_count, 2); /* under way */
    queue_dies(w);
    queue_begins(w);
    wait_for(w, &w->slots, RELAY_SLOTS_MAX - 2);
    assert_int_equal(w->held_count, 2);
    assert_int_equal(w->held_end_count, 2);
    assert_int_equal(w->job_end_count, 2); /* job 1 again */
    say(&w->hop.connections[0], "250 taken\r\n");
    wait_for(w, &w->job_end_count, 3);
    assert_int_equal(w->result_count, 2 + 2 + 2);
    take_results(w, 1);
    take_results(w, 2);
    take_results(w, 77); /* of nobody */
    wait_for(w, &w->slots, RELAY_SLOTS_MAX);
}

static void stopping_lets_deliveries_end(void **state)
{
    struct world *w = *state;

    w->hop.mute = true;
    give_job(w, 1, w->hop.name, "a@example.net", "b@example.net");
    wait_for(w, &w->hop.message_count, 1);
    relay_stop(&w->relay);
    quiet(w);
    assert_false(w->stopped);
    say(&w->hop.connections[0], "250 taken\r\n");
    wait_for(w, &w->job_end_count, 1);
    assert_true(w->stopped);
    wait_for(w, &w->hop.quit_count, 1);
}

static void stopping_with_nothing_to_do_is_at_once(void **state)
{
    struct world *w = *state;

    give_job(w, 1, w->hop.name, "a@example.net", "b@example.net");
    wait_for(w, &w->job_end_count, 1);
    relay_stop(&w->relay);
    assert_true(w->stopped);
    wait_for(w, &w->hop.quit_count, 1);
}

static void a_queue_that_breaks_the_contract_is_dropped(void **state)
{
    struct world *w = *state;
    struct msg_job m = {.kind = MSG_JOB, .job = 1, .recipients = STR("nonsense")};

    channel_send(w->queue_end, &m);
    quiet(w);
    assert_int_equal(w->relay.hold.job_count, 0);
    assert_int_equal(w->result_count, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(sessions_are_used_again),
        STORY(jobs_at_the_same_time_have_their_own_sessions),
        STORY(a_session_that_ran_out_is_replaced),
        STORY(a_dead_next_hop_is_told_apart),
        STORY(nothing_goes_to_our_own_listeners),
        STORY(our_own_greeting_is_recognised),
        STORY(localhost_is_the_loopback),
        STORY(servers_are_found_by_dns),
        STORY(a_host_given_by_name_is_looked_up),
        STORY(dns_says_later_and_never),
        STORY(the_next_server_is_asked_when_one_breaks_off),
        STORY(the_next_server_is_asked_when_one_says_421_at_rcpt),
        STORY(stopping_waits_for_names),
        STORY(a_new_queue_is_told_what_is_held),
        STORY(stopping_lets_deliveries_end),
        STORY(stopping_with_nothing_to_do_is_at_once),
        STORY(a_queue_that_breaks_the_contract_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
