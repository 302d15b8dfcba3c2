/* Questions to the resolver for tests, and to libunbound behind a name server in this loop. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/fake.h"
#include "io/socket.h"

struct fake_clock {
    struct clock clock;
    uint64_t monotonic_us;
};

static uint64_t fake_now(const struct clock *c)
{
    return 0;
}

static uint64_t fake_monotonic(const struct clock *c)
{
    return ((const struct fake_clock *)(const void *)c)->monotonic_us;
}

struct asked {
    struct dns_question question;
    size_t answer_count;
    enum dns_outcome outcome;
    enum dns_security security;
    size_t count;
    size_t cname_count;
    char names[200], why[100], canonical[100];
    struct dns *again; /* asks once more out of the answer */
};

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct asked *k = arg;
    size_t n = 0;

    k->answer_count++;
    k->outcome = answer->outcome;
    k->security = answer->security;
    k->count = answer->count;
    for (size_t i = 0; i < answer->count; i++)
        n += (size_t)snprintf(k->names + n, sizeof k->names - n, "%u %.*s%.*s ",
                              answer->records[i].preference, STR_ARG(answer->records[i].name),
                              STR_ARG(answer->records[i].bytes));
    k->cname_count = answer->cname_count;
    snprintf(k->canonical, sizeof k->canonical, "%.*s", STR_ARG(answer->canonical));
    snprintf(k->why, sizeof k->why, "%s", answer->why);
    if (k->again) {
        struct dns *d = k->again;
        k->again = NULL;
        dns_ask(d, &k->question, STR("one.test"), DNS_A, on_answer, k);
    }
}

static const struct dns_fake_row rows[] = {
    {"one.test", DNS_A, "192.0.2.1", true},   {"one.test", DNS_MX, "20 b.test", true},
    {"one.test", DNS_MX, "10 A.test", true},  {"alias.test", DNS_CNAME, "one.test", false},
    {"null.test", DNS_MX, "0 .", false},      {"broken.test", DNS_MX, "SERVFAIL", false},
    {"bogus.test", DNS_MX, "BOGUS", false},   {"mute.test", DNS_MX, "SILENCE", false},
    {"one.test", DNS_TXT, "v=x y", false},    {"_x._tcp.one.test", DNS_SRV, "1 2 465 b.test", true},
    {"one.test", DNS_TLSA, "3 1 1 41", true},
};

static void test_fake(void **state)
{
    static const struct {
        const char *name;
        enum dns_type type;
        enum dns_outcome outcome;
        enum dns_security security;
        size_t count;
        const char *names;
    } cases[] = {
        {"one.test", DNS_A, DNS_FOUND, DNS_SECURE, 1, "0  "},
        {"one.test", DNS_MX, DNS_FOUND, DNS_SECURE, 2, "20 b.test 10 a.test "},
        {"ONE.test.", DNS_AAAA, DNS_NO_DATA, DNS_INSECURE, 0, ""},
        {"alias.test", DNS_MX, DNS_FOUND, DNS_INSECURE, 2, "20 b.test 10 a.test "},
        {"one.test", DNS_TXT, DNS_FOUND, DNS_INSECURE, 1, "0 v=x y "},
        {"one.test", DNS_TLSA, DNS_FOUND, DNS_SECURE, 1, "0 A "},
        {"_x._tcp.one.test", DNS_SRV, DNS_FOUND, DNS_SECURE, 1, "1 b.test "},
        {"null.test", DNS_MX, DNS_FOUND, DNS_INSECURE, 1, "0  "},
        {"none.test", DNS_MX, DNS_NO_NAME, DNS_INSECURE, 0, ""},
        {"a..test", DNS_MX, DNS_NO_NAME, DNS_INSECURE, 0, ""},
        {"broken.test", DNS_MX, DNS_LATER, DNS_INSECURE, 0, ""},
        {"bogus.test", DNS_MX, DNS_LATER, DNS_BOGUS, 0, ""},
    };
    struct loop *l = NULL;

    (void)state;
    assert_int_equal(loop_new(&clock_system, &l), 0);
    struct dns *d = dns_fake_new(l, rows, countof(rows));
    for (size_t i = 0; i < countof(cases); i++) {
        struct asked k = {0};
        dns_ask(d, &k.question, str_c(cases[i].name), cases[i].type, on_answer, &k);
        assert_int_equal(k.answer_count, 0); /* never from within */
        while (k.answer_count == 0)
            loop_turn(l, true);
        if (k.outcome != cases[i].outcome || k.security != cases[i].security ||
            k.count != cases[i].count || strcmp(k.names, cases[i].names) != 0)
            fail_msg("%s: outcome %d, security %d, %zu: %s", cases[i].name, k.outcome, k.security,
                     k.count, k.names);
        assert_true((k.outcome == DNS_LATER) == (k.why[0] != '\0'));
        bool alias = strcmp(cases[i].name, "alias.test") == 0;
        assert_int_equal(k.cname_count, alias ? 1 : 0);
        if (alias)
            assert_string_equal(k.canonical, "one.test");
    }
    dns_free(&d);
    loop_free(&l);
}

