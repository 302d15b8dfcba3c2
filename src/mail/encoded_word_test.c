// SPDX-License-Identifier: ISC
#include "mail/encoded_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"

static void prints(void **state)
{
    static const struct {
        const char *in, *text, *phrase;
    } cases[] = {
        {"", "", ""},
        {"Bill Smith", "Bill Smith", "Bill Smith"},
        {"Bill, B.", "Bill, B.", "\"Bill, B.\""},
        {"a \"b\" \\", "a \"b\" \\", "\"a \\\"b\\\" \\\\\""},
        {"J\xc3\xb6rg", "=?UTF-8?Q?J=C3=B6rg?=", "=?UTF-8?Q?J=C3=B6rg?="},
        {"a\r\nX: y", "=?UTF-8?Q?a=0D=0AX=3A=20y?=", "=?UTF-8?Q?a=0D=0AX=3A=20y?="},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(KIB);

        encoded_text_print(&b, str_c(cases[i].in));
        assert_string_equal(buf_c(&b), cases[i].text);
        buf_reset(&b);
        encoded_phrase_print(&b, str_c(cases[i].in));
        assert_string_equal(buf_c(&b), cases[i].phrase);
        buf_free(&b);
    }
}

/* No line over 76 bytes, and no character cut in two (RFC 2047 2, 5). */
static void folds(void **state)
{
    struct buf in = buf_init(KIB), out = buf_init(8 * KIB);

    for (int i = 0; i < 100; i++)
        buf_add_c(&in, "\xe2\x82\xac");
    encoded_text_print(&out, buf_str(&in));
    for (struct str rest = buf_str(&out); rest.n > 0;) {
        struct str line = str_trim(str_cut(&rest, '\n'));

        assert_in_range(line.n, 14, 76);
        assert_true(str_starts(line, STR("=?UTF-8?Q?=E2")) && str_ends(line, STR("=AC?=")));
    }
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prints), cmocka_unit_test(folds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
