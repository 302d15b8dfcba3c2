// SPDX-License-Identifier: ISC
#include "client/offers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

/* The answer of smtp.yandex.ru as the project's texts show it, and what other servers say. */
static void answers_are_understood(void **state)
{
    static const struct {
        const char *text;
        const char *flags; /* a letter for each, in the order of the struct */
        uint64_t size_max, recipients_max, messages_max;
        const char *auth, *lines;
    } rows[] = {
        {"smtp.yandex.ru\nSIZE 20971520\n8BITMIME\nPIPELINING\nCHUNKING\nENHANCEDSTATUSCODES\nDSN\n"
         "X-RCPTLIMIT 25\nAUTH=LOGIN\nAUTH LOGIN\nSTARTTLS\nHELP",
         "ps8td-c-ea", 20971520, 0, 0, "LOGIN",
         "SIZE 20971520\n8BITMIME\nPIPELINING\nCHUNKING\nENHANCEDSTATUSCODES\nDSN\nX-RCPTLIMIT 25\n"
         "AUTH=LOGIN\nAUTH LOGIN\nSTARTTLS\nHELP"},
        {"mx", "----------", 0, 0, 0, "", ""},
        {"AUTH PLAIN", "----------", 0, 0, 0, "", ""}, /* the first line is a name */
        {"mx\nauth plain  Login ", "---------a", 0, 0, 0, "plain Login", "auth plain  Login"},
        {"mx\nAUTH=PLAIN LOGIN\nAUTH LOGIN CRAM-MD5", "---------a", 0, 0, 0, "PLAIN LOGIN CRAM-MD5",
         "AUTH=PLAIN LOGIN\nAUTH LOGIN CRAM-MD5"},
        {"mx\nAUTH", "---------a", 0, 0, 0, "", "AUTH"},
        {"mx\nSIZE", "-s--------", 0, 0, 0, "", "SIZE"},
        {"mx\nSIZE big", "-s--------", 0, 0, 0, "", "SIZE big"},
        {"mx\nlimits RCPTMAX=20 FOO MAILMAX=5 RCPTMAX=x\nsmtputf8\nBINARYMIME", "-----u-b--", 0, 20,
         5, "", "limits RCPTMAX=20 FOO MAILMAX=5 RCPTMAX=x\nsmtputf8\nBINARYMIME"},
        {"mx\nPIPELINING-NOT\nXSIZE 5", "----------", 0, 0, 0, "", "PIPELINING-NOT\nXSIZE 5"},
    };
    static const char letters[] = "ps8tducbea";

    for (size_t i = 0; i < countof(rows); i++) {
        struct client_offers o;

        print_message("%zu\n", i);
        offers_init(&o);
        offers_parse(&o, STR("mx\nSIZE 1\nAUTH FORGOTTEN\nLIMITS RCPTMAX=1 MAILMAX=1\nDSN"));
        offers_parse(&o, str_c(rows[i].text));
        const bool said[] = {
            o.pipelining,   o.has_size,     o.has_8bitmime,   o.has_starttls,       o.has_dsn,
            o.has_smtputf8, o.has_chunking, o.has_binarymime, o.has_enhanced_codes, o.has_auth};
        for (size_t k = 0; k < countof(said); k++)
            assert_int_equal(said[k], rows[i].flags[k] == letters[k]);
        assert_true(o.esmtp);
        assert_int_equal(o.size_max, rows[i].size_max);
        assert_int_equal(o.recipients_max, rows[i].recipients_max);
        assert_int_equal(o.messages_max, rows[i].messages_max);
        assert_true(str_eq_c(buf_str(&o.auth), rows[i].auth));
        assert_true(str_eq_c(buf_str(&o.lines), rows[i].lines));
        offers_free(&o);
        assert_false(o.esmtp);
    }
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    struct buf text = buf_init(64 * KIB);
    struct client_offers o;

    buf_add_c(&text, "mx\nAUTH");
    for (size_t i = 0; i < 500; i++)
        buf_printf(&text, " MECHANISM-%zu", i);
    for (size_t i = 0; i < 500; i++)
        buf_printf(&text, "\nX-LINE-%zu with some words behind", i);
    buf_add_c(&text, "\nDSN");
    offers_init(&o);
    offers_parse(&o, buf_str(&text));
    assert_true(o.has_dsn);
    assert_false(o.auth.full || o.lines.full);
    assert_true(str_starts(buf_str(&o.auth), STR("MECHANISM-0 MECHANISM-1 ")));
    struct str last = str_skip(buf_str(&o.auth), str_find_last(buf_str(&o.auth), ' ') + 1);
    assert_true(str_starts(last, STR("MECHANISM-")) && last.n >= 11);
    assert_true(str_ends(buf_str(&o.lines), STR(" behind")) ||
                str_ends(buf_str(&o.lines), STR("DSN")));
    offers_free(&o);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_understood),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
