// SPDX-License-Identifier: ISC
#include "compose/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"

#define PRIVET "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82" /* Привет */

static struct coder *coder(const char *name)
{
    struct coder *c = NULL;

    assert_int_equal(coder_open(charset_find(str_c(name)), false, &c), 0);
    return c;
}

static void prints(void **state)
{
    static const struct {
        const char *charset, *in, *text, *phrase;
    } cases[] = {
        {"utf-8", "Bill Smith", " Bill Smith", " Bill Smith"},
        {"utf-8", "Bill, B.", " Bill, B.", " \"Bill, B.\""},
        {"utf-8", "a \"b\" \\", " a \"b\" \\", " \"a \\\"b\\\" \\\\\""},
        {"utf-8", "J\xc3\xb6rg", " =?utf-8?Q?J=C3=B6rg?=", " =?utf-8?Q?J=C3=B6rg?="},
        {"iso-8859-1", "J\xc3\xb6rg", " =?iso-8859-1?Q?J=F6rg?=", " =?iso-8859-1?Q?J=F6rg?="},
        {"koi8-r", PRIVET, " =?koi8-r?B?8NLJ18XU?=", " =?koi8-r?B?8NLJ18XU?="},
        {"windows-1251", PRIVET, " =?windows-1251?B?z/Do4uXy?=", " =?windows-1251?B?z/Do4uXy?="},
        {"utf-8", PRIVET, " =?utf-8?B?0J/RgNC40LLQtdGC?=", " =?utf-8?B?0J/RgNC40LLQtdGC?="},
        {"utf-8", "a  b", " =?utf-8?Q?a__b?=", " \"a  b\""},
        {"utf-8", " a", " =?utf-8?Q?_a?=", " \" a\""},
        {"utf-8", "a ", " =?utf-8?Q?a_?=", " \"a \""},
        {"utf-8", "a\tb", " =?utf-8?Q?a=09b?=", " =?utf-8?Q?a=09b?="},
        {"utf-8", "=?utf-8?Q?x?=", " =?utf-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?=",
         " =?utf-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?="},
        {"iso-2022-jp", "\xe3\x81\x82",
         " =?iso-2022-jp?B?GyRCJCIbKEI=?=", " =?iso-2022-jp?B?GyRCJCIbKEI=?="},
        {"us-ascii", "a_b?c(d)\"e", " a_b?c(d)\"e", " \"a_b?c(d)\\\"e\""},
        {"utf-8", "", "", ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct coder *c = coder(cases[i].charset);
        struct buf b = buf_init(KIB);
        struct fold f = {.to = &b, .indent = "\t", .indent_width = 8};

        assert_true(words_text(&f, str_c(cases[i].in), c));
        assert_string_equal(buf_c(&b), cases[i].text);
        buf_reset(&b);
        f.column = 0;
        assert_true(words_phrase(&f, str_c(cases[i].in), c));
        assert_string_equal(buf_c(&b), cases[i].phrase);
        buf_free(&b);
        coder_close(&c);
    }
}

static void unquote(struct str s, struct buf *to)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned byte = (uint8_t)s.p[i];

        if (s.p[i] == '=') {
            char code[3] = {s.p[i + 1], s.p[i + 2], '\0'};

            assert_int_equal(sscanf(code, "%02X", &byte), 1);
            i += 2;
        }
        (void)buf_add_char(to, s.p[i] == '_' ? ' ' : (char)byte);
    }
}

