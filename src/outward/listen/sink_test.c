/* listen/sink_test.c - conversations with the sink: what it says, what it tells, what it takes. */
// SPDX-License-Identifier: ISC
#include "outward/listen/sink.h"

#include "outward/listen/test_judge.h"
#include "outward/listen/test_sink.h"

/* "220 250 354": the code of the last line of each reply. */
static void codes(struct str said, struct buf *to)
{
    while (said.n > 0) {
        struct str line = str_cut(&said, '\n');

        if (line.n >= 4 && line.p[3] != '-')
            buf_printf(to, "%s%.3s", to->n > 0 ? " " : "", line.p);
    }
}

#define HELLO "EHLO mx.sender.test\r\n|"
#define MAIL "MAIL FROM:<a@b.test>\r\n|"
#define RCPT "RCPT TO:<c@d.test>\r\n|"
#define FIELDS                                                                                     \
    "Date: Fri, 27 Nov 2026 10:00:00 +0000\r\nFrom: a@b.test\r\nTo: c@d.test\r\nSubject: x\r\n"    \
    "Message-ID: <1@b.test>\r\n\r\n"
#define DATA "DATA\r\n|" FIELDS "hello\r\n.\r\n|"
#define ALL HELLO MAIL RCPT DATA
#define QUIT "QUIT\r\n|"
#define PLAIN_OFFERS "SIZE 1000, 8BITMIME"

