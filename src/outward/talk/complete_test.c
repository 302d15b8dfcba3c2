// SPDX-License-Identifier: ISC
#include "outward/talk/complete.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/check.h"

/* All words, with | between them. */
static void completed(const struct exchange *x, const char *line, struct buf *to)
{
    struct arena a = ARENA_INIT;
    struct completion c;

    complete(&a, str_c(line), x, &c);
    for (size_t i = 0; i < c.count; i++)
        buf_printf(to, "%s%s", i ? "|" : "", c.words[i]);
    if (c.file)
        buf_add_c(to, "FILE");
    arena_free(&a);
}

static void by_what_is_offered(void **state)
{
    static const struct {
        enum exchange_protocol protocol;
        const char *offers, *line, *words;
    } cases[] = {
        {EXCHANGE_SMTP, "", "ma", "MAIL FROM:<"},
        {EXCHANGE_SMTP, "", "MAIL FR", "FROM:<"},
        {EXCHANGE_SMTP, "", "STA", ""},
        {EXCHANGE_SMTP, "STARTTLS", "sta", "STARTTLS"},
        {EXCHANGE_SMTP, "SIZE 100\n8BITMIME", "MAIL FROM:<a@b> ", "SIZE=|BODY=7BIT|BODY=8BITMIME"},
        {EXCHANGE_SMTP, "SIZE 100\nDSN", "MAIL FROM:<a@b> SIZE=5 RET=", "RET=FULL|RET=HDRS"},
        {EXCHANGE_SMTP, "DSN", "RCPT TO:<a@b> NOTIFY=N", "NOTIFY=NEVER"},
        {EXCHANGE_SMTP, "", "RCPT TO:<a@b> NOTIFY=N", ""},
        {EXCHANGE_SMTP, "AUTH PLAIN SCRAM-SHA-256\nAUTH=LOGIN", "AUTH S", "SCRAM-SHA-256"},
        {EXCHANGE_SMTP, "AUTH PLAIN", "/auth p", "PLAIN"},
        {EXCHANGE_SMTP, "", "/da", "/data "},
        {EXCHANGE_SMTP, "", "/data x", "FILE"},
        {EXCHANGE_SMTP, "", "data x", "FILE"},
        {EXCHANGE_SMTP, "", "/explain o", "on|off"},
        {EXCHANGE_LMTP, "", "EHL", ""},
        {EXCHANGE_LMTP, "", "lh", "LHLO "},
        {EXCHANGE_POP3, "SASL PLAIN LOGIN", "AUTH ", "PLAIN|LOGIN"},
        {EXCHANGE_POP3, "STLS", "ST", "STLS|STAT"},
        {EXCHANGE_POP3, "", "MAI", ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct exchange x;
        struct buf words = buf_init(4096);

        exchange_init(&x, cases[i].protocol);
        buf_add_c(&x.offers, cases[i].offers);
        completed(&x, cases[i].line, &words);
        if (strcmp(buf_c(&words), cases[i].words) != 0)
            fail_msg("%s: %s, not %s", cases[i].line, buf_c(&words), cases[i].words);
        buf_free(&words);
        exchange_free(&x);
    }
}

static void content_is_not_completed(void **state)
{
    struct exchange x;
    struct buf words = buf_init(4096);

    exchange_init(&x, EXCHANGE_SMTP);
    x.mode = MODE_CONTENT;
    completed(&x, "ma", &words);
    assert_int_equal(words.n, 0);
    exchange_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_what_is_offered),
        cmocka_unit_test(content_is_not_completed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
