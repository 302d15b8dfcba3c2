/* The alias file: what is read, what is refused and with which words. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "route/alias.h"

static const char DOMAIN[] = "here.test";

struct result {
    struct arena arena;
    struct alias_file file;
    struct alias_problems problems;
};

static struct result *read_file(struct str text)
{
    struct result *r = mem_new(sizeof *r);
    alias_parse(text, str_c(DOMAIN), &r->arena, &r->file, &r->problems);
    return r;
}

static void result_free(struct result *r)
{
    arena_free(&r->arena);
    free(r);
}

/* One alias a line. */
static struct str printed(struct result *r)
{
    struct buf b = buf_init(1 * MIB);
    for (size_t i = 0; i < r->file.count; i++) {
        buf_printf(&b, "%u ", r->file.list[i].line);
        alias_print(&b, &r->file.list[i]);
        buf_add_char(&b, '\n');
    }
    struct str s = arena_copy(&r->arena, buf_str(&b));
    buf_free(&b);
    return s;
}

static const struct {
    const char *text, *read; /* LINE NAME: TARGETS */
} good[] = {
    {"", ""},
    {"# nothing\n\n   \n\t\n  # indented\n", ""},
    {"bill: alice\n", "1 bill: alice@here.test\n"},
    {"bill: alice", "1 bill: alice@here.test\n"},
    {"bill:alice\r\n", "1 bill: alice@here.test\n"},
    {"Bill \t:  Alice ,bob@Far.Test , carol\n",
     "1 bill: Alice@here.test, bob@far.test, carol@here.test\n"},
    {"\n\na: b\n# c\nc: d\n", "3 a: b@here.test\n5 c: d@here.test\n"},
    /* lines that go on */
    {"a: b,\n  c,\n\td\ne: f\n", "1 a: b@here.test, c@here.test, d@here.test\n4 e: f@here.test\n"},
    {"a:\n b\n", "1 a: b@here.test\n"},
    {"a: b,\n# between\n c\n", "1 a: b@here.test, c@here.test\n"},
    {"a: b,\n\n c\n", "1 a: b@here.test, c@here.test\n"},
    {"a: b, \\\nc\n", "1 a: b@here.test, c@here.test\n"},
    {"a: b,,\n , c,\n", "1 a: b@here.test, c@here.test\n"},
    {"a: \"b\n ill\"\n", "1 a: \"b ill\"@here.test\n"},
    /* quotes, comments, names */
    {"\"first last\": \"b ill\"\n", "1 \"first last\": \"b ill\"@here.test\n"},
    {"\"bill\": \"bob\"\n", "1 bill: bob@here.test\n"},
    {"a: \"b, c\"@far.test\n", "1 a: \"b, c\"@far.test\n"},
    {"\"a:b\": c\n", "1 \"a:b\": c@here.test\n"},
    {"a: bob (the, builder), carol\n", "1 a: bob@here.test, carol@here.test\n"},
    {"a: (nobody (else)) bob ( \\) )\n", "1 a: bob@here.test\n"},
    {"a: b (c), (nobody)\n", "1 a: b@here.test\n"},
    {"a: Bob Builder <bob@far.test>, <carol>\n", "1 a: bob@far.test, carol@here.test\n"},
    {"a: \"Builder, Bob\" <bob@far.test>\n", "1 a: bob@far.test\n"},
    /* accounts */
    {"bill: \\bill, other@far.test\n", "1 bill: \\bill@here.test, other@far.test\n"},
    {"bill: bill, other@far.test\n", "1 bill: bill@here.test, other@far.test\n"},
    {"bill: \\\"b ill\"\n", "1 bill: \\\"b ill\"@here.test\n"},
    {"bill: bill+tag\n", "1 bill: bill+tag@here.test\n"},
    /* the rest */
    {"owner-list: carol\nlist: a, b\n",
     "1 owner-list: carol@here.test\n2 list: a@here.test, b@here.test\n"},
    {"a@here.test: b\nc@HERE.test: d\n", "1 a: b@here.test\n2 c: d@here.test\n"},
    {"a: /c=us/o=x/@gate.test\n", "1 a: /c=us/o=x/@gate.test\n"},
    {"a: b\nc: a, b\nd: a, c\n",
     "1 a: b@here.test\n2 c: a@here.test, b@here.test\n3 d: a@here.test, c@here.test\n"},
    {"a: \\b\nb: \\a\n", "1 a: \\b@here.test\n2 b: \\a@here.test\n"},
    {"a: b@far.test\nb: a@far.test\n", "1 a: b@far.test\n2 b: a@far.test\n"},
};