static const struct row {
    const char *offers, *rules, *client; /* | : waits for what is said */
    const char *codes, *told, *taken;
} rows[] = {
    /* ---- as it should be ---- */
    {PLAIN_OFFERS, "", ALL QUIT, "220 250 250 250 354 250 221", "", "+"},
    {PLAIN_OFFERS, "", HELLO MAIL RCPT DATA MAIL RCPT DATA QUIT,
     "220 250 250 250 354 250 250 250 354 250 221", "", "++"},
    {"PIPELINING", "",
     HELLO "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n|" FIELDS "x\r\n.\r\nQUIT\r\n|",
     "220 250 250 250 354 250 221", "", "+"},
    {"CHUNKING", "", HELLO MAIL RCPT "BDAT 111 LAST\r\n" FIELDS "hi\r\n|" QUIT,
     "220 250 250 250 250 221", "", "+"},
    {"CHUNKING", "", HELLO MAIL RCPT "BDAT 107\r\n" FIELDS "|BDAT 4 LAST\r\nhi\r\n|" QUIT,
     "220 250 250 250 250 250 221", "", "+"},
    {"CHUNKING", "", HELLO MAIL RCPT "BDAT 107\r\n" FIELDS "|BDAT 0 LAST\r\n|" QUIT,
     "220 250 250 250 250 250 221", "", "+"},
    {"STARTTLS", "", HELLO "STARTTLS\r\n|" ALL QUIT, "220 250 220 250 250 250 354 250 221", "",
     "+"},
    {"none", "", "HELO mx.sender.test\r\n|" MAIL RCPT DATA QUIT, "220 250 250 250 354 250 221",
     "helo", "+"},

    /* ---- what is wrong with a dialogue ---- */
    {PLAIN_OFFERS, "", "EHLO mx.sender.test\r\nMAIL FROM:<a@b.test>\r\n|" RCPT DATA QUIT,
     "220 250 250 250 354 250 221", "pipelining-not-offered", "+"},
    {"PIPELINING", "", HELLO MAIL RCPT "DATA\r\n" FIELDS "x\r\n.\r\n|" QUIT,
     "220 250 250 250 354 250 221", "pipelining-past-sync", "+"},
    {"STARTTLS", "", HELLO "STARTTLS\r\nEHLO mx.sender.test\r\n|" QUIT, "220 250 220 250 221",
     "starttls-pipelined", ""},
    {PLAIN_OFFERS, "", "EHLO mx.sender.test\n|" QUIT, "220 500 500", "command-bare-newline", ""},
    {PLAIN_OFFERS, "", HELLO "WHAT is this\r\n|" QUIT, "220 250 500 221", "command-unknown", ""},
    {PLAIN_OFFERS, "", HELLO "MAIL FROM: <a@b.test>\r\n|" QUIT, "220 250 250 221", "command-syntax",
     ""},
    {PLAIN_OFFERS, "", HELLO "MAIL FROM:<a@b@c>\r\n|" QUIT, "220 250 550 221", "command-syntax",
     ""},
    {PLAIN_OFFERS, "", MAIL HELLO QUIT, "220 503 250 221", "hello-missing", ""},
    {PLAIN_OFFERS, "", HELLO RCPT QUIT, "220 250 503 221", "command-sequence", ""},
    {PLAIN_OFFERS, "", HELLO MAIL MAIL QUIT, "220 250 250 503 221", "command-sequence", ""},
    {PLAIN_OFFERS, "", HELLO MAIL "DATA\r\n|" QUIT, "220 250 250 503 221", "command-sequence", ""},
    {PLAIN_OFFERS, "", HELLO "BDAT 3 LAST\r\nabc|" QUIT, "220 250 503 221", "command-sequence", ""},
    {PLAIN_OFFERS, "", HELLO MAIL RCPT "BDAT 111 LAST\r\n" FIELDS "hi\r\n|" QUIT,
     "220 250 250 250 250 221", "not-offered", "+"},
    {PLAIN_OFFERS, "", HELLO MAIL RCPT "BDAT x\r\n|" QUIT, "220 250 250 250 521", "command-syntax",
     ""},
    {PLAIN_OFFERS, "", HELLO "SEND FROM:<a@b.test>\r\n|TURN\r\n|" QUIT, "220 250 502 502 221",
     "command-obsolete", ""},
    {PLAIN_OFFERS, "", HELLO "STARTTLS\r\n|" QUIT, "220 250 502 221", "not-offered", ""},
    {"STARTTLS", "", HELLO "STARTTLS\r\n|MAIL FROM:<a@b.test>\r\n|" QUIT, "220 250 220 503 221",
     "ehlo-after-tls", ""},
    {"STARTTLS", "", HELLO MAIL QUIT, "220 250 250 221", "starttls-unused", ""},
    {PLAIN_OFFERS, "", "LHLO x.test\r\n|" QUIT, "220 500 221", "hello-foreign", ""},
    {PLAIN_OFFERS, "", "EHLO localhost\r\n|" QUIT, "220 250 221", "name-not-qualified", ""},
    {PLAIN_OFFERS, "", "EHLO a_b.test\r\n|" QUIT, "220 250 221", "name-syntax", ""},
    {PLAIN_OFFERS, "", "EHLO [192.0.2.7]\r\n|" QUIT, "220 250 221", "", ""},
    {PLAIN_OFFERS, "", "EHLO [192.0.2.8]\r\n|" QUIT, "220 250 221", "name-literal-other", ""},
    {PLAIN_OFFERS, "", "EHLO\r\n|" QUIT, "220 501 221", "name-syntax", ""},

    /* ---- envelopes and messages ---- */
    {PLAIN_OFFERS, "", HELLO "MAIL FROM:<a@b.test> SIZE=2000\r\n|" QUIT, "220 250 552 221",
     "size-over", ""},
    {PLAIN_OFFERS, "", HELLO "MAIL FROM:<a@b.test> SIZE=20\r\n|" RCPT DATA QUIT,
     "220 250 250 250 354 250 221", "size-false", "+"},
    {"SIZE 50", "", ALL QUIT, "220 250 250 250 354 552 221", "size-over", "-"},
    {"none", "", HELLO "MAIL FROM:<a@b.test> SIZE=20\r\n|" QUIT, "220 250 555 221", "not-offered",
     ""},
    {PLAIN_OFFERS, "", HELLO "MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n|" QUIT, "220 250 555 221",
     "not-offered", ""},
    {"8BITMIME, BINARYMIME, CHUNKING", "",
     HELLO "MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n|" RCPT "DATA\r\n|" QUIT,
     "220 250 250 250 503 221", "binary-by-data", ""},
    {PLAIN_OFFERS, "", HELLO "MAIL FROM:<a@local>\r\n|" RCPT RCPT QUIT, "220 250 250 250 250 221",
     "address-not-qualified recipient-twice", ""},
    {PLAIN_OFFERS, "",
     HELLO MAIL RCPT "DATA\r\n|" FIELDS "caf\xc3\xa9\n.\nx\r\n.bad\r\n.\r\n|" QUIT,
     "220 250 250 250 354 250 221",
     "8bit-in-7bit charset-missing false-end bare-lf dot-not-stuffed 8bit-unsaid", "+"},
    {"CHUNKING", "", HELLO MAIL RCPT "BDAT 107\r\n" FIELDS "|DATA\r\n|BDAT 4 LAST\r\nhi\r\n|" QUIT,
     "220 250 250 250 250 503 250 221", "data-in-chunks", "+"},

    /* ---- orders ---- */
    {PLAIN_OFFERS, "banner=554 no", QUIT, "554 221", "", ""},
    {PLAIN_OFFERS, "banner=554 no", MAIL, "554 503", "reply-ignored", ""},
    {PLAIN_OFFERS, "ehlo=502", "EHLO mx.sender.test\r\n|HELO mx.sender.test\r\n|" MAIL QUIT,
     "220 502 250 250 221", "", ""},
    {PLAIN_OFFERS, "mail=450", HELLO MAIL QUIT, "220 250 450 221", "", ""},
    {PLAIN_OFFERS, "mail=450", HELLO MAIL RCPT QUIT, "220 250 450 503 221", "reply-ignored", ""},
    {"PIPELINING", "mail=450", HELLO "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n|" QUIT,
     "220 250 450 503 503 221", "", ""},
    {PLAIN_OFFERS, "rcpt/for:c@d.test=550", HELLO MAIL RCPT "RCPT TO:<e@f.test>\r\n|" DATA QUIT,
     "220 250 250 550 250 354 250 221", "", "+"},
    {PLAIN_OFFERS, "rcpt=550", HELLO MAIL RCPT "DATA\r\n|" QUIT, "220 250 250 550 503 221",
     "reply-ignored", ""},
    {PLAIN_OFFERS, "data=250", HELLO MAIL RCPT "DATA\r\n|RSET\r\n|" QUIT,
     "220 250 250 250 250 250 221", "", ""},
    {PLAIN_OFFERS, "dot=451:4.3.0 later", ALL QUIT, "220 250 250 250 354 451 221", "", "-"},
    {PLAIN_OFFERS, "dot/first:1=451", HELLO MAIL RCPT DATA MAIL RCPT DATA QUIT,
     "220 250 250 250 354 451 250 250 354 250 221", "", "-+"},
    {PLAIN_OFFERS, "dot=cut", ALL, "220 250 250 250 354", "", "-"},
    {PLAIN_OFFERS, "dot=half", ALL, "220 250 250 250 354 250", "", "-"},
    {PLAIN_OFFERS, "dot=hang-up", ALL, "220 250 250 250 354 250", "", "+"},
    {PLAIN_OFFERS, "dot=421", ALL, "220 250 250 250 354 421", "", "-"},
    {PLAIN_OFFERS, "dot=delay:1s", ALL QUIT, "220 250 250 250 354 250 221", "", "+"},
    {PLAIN_OFFERS, "content=cut-after:10", ALL, "220 250 250 250 354", "", "/"},
    {PLAIN_OFFERS, "content=silence", ALL, "220 250 250 250 354", "", "/"},
    {PLAIN_OFFERS, "content=cut-after:100000", ALL QUIT, "220 250 250 250 354 250 221", "", "+"},
    {PLAIN_OFFERS, "rcpt=421:4.3.2 bye", HELLO MAIL RCPT, "220 250 250 421", "", ""},
    {PLAIN_OFFERS, "rcpt=reset", HELLO MAIL RCPT, "220 250 250", "", ""},
    {PLAIN_OFFERS, "rcpt=silence", HELLO MAIL RCPT QUIT, "220 250 250", "", ""},
    {PLAIN_OFFERS, "banner=silence", HELLO, "", "", ""},
    {PLAIN_OFFERS, "mail=lines:3", HELLO MAIL QUIT, "220 250 250 221", "", ""},
    {PLAIN_OFFERS, "mail=bare-lf", HELLO MAIL QUIT, "220 250 250 221", "", ""},
    {PLAIN_OFFERS, "mail=inject:250 again", HELLO MAIL QUIT, "220 250 250 250 221", "", ""},
    {"STARTTLS", "starttls=454", HELLO "STARTTLS\r\n|" QUIT, "220 250 454 221", "", ""},
    {"STARTTLS", "tls=expired", HELLO "STARTTLS\r\n|" HELLO QUIT, "220 250 220 250 221",
     "certificate-not-checked", ""},
    {"CHUNKING", "bdat=452", HELLO MAIL RCPT "BDAT 107\r\n" FIELDS "|RSET\r\n|" QUIT,
     "220 250 250 250 452 250 221", "", "/"},
};

