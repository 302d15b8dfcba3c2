// SPDX-License-Identifier: ISC
#include "mail/header.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void walks(void **state)
{
    struct str rest = STR("A: 1\r\nB:2\n 3\r\n\t4\r\nC : \r\n:no\r\nD: 5");
    struct header_field f;

    assert_true(header_next(&rest, &f));
    assert_true(str_eq_c(f.name, "A") && str_eq_c(f.body, " 1") && str_eq_c(f.all, "A: 1\r\n"));
    assert_true(header_next(&rest, &f));
    assert_true(str_eq_c(f.name, "B") && str_eq_c(f.body, "2\n 3\r\n\t4"));
    assert_true(header_next(&rest, &f));
    assert_true(str_eq_c(f.name, "C") && str_eq_c(f.body, " "));
    assert_false(header_next(&rest, &f));
    assert_true(str_starts(rest, STR(":no")));
}

static void ends(void **state)
{
    static const struct {
        const char *text, *left; /* after the header */
        size_t bytes;
    } cases[] = {
        {"", "", 0},
        {"\r\nbody", "body", 0},
        {"\nbody", "body", 0},
        {"A: 1\r\n\r\nB: 2\r\n", "B: 2\r\n", 6},
        {"A: 1\n\nB", "B", 5},
        {"A: 1\r\nbody\r\n", "body\r\n", 6},
        {"A: 1", "", 4},
        {"A: 1\r\n", "", 6},
        {"A: 1\r\n\r", "\r", 6},
        {" A: 1\r\n", " A: 1\r\n", 0}, /* continues nothing */
        {"From bill Fri Nov 20 18:04:10\nA: 1\n", "From bill Fri Nov 20 18:04:10\nA: 1\n", 0},
        {"A\xe4: 1\n", "A\xe4: 1\n", 0},
        {"A: 1\n \n\nx", "x", 7},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct str rest = str_c(cases[i].text);
        struct header_field f;
        assert_int_equal(header_bytes(rest), cases[i].bytes);
        while (header_next(&rest, &f))
            ;
        assert_true(str_eq_c(rest, cases[i].left));
    }
}

static void finds_the_first(void **state)
{
    struct str message = STR("To: a\r\nsubject: one\r\nSubject: two\r\n\r\nX: body\r\n");
    struct header_field f;

    assert_true(header_find(message, "Subject", &f));
    assert_true(str_eq_c(f.body, " one"));
    assert_false(header_find(message, "X", &f));
}

static const char *const messages[] = {
    "Received: a\r\n\tb\r\nreceived: c\nDate: x\r\nMESSAGE-ID:<a>\r\nFrom : me\r\n\r\nReceived: z",
    "Received\r\n: no field\r\n",
    "X-Received: a\r\nReceived-SPF: b\r\nReceive: c\r\n\r\n",
    "A-name-much-longer-than-the-memory-for-names-is: x\r\nDate: y\r\n",
    "\r\nDate: x\r\n",
    " Date: x\r\nDate: y\r\n",
    "Subject: Date: x\r\n Date: y\r\nFrom:\r\n\rDate: z\r\n",
    "Date  \t: x\nFr om: y\n",
    "",
};

static void assert_scan(const struct header_scan *h, struct str message)
{
    struct str rest = message;
    struct header_field f;
    uint32_t received_count = 0;

    while (header_next(&rest, &f))
        received_count += str_eq_nocase(f.name, STR("Received"));
    assert_int_equal(h->received_count, received_count);
    assert_int_equal(h->has_date, header_find(message, "Date", &f));
    assert_int_equal(h->has_message_id, header_find(message, "Message-ID", &f));
    assert_int_equal(h->has_from, header_find(message, "From", &f));
}

/* Whole, split in two anywhere, and byte by byte: the same facts as walking. */
static void scans_like_it_walks(void **state)
{
    for (size_t i = 0; i < countof(messages); i++) {
        struct str message = str_c(messages[i]);
        struct header_scan h;
        for (size_t at = 0; at <= message.n; at++) {
            header_scan_init(&h);
            header_scan_feed(&h, str_sub(message, 0, at));
            header_scan_feed(&h, str_skip(message, at));
            assert_scan(&h, message);
        }
        header_scan_init(&h);
        for (size_t k = 0; k < message.n; k++)
            header_scan_feed(&h, str_sub(message, k, k + 1));
        assert_scan(&h, message);
    }
    struct header_scan h;
    header_scan_init(&h);
    header_scan_feed(&h, str_c(messages[0]));
    assert_true(h.ended && h.has_date && h.has_message_id && h.has_from);
    assert_int_equal(h.received_count, 2);
}

/* Whole and byte by byte: From and Sender as they stand, nothing else. */
static void keeps_authors(void **state)
{
    static const struct {
        const char *message, *kept;
    } cases[] = {
        {"From: a@b\r\nTo: x@y\r\nSender : c@d,\r\n\te@f\r\n\r\nFrom: g@h\r\n",
         "From: a@b\r\nSender: c@d,\r\n\te@f\r\n"},
        {"FROM:\n a@b\nfrom:c@d\n\n", "FROM:\n a@b\nfrom:c@d\n"},
        {"Fromage: a@b\nX-From: c@d\nReply-To: e@f\n From: g@h\n\n", ""},
        {"Subject: x\n\nFrom: a@b\n", ""},
        {"From: a@b", "From: a@b"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct str message = str_c(cases[i].message);
        for (size_t step = 1; step <= message.n; step++) {
            struct buf authors = buf_init(KIB);
            struct header_scan h;
            header_scan_init(&h);
            h.authors = &authors;
            for (size_t at = 0; at < message.n; at += step)
                header_scan_feed(&h, str_sub(message, at, at + step));
            assert_string_equal(buf_c(&authors), cases[i].kept);
            buf_free(&authors);
        }
    }
}

/* Of the header section alone, fed in any pieces. */
static void sees_bytes_outside_ascii(void **state)
{
    static const struct {
        const char *message;
        bool has_8bit;
    } cases[] = {
        {"Subject: привет\r\n\r\nx", true},
        {"A: b\r\n c\xff\r\n\r\n", true},
        {"A: b\r\n\r\nпривет\r\n", false},
        {"A: b\r\nпривет\r\n", false}, /* no field: the body starts there */
        {"Привет: x\r\n", false},
        {"A: b", false},
        {"A: п", true},
        {"", false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct str message = str_c(cases[i].message);
        for (size_t at = 0; at <= message.n; at++) {
            struct header_scan h;
            header_scan_init(&h);
            header_scan_feed(&h, str_sub(message, 0, at));
            header_scan_feed(&h, str_skip(message, at));
            assert_int_equal(h.has_8bit, cases[i].has_8bit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks),           cmocka_unit_test(ends),
        cmocka_unit_test(finds_the_first), cmocka_unit_test(scans_like_it_walks),
        cmocka_unit_test(keeps_authors),   cmocka_unit_test(sees_bytes_outside_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
