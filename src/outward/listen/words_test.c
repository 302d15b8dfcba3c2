/* listen/words_test.c - header fields as a person reads them. */
// SPDX-License-Identifier: ISC
#include "outward/listen/words.h"

#include "outward/listen/test_judge.h"

static void test_decode(void **state)
{
    static const struct {
        const char *body, *text;
        size_t bad;
    } rows[] = {
        {" hello  world\r\n", "hello world", 0},
        {"=?UTF-8?Q?=D0=9F=D1=80=D0=B8=D0=B2=D0=B5=D1=82?=", "Привет", 0},
        {"=?utf-8?b?0J/RgNC40LLQtdGC?=", "Привет", 0},
        {"=?koi8-r?B?8NLJ18XU?= =?koi8-r?Q?,_=CD=C9=D2?=", "Привет, мир", 0},
        {"=?windows-1251?Q?=CF=F0=E8?=\r\n =?windows-1251?Q?=E2=E5=F2?=", "Привет", 0},
        {"Re: =?UTF-8?Q?caf=C3=A9?= now", "Re: café now", 0},
        {"=?utf-8*en?q?a?=", "a", 0},
        {"(=?UTF-8?Q?a?=)", "(a)", 0},
        {"=?UTF-8?Q?a?=b", "ab", 0},
        {"=?no-such-set?Q?a?=", "=?no-such-set?Q?a?=", 1},
        {"=?UTF-8?X?a?=", "=?UTF-8?X?a?=", 1},
        {"=?UTF-8?Q?=FF?=", "=?UTF-8?Q?=FF?=", 1},
        {"=?UTF-8?Q?=G0?=", "=?UTF-8?Q?=G0?=", 1},
        {"=?UTF-8?B?***?=", "=?UTF-8?B?***?=", 1},
        {"=?UTF-8?Q?a b?=", "=?UTF-8?Q?a b?=", 1},
        {"a =? b", "a =? b", 1},
        {"caf\xc3\xa9", "café", 0},
        {"", "", 0},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct buf text = buf_init(4096);
        struct words_seen seen;

        words_decode(&text, str_c(rows[i].body), &seen);
        assert_string_equal(buf_c(&text), rows[i].text);
        assert_int_equal(seen.bad, rows[i].bad);
        buf_free(&text);
    }
}

static void test_fields(void **state)
{
    static const struct {
        const char *body, *value, *charset, *boundary, *filename;
        bool good;
    } rows[] = {
        {" Text/Plain; charset=UTF-8", "text/plain", "UTF-8", "", "", true},
        {"text/plain; charset=\"koi8-r\" (Russian); format=flowed", "text/plain", "koi8-r", "", "",
         true},
        {"multipart/mixed;\r\n boundary=\"=_a b\\\"c\"", "multipart/mixed", "", "=_a b\"c", "",
         true},
        {"multipart/mixed; boundary=x;", "multipart/mixed", "", "x", "", true},
        {"image/png; name=\"a.png\"", "image/png", "", "", "a.png", true},
        {"attachment; filename*=utf-8''%D1%84%D0%B0%D0%B9%D0%BB.txt", "attachment", "", "",
         "файл.txt", true},
        {"attachment; filename*0*=koi8-r'ru'%C6%C1; filename*1*=%CA%CC; filename*2=.txt",
         "attachment", "", "", "файл.txt", true},
        {"attachment; filename*0=long; filename*1=name.txt", "attachment", "", "", "longname.txt",
         true},
        {"attachment; filename=\"=?UTF-8?Q?=D1=84?=.txt\"", "attachment", "", "", "ф.txt", true},
        {"(what) text/html (and) ; (more) charset (x) = (y) us-ascii", "text/html", "us-ascii", "",
         "", true},
        {"text/plain; charset", "text/plain", "", "", "", false},
        {"text/plain charset=x", "text/plain", "", "", "", false},
        {"text/plain; =x", "text/plain", "", "", "", false},
        {"text/plain; charset=\"x", "text/plain", "", "", "", false},
        {"", "", "", "", "", false},
        {"(never closed", "", "", "", "", false},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct arena a = ARENA_INIT;
        struct mime_field m;
        bool good = mime_field_parse(str_c(rows[i].body), &a, &m);

        if (good != rows[i].good || !str_eq_c(m.filename, rows[i].filename))
            print_error("row %zu\n", i);
        assert_int_equal(good, rows[i].good);
        assert_true(str_eq_c(m.value, rows[i].value));
        if (good) {
            assert_true(str_eq_c(m.charset, rows[i].charset));
            assert_true(str_eq_c(m.boundary, rows[i].boundary));
            assert_true(str_eq_c(m.filename, rows[i].filename));
        }
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