static void converse(struct test_sink *t, const char *client)
{
    struct str rest = str_c(client);

    sink_begin(t->sink, false);
    test_sink_say(t);
    while (rest.n > 0)
        test_sink_feed(t, str_cut(&rest, '|'));
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        const struct row *r = &rows[i];
        struct buf got = buf_init(4096);
        struct test_sink t;

        test_sink_open(&t, r->offers, r->rules, false, "");
        converse(&t, r->client);
        codes(buf_str(&t.said), &got);
        if (strcmp(buf_c(&got), r->codes) != 0 || strcmp(buf_c(&t.told), r->told) != 0 ||
            strcmp(buf_c(&t.taken), r->taken) != 0)
            print_error("row %zu: %s\n", i, r->client);
        assert_string_equal(buf_c(&got), r->codes);
        assert_string_equal(buf_c(&t.told), r->told);
        assert_string_equal(buf_c(&t.taken), r->taken);
        buf_free(&got);
        test_sink_close(&t);
    }
}

/* In pieces of any size the same is taken, and nothing else is told than that it did not wait. */
static void test_trickle(void **state)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct str client = str_c(rows[i].client);

        if (str_find(client, '\0') < client.n)
            continue;
        for (size_t step = 1; step <= 3; step++) {
            struct test_sink t;
            struct buf bytes = buf_init(64 * KIB), got = buf_init(4096);

            for (size_t k = 0; k < client.n; k++)
                if (client.p[k] != '|')
                    buf_add_char(&bytes, client.p[k]);
            test_sink_open(&t, rows[i].offers, rows[i].rules, false, "");
            sink_begin(t.sink, false);
            test_sink_say(&t);
            for (size_t at = 0; at < bytes.n; at += step)
                test_sink_feed(&t, str_sub(buf_str(&bytes), at, at + step));
            codes(buf_str(&t.said), &got);
            assert_string_equal(buf_c(&got), rows[i].codes);
            assert_string_equal(buf_c(&t.taken), rows[i].taken);
            test_sink_close(&t);
            buf_free(&bytes);
            buf_free(&got);
        }
    }
}

