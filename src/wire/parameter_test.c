// SPDX-License-Identifier: ISC
#include "wire/parameter.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void xtext(void **state)
{
    static const struct {
        const char *in, *want, *again; /* want NULL: refused */
    } table[] = {
        {"QQ314159", "QQ314159", "QQ314159"},
        {"a+2Bb+3Dc+20d", "a+b=c d", "a+2Bb+3Dc+20d"},
        {"+41+42", "AB", "AB"},
        {"", NULL, NULL},
        {"+", NULL, NULL},
        {"+4", NULL, NULL},
        {"+4g", NULL, NULL},
        {"+2b", NULL, NULL}, /* hexchar is in capitals: RFC 3461 4 */
        {"a=b", NULL, NULL},
        {"a b", NULL, NULL},
        {"+0D+0A", NULL, NULL},
        {"+00", NULL, NULL},
        {"+E4", NULL, NULL},
        {"\xe4", NULL, NULL},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct arena a = ARENA_INIT;
        struct buf b = buf_init(64);
        struct str got = STR_NONE;
        bool ok = xtext_parse(str_c(table[i].in), ENVID_BYTES_MAX, &a, &got);
        assert_int_equal(ok, table[i].want != NULL);
        if (ok) {
            assert_true(str_eq_c(got, table[i].want));
            xtext_print(&b, got);
            assert_true(str_eq_c(buf_str(&b), table[i].again));
        }
        buf_free(&b);
        arena_free(&a);
    }
}

static void unitext(void **state)
{
    static const struct {
        const char *in, *want, *again, *ascii; /* want NULL: refused */
    } table[] = {
        {"utf-8;a@b.c", "utf-8;a@b.c", "utf-8;a@b.c", "utf-8;a@b.c"},
        {"utf-8;\\x{43F}@b.c", "utf-8;п@b.c", "utf-8;п@b.c", "utf-8;\\x{43F}@b.c"},
        {"UTF-8;п@рф", "UTF-8;п@рф", "UTF-8;п@рф", "UTF-8;\\x{43F}@\\x{440}\\x{444}"},
        {"utf-8;\\x{5C}\\x{2B}\\x{3D}\\x{20}", "utf-8;\\+= ", "utf-8;\\x{5C}\\x{2B}\\x{3D}\\x{20}",
         "utf-8;\\x{5C}\\x{2B}\\x{3D}\\x{20}"},
        {"utf-8;\\x{1F4EC}", "utf-8;\xf0\x9f\x93\xac", "utf-8;\xf0\x9f\x93\xac",
         "utf-8;\\x{1F4EC}"},
        {"utf-8;", NULL},
        {"utf-8;a+2Bb", NULL}, /* xtext of RFC 3461 is another thing */
        {"utf-8;a\\b", NULL},
        {"utf-8;\\x{}", NULL},
        {"utf-8;\\x{43F", NULL},
        {"utf-8;\\x{43f}", NULL}, /* capitals */
        {"utf-8;\\x{110000}", NULL},
        {"utf-8;\\x{D800}", NULL},
        {"utf-8;\\x{0000041}", NULL},
        {"utf-8;\\x{A}", NULL},
        {"utf-8;\\x{202E}", NULL}, /* would turn the direction of a log line */
        {"utf-8;\xff", NULL},
        {"rfc822;п@рф", NULL},
        {"rfc822;+D0+BF@d", "utf-8;п@d", "utf-8;п@d", "utf-8;\\x{43F}@d"}, /* as Postfix does */
        {"rfc822;+D0@d", NULL},
        {"rfc822;+E2+80+AE@d", NULL},
        {"x;+D0+BF@d", NULL},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct arena a = ARENA_INIT;
        struct buf b = buf_init(KIB);
        struct str got = STR_NONE;
        bool ok = orcpt_parse(str_c(table[i].in), &a, &got);

        if (ok != (table[i].want != NULL) || (ok && !str_eq_c(got, table[i].want)))
            fail_msg("%s: %.*s", table[i].in, STR_ARG(got));
        if (ok) {
            orcpt_print(&b, got, false);
            assert_string_equal(buf_c(&b), table[i].again);
            buf_reset(&b);
            orcpt_print(&b, got, true);
            assert_string_equal(buf_c(&b), table[i].ascii);
        }
        buf_free(&b);
        arena_free(&a);
    }
}

/* What would be too long in ASCII is left out: a parameter cut in two would be another address. */
static void orcpt_that_does_not_fit(void **state)
{
    struct buf b = buf_init(4 * KIB), address = buf_init(KIB);
    struct notify n = {0};

    buf_add_c(&address, "utf-8;");
    for (size_t i = 0; i < 100; i++)
        buf_add_c(&address, "п");
    n.orcpt = buf_str(&address);
    assert_true(orcpt_valid(n.orcpt));
    rcpt_wishes_print(&b, &n, false);
    assert_int_equal(b.n, 7 + address.n);
    buf_reset(&b);
    rcpt_wishes_print(&b, &n, true);
    assert_int_equal(b.n, 0);
    buf_free(&b);
    buf_free(&address);
}

static void bounds(void **state)
{
    struct arena a = ARENA_INIT;
    char text[ORCPT_BYTES_MAX + 1];
    struct str got;

    memset(text, 'x', sizeof(text));
    assert_true(xtext_parse(str_n(text, ENVID_BYTES_MAX), ENVID_BYTES_MAX, &a, &got));
    assert_false(xtext_parse(str_n(text, ENVID_BYTES_MAX + 1), ENVID_BYTES_MAX, &a, &got));
    memcpy(text, "rfc822;", 7);
    assert_true(orcpt_parse(str_n(text, ORCPT_BYTES_MAX), &a, &got));
    assert_false(orcpt_parse(str_n(text, ORCPT_BYTES_MAX + 1), &a, &got));
    arena_free(&a);
}

static void wishes_as_they_are_said(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf b = buf_init(KIB);
    struct notify n = {.when = NOTIFY_SUCCESS | NOTIFY_DELAY | NOTIFY_EXPANDED};

    assert_true(orcpt_parse(STR("rfc822;a+2Bb@c.d"), &a, &n.orcpt));
    assert_true(str_eq(n.orcpt, STR("rfc822;a+b@c.d")));
    assert_false(orcpt_parse(STR("rfc822"), &a, &n.orcpt) ||
                 orcpt_parse(STR("a+41;b"), &a, &n.orcpt));
    rcpt_wishes_print(&b, &n, true);
    mail_wishes_print(&b, RETURN_FULL, STR("a b"));
    assert_true(
        str_eq_c(buf_str(&b), " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.d RET=FULL ENVID=a+20b"));
    buf_reset(&b);
    rcpt_wishes_print(&b, &(struct notify){.when = NOTIFY_EXPANDED}, true);
    mail_wishes_print(&b, RETURN_UNSAID, STR_NONE);
    assert_int_equal(b.n, 0);
    buf_free(&b);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xtext),
        cmocka_unit_test(unitext),
        cmocka_unit_test(orcpt_that_does_not_fit),
        cmocka_unit_test(bounds),
        cmocka_unit_test(wishes_as_they_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
