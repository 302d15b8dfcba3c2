// SPDX-License-Identifier: ISC
#include "compose/mailboxes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

#define IVAN "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd" /* Иван */

struct fixture {
    struct arena arena;
    struct mailboxes list;
    struct buf error, out;
    struct coder *coder;
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){.error = buf_init(KIB), .out = buf_init(256 * KIB)};
    assert_int_equal(coder_open(charset_utf8(), false, &f->coder), 0);
}

static void close_fixture(struct fixture *f)
{
    arena_free(&f->arena);
    buf_free(&f->error);
    buf_free(&f->out);
    coder_close(&f->coder);
}

static const char *printed(struct fixture *f, const char *in)
{
    struct fold fold = {.to = &f->out, .indent = "\t", .indent_width = 8, .at_start = true};

    if (!mailboxes_parse(str_c(in), &f->arena, &f->list, &f->error))
        fail_msg("%s: %s", in, buf_c(&f->error));
    assert_true(mailboxes_print(&fold, &f->list, f->coder));
    return buf_c(&f->out);
}

static void lists(void **state)
{
    static const struct {
        const char *in, *want;
        size_t count;
    } cases[] = {
        {"", "", 0},
        {" , ", "", 0},
        {"bill@example.org", "bill@example.org", 1},
        {" bill@example.org ", "bill@example.org", 1},
        {"<bill@example.org>", "bill@example.org", 1},
        {"< bill@example.org >", "bill@example.org", 1},
        {"a@b.c, d@e.f,g@h.i", "a@b.c, d@e.f, g@h.i", 3},
        {"a@b.c,", "a@b.c", 1},
        {"Bill Smith <bill@example.org>", "Bill Smith <bill@example.org>", 1},
        {"Bill   Smith<bill@example.org>", "Bill Smith <bill@example.org>", 1},
        {"\"Smith, Bill\" <bill@example.org>", "\"Smith, Bill\" <bill@example.org>", 1},
        {"\"a \\\"b\\\" c\" <a@b.c>", "\"a \\\"b\\\" c\" <a@b.c>", 1},
        {"B. Smith <bill@example.org>", "\"B. Smith\" <bill@example.org>", 1},
        {"bill@example.org (Bill Smith)", "Bill Smith <bill@example.org>", 1},
        {"Bill (from (the) shop) <a@b.c> (x)", "Bill <a@b.c>", 1},
        {"\"\" <a@b.c>", "a@b.c", 1},
        {IVAN " <ivan@example.org>", "=?utf-8?B?0JjQstCw0L0=?= <ivan@example.org>", 1},
        {"\"b ill\"@example.org", "\"b ill\"@example.org", 1},
        {"X <\"b>ill\"@example.org>", "X <\"b>ill\"@example.org>", 1},
        {"a@[192.0.2.1], x <b@[IPv6:::1]>", "a@[192.0.2.1], x <b@[IPv6:::1]>", 2},
        {"a@\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84",
         "a@xn--e1afmkfd.xn--p1ai", 1},
        {"Bill@Example.ORG", "Bill@example.org", 1},
        {"friends: a@b.c, Bill <d@e.f>; , g@h.i", "friends: a@b.c, Bill <d@e.f>;, g@h.i", 3},
        {IVAN ": a@b.c;", "=?utf-8?B?0JjQstCw0L0=?= : a@b.c;", 1},
        {"undisclosed-recipients:;", "undisclosed-recipients:;", 0},
        {"\"my: friends\": a@b.c;", "\"my: friends\": a@b.c;", 1},
        {"bill@example.org <bill@example.org>", "\"bill@example.org\" <bill@example.org>", 1},
        {"(only a comment) a@b.c", "only a comment <a@b.c>", 1},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct fixture f;

        open_fixture(&f);
        assert_string_equal(printed(&f, cases[i].in), cases[i].want);
        assert_int_equal(f.list.address_count, cases[i].count);
        assert_false(f.list.needs_utf8);
        close_fixture(&f);
    }
}

static void letters_before_the_at(void **state)
{
    struct fixture f;

    open_fixture(&f);
    assert_string_equal(printed(&f, IVAN "@example.org"), IVAN "@example.org");
    assert_true(f.list.needs_utf8);
    close_fixture(&f);
}

static void errors(void **state)
{
    static const struct {
        const char *in, *why;
    } cases[] = {
        {"bill", "the @ and a domain are missing"},
        {"Smith, Bill <bill@example.org>", "a name with a comma in it goes in quotes"},
        {"a@b.c; d@e.f", "commas stand between"},
        {"a@b.c d@e.f", "commas stand between"},
        {"Bill <bill@example.org", "the > after the address is missing"},
        {"Bill bill@example.org>", "without a <"},
        {"Bill <bill@example.org> x", "after the > comes a comma"},
        {"Bill <>", "missing"},
        {"\"Bill <a@b.c>", "the quote that opens here is not closed"},
        {"Bill (a <a@b.c>", "the parenthesis that opens here is not closed"},
        {"Re: Bill <a@b.c>", "a ; ends the group"},
        {"a@b.c: d@e.f;", "behind the name of a group"},
        {": d@e.f;", "behind the name of a group"},
        {"x: y: a@b.c;;", "no groups in groups"},
        {"a@[192.0.2.1", "in brackets stands an IP address"},
        {"a@b..c", "a domain has a name before each dot"},
        {"a b@c.d", "a blank before the @ goes in quotes"},
        {"(comment)", "an address looks like"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct fixture f;

        open_fixture(&f);
        if (mailboxes_parse(str_c(cases[i].in), &f.arena, &f.list, &f.error))
            fail_msg("%s was taken", cases[i].in);
        if (!strstr(buf_c(&f.error), cases[i].why))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].in, buf_c(&f.error), cases[i].why);
        close_fixture(&f);
    }
}

static void too_long_names(void **state)
{
    struct fixture f;
    struct buf in = buf_init(8 * KIB);

    open_fixture(&f);
    for (int i = 0; i < 300; i++)
        (void)buf_add(&in, STR("abcd "));
    (void)buf_add(&in, STR("<a@b.c>"));
    assert_false(mailboxes_parse(buf_str(&in), &f.arena, &f.list, &f.error));
    assert_non_null(strstr(buf_c(&f.error), "too long"));
    buf_free(&in);
    close_fixture(&f);
}

/* A thousand people, some with long names: lines stay short. */
static void long_lists(void **state)
{
    struct fixture f;
    struct buf in = buf_init(256 * KIB);

    open_fixture(&f);
    for (int i = 0; i < 1000; i++)
        (void)buf_printf(&in, "%s %s%d <p%d@example.org>, ", i % 3 ? "Somebody" : IVAN,
                         i % 7 ? "" : IVAN " " IVAN " " IVAN " " IVAN " ", i, i);
    (void)printed(&f, buf_c(&in));
    assert_int_equal(f.list.address_count, 1000);
    for (struct str rest = buf_str(&f.out); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');

        assert_in_range(line.n, 2, 80);
        assert_true(line.p[0] != ' ');
    }
    buf_free(&in);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),      cmocka_unit_test(letters_before_the_at),
        cmocka_unit_test(errors),     cmocka_unit_test(too_long_names),
        cmocka_unit_test(long_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