static void test_good(void **state)
{
    for (size_t i = 0; i < countof(good); i++) {
        struct result *r = read_file(str_c(good[i].text));
        if (r->problems.count > 0)
            fail_msg("%s: %.*s", good[i].text, STR_ARG(r->problems.list[0].text));
        assert_string_equal(printed(r).p, good[i].read);
        result_free(r);
    }
}

static const struct {
    const char *text;
    unsigned line;
    const char *says;
} bad[] = {
    {"bill\n", 1, "\"bill\" is no alias; write NAME: ADDRESS, ADDRESS"},
    {"\n\nbill:\n", 3, "\"bill\" leads nowhere; write an address behind the colon"},
    {"bill: (nobody)\n", 1, "\"bill\" leads nowhere"},
    {": bill\n", 1, "is no address"},
    {" bill: a\n", 1, "goes on with an alias, but none was begun"},
    {"a: b\na: c\n", 2, "\"a\" was already said in line 1; write it once"},
    {"a: b\nA: c\n", 2, "\"A\" was already said in line 1"},
    {"\"\": b\n", 1, "\"\"\"\" is an empty name"},
    {"a@far.test: b\n", 1, "is of another domain than here.test"},
    {"a%b: c\n", 1, "asks to be sent on"},
    /* what comes with the address work, in all ways to write it */
    {"a: |/usr/bin/vacation bill\n", 1, "programs come with the address work"},
    {"a: b,\n \"|/usr/bin/vacation bill, x\"\n", 2, "programs come with the address work"},
    {"a: \" | prog\"\n", 1, "programs come with the address work"},
    {"a: <|prog>\n", 1, "programs come with the address work"},
    {"a: (x) |prog\n", 1, "programs come with the address work"},
    {"a: \\|prog\n", 1, "programs come with the address work"},
    {"nobody: /dev/null\n", 1, "delivery to files comes with the address work"},
    {"a: \"/var/mail/x y\"\n", 1, "delivery to files comes with the address work"},
    {"a: :include:/etc/list\n", 1, "lists in files come with the address work"},
    {"a: \":INCLUDE:/etc/list\"\n", 1, "lists in files come with the address work"},
    {"a: :fail: gone\n", 1, "is nothing known"},
    {"a: b, # not a comment\n", 1, "comments are lines of their own"},
    /* addresses */
    {"a: b c\n", 1, "\"b c\" is no address: "},
    {"a: b@\n", 1, "is no address: "},
    {"a: b@c@d\n", 1, "is no address: "},
    {"a: b%c\n", 1, "asks to be sent on"},
    {"a: \"b@c\"\n", 1, "asks to be sent on"},
    {"a: c!b\n", 1, "asks to be sent on"},
    {"a: <b\n", 1, "< > that do not fit"},
    {"a: b>\n", 1, "< > that do not fit"},
    {"a: <b> c\n", 1, "< > that do not fit"},
    {"a: b (c\n", 1, "has a ( that does not end"},
    {"a: \"b\n", 1, "is no address"},
    {"a: b\x01\n", 1, "\"b?\" is no address"},
    {"a: b\xe4\n", 1, "\"b?\" is no address"},
    {"a: \xc3\xa4(\n", 1, "has a ( that does not end"},
    {"a: \\\\b\n", 1, "is no address"},
    {"a: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 1,
     "is no address: "},
    /* loops */
    {"a: b\nb: a\n", 2, "a loop, its mail would go round and round: a (line 1) -> b (line 2) -> a"},
    {"x: a\na: b, c@far.test\nb: d,\n  c\nc: A\nd: e\n", 5,
     "a (line 2) -> b (line 3) -> c (line 5) -> a"},
    {"a: b+tag\nb: a+tag@HERE.test\n", 2, "a (line 1) -> b (line 2) -> a"},
};

