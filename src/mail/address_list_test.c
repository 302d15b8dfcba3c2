// SPDX-License-Identifier: ISC
#include "mail/address_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"

static void join(struct buf *to, struct str list)
{
    struct arena a = ARENA_INIT;
    struct str one;

    while (address_list_next(&list, &a, &one))
        buf_printf(to, "%.*s|", STR_ARG(one));
    arena_free(&a);
}

static void cuts_lists(void **state)
{
    static const struct {
        const char *list, *expect;
    } cases[] = {
        {"", ""},
        {" , ,;,", ""},
        {"bill@a.org", "bill@a.org|"},
        {"root", "root|"},
        {"root, bill", "root|bill|"},
        {"Bill <bill@a.org>", "bill@a.org|"},
        {"\"Bill, B\" <bill@a.org>, x@y", "bill@a.org|x@y|"},
        {"bill@a.org (Bill, the \\) boss (nested)), x@y", "bill@a.org|x@y|"},
        {"(x) bill (y) @ (z) a . org", "bill@a.org|"},
        {"friends: a@b, c@d;, e@f", "a@b|c@d|e@f|"},
        {"undisclosed-recipients:;", ""},
        {"<@one,@two:user@three>", "user@three|"},
        {"<@one:user@[IPv6:::1]>", "user@[IPv6:::1]|"},
        {"user@[IPv6:::1], b@c", "user@[IPv6:::1]|b@c|"},
        {"\"b, ill\"@a.org", "\"b, ill\"@a.org|"},
        {"\"b\\\"ill\"@a.org", "\"b\\\"ill\"@a.org|"},
        {"=?UTF-8?Q?J=C3=B6rg?= <j@a.org>,\r\n\t<k@a.org>", "j@a.org|k@a.org|"},
        {"Bill Smith", "Bill Smith|"},
        {"<>", ""},
        {"a <b", "b|"},
        {"\"open, never closed", "\"open, never closed|"},
        {"x@y (open", "x@y|"},
        {"one\\", "one\\|"},
        {"(\\", ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf got = buf_init(4 * KIB);

        join(&got, str_c(cases[i].list));
        assert_string_equal(buf_c(&got), cases[i].expect);
        buf_free(&got);
    }
}

static void qualifies(void **state)
{
    static const struct {
        const char *text, *expect; /* NULL: refused */
    } cases[] = {
        {"root", "root@here.test"},
        {"bill@A.org", "bill@a.org"},
        {"\"a@b\"", "\"a@b\"@here.test"},
        {"\"b ill\"@a.org", "\"b ill\"@a.org"},
        {"Bill Smith", NULL},
        {"a@", NULL},
        {"", NULL},
        {"a\r\nb@c", NULL},
        {"jörg", "jörg@here.test"},
        {"j\xf6rg", NULL}, /* Latin-1 */
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct address got;
        struct parse_error error;
        bool good = address_qualify(str_c(cases[i].text), STR("here.test"), &a, &got, &error);

        assert_int_equal(good, cases[i].expect != NULL);
        if (good)
            assert_string_equal(address_text(&a, &got).p, cases[i].expect);
        arena_free(&a);
    }
}

static void finds_recipients(void **state)
{
    static const struct {
        const char *header, *expect;
    } cases[] = {
        {"Subject: x\n\nTo: in@body\n", ""},
        {"To: a@b\nCc: c@d,\n e@f\nBcc: g@h\nFrom: no@no\nReply-To: no@no\n\n", "a@b|c@d|e@f|g@h|"},
        {"tO : a@b\r\nto: c\r\n\r\n", "a@b|c|"},
        {"To: a@b\nResent-To: c@d\nResent-Bcc: e@f\n\n", "c@d|e@f|"},
        {"Apparently-To: a@b\n\n", ""},
        {"To: a@b", "a@b|"},
        {"no header at all\n", ""},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct buf got = buf_init(4 * KIB);
        struct str *list;
        size_t count = header_recipients(str_c(cases[i].header), &a, &list);

        for (size_t k = 0; k < count; k++)
            buf_printf(&got, "%.*s|", STR_ARG(list[k]));
        assert_string_equal(buf_c(&got), cases[i].expect);
        buf_free(&got);
        arena_free(&a);
    }
}

static void finds_many(void **state)
{
    struct buf header = buf_init(MIB);
    struct arena a = ARENA_INIT;
    struct str *list;

    buf_add_c(&header, "To: a0@b");
    for (unsigned i = 1; i < 5000; i++)
        buf_printf(&header, ",\r\n a%u@b", i);
    assert_int_equal(header_recipients(buf_str(&header), &a, &list), 5000);
    assert_true(str_eq_c(list[4999], "a4999@b"));
    arena_free(&a);
    buf_free(&header);
}

static void knows_bcc(void **state)
{
    assert_true(header_is_bcc(STR("bCC")) && header_is_bcc(STR("Resent-Bcc")));
    assert_false(header_is_bcc(STR("Cc")) || header_is_bcc(STR("Bc")) || header_is_bcc(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_lists),       cmocka_unit_test(qualifies),
        cmocka_unit_test(finds_recipients), cmocka_unit_test(finds_many),
        cmocka_unit_test(knows_bcc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
