// SPDX-License-Identifier: ISC
#include "mail/dsn.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/utf8.h"
#include "mail/header.h"
#include "mail/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PART_COUNT_MAX = 8 };

struct parts {
    struct str header, part[PART_COUNT_MAX];
    size_t count;
    bool closed;
};

/* A small MIME reader: the header, then what stands between the lines of the boundary. */
static struct parts split(struct str message)
{
    struct parts p = {.header = str_sub(message, 0, header_bytes(message))};
    struct header_field type;
    char delimiter[128];

    assert_true(header_find(message, "Content-Type", &type));
    size_t at = str_find_str(type.body, STR("boundary=\""));
    assert_true(at < type.body.n);
    struct str boundary = str_skip(type.body, at + 10);
    boundary = str_cut(&boundary, '"');
    (void)snprintf(delimiter, sizeof(delimiter), "\r\n--%.*s", STR_ARG(boundary));

    struct str body = str_skip(message, p.header.n);
    for (;;) {
        at = str_find_str(body, str_c(delimiter));
        if (p.count > 0)
            p.part[p.count - 1] = str_sub(body, 0, at);
        if (at == body.n)
            return p;
        body = str_skip(body, at + strlen(delimiter));
        if (str_eq_c(body, "--\r\n")) {
            p.closed = true;
            return p;
        }
        assert_true(str_starts(body, STR("\r\n")) && p.count < PART_COUNT_MAX);
        body = str_skip(body, 2);
        p.count++;
    }
}

static bool has(struct str s, const char *part)
{
    return str_find_str(s, str_c(part)) < s.n;
}

static void assert_7bit_short_lines(struct str s, size_t bytes_max)
{
    while (s.n > 0) {
        struct str line = str_cut(&s, '\n');
        assert_true(line.n > 0 && line.n <= bytes_max + 1 && line.p[line.n - 1] == '\r');
        for (size_t i = 0; i + 1 < line.n; i++)
            assert_true((line.p[i] >= ' ' && line.p[i] <= '~') || line.p[i] == '\t');
    }
}

static struct dsn_recipient refused(void)
{
    return (struct dsn_recipient){
        .original = STR("bob@alias.example"),
        .final = STR("bob@example.org"),
        .remote = STR("mx.example.org"),
        .status = status_from_reply(550, STR("5.1.1 who is that?")),
        .last_attempt_us = UINT64_C(1795197860000000),
        .attempt_count = 1,
    };
}

static struct dsn example(const struct dsn_recipient *recipients, size_t count, struct str header)
{
    return (struct dsn){
        .reporting_host = STR("mx.troika.test"),
        .to = STR("alice@example.net"),
        .original_id = {.key = 12345678, .node = 7},
        .arrival_us = UINT64_C(1795197850000000),
        .now_us = UINT64_C(1795197870000000),
        .original_header = header,
        .recipients = recipients,
        .recipient_count = count,
    };
}

/* What a line must look like to be taken for the boundary, were its sender able to foretell it. */
static const char *guessed_boundary(void)
{
    static char text[64];
    struct dsn d = example(NULL, 0, STR_NONE);

    (void)snprintf(text, sizeof(text), "--=_%s.%llx", id_print(d.original_id).p,
                   (unsigned long long)d.now_us);
    return text;
}