static void test_time_and_cancelling(void **state)
{
    struct fake_clock clock = {.clock = {fake_now, fake_monotonic}, .monotonic_us = 1};
    struct asked mute = {0}, gone = {0}, answered = {0}, twice = {0};
    struct loop *l = NULL;

    (void)state;
    assert_int_equal(loop_new(&clock.clock, &l), 0);
    struct dns *d = dns_fake_new(l, rows, countof(rows));
    dns_ask(d, &mute.question, STR("mute.test"), DNS_MX, on_answer, &mute);
    dns_ask(d, &gone.question, STR("mute.test"), DNS_MX, on_answer, &gone);
    dns_ask(d, &answered.question, STR("one.test"), DNS_MX, on_answer, &answered);
    dns_cancel(&gone.question);
    dns_cancel(&gone.question);
    dns_cancel(&answered.question); /* its answer was on its way already */
    twice.again = d;
    dns_ask(d, &twice.question, STR("none.test"), DNS_A, on_answer, &twice);
    for (size_t i = 0; i < 5; i++)
        loop_turn(l, false);
    assert_int_equal(twice.answer_count, 2);
    assert_int_equal(twice.outcome, DNS_FOUND);
    assert_int_equal(mute.answer_count + gone.answer_count + answered.answer_count, 0);
    clock.monotonic_us += DNS_ANSWER_S * US_PER_S;
    loop_turn(l, false);
    assert_int_equal(mute.answer_count, 1);
    assert_int_equal(mute.outcome, DNS_LATER);
    assert_string_equal(mute.why, "no answer in time");
    dns_cancel(&mute.question);
    dns_free(&d);
    loop_free(&l);
}

/* ---- a name server in the same loop ---- */

struct server {
    int fd;
    char name[40]; /* "127.0.0.1@NNNN" */
    struct watch watch;
    size_t question_count;
};

/* An MX for what begins with "one", SERVFAIL for "broken", silence for "mute", else no name. */
static void server_read(void *arg, unsigned what)
{
    static const char mx[] = "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\7\0\x0a\2mx\xc0\x0c";
    struct server *s = arg;
    struct sockaddr_in from;
    socklen_t from_bytes = sizeof from;
    uint8_t p[2048];
    ssize_t n = recvfrom(s->fd, p, sizeof p / 2, 0, (struct sockaddr *)&from, &from_bytes);
    size_t end = 12;

    (void)what;
    if (n < 17)
        return;
    while (end < (size_t)n && p[end] != 0)
        end += p[end] + 1U;
    end += 5;
    assert_true(end <= (size_t)n);
    s->question_count++;
    bool one = memcmp(p + 12, "\3one", 4) == 0 && p[end - 3] == DNS_MX;
    bool exists = memcmp(p + 12, "\3one", 4) == 0;
    if (memcmp(p + 12, "\4mute", 5) == 0)
        return;
    p[2] = 0x85;
    p[3] = memcmp(p + 12, "\6broken", 7) == 0 ? 0x82 : exists ? 0x80 : 0x83;
    memset(p + 6, 0, 6);
    p[7] = one;
    if (one) {
        memcpy(p + end, mx, sizeof mx - 1);
        end += sizeof mx - 1;
    }
    (void)sendto(s->fd, p, end, 0, (struct sockaddr *)&from, from_bytes);
}

static void server_start(struct server *s, struct loop *l)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof in;

    *s = (struct server){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &bytes), 0);
    snprintf(s->name, sizeof s->name, "127.0.0.1@%u", ntohs(in.sin_port));
    watch_start(l, &s->watch, s->fd, WATCH_READ, server_read, s);
}

static void server_stop(struct server *s)
{
    watch_stop(&s->watch);
    close(s->fd);
}

static void wait_answer(struct loop *l, const struct asked *k)
{
    while (k->answer_count == 0)
        loop_turn(l, true);
    assert_int_equal(k->answer_count, 1);
}

