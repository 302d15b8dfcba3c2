// SPDX-License-Identifier: ISC
#include "compose/cid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void valid(void **state)
{
    static const struct {
        const char *id;
        bool without_at, with_at;
    } cases[] = {
        {"logo.png", true, false}, {"a@b", false, true},    {"a.b-c_d+e@f.g", false, true},
        {"", false, false},        {"@", false, false},     {"a@", false, false},
        {"@b", false, false},      {"a@b@c", false, false}, {".a", false, false},
        {"a.", false, false},      {"a..b", false, false},  {"a b", false, false},
        {"a>b", false, false},     {"a%41", false, false},  {"\xd0\x96", false, false},
        {"a.@b", false, false},    {"a@.b", false, false},  {"a\r\nX: y", false, false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        assert_int_equal(cid_valid(str_c(cases[i].id), false), cases[i].without_at);
        assert_int_equal(cid_valid(str_c(cases[i].id), true), cases[i].with_at);
    }
}

static void renames(void **state)
{
    static const struct {
        const char *html, *want, *unknown; /* want NULL: it is unknown */
    } cases[] = {
        {"", "", ""},
        {"<img src=\"cid:a.png\">", "<img src=\"cid:a.png@h\">", ""},
        {"<img src='CID:a.png' alt=x>", "<img src='cid:a.png@h' alt=x>", ""},
        {"<img src=cid:a.png><p>", "<img src=cid:a.png@h><p>", ""},
        {"<img src=cid:a.png alt=x>", "<img src=cid:a.png@h alt=x>", ""},
        {"<td style=\"background: url(cid:a.png)\">", "<td style=\"background: url(cid:a.png@h)\">",
         ""},
        {"<td style=\"background: url('cid:a.png')\">",
         "<td style=\"background: url('cid:a.png@h')\">", ""},
        {"<style>b { background: url(cid:a.png) }</style>",
         "<style>b { background: url(cid:a.png@h) }</style>", ""},
        {"<img src=\"cid:%61.png\"><img src=\"cid:my picture\">",
         "<img src=\"cid:a.png@h\"><img src=\"cid:p@h\">", ""},
        {"<img src=\"cid:my%20picture\">", "<img src=\"cid:p@h\">", ""},
        {"<img src=\"cid:\xd0\x96\"><img src=\"cid:%D0%96\">",
         "<img src=\"cid:z@h\"><img src=\"cid:z@h\">", ""},
        {"write cid:none or \"cid:none\", acid:a.png", "write cid:none or \"cid:none\", acid:a.png",
         ""},
        {"1 < 2 \"cid:none\"", "1 < 2 \"cid:none\"", ""},
        {"<img src=\"cid:a.pn\">", NULL, "a.pn"},
        {"<img src=\"cid:a.png2\">", NULL, "a.png2"},
        {"<img src='cid:none'>", NULL, "none"},
        {"<img src=cid:", NULL, ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct cid cids[] = {
            {.called = STR("a.png"), .id = STR("a.png@h")},
            {.called = STR("my picture"), .id = STR("p@h")},
            {.called = STR("\xd0\x96"), .id = STR("z@h")},
        };
        struct buf b = buf_init(KIB);
        struct str unknown = STR("?");
        bool good = cid_rename(str_c(cases[i].html), cids, countof(cids), &b, &unknown);

        assert_int_equal(good, cases[i].want != NULL);
        assert_true(str_eq_c(unknown, cases[i].unknown));
        if (good)
            assert_string_equal(buf_c(&b), cases[i].want);
        assert_int_equal(cids[0].used, good && strstr(cases[i].want, "a.png@h") != NULL);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(valid), cmocka_unit_test(renames)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