static void test_bad(void **state)
{
    for (size_t i = 0; i < countof(bad); i++) {
        struct result *r = read_file(str_c(bad[i].text));
        if (r->problems.count != 1)
            fail_msg("%s: %zu problems", bad[i].text, r->problems.count);
        if (!strstr(r->problems.list[0].text.p, bad[i].says))
            fail_msg("%s: %s", bad[i].text, r->problems.list[0].text.p);
        assert_int_equal(r->problems.list[0].line, bad[i].line);
        result_free(r);
    }
}

static void test_all_problems_are_told(void **state)
{
    struct result *r = read_file(STR("a: |x, b\nc: /y, (see)\n :include:/z\nd\ne: f\nf: e\n"));
    static const unsigned lines[] = {1, 2, 3, 4, 6};
    assert_int_equal(r->problems.count, countof(lines));
    for (size_t i = 0; i < countof(lines); i++)
        assert_int_equal(r->problems.list[i].line, lines[i]);
    result_free(r);
}

/* "a0: a1", "a1: a2" and so on. */
static void add_chain(struct buf *b, int count)
{
    for (int i = 0; i < count; i++)
        buf_printf(b, "a%d: a%d\n", i, i + 1);
}

static void test_depth(void **state)
{
    struct buf b = buf_init(16 * MIB);
    add_chain(&b, ALIAS_DEPTH_MAX);
    struct result *r = read_file(buf_str(&b));
    assert_int_equal(r->problems.count, 0);
    result_free(r);
    buf_reset(&b);
    add_chain(&b, ALIAS_DEPTH_MAX + 1);
    r = read_file(buf_str(&b));
    assert_int_equal(r->problems.count, 1);
    assert_int_equal(r->problems.list[0].line, 1);
    assert_non_null(strstr(r->problems.list[0].text.p, "more than 20 aliases"));
    result_free(r);
    buf_reset(&b); /* no recursion: a chain as long as the file */
    add_chain(&b, 100000);
    buf_add_c(&b, "a100000: a0\n");
    r = read_file(buf_str(&b));
    assert_true(r->problems.count >= 1);
    result_free(r);
    buf_free(&b);
}

static struct result *read_many(size_t count)
{
    struct buf b = buf_init(1 * MIB);
    buf_add_c(&b, "all: u0");
    for (size_t i = 1; i < count; i++)
        buf_printf(&b, ",\n u%zu", i);
    struct result *r = read_file(buf_str(&b));
    buf_free(&b);
    return r;
}

static void test_targets_max(void **state)
{
    struct result *r = read_many(ALIAS_TARGETS_MAX);
    assert_int_equal(r->problems.count, 0);
    assert_int_equal(r->file.list[0].target_count, ALIAS_TARGETS_MAX);
    assert_int_equal(r->file.list[0].targets[999].line, 1000);
    result_free(r);
    r = read_many(ALIAS_TARGETS_MAX + 1);
    assert_int_equal(r->problems.count, 1);
    assert_int_equal(r->problems.list[0].line, ALIAS_TARGETS_MAX + 1);
    result_free(r);
}

static void test_problems_max(void **state)
{
    struct buf b = buf_init(64 * KIB);
    for (int i = 0; i < ALIAS_PROBLEMS_MAX; i++)
        buf_add_c(&b, "x\n");
    struct result *r = read_file(buf_str(&b));
    assert_int_equal(r->problems.count, ALIAS_PROBLEMS_MAX);
    assert_false(r->problems.more);
    result_free(r);
    buf_add_c(&b, "x\n");
    r = read_file(buf_str(&b));
    assert_true(r->problems.more);
    result_free(r);
    buf_free(&b);
}

