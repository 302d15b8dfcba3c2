// SPDX-License-Identifier: ISC
#include "mail/notify.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void parses_what_may_be_said(void **state)
{
    static const struct {
        const char *text;
        unsigned want; /* 0: refused */
        const char *printed;
    } table[] = {
        {"NEVER", NOTIFY_NEVER, "NEVER"},
        {"never", NOTIFY_NEVER, "NEVER"},
        {"SUCCESS", NOTIFY_SUCCESS, "SUCCESS"},
        {"delay,Success", NOTIFY_SUCCESS | NOTIFY_DELAY, "SUCCESS,DELAY"},
        {"DELAY,FAILURE,SUCCESS", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY,
         "SUCCESS,FAILURE,DELAY"},
        {"", 0, NULL},
        {",", 0, NULL},
        {"SUCCESS,", 0, NULL},
        {"NEVER,DELAY", 0, NULL},
        {"SUCCESS,SUCCESS", 0, NULL},
        {"SUCCESS DELAY", 0, NULL},
        {"ALWAYS", 0, NULL},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct buf b = buf_init(64);
        unsigned when = 0;
        assert_int_equal(notify_parse(str_c(table[i].text), &when), table[i].want != 0);
        assert_int_equal(when, table[i].want);
        notify_print(&b, when);
        assert_true(str_eq(buf_str(&b), table[i].want ? str_c(table[i].printed) : STR("")));
        buf_free(&b);
    }
}

static void silence_wants_failures_and_delays(void **state)
{
    assert_true(notify_wants(0, NOTIFY_FAILURE) && notify_wants(0, NOTIFY_DELAY));
    assert_false(notify_wants(0, NOTIFY_SUCCESS));
    assert_true(notify_wants(NOTIFY_EXPANDED, NOTIFY_FAILURE));
    assert_false(notify_wants(NOTIFY_NEVER, NOTIFY_FAILURE));
    assert_false(notify_wants(NOTIFY_SUCCESS, NOTIFY_FAILURE));
    assert_false(notify_wants(NOTIFY_FAILURE, NOTIFY_DELAY));
}

static void some_sets_are_never_stored(void **state)
{
    assert_true(notify_valid(0) && notify_valid(NOTIFY_NEVER | NOTIFY_EXPANDED));
    assert_false(notify_valid(NOTIFY_NEVER | NOTIFY_DELAY));
    assert_false(notify_valid(32));
}

static void returns_and_texts(void **state)
{
    enum notify_return r = RETURN_UNSAID;
    char long_text[ORCPT_BYTES_MAX + 2] = "rfc822;";

    assert_true(notify_return_parse(STR("full"), &r) && r == RETURN_FULL);
    assert_true(notify_return_parse(STR("HDRS"), &r) && r == RETURN_HEADERS);
    assert_false(notify_return_parse(STR(""), &r) || notify_return_parse(STR("HEADERS"), &r));
    for (size_t i = 7; i < sizeof(long_text); i++)
        long_text[i] = 'a';
    assert_true(orcpt_valid(str_n(long_text, ORCPT_BYTES_MAX)));
    assert_false(orcpt_valid(str_n(long_text, ORCPT_BYTES_MAX + 1)));
    assert_true(orcpt_valid(STR("rfc822;bob@example.org")) && orcpt_valid(STR("x-a;b c")));
    assert_false(orcpt_valid(STR("rfc822;")) || orcpt_valid(STR(";bob")) ||
                 orcpt_valid(STR("bob")) || orcpt_valid(STR("a b;c")) ||
                 orcpt_valid(STR("rfc822;a\r\nb")) || orcpt_valid(STR("rfc822;\xc3\xa4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_what_may_be_said),
        cmocka_unit_test(silence_wants_failures_and_delays),
        cmocka_unit_test(some_sets_are_never_stored),
        cmocka_unit_test(returns_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