static void test_libunbound(void **state)
{
    static const struct {
        const char *name;
        enum dns_type type;
        enum dns_outcome outcome;
        const char *names;
    } cases[] = {
        {"one.test", DNS_MX, DNS_FOUND, "10 mx.one.test "},
        {"one.test", DNS_MX, DNS_FOUND, "10 mx.one.test "}, /* out of its memory */
        {"one.test", DNS_A, DNS_NO_DATA, ""},
        {"none.test", DNS_MX, DNS_NO_NAME, ""},
        {"none.home.arpa", DNS_A, DNS_NO_NAME, ""},
        {"broken.example", DNS_MX, DNS_LATER, ""},
        {"a..b", DNS_A, DNS_NO_NAME, ""},
    };
    struct loop *l = NULL;
    struct server s;
    struct dns *d = NULL;

    (void)state;
    assert_int_equal(loop_new(&clock_system, &l), 0);
    server_start(&s, l);
    struct str forward = str_c(s.name);
    struct dns_options o = {.forwards = &forward, .forward_count = 1};
    assert_int_equal(dns_new(l, &o, &d), 0);
    for (size_t i = 0; i < countof(cases); i++) {
        struct asked k = {0};
        dns_ask(d, &k.question, str_c(cases[i].name), cases[i].type, on_answer, &k);
        assert_int_equal(k.answer_count, 0);
        wait_answer(l, &k);
        if (k.outcome != cases[i].outcome || strcmp(k.names, cases[i].names) != 0)
            fail_msg("%s: outcome %d: %s", cases[i].name, k.outcome, k.names);
        assert_int_equal(k.security, DNS_INSECURE);
        dns_cancel(&k.question);
    }
    dns_free(&d);
    server_stop(&s);
    loop_free(&l);
}

static void test_renewal(void **state)
{
    struct loop *l = NULL;
    struct server s, other;
    struct dns *d = NULL;
    struct asked waiting = {0}, gone = {0};

    (void)state;
    assert_int_equal(loop_new(&clock_system, &l), 0);
    server_start(&s, l);
    server_start(&other, l);
    struct str forward = str_c(s.name);
    struct dns_options o = {.forwards = &forward, .forward_count = 1};
    assert_int_equal(dns_new(l, &o, &d), 0);
    watch_stop(&s.watch); /* it hears nothing any more */
    dns_ask(d, &waiting.question, STR("one.test"), DNS_MX, on_answer, &waiting);
    dns_ask(d, &gone.question, STR("mute.test"), DNS_MX, on_answer, &gone);
    loop_turn(l, false);
    dns_cancel(&gone.question);

    struct str nonsense = STR("no address");
    struct dns_options wrong = {.forwards = &nonsense, .forward_count = 1};
    assert_int_equal(dns_renew(d, &wrong), -EINVAL);
    forward = str_c(other.name);
    assert_int_equal(dns_renew(d, &o), 0);
    wait_answer(l, &waiting);
    assert_int_equal(waiting.outcome, DNS_FOUND);
    assert_int_equal(gone.answer_count, 0);
    assert_int_equal(s.question_count, 0);

    /* Taken down while something is asked. */
    dns_ask(d, &gone.question, STR("mute.test"), DNS_MX, on_answer, &gone);
    loop_turn(l, false);
    dns_cancel(&gone.question);
    dns_free(&d);
    server_stop(&s);
    server_stop(&other);
    loop_free(&l);
}

/* A resolver that gives no signatures, under a trust anchor: nothing it says is believed. */
static void test_anchors(void **state)
{
    static const char anchor[] =
        "; a comment\n\n. IN DS 20326 8 2 "
        "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D ; of the root\n";
    struct loop *l = NULL;
    struct server s;
    struct dns *d = NULL;
    struct asked k = {0};

    (void)state;
    assert_int_equal(loop_new(&clock_system, &l), 0);
    server_start(&s, l);
    struct str forward = str_c(s.name);
    struct dns_options o = {.forwards = &forward, .forward_count = 1, .anchors = STR("nonsense")};
    assert_int_equal(dns_new(l, &o, &d), -EINVAL);
    o.anchors = str_c(anchor);
    assert_int_equal(dns_new(l, &o, &d), 0);
    dns_ask(d, &k.question, STR("one.example"), DNS_MX, on_answer, &k);
    wait_answer(l, &k);
    assert_int_equal(k.outcome, DNS_LATER);
    assert_int_equal(k.security, DNS_BOGUS);
    assert_true(k.why[0] != '\0');
    k = (struct asked){0};
    dns_ask(d, &k.question, STR("one.test"), DNS_MX, on_answer,
            &k); /* private: the root has none */
    wait_answer(l, &k);
    assert_int_equal(k.outcome, DNS_FOUND);
    assert_int_equal(k.security, DNS_INSECURE);
    dns_free(&d);
    server_stop(&s);
    loop_free(&l);
}

static void test_anchor_files(void **state)
{
    char path[] = "/tmp/troika-dns-XXXXXX";
    struct buf text = buf_init(DNS_ANCHOR_BYTES_MAX);
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a\nb\n", 4), 4);
    assert_int_equal(dns_read_anchors_before_jail(path, &text), 0);
    assert_string_equal(buf_c(&text), "a\nb\n");
    buf_free(&text);
    assert_int_equal(ftruncate(fd, DNS_ANCHOR_BYTES_MAX + 1), 0);
    assert_int_equal(dns_read_anchors_before_jail(path, &text), -EFBIG);
    assert_int_equal(dns_read_anchors_before_jail("/nowhere", &text), -ENOENT);
    close(fd);
    unlink(path);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fake),       cmocka_unit_test(test_time_and_cancelling),
        cmocka_unit_test(test_libunbound), cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_anchors),    cmocka_unit_test(test_anchor_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