/* RFC 2047: each word within the widths, each whole by itself. */
static void decode(struct str field, const char *charset, struct buf *to)
{
    struct coder *from = NULL;
    size_t bad;

    assert_int_equal(coder_open(charset_find(str_c(charset)), true, &from), 0);
    while (field.n > 0) {
        struct str line = str_cut(&field, '\n');

        assert_in_range(line.n, 1, 77);
        for (struct str word = str_cut_word(&line); word.n > 0; word = str_cut_word(&line)) {
            struct buf bytes = buf_init(KIB);

            word = str_trim(word);
            assert_true(word.n <= 75 && str_starts(word, STR("=?")) && str_ends(word, STR("?=")));
            word = str_sub(word, 2, word.n - 2);
            assert_true(str_eq_c(str_cut(&word, '?'), charset));
            struct str kind = str_cut(&word, '?');
            if (str_eq_c(kind, "B"))
                assert_true(base64_get(&bytes, word));
            else
                unquote(word, &bytes);
            assert_true(coder_convert(from, buf_str(&bytes), to, &bad));
            buf_free(&bytes);
        }
    }
    coder_close(&from);
}

static void long_texts_come_back(void **state)
{
    static const struct {
        const char *charset, *letters;
    } cases[] = {
        {"utf-8", PRIVET " \xe2\x82\xac\xf0\x9f\x98\x80"},
        {"utf-8", "mostly ASCII \xc3\xa9"},
        {"koi8-r", PRIVET ", "},
        {"windows-1251", PRIVET "xyz  "},
        {"iso-2022-jp", "\xe3\x81\x82\xe4\xb8\xad abc"},
        {"gb18030", "\xe4\xb8\xad\xf0\x9f\x98\x80"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct coder *c = coder(cases[i].charset);
        struct buf in = buf_init(64 * KIB), out = buf_init(MIB), back = buf_init(64 * KIB);

        for (int round = 0; round < 60; round++) {
            struct fold f;

            (void)buf_add_c(&in, cases[i].letters);
            buf_reset(&out);
            buf_reset(&back);
            f = fold_field(&out, "Subject");
            assert_true(words_text(&f, buf_str(&in), c));
            decode(str_trim(str_skip(buf_str(&out), 8)), cases[i].charset, &back);
            assert_true(str_eq(buf_str(&in), buf_str(&back)));
        }
        buf_free(&in);
        buf_free(&out);
        buf_free(&back);
        coder_close(&c);
    }
}

/* A word too long for a line is encoded, so that no line is too long. */
static void long_words(void **state)
{
    struct coder *c = coder("us-ascii");
    struct buf in = buf_init(64 * KIB), out = buf_init(MIB), back = buf_init(64 * KIB);

    for (size_t n = 0; n < 5000; n++)
        (void)buf_add_char(&in, 'x');
    struct fold f = fold_field(&out, "Subject");
    assert_true(words_text(&f, buf_str(&in), c));
    decode(str_trim(str_skip(buf_str(&out), 8)), "us-ascii", &back);
    assert_true(str_eq(buf_str(&in), buf_str(&back)));

    buf_reset(&out);
    buf_reset(&back);
    f = fold_field(&out, "From");
    assert_true(words_phrase(&f, buf_str(&in), c));
    decode(str_trim(str_skip(buf_str(&out), 5)), "us-ascii", &back);
    assert_true(str_eq(buf_str(&in), buf_str(&back)));
    buf_free(&in);
    buf_free(&out);
    buf_free(&back);
    coder_close(&c);
}

static void what_does_not_fit(void **state)
{
    struct coder *koi8 = coder("koi8-r"), *utf8 = coder("utf-8");
    struct buf small = buf_init(20), b = buf_init(KIB);
    struct fold f = fold_field(&small, "Subject");

    assert_false(words_text(&f, STR(PRIVET " " PRIVET), utf8));
    f = fold_field(&b, "Subject");
    assert_false(words_text(&f, STR("\xe2\x82\xac"), koi8));
    assert_false(words_phrase(&f, STR("x \xe2\x82\xac"), koi8));
    buf_free(&small);
    buf_free(&b);
    coder_close(&koi8);
    coder_close(&utf8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints),
        cmocka_unit_test(long_texts_come_back),
        cmocka_unit_test(long_words),
        cmocka_unit_test(what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
