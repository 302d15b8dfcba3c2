// SPDX-License-Identifier: ISC
#include "mail/submission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"

#define FROM "From: Bill <bill@a.org>\r\n"
#define DATE "Date: Fri, 20 Nov 2026 18:04:10 +0000\r\n"
#define ID "Message-ID: <00000000000010000000000002@mx.a.org>\r\n"

static void makes_whole(void **state)
{
    static const struct {
        const char *in, *header, *body;
    } cases[] = {
        {"", FROM DATE ID "\r\n", ""},
        {"hello\n", FROM DATE ID "\r\n", "hello\n"},
        {"\nhello\n", FROM DATE ID "\r\n", "hello\n"},
        {"Subject: x\n\nhello\n", FROM DATE ID "Subject: x\n\r\n", "hello\n"},
        {"Subject: x", FROM DATE ID "Subject: x\r\n\r\n", ""},
        {"from: me\ndate: now\nmessage-id: 1\n\n", "from: me\ndate: now\nmessage-id: 1\n\r\n", ""},
        {"To: a\nBcc: b,\n c\nCc: d\nResent-Bcc: e\n\nBcc: f\n", FROM DATE ID "To: a\nCc: d\n\r\n",
         "Bcc: f\n"},
        {"From bill Fri Nov 20\nSubject: x\r\n\r\ny\r\n", FROM DATE ID "Subject: x\r\n\r\n",
         "y\r\n"},
        {"From bill", FROM DATE ID "\r\n", ""},
        {"Subject: x\nno field\n", FROM DATE ID "Subject: x\n\r\n", "no field\n"},
        {"Bcc: only@b\n\nx\n", FROM DATE ID "\r\n", "x\n"},
    };
    const struct submission s = {.sender = STR("bill@a.org"),
                                 .full_name = STR("Bill"),
                                 .hostname = STR("mx.a.org"),
                                 .time_us = UINT64_C(1795197850000000),
                                 .random = {1, 2}};

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf header = buf_init(4 * KIB);
        struct str body = submission_header(&header, str_c(cases[i].in), &s);

        assert_string_equal(buf_c(&header), cases[i].header);
        assert_true(str_eq_c(body, cases[i].body));
        buf_free(&header);
    }
}

static void notifications_have_an_author(void **state)
{
    const struct submission s = {.hostname = STR("mx.a.org")};
    struct buf header = buf_init(4 * KIB);

    (void)submission_header(&header, STR("x\n"), &s);
    assert_true(str_starts(buf_str(&header), STR("From: <MAILER-DAEMON@mx.a.org>\r\n")));
    buf_free(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(makes_whole),
                                       cmocka_unit_test(notifications_have_an_author)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