static void has_the_three_parts(void **state)
{
    struct dsn_recipient r = refused();
    struct dsn d = example(&r, 1, STR("Message-ID: <1@x>\r\nSubject: hi\r\n"));
    struct buf b = buf_init(64 * KIB);
    struct header_field f;

    dsn_print(&b, &d);
    struct parts p = split(buf_str(&b));
    assert_int_equal(p.count, 3);
    assert_true(p.closed);

    assert_true(header_find(p.header, "To", &f) && str_eq_c(f.body, " alice@example.net"));
    assert_true(header_find(p.header, "Message-ID", &f) &&
                str_eq_c(f.body, " <\x1a@mx.troika.test>"));
    assert_true(header_find(p.header, "Auto-Submitted", &f));
    assert_true(header_find(p.header, "In-Reply-To", &f) && str_eq_c(f.body, " <1@x>"));
    assert_true(header_find(p.header, "Content-Type", &f) &&
                has(f.body, "multipart/report; report-type=delivery-status;"));

    assert_true(str_starts(p.part[0], STR("Content-Type: text/plain; charset=us-ascii\r\n\r\n")));
    assert_true(has(p.part[0], "bob@example.org (you wrote bob@alias.example)"));
    assert_true(has(p.part[0], "550 5.1.1 who is that?"));
    assert_true(has(p.part[0], "The other server has no such mailbox."));
    assert_true(has(p.part[0], "Answer of mx.example.org on Fri, 20 Nov 2026 18:04:20 +0000:"));

    char expect[1024];
    (void)snprintf(expect, sizeof(expect),
                   "Content-Type: message/delivery-status\r\n"
                   "\r\n"
                   "Reporting-MTA: dns; mx.troika.test\r\n"
                   "X-Troika-ID: %s\r\n"
                   "Arrival-Date: Fri, 20 Nov 2026 18:04:10 +0000\r\n"
                   "\r\n"
                   "Original-Recipient: rfc822; bob@alias.example\r\n"
                   "Final-Recipient: rfc822; bob@example.org\r\n"
                   "Action: failed\r\n"
                   "Status: 5.1.1\r\n"
                   "Remote-MTA: dns; mx.example.org\r\n"
                   "Diagnostic-Code: smtp; 550 5.1.1 who is that?\r\n"
                   "Last-Attempt-Date: Fri, 20 Nov 2026 18:04:20 +0000\r\n",
                   id_print(d.original_id).p);
    assert_true(str_eq_c(p.part[1], expect));
    assert_true(str_eq_c(p.part[2], "Content-Type: text/rfc822-headers\r\n\r\n"
                                    "Message-ID: <1@x>\r\nSubject: hi\r\n"));
    buf_free(&b);
}

static void unknown_things_are_left_out(void **state)
{
    struct dsn_recipient r = {.final = STR("a@b"),
                              .status = status_make(0, 5, 3, 0, STR("disk broken"))};
    struct dsn d = {
        .reporting_host = STR("h"), .to = STR("a@c"), .recipients = &r, .recipient_count = 1};
    struct buf b = buf_init(64 * KIB);

    dsn_print(&b, &d);
    struct parts p = split(buf_str(&b));
    assert_int_equal(p.count, 2);
    assert_true(p.closed);
    assert_true(str_eq_c(p.part[1], "Content-Type: message/delivery-status\r\n"
                                    "\r\n"
                                    "Reporting-MTA: dns; h\r\n"
                                    "\r\n"
                                    "Final-Recipient: rfc822; a@b\r\n"
                                    "Action: failed\r\n"
                                    "Status: 5.3.0\r\n"
                                    "Diagnostic-Code: x-troika; 5.3.0 disk broken\r\n"));
    assert_false(has(p.header, "In-Reply-To"));
    buf_free(&b);
}

static void our_own_reasons_come_from_the_table(void **state)
{
    struct dsn_recipient r[] = {refused(), refused()};
    struct dsn d = example(r, countof(r), STR(""));
    struct buf b = buf_init(64 * KIB);

    r[0].status = reply_status(REPLY_EXPIRED, STR("connection refused"));
    r[0].attempt_count = 12;
    r[1].remote = STR("");
    r[1].status = reply_status(REPLY_NO_SUCH_DOMAIN, STR("example.org"));
    d.expired = true;
    dsn_print(&b, &d);
    struct parts p = split(buf_str(&b));
    assert_true(has(p.part[0], "these recipients"));
    assert_true(has(p.part[0], "It was tried 12 times"));
    assert_true(has(p.part[0], "Last tried with mx.example.org"));
    assert_true(has(p.part[0], "The domain of the address does not exist"));
    assert_true(has(p.part[1], "Diagnostic-Code: x-troika; 554 5.4.7"));
    assert_false(has(p.part[1], "smtp;"));
    buf_free(&b);
}

