// SPDX-License-Identifier: ISC
#include "compose/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"

#define SEVENTY_EIGHT                                                                              \
    "123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345678"

static void lines(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"", ""},
        {"a", "a\r\n"},
        {"a\n", "a\r\n"},
        {"a\r\n", "a\r\n"},
        {"a\rb\n\rc\r\r\nd", "a\r\nb\r\n\r\nc\r\n\r\nd\r\n"},
        {"\n", "\r\n"},
        {"\xef\xbb\xbf"
         "a",
         "a\r\n"},
        {"\xef\xbb\xbf", ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(KIB);

        assert_true(content_lines(str_c(cases[i].in), &b));
        assert_string_equal(buf_c(&b), cases[i].want);
        buf_free(&b);
    }
    struct buf small = buf_init(2);
    assert_false(content_lines(STR("a"), &small));
    buf_free(&small);
}

static void chooses(void **state)
{
    static const struct {
        const char *text;
        enum content_encoding with_7bit, with_8bit;
    } cases[] = {
        {"", CONTENT_7BIT, CONTENT_7BIT},
        {"Hello,\n\tworld\n", CONTENT_7BIT, CONTENT_7BIT},
        {SEVENTY_EIGHT, CONTENT_7BIT, CONTENT_7BIT},
        {SEVENTY_EIGHT "9", CONTENT_QUOTED_PRINTABLE, CONTENT_QUOTED_PRINTABLE},
        {"a \nb", CONTENT_QUOTED_PRINTABLE, CONTENT_QUOTED_PRINTABLE},
        {"-- \nBill", CONTENT_QUOTED_PRINTABLE, CONTENT_QUOTED_PRINTABLE},
        {"a\t\nb", CONTENT_QUOTED_PRINTABLE, CONTENT_QUOTED_PRINTABLE},
        {"From me\n", CONTENT_QUOTED_PRINTABLE, CONTENT_QUOTED_PRINTABLE},
        {"a From me\n", CONTENT_7BIT, CONTENT_7BIT},
        {".\n", CONTENT_QUOTED_PRINTABLE, CONTENT_QUOTED_PRINTABLE},
        {"..\n.a\n", CONTENT_7BIT, CONTENT_7BIT},
        {"a\x1b[31m very red but otherwise long\n", CONTENT_QUOTED_PRINTABLE,
         CONTENT_QUOTED_PRINTABLE},
        {"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", CONTENT_BASE64, CONTENT_8BIT},
        {"a few words in English, and J\xc3\xb6rg", CONTENT_QUOTED_PRINTABLE, CONTENT_8BIT},
        /* 40 letters, 80 bytes */
        {"\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6"
         "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6"
         "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6"
         "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6",
         CONTENT_BASE64, CONTENT_8BIT},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(KIB);

        assert_true(content_lines(str_c(cases[i].text), &b));
        struct content_facts f = content_scan(buf_str(&b), true);
        assert_int_equal(content_choose(&f, b.n, false), cases[i].with_7bit);
        assert_int_equal(content_choose(&f, b.n, true), cases[i].with_8bit);
        buf_free(&b);
    }
}

static void quotes(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"a=b\r\n", "a=3Db\r\n"},
        {"a \r\n\t\r\n", "a=20\r\n=09\r\n"},
        {"a b\tc\r\n", "a b\tc\r\n"},
        {"From me\r\n >From me\r\n", "=46rom me\r\n >From me\r\n"},
        {"From\r\n", "From\r\n"},
        {".\r\n..\r\n a.\r\n", "=2E\r\n=2E.\r\n a.\r\n"},
        {"J\xf6rg\x01\x7f\r\n", "J=F6rg=01=7F\r\n"},
        {"\r\n\r\n", "\r\n\r\n"},
        {SEVENTY_EIGHT "\r\n",
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345=\r\n"
         "678\r\n"},
        /* 76 are a whole line, also with a coded blank at the end */
        {"123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456\r\n",
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456\r\n"},
        {"123456789 123456789 123456789 123456789 123456789 123456789 123456789 123 \r\n",
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123=20\r\n"},
        {"123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234 \r\n",
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234=\r\n=20\r\n"},
        /* a soft break must not make a line that starts with From */
        {"123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234 From me\r\n",
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 1234 =\r\n"
         "=46rom me\r\n"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(KIB);

        assert_true(content_encode(str_c(cases[i].in), CONTENT_QUOTED_PRINTABLE, &b));
        assert_string_equal(buf_c(&b), cases[i].want);
        buf_free(&b);
    }
}

/* RFC 2045 6.7, by its words. */
static void unquote(struct str text, struct buf *to)
{
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');

        assert_true(str_ends(line, STR("\r")) && line.n <= 77);
        line.n--;
        assert_true(line.n == 0 || !char_is_blank(line.p[line.n - 1]));
        for (size_t i = 0; i < line.n; i++) {
            unsigned byte;

            assert_true((line.p[i] >= ' ' && line.p[i] <= '~') || line.p[i] == '\t');
            if (line.p[i] != '=') {
                (void)buf_add_char(to, line.p[i]);
            } else if (i + 1 < line.n) {
                char code[3] = {line.p[i + 1], line.p[i + 2], '\0'};

                assert_int_equal(sscanf(code, "%02X", &byte), 1);
                (void)buf_add_char(to, (char)byte);
                i += 2;
            }
        }
        if (!str_ends(line, STR("=")))
            (void)buf_add(to, STR("\r\n"));
    }
}

/* Whatever goes in comes out, in lines that nothing can happen to. */
static void any_lines_come_back(void **state)
{
    uint64_t seed = 1;
    struct buf in = buf_init(64 * KIB), out = buf_init(MIB), back = buf_init(64 * KIB);

    for (int round = 0; round < 300; round++) {
        static const char often[] = "  =.From \t\xd0\x9f";

        buf_reset(&in);
        buf_reset(&out);
        buf_reset(&back);
        for (size_t n = 0; n < 700; n++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            unsigned r = (unsigned)(seed >> 33);
            char c = (char)(r % 256);

            if (r % 40 == 0)
                (void)buf_add(&in, STR("\r\n"));
            else if (r % 3 == 0)
                (void)buf_add_char(&in, often[(r >> 8) % (sizeof often - 1)]);
            else if (c != '\r' && c != '\n')
                (void)buf_add_char(&in, c);
        }
        (void)buf_add(&in, STR("\r\n"));
        assert_true(content_encode(buf_str(&in), CONTENT_QUOTED_PRINTABLE, &out));
        assert_in_range(out.n, in.n, content_encoded_max(in.n));
        unquote(buf_str(&out), &back);
        assert_true(str_eq(buf_str(&in), buf_str(&back)));

        buf_reset(&out);
        buf_reset(&back);
        assert_true(content_encode(buf_str(&in), CONTENT_BASE64, &out));
        for (struct str rest = buf_str(&out); rest.n > 0;) {
            struct str line = str_cut(&rest, '\n');

            assert_true(line.n <= 77 && str_ends(line, STR("\r")));
            assert_true(base64_get(&back, str_trim(line)));
        }
        assert_true(str_eq(buf_str(&in), buf_str(&back)));
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(chooses),
        cmocka_unit_test(quotes),
        cmocka_unit_test(any_lines_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
