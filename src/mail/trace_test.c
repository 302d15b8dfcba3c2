// SPDX-License-Identifier: ISC
#include "mail/trace.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TIME_S = 1795197850 };

static struct received example(const char *helo, const char *name, const char *ip, const char *to)
{
    return (struct received){
        .helo = str_c(helo),
        .client_name = str_c(name),
        .client_ip = str_c(ip),
        .by = STR("mx.example.org"),
        .with = STR("ESMTP"),
        .only_recipient = str_c(to),
        .time_us = UINT64_C(1000000) * TIME_S,
    };
}

static void prints_received(void **state)
{
    static const struct {
        const char *helo, *name, *ip, *to, *expect;
    } cases[] = {
        {"me.example", "", "192.0.2.1", "",
         "Received: from me.example ([192.0.2.1])\r\n"
         "\tby mx.example.org with ESMTP id \x1a;\r\n"
         "\tFri, 20 Nov 2026 18:04:10 +0000\r\n"},
        {"me.example", "host.example", "2001:db8::1", "a@b.org",
         "Received: from me.example (host.example [IPv6:2001:db8::1])\r\n"
         "\tby mx.example.org with ESMTP id \x1a\r\n"
         "\tfor <a@b.org>;\r\n"
         "\tFri, 20 Nov 2026 18:04:10 +0000\r\n"},
        {"", "", "192.0.2.1", "",
         "Received: from [192.0.2.1] ([192.0.2.1])\r\n"
         "\tby mx.example.org with ESMTP id \x1a;\r\n"
         "\tFri, 20 Nov 2026 18:04:10 +0000\r\n"},
        {"", "", "", "",
         "Received: by mx.example.org with ESMTP id \x1a;\r\n"
         "\tFri, 20 Nov 2026 18:04:10 +0000\r\n"},
        {"me", "", "", "",
         "Received: from me\r\n"
         "\tby mx.example.org with ESMTP id \x1a;\r\n"
         "\tFri, 20 Nov 2026 18:04:10 +0000\r\n"},
        /* Nothing a client says gets out of its word. */
        {"a\r\nX: (\x1a b;", "n\r\n)", "192.0.2.1", "\"\r\n\x1a\"@b",
         "Received: from a??X:????b? (n??? [192.0.2.1])\r\n"
         "\tby mx.example.org with ESMTP id \x1a\r\n"
         "\tfor <\"???\"@b>;\r\n"
         "\tFri, 20 Nov 2026 18:04:10 +0000\r\n"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct received r = example(cases[i].helo, cases[i].name, cases[i].ip, cases[i].to);
        struct buf b = buf_init(2048);
        received_print(&b, &r);
        assert_string_equal(buf_c(&b), cases[i].expect);
        buf_free(&b);
    }
}

static void long_names_fold(void **state)
{
    char name[400];
    struct buf b = buf_init(4096);

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t n = 0; n < sizeof(name); n++) {
        struct received r = example(name + n, name + n, "192.0.2.1", name + n);
        buf_reset(&b);
        received_print(&b, &r);
        struct str rest = buf_str(&b);
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            assert_true(line.n <= 998 && line.p[line.n - 1] == '\r');
            if (sizeof(name) - n < 50) /* "from" and a name fit in one line */
                assert_true(line.n <= 79);
        }
    }
    buf_free(&b);
}

static void puts_the_id_in(void **state)
{
    struct id id = {.key = 1234567, .node = 9};
    struct id_text text = id_print(id);
    struct buf prefix = buf_init(1024);
    struct buf out = buf_init(1024);
    char expect[256];

    message_id_print(&prefix, STR("mx.example.org"));
    assert_string_equal(buf_c(&prefix), "Message-ID: <\x1a@mx.example.org>\r\n");
    (void)buf_add(&prefix, STR("X: \x1a\x1a"));
    prefix_print(&out, buf_str(&prefix), id);
    (void)snprintf(expect, sizeof(expect), "Message-ID: <%s@mx.example.org>\r\nX: %s%s", text.p,
                   text.p, text.p);
    assert_string_equal(buf_c(&out), expect);
    buf_free(&out);
    buf_free(&prefix);
}

static void names_local_users(void **state)
{
    struct buf b = buf_init(KIB);
    struct received r = example("", "", "", "");

    r.by_comment = STR("uid 1000, bi(ll\r");
    r.with = STR("local");
    received_print(&b, &r);
    assert_string_equal(buf_c(&b), "Received: by mx.example.org (uid 1000, bi?ll?) with local id "
                                   "\x1a;\r\n\tFri, 20 Nov 2026 18:04:10 +0000\r\n");
    buf_reset(&b);
    warning_print(&b, STR("mx.example.org"), STR("uid 1000, bill"), STR("a\r\n\x1a@b"));
    assert_string_equal(
        buf_c(&b), "X-Authentication-Warning: mx.example.org: uid 1000, bill set the sender to\r\n"
                   "\t<a???@b>\r\n");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_received),
        cmocka_unit_test(names_local_users),
        cmocka_unit_test(long_names_fold),
        cmocka_unit_test(puts_the_id_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