static void test_records(void **state)
{
    struct result *r = read_file(STR("bill: \\bill, x@far.test,\n \"b ill\"\n"));
    struct buf b = buf_init(KIB), before = buf_init(KIB), after = buf_init(KIB);
    struct alias copy;
    alias_encode(&b, &r->file.list[0]);
    for (size_t n = 0; n < b.n; n++) /* cut anywhere it is nothing */
        assert_false(alias_decode(STR("bill"), str_n(b.p, n), &r->arena, &copy));
    assert_true(alias_decode(STR("bill"), buf_str(&b), &r->arena, &copy));
    alias_print(&before, &r->file.list[0]);
    alias_print(&after, &copy);
    assert_string_equal(buf_c(&before), buf_c(&after));
    assert_int_equal(copy.targets[2].line, 2);
    buf_add_char(&b, 'x');
    assert_false(alias_decode(STR("bill"), buf_str(&b), &r->arena, &copy));
    buf_free(&b);
    buf_free(&before);
    buf_free(&after);
    result_free(r);
}

static void check_problem(const char *text, unsigned line, const char *words)
{
    struct result *r = read_file(str_c(text));
    if (r->problems.count != 1 || r->problems.list[0].line != line ||
        !strstr(r->problems.list[0].text.p, words))
        fail_msg("%s: %zu problems, %.*s", text, r->problems.count,
                 STR_ARG(r->problems.list[0].text));
    result_free(r);
}

static void test_who_has_moved(void **state)
{
    static const char text[] = "bill: :Forwarded: bill@new.test\n"
                               "anna: (since May) :moved: (to) anna@new.test\n"
                               "carl:\n :moved:\n"
                               "moved: carl\n"
                               "swap: :moved: swap\n"; /* no loop: it leads nowhere */
    static const char *const printed[] = {"bill: :forwarded: bill@new.test",
                                          "anna: :moved: anna@new.test",
                                          "carl: :moved:", "moved: carl@", "swap: :moved: swap@"};
    struct result *r = read_file(STR(text));
    if (r->problems.count > 0)
        fail_msg("%.*s", STR_ARG(r->problems.list[0].text));
    assert_int_equal(r->file.count, countof(printed));
    for (size_t i = 0; i < countof(printed); i++) {
        struct buf b = buf_init(KIB), record = buf_init(KIB);
        struct alias copy;
        alias_encode(&record, &r->file.list[i]);
        assert_true(alias_decode(r->file.list[i].name, buf_str(&record), &r->arena, &copy));
        alias_print(&b, &copy);
        if (!str_starts(buf_str(&b), str_c(printed[i])))
            fail_msg("%s", buf_c(&b));
        buf_free(&b);
        buf_free(&record);
    }
    assert_int_equal(r->file.list[0].kind, ALIAS_FORWARDED);
    assert_int_equal(r->file.list[1].kind, ALIAS_MOVED);
    assert_int_equal(r->file.list[2].target_count, 0);
    assert_int_equal(r->file.list[3].kind, ALIAS_PLAIN);
    result_free(r);
    check_problem("a: b\nbill: :forwarded:\n", 2, "forwarded nowhere");
    check_problem("bill: :forwarded: a, b\n", 1, "more than one");
    check_problem("bill: :moved: a, b\n", 1, "more than one");
    check_problem("bill: a, :moved: b\n", 1, "stands in front of one address");
    check_problem("bill: :moved: :forwarded: b\n", 1, "stands in front of one address");
    check_problem("bill: :gone: b\n", 1, "is nothing known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_all_problems_are_told),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_targets_max),
        cmocka_unit_test(test_problems_max),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_who_has_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
