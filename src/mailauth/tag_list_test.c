// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "mailauth/tag_list.h"

static void test_lists(void **state)
{
    static const struct {
        const char *text, *want; /* want: "name=value|…", or "! why" */
    } cases[] = {
        {"v=DKIM1; p=abc", "v=DKIM1|p=abc|"},
        {" v = DKIM1 ;\r\n\tp=a b=c; ", "v=DKIM1|p=a b=c|"},
        {"p=", "p=|"},
        {"", ""},
        {";;a=1;;", "a=1|"},
        {"a=1;A=2", "a=1|A=2|"},
        {"a=1;a=2", "! a tag that is there twice"},
        {"a", "! a tag without = in it"},
        {"=1", "! this cannot be the name of a tag"},
        {"1a=1", "! this cannot be the name of a tag"},
        {"a b=1", "! this cannot be the name of a tag"},
        {"a=\x01", "! a value with characters that are not printable ASCII"},
        {"a=\xc3\xa4", "! a value with characters that are not printable ASCII"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct buf got = buf_init(KIB);
        struct tag_list l;

        if (!tag_list_parse(str_c(cases[i].text), &l, &error))
            buf_printf(&got, "! %s", error.why);
        for (size_t k = 0; !error.why && k < l.count; k++)
            buf_printf(&got, "%.*s=%.*s|", STR_ARG(l.tags[k].name), STR_ARG(l.tags[k].value));
        assert_string_equal(buf_c(&got), cases[i].want);
        buf_free(&got);
    }
}

static void test_many(void **state)
{
    struct buf text = buf_init(KIB);
    struct record_error error = {0};
    struct tag_list l;

    (void)state;
    for (size_t i = 0; i < TAGS_MAX; i++)
        buf_printf(&text, "a%zu=%zu;", i, i);
    assert_true(tag_list_parse(buf_str(&text), &l, &error));
    assert_true(str_eq_c(tag_get(&l, "a31"), "31"));
    assert_null(tag_get(&l, "a32").p);
    buf_add_c(&text, "b=1");
    assert_false(tag_list_parse(buf_str(&text), &l, &error));
    buf_free(&text);
}

static void test_versions(void **state)
{
    (void)state;
    assert_true(tag_list_is(STR("v=DMARC1"), "DMARC1"));
    assert_true(tag_list_is(STR("v = DMARC1 ; p=none"), "DMARC1"));
    assert_false(tag_list_is(STR("v=DMARC12; p=none"), "DMARC1"));
    assert_false(tag_list_is(STR("v=dmarc1"), "DMARC1"));
    assert_false(tag_list_is(STR("p=none; v=DMARC1"), "DMARC1"));
    assert_false(tag_list_is(STR(""), "DMARC1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