/* What the end of a connection means. */
static void test_ends(void **state)
{
    static const struct {
        const char *rules, *client;
        enum sink_end end;
        uint64_t waited_s;
        const char *told, *taken;
    } ends[] = {
        {"", HELLO, SINK_END_CLIENT, 0, "quit-missing", ""},
        {"", ALL, SINK_END_CLIENT, 0, "quit-missing", "+"},
        {"", ALL QUIT, SINK_END_CLIENT, 0, "", "+"},
        {"", HELLO MAIL RCPT "DATA\r\n|Subject: x\r\n", SINK_END_LOST, 0, "cut-in-message", "/"},
        {"", HELLO, SINK_END_SILENT, 0, "silent", ""},
        {"", HELLO, SINK_END_OURS, 0, "", ""},
        {"rcpt=silence", HELLO MAIL RCPT, SINK_END_CLIENT, 20, "impatient", ""},
        {"rcpt=silence", HELLO MAIL RCPT, SINK_END_CLIENT, 301, "", ""},
        {"dot=silence", ALL, SINK_END_CLIENT, 301, "impatient", "-"},
        {"dot=silence", ALL, SINK_END_CLIENT, 601, "", "-"},
    };

    for (size_t i = 0; i < countof(ends); i++) {
        struct test_sink t;

        test_sink_open(&t, PLAIN_OFFERS, ends[i].rules, false, "");
        converse(&t, ends[i].client);
        sink_over(t.sink, ends[i].end, ends[i].waited_s * US_PER_S);
        if (strcmp(buf_c(&t.told), ends[i].told) != 0)
            print_error("row %zu\n", i);
        assert_string_equal(buf_c(&t.told), ends[i].told);
        assert_string_equal(buf_c(&t.taken), ends[i].taken);
        test_sink_close(&t);
    }
}

static void test_lmtp(void **state)
{
    struct test_sink t;
    struct buf got = buf_init(512);

    test_sink_open(&t, "PIPELINING", "dot/for:e@f.test=452:4.2.2 full", true, "");
    converse(&t, "EHLO x.test\r\n|LHLO x.test\r\n|" MAIL RCPT
                 "RCPT TO:<e@f.test>\r\n|RCPT TO:<g@h.test>\r\n|" DATA QUIT);
    codes(buf_str(&t.said), &got);
    assert_string_equal(buf_c(&got), "220 500 250 250 250 250 250 354 250 452 250 221");
    assert_string_equal(buf_c(&t.told), "hello-foreign");
    assert_string_equal(buf_c(&t.taken), "+");
    buf_free(&got);
    test_sink_close(&t);
}

