// SPDX-License-Identifier: ISC
#include "mail/fold.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void folds_fields(void **state)
{
    struct buf b = buf_init(4096);
    struct fold f = fold_field(&b, "X");

    fold_text(&f, STR(" one\r\n two\t\tthree \xe4\x01 "));
    fold_token(&f, STR("\"a  b\"@c"));
    fold_line(&f);
    fold_word(&f, STR("last"));
    fold_end(&f);
    assert_string_equal(buf_c(&b), "X: one two three ?? \"a  b\"@c\r\n\tlast\r\n");
    buf_free(&b);
}

static void lines_are_short_where_words_are(void **state)
{
    struct buf b = buf_init(64 * KIB);
    char text[5000];

    for (size_t word = 1; word < 70; word++) {
        buf_reset(&b);
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = i % (word + 1) == word ? ' ' : 'x';
        struct fold f = fold_paragraph(&b, "  ");
        fold_text(&f, str_n(text, sizeof(text)));
        fold_end(&f);
        struct str rest = buf_str(&b);
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            assert_true(line.n <= 79 && str_starts(line, STR("  x")));
        }
    }
    memset(text, 'x', sizeof(text)); /* one endless word */
    buf_reset(&b);
    struct fold f = fold_field(&b, "X");
    fold_text(&f, str_n(text, sizeof(text)));
    struct str rest = buf_str(&b);
    while (rest.n > 0)
        assert_true(str_cut(&rest, '\n').n < 998);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_fields),
        cmocka_unit_test(lines_are_short_where_words_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