/* Headers that try to look like a boundary, bring foreign bytes or endless lines. */
static void hostile_headers_stay_inside(void **state)
{
    static const struct {
        const char *header; /* %s: the boundary */
        bool encoded;
    } cases[] = {
        {"Subject: plain=20\r\n", false},
        {"Content-Type: multipart/mixed; boundary=\"=_1\"\r\n", false},
        {"Subject: \xc3\xa4\r\n", true},
        {"%s--: x\r\n", true},
        {"A: x\r\n%s: x\r\n", true},
        {"Subject: \x1a\r\n", true},
        {"Subject: a\rb\r\n", true},
        {"Subject: lf\n only\n", false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct dsn_recipient r = refused();
        struct arena a = ARENA_INIT;
        struct str header = str_c(cases[i].header);
        size_t at = str_find_str(header, STR("%s"));
        if (at < header.n)
            header = arena_printf(&a, "%.*s%s%s", (int)at, header.p, guessed_boundary(),
                                  header.p + at + 2);
        struct dsn d = example(&r, 1, header);
        struct buf b = buf_init(64 * KIB);
        dsn_print(&b, &d);
        struct parts p = split(buf_str(&b));
        assert_int_equal(p.count, 3);
        assert_true(p.closed);
        assert_int_equal(has(p.part[2], "Content-Transfer-Encoding: quoted-printable\r\n"),
                         cases[i].encoded);
        assert_7bit_short_lines(str_skip(buf_str(&b), p.header.n), 998);
        assert_true(has(buf_str(&b), guessed_boundary()));
        buf_free(&b);
        arena_free(&a);
    }
}

static void quoted_printable_is_exact(void **state)
{
    struct dsn_recipient r = refused();
    struct dsn d = example(&r, 1, STR("S: a=b\xc3\xa4 \r\n -x\t\r\n--y: z\r\n"));
    struct buf b = buf_init(64 * KIB);

    dsn_print(&b, &d);
    struct parts p = split(buf_str(&b));
    assert_true(has(p.part[2], "\r\n\r\nS: a=3Db=C3=A4=20\r\n -x=09\r\n=2D-y: z\r\n"));
    buf_free(&b);
}

static void long_headers_are_cut_at_a_line(void **state)
{
    struct dsn_recipient r = refused();
    struct buf header = buf_init(MIB);
    struct buf b = buf_init(MIB);

    for (size_t i = 0; i < 2000; i++)
        (void)buf_printf(&header, "X-%zu: %060d\r\n", i, 0);
    (void)buf_add(&header, STR("Y: "));
    struct dsn d = example(&r, 1, buf_str(&header));
    dsn_print(&b, &d);
    struct parts p = split(buf_str(&b));
    assert_true(p.closed && p.part[2].n <= 64 * KIB + 64);
    assert_true(str_ends(p.part[2], STR("0\r\n")));
    assert_7bit_short_lines(str_skip(buf_str(&b), p.header.n), 998);

    buf_reset(&header);
    (void)buf_printf(&header, "X: %05000d\r\n", 0); /* one line over 998 */
    d.original_header = buf_str(&header);
    buf_reset(&b);
    dsn_print(&b, &d);
    assert_7bit_short_lines(str_skip(buf_str(&b), header_bytes(buf_str(&b))), 998);
    buf_free(&b);
    buf_free(&header);
}

static void hostile_answers_stay_inside(void **state)
{
    char text[STATUS_TEXT_BYTES_MAX * 2];
    struct buf b = buf_init(64 * KIB);
    struct dsn_recipient r = refused();

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    r.status = status_from_reply(550, str_n(text, sizeof(text)));
    r.remote = STR("mx\r\nAction: delivered");
    char address[128];
    (void)snprintf(address, sizeof(address), "\"a %s\"@b", guessed_boundary());
    r.final = str_c(address);
    struct dsn d = example(&r, 1, STR("A: b\r\n"));
    dsn_print(&b, &d);
    struct parts p = split(buf_str(&b));
    assert_int_equal(p.count, 3);
    assert_true(p.closed);
    assert_false(has(p.part[1], "\nAction: delivered"));
    assert_7bit_short_lines(str_skip(buf_str(&b), p.header.n), 998);
    buf_free(&b);
}

static void each_action_has_its_words_and_fields(void **state)
{
    static const struct {
        enum dsn_action action;
        const char *subject, *words, *field;
        bool diagnostic;
    } table[] = {
        {DSN_FAILED, "Your message could not be delivered", "What to do: Check", "Action: failed",
         true},
        {DSN_DELAYED, "Your message is delayed",
         "What to do: Nothing. We go on trying until Wed, 25 Nov 2026", "Action: delayed", true},
        {DSN_DELIVERED, "Your message was delivered", "It is in the mailbox.", "Action: delivered",
         false},
        {DSN_RELAYED, "Your message was passed on", "does not confirm", "Action: relayed", true},
        {DSN_EXPANDED, "Your message was sent to a list", "several others", "Action: expanded",
         false},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct dsn_recipient r = refused();
        struct dsn d = example(&r, 1, STR("A: b\r\n"));
        struct buf b = buf_init(64 * KIB);
        struct header_field f;
        r.action = table[i].action;
        r.until_us = UINT64_C(1795629850000000);
        d.envid = STR("QQ 1");
        r.orcpt = STR("x400;/C=de/");
        dsn_print(&b, &d);
        struct parts p = split(buf_str(&b));
        assert_true(header_find(p.header, "Subject", &f));
        assert_true(str_eq_c(str_trim(f.body), table[i].subject));
        assert_true(has(p.part[0], table[i].words));
        assert_true(has(p.part[1], table[i].field));
        assert_true(has(p.part[1], "Original-Envelope-Id: QQ 1\r\n"));
        assert_true(has(p.part[1], "Original-Recipient: x400; /C=de/\r\n"));
        assert_int_equal(has(p.part[1], "Diagnostic-Code"), table[i].diagnostic);
        assert_int_equal(has(p.part[1], "Will-Retry-Until: Wed, 25 Nov 2026"),
                         table[i].action == DSN_DELAYED);
        buf_free(&b);
    }
}

static void remote_is_a_host_without_a_port(void **state)
{
    static const struct {
        const char *remote, *field; /* NULL: none */
    } table[] = {
        {"mx.example.org", "dns; mx.example.org"},
        {"mx.example.org (192.0.2.1:25)", "dns; mx.example.org"},
        {"mx.example.org:2525", "dns; mx.example.org"},
        {"192.0.2.1:25", "dns; [192.0.2.1]"},
        {"[2001:db8::1]:25", "dns; [2001:db8::1]"},
        {"a\r\nb", NULL},
        {"(x)", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct dsn_recipient r = refused();
        struct dsn d = example(&r, 1, STR_NONE);
        struct buf b = buf_init(64 * KIB);
        char line[100] = "Remote-MTA";
        r.remote = str_c(table[i].remote);
        dsn_print(&b, &d);
        if (table[i].field)
            (void)snprintf(line, sizeof(line), "\r\nRemote-MTA: %s\r\n", table[i].field);
        assert_int_equal(has(buf_str(&b), line), table[i].field != NULL);
        buf_free(&b);
    }
}

static void whole_originals_that_may_stand_there(void **state)
{
    static const struct {
        const char *original;
        bool whole, is_8bit;
    } table[] = {
        {"A: b\r\n\r\nbody\r\n", true, false},
        {"A: b\r\n\r\nno end", true, false},
        {"A: b\r\n\r\nb\xc3\xb6_\r\n", true, true},
        {"A: b\r\n\r\nbare\nline\r\n", false, false},
        {"A: b\r\n\r\nbare\rline \xe4\r\n", false, false},
        {"A: b\r\n\r\nbare at the end\n", false, false},
        {"A: b\r\n\r\nbare at the end\r", false, false},
        {"", false, false},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct dsn_recipient r = refused();
        struct dsn d = example(&r, 1, STR("A: b\r\n"));
        struct buf b = buf_init(64 * KIB);
        d.original = str_c(table[i].original);
        dsn_print(&b, &d);
        struct parts p = split(buf_str(&b));
        assert_int_equal(p.count, 3);
        assert_true(p.closed);
        assert_int_equal(has(p.part[2], "message/rfc822"), table[i].whole);
        assert_int_equal(has(p.part[2], "text/rfc822-headers"), !table[i].whole);
        assert_int_equal(dsn_is_8bit(&d), table[i].is_8bit);
        assert_int_equal(has(p.header, "Content-Transfer-Encoding: 8bit"), table[i].is_8bit);
        buf_free(&b);
    }
    struct dsn_recipient r = refused();
    struct dsn d = example(&r, 1, STR("A: b\r\n"));
    struct buf b = buf_init(64 * KIB);
    d.original = str_c(guessed_boundary());
    dsn_print(&b, &d);
    assert_int_equal(split(buf_str(&b)).count, 3);
    assert_false(has(buf_str(&b), "message/rfc822"));
    buf_free(&b);
}

/* RFC 6533: in its letters for who knows UTF-8, as \\x{43F} for who does not. */
static void addresses_outside_ascii(void **state)
{
    static const struct dsn_recipient recipient = {
        .action = DSN_FAILED,
        .original = {"почта@xn--e1afmkfd.xn--p1ai", 32},
        .orcpt = {"utf-8;п@рф", 13},
        .final = {"почта@xn--e1afmkfd.xn--p1ai", 32},
        .status = {.code = 550, .class = 5, .subject = 6, .detail = 7, .text = "no"},
    };
    struct dsn d = {.reporting_host = STR("mx.test"),
                    .to = STR("я@xn--p1ai"),
                    .utf8 = true,
                    .original_header = STR("Subject: привет\r\n"),
                    .recipients = &recipient,
                    .recipient_count = 1};

    for (int utf8 = 1; utf8 >= 0; utf8--) {
        struct buf text = buf_init(64 * KIB);

        d.utf8 = utf8;
        if (!utf8)
            d.to = STR("a@b.test");
        dsn_print(&text, &d);
        struct parts p = split(buf_str(&text));
        assert_int_equal(p.count, 3);
        assert_true(p.closed && dsn_is_8bit(&d));
        assert_int_equal(dsn_header_is_utf8(&d), utf8);
        assert_true(has(p.header, utf8 ? "To: я@рф\r\n" : "To: a@b.test\r\n"));
        assert_true(has(p.header, "Content-Transfer-Encoding: 8bit\r\n"));
        assert_int_equal(utf8_is_ascii(p.header), !utf8);
        assert_true(has(p.part[0], "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"));
        assert_true(has(p.part[0], "  почта@пример.рф\r\n"));
        if (utf8) {
            assert_true(has(p.part[1], "message/global-delivery-status\r\n"));
            assert_true(has(p.part[1], "Original-Recipient: utf-8; п@рф\r\n"));
            assert_true(has(p.part[1], "Final-Recipient: utf-8; почта@пример.рф\r\n"));
            assert_true(has(p.part[2], "message/global-headers\r\n"));
            assert_true(has(p.part[2], "Subject: привет\r\n"));
        } else {
            assert_true(has(p.part[1], "message/delivery-status\r\n"));
            assert_true(has(p.part[1],
                            "Final-Recipient: utf-8;\r\n\t"
                            "\\x{43F}\\x{43E}\\x{447}\\x{442}\\x{430}@xn--e1afmkfd.xn--p1ai"));
            assert_true(has(p.part[1], "Original-Recipient: utf-8; \\x{43F}@\\x{440}\\x{444}\r\n"));
            assert_true(utf8_is_ascii(p.part[1]));
            assert_true(has(p.part[2], "text/rfc822-headers\r\n"));
            assert_true(utf8_is_ascii(p.part[2]));
        }
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_three_parts),
        cmocka_unit_test(unknown_things_are_left_out),
        cmocka_unit_test(our_own_reasons_come_from_the_table),
        cmocka_unit_test(hostile_headers_stay_inside),
        cmocka_unit_test(quoted_printable_is_exact),
        cmocka_unit_test(long_headers_are_cut_at_a_line),
        cmocka_unit_test(hostile_answers_stay_inside),
        cmocka_unit_test(each_action_has_its_words_and_fields),
        cmocka_unit_test(remote_is_a_host_without_a_port),
        cmocka_unit_test(whole_originals_that_may_stand_there),
        cmocka_unit_test(addresses_outside_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