static void test_logins(void **state)
{
    static const struct {
        const char *offers, *client, *codes, *told, *logins;
    } some[] = {
        /* \0bob\0secret */
        {"AUTH PLAIN", HELLO "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n|" QUIT, "220 250 235 221",
         "password-in-clear", "PLAIN bob yes;"},
        {"AUTH PLAIN", HELLO "AUTH PLAIN\r\n|AGJvYgBzZWNyZXQ=\r\n|" QUIT, "220 250 334 235 221",
         "password-in-clear", "PLAIN bob yes;"},
        {"AUTH PLAIN", HELLO "AUTH PLAIN AGJvYgB3cm9uZw==\r\n|" QUIT, "220 250 535 221",
         "password-in-clear", "PLAIN bob no;"},
        {"AUTH PLAIN", HELLO "AUTH PLAIN\r\n|*\r\n|" QUIT, "220 250 334 501 221",
         "password-in-clear", "PLAIN  no;"},
        {"AUTH PLAIN", HELLO "AUTH PLAIN ***\r\n|" QUIT, "220 250 501 221",
         "password-in-clear auth-malformed", "PLAIN  no;"},
        {"AUTH PLAIN", HELLO "AUTH LOGIN\r\n|" QUIT, "220 250 504 221",
         "password-in-clear auth-not-offered", ""},
        {"AUTH LOGIN", HELLO "AUTH LOGIN\r\n|Ym9i\r\n|c2VjcmV0\r\n|" QUIT,
         "220 250 334 334 235 221", "password-in-clear", "LOGIN bob yes;"},
        {"AUTH", HELLO MAIL "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n|" QUIT, "220 250 250 503 221",
         "auth-in-transaction", ""},
        {"AUTH, STARTTLS",
         HELLO "STARTTLS\r\n|" HELLO
               "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n|AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n|" QUIT,
         "220 250 220 250 235 503 221", "auth-in-transaction", "PLAIN bob yes;"},
    };

    for (size_t i = 0; i < countof(some); i++) {
        struct buf got = buf_init(512);
        struct test_sink t;

        test_sink_open(&t, some[i].offers, "", false, "secret");
        t.has_secret = true;
        converse(&t, some[i].client);
        codes(buf_str(&t.said), &got);
        if (strcmp(buf_c(&t.logins), some[i].logins) != 0 ||
            strcmp(buf_c(&t.told), some[i].told) != 0)
            print_error("row %zu\n", i);
        assert_string_equal(buf_c(&got), some[i].codes);
        assert_string_equal(buf_c(&t.told), some[i].told);
        assert_string_equal(buf_c(&t.logins), some[i].logins);
        buf_free(&got);
        test_sink_close(&t);
    }
}

/* Odd answers, byte for byte. */
static void test_odd_bytes(void **state)
{
    static const struct {
        const char *rule, *said;
    } odd[] = {
        {"other=450:4.0.0 no", "450 4.0.0 no\r\n"},
        {"other=lines:3", "250-line 1\r\n250-line 2\r\n250 2.0.0 ok\r\n"},
        {"other=long:20", "250 xxxxxxxxxxxxxxxx\r\n"},
        {"other=bare-lf", "250 2.0.0 ok\n"},
        {"other=inject:250 yes", "250 2.0.0 ok\r\n250 yes\r\n"},
        {"other=half", "250 2.0"},
        {"other=cut", ""},
    };

    for (size_t i = 0; i < countof(odd); i++) {
        struct test_sink t;

        test_sink_open(&t, "none", odd[i].rule, false, "");
        sink_begin(t.sink, false);
        test_sink_say(&t);
        buf_reset(&t.said);
        test_sink_feed(&t, STR("NOOP\r\n"));
        assert_string_equal(buf_c(&t.said), odd[i].said);
        test_sink_close(&t);
    }
}

static void test_who_speaks_early(void **state)
{
    struct test_sink t;

    test_sink_open(&t, "PIPELINING", "banner=delay:5s", false, "");
    sink_begin(t.sink, false);
    assert_int_equal(sink_feed(t.sink, STR("EHLO x.test\r\n"), 1), 0);
    assert_string_equal(buf_c(&t.told), "early-talker");
    test_sink_say(&t);
    test_sink_feed(&t, STR("EHLO x.test\r\n"));
    assert_true(str_starts(buf_str(&t.said), STR("220 ")));
    test_sink_close(&t);
}

static void test_tls_from_the_first_byte_on(void **state)
{
    struct test_sink t;

    test_sink_open(&t, "STARTTLS", "", false, "");
    sink_begin(t.sink, true);
    assert_int_equal(sink_saying(t.sink)->then, THEN_TLS);
    assert_int_equal(t.said.n, 0);
    test_sink_say(&t);
    assert_true(str_starts(buf_str(&t.said), STR("220 ")));
    test_sink_feed(&t, STR("EHLO x.test\r\n"));
    assert_true(str_find_str(buf_str(&t.said), STR("STARTTLS")) == t.said.n);
    assert_string_equal(buf_c(&t.told), "");
    test_sink_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_lmtp),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_odd_bytes),
        cmocka_unit_test(test_who_speaks_early),
        cmocka_unit_test(test_tls_from_the_first_byte_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
