// SPDX-License-Identifier: ISC
#include "mail/status.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void reads_enhanced_codes(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"2.0.0", true},    {"5.1.10", true}, {"4.255.255", true}, {"4.256.0", false},
        {"3.0.0", false},   {"1.0.0", false}, {"5.1", false},      {"5.1.", false},
        {"5.1.1.1", false}, {"", false},      {"5.01.1", false},   {" 5.1.1", false},
        {"5.1.1 ", false},  {"5..1", false},  {"5.1.1x", false},   {"5.1.1000", false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct status st = {.code = 7, .class = 9};
        assert_int_equal(status_parse_enhanced(str_c(cases[i].text), &st), cases[i].ok);
        assert_int_equal(st.code, 7);
        if (!cases[i].ok) {
            assert_int_equal(st.class, 9);
            continue;
        }
        struct buf b = buf_init(16);
        status_print_enhanced(&b, &st);
        assert_string_equal(buf_c(&b), cases[i].text);
        buf_free(&b);
    }
}

static void reads_replies(void **state)
{
    static const struct {
        uint16_t code;
        const char *reply, *enhanced, *text;
    } cases[] = {
        {250, "2.1.5 ok", "2.1.5", "ok"},
        {250, "ok", "2.0.0", "ok"},
        {550, "5.1.1 no\n5.1.1 such user", "5.1.1", "no such user"},
        {550, "5.1.1 no\nsuch\n\nuser\r\n", "5.1.1", "no such user"},
        {550, "4.1.1 other class", "5.0.0", "4.1.1 other class"},
        {451, "", "4.0.0", ""},
        {421, "4.3.2", "4.3.2", ""},
        {354, "go on", "4.0.0", "go on"},
        {0, "connection refused", "4.0.0", "connection refused"},
        {999, "what", "4.0.0", "what"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct status st = status_from_reply(cases[i].code, str_c(cases[i].reply));
        struct buf b = buf_init(16);
        status_print_enhanced(&b, &st);
        assert_string_equal(buf_c(&b), cases[i].enhanced);
        assert_string_equal(st.text, cases[i].text);
        assert_int_equal(st.code, cases[i].code);
        assert_int_equal(status_done(&st) + status_try_later(&st) + status_never(&st), 1);
        buf_free(&b);
    }
}

static void long_texts_are_cut(void **state)
{
    char text[2000];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 3 == 2 ? '\n' : 'x';
    struct status st = status_from_reply(550, str_n(text, sizeof(text)));
    assert_int_equal(strlen(st.text), STATUS_TEXT_BYTES_MAX - 1);
    st = status_make(550, 5, 1, 1, str_n(text, sizeof(text)));
    assert_int_equal(strlen(st.text), STATUS_TEXT_BYTES_MAX - 1);
    st = status_make(550, 5, 1, 1, STR_NONE);
    assert_string_equal(st.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_enhanced_codes),
        cmocka_unit_test(reads_replies),
        cmocka_unit_test(long_texts_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
