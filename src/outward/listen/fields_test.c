/* listen/fields_test.c - headers, right and wrong. */
// SPDX-License-Identifier: ISC
#include "outward/listen/fields.h"

#include "base/clock.h"
#include "outward/listen/test_judge.h"

#define NOW_US (UINT64_C(1795773600) * US_PER_S) /* 2026-11-27 10:00 */
#define DATE "Date: Fri, 27 Nov 2026 10:00:00 +0000\r\n"
#define FROM "From: Alice <alice@example.org>\r\n"
#define TO "To: bob@example.net\r\n"
#define ID "Message-ID: <a@example.org>\r\n"
#define SUBJECT "Subject: x\r\n"
#define DKIM "DKIM-Signature: v=1; d=example.org; s=x; b=y\r\n"
#define GOOD DATE FROM TO ID SUBJECT DKIM
#define OK "dkim-signed (d=example.org)"

static const struct {
    const char *header, *told;
} rows[] = {
    {GOOD, OK},
    {"", "header-missing"},
    {FROM TO ID SUBJECT DKIM, OK ", date-missing"},
    {DATE TO ID SUBJECT DKIM, OK ", from-missing"},
    {DATE FROM TO SUBJECT DKIM, OK ", message-id-missing"},
    {DATE FROM TO ID DKIM, OK ", subject-missing"},
    {DATE FROM ID SUBJECT DKIM, OK ", to-missing"},
    {DATE FROM TO ID SUBJECT, "dkim-missing"},
    {GOOD DATE, OK ", field-twice (Date)"},
    {GOOD "Subject: y\r\n", OK ", field-twice (Subject)"},
    {GOOD "Cc: \r\n", OK ", field-empty (Cc)"},
    {"Date: yesterday\r\n" FROM TO ID SUBJECT DKIM, "date-malformed (yesterday), " OK},
    {"Date: Fri, 1 Nov 2024 10:00:00 +0000\r\n" FROM TO ID SUBJECT DKIM,
     "date-wrong (Fri, 1 Nov 2024 10:00:00 +0000), " OK},
    {DATE "From: alice\r\n" TO ID SUBJECT DKIM,
     "address-malformed (From: alice: an address looks like bill@example.org: the @ and a domain "
     "are missing), " OK},
    {DATE "From: a@b.example, c@d.example\r\n" TO ID SUBJECT DKIM,
     OK ", sender-missing (2), dkim-other-domain (b.example)"},
    {DATE "From: a@b.example, c@d.example\r\nSender: a@b.example\r\n" TO ID SUBJECT DKIM,
     OK ", dkim-other-domain (b.example)"},
    {DATE "From: <a@mail.example.org>\r\n" TO ID SUBJECT DKIM, OK},
    {DATE FROM TO "Message-ID: a@b\r\n" SUBJECT DKIM, "message-id-malformed (a@b), " OK},
    {DATE FROM TO "Message-ID: <a b@c>\r\n" SUBJECT DKIM, "message-id-malformed (<a b@c>), " OK},
    {GOOD "Bcc: eve@example.com\r\n", OK ", bcc-shown (eve@example.com)"},
    {GOOD "Return-Path: <a@b.example>\r\n", OK ", return-path (<a@b.example>)"},
    {GOOD "Content-Type: text/plain\r\n", OK ", mime-version-missing"},
    {GOOD "Content-Type: text/plain\r\nMIME-Version: 1.0\r\n", OK},
    {GOOD "MIME-Version: 2.0\r\n", OK ", mime-version-wrong (2.0)"},
    {GOOD "X: \xd0\xb9\r\n", OK ", header-8bit (X)"},
    {GOOD "X : y\r\n", OK ", field-blank-colon (X)"},
    {GOOD "X: =?UTF-8?Q?=FF?=\r\n", OK ", encoded-word-malformed (X)"},
    {DATE FROM "To: undisclosed-recipients:;\r\n" ID SUBJECT DKIM, OK},
};

static void judge_one(const char *header, bool smtputf8, struct fields *f, struct arena *a,
                      struct buf *told)
{
    struct judge j = test_judge(told);

    fields_judge(str_c(header), &(struct fields_options){.smtputf8 = smtputf8, .now_us = NOW_US}, a,
                 &j, f);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct arena a = ARENA_INIT;
        struct buf told = buf_init(4096);
        struct fields f;

        judge_one(rows[i].header, false, &f, &a, &told);
        if (strcmp(buf_c(&told), rows[i].told) != 0)
            print_error("row %zu\n", i);
        assert_string_equal(buf_c(&told), rows[i].told);
        buf_free(&told);
        arena_free(&a);
    }
}

static void test_what_is_shown(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf told = buf_init(4096);
    struct fields f;

    judge_one("Received: x\r\nSubject: =?koi8-r?B?8NLJ18XU?=\r\nFrom: =?UTF-8?Q?caf=C3=A9?=\r\n "
              "<a@b.example>\r\n",
              false, &f, &a, &told);
    assert_int_equal(f.count, 3);
    assert_int_equal(f.hop_count, 1);
    assert_true(str_eq_c(fields_get(&f, "subject"), "Привет"));
    assert_true(str_eq_c(fields_get(&f, "From"), "café <a@b.example>"));
    assert_true(str_eq_c(f.from_domain, "b.example"));
    assert_int_equal(fields_get(&f, "To").n, 0);
    buf_free(&told);
    arena_free(&a);
}

static void test_letters_with_smtputf8(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf told = buf_init(4096);
    struct fields f;

    judge_one(GOOD "X: \xd0\xb9\r\n", true, &f, &a, &told);
    assert_string_equal(buf_c(&told), OK);
    buf_reset(&told);
    judge_one(GOOD "X: \xd0\r\n", true, &f, &a, &told);
    assert_string_equal(buf_c(&told), OK ", header-not-utf8 (X)");
    buf_free(&told);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_what_is_shown),
        cmocka_unit_test(test_letters_with_smtputf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
