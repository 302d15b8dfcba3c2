/* What an address with aliases leads to: the targets, the failures, the tree of reasons. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "route/route.h"

#define S(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
static const struct route_domain domains[] = {
    {S("one.test"), true, S("t.conf:1"), S("aliases")},
    {S("two.test"), false, S("t.conf:2"), S("two")},
    {S("plain.test"), true, S("t.conf:3"), {NULL, 0}},
    {S("gone.test"), true, S("t.conf:4"), S("gone")}, /* whose map cannot be read */
};
static const struct route_via routes[] = {{S("far.test"), S("far:25"), S("t.conf:5")}};

static const char one_file[] = "staff: alice, bob, x@far.test\n"             /* 1 */
                               "bill: bill, y@far.test\n"                    /* 2 */
                               "root: \\root, Staff\n"                       /* 3 */
                               "some: alice, nobody, z@nowhere.test\n"       /* 4 */
                               "none: nobody, nobody2\n"                     /* 5 */
                               "twice: staff, alice, ALICE, more, staff\n"   /* 6 */
                               "more: staff, x@far.test, X@far.test\n"       /* 7 */
                               "later: alice, busy\n"                        /* 8 */
                               "across: a@two.test\n"                        /* 9 */
                               "away: x@gone.test, alice\n"                  /* 10 */
                               "postmaster: nobody\n"                        /* 11 */
                               "abuse: postmaster\n"                         /* 12 */
                               "bob+lists: alice\n"                          /* 13 */
                               "tagged: staff+x, bill+y\n"                   /* 14 */
                               "Quoted: \"b ill\"\n"                         /* 15 */
                               "plain: carol@plain.test, staff@plain.test\n" /* 16 */
                               "sent: :forwarded: x@far.test\n"              /* 17 */
                               "renamed: :forwarded: Alice\n"                /* 18 */
                               "moved: :MOVED: m@new.test\n"                 /* 19 */
                               "left: :moved:\n"                             /* 20 */
                               "list: sent, moved, left, alice\n"            /* 21 */
                               "onlymoved: moved\n"                          /* 22 */
                               "void: :forwarded: nobody\n";                 /* 23 */
static const char two_file[] = "a: b, alice@one.test\n"                      /* 1 */
                               "b: across@one.test\n" /* 2: a loop over two files */
                               "in: staff@one.test\n" /* 3 */
                               "postmaster: alice@one.test\n";

static const char *const accounts[] = {"alice@one.test",  "bob@one.test",    "bill@one.test",
                                       "root@one.test",   "b ill@one.test",  "staff@one.test",
                                       "both+x@one.test", "carol@plain.test"};

static enum account_answer account(void *arg, struct str local, struct str domain, struct arena *a,
                                   struct address *ret)
{
    struct str key = alias_key(a, local);
    struct str text = arena_printf(a, "%.*s@%.*s", STR_ARG(key), STR_ARG(domain));
    *ret = (struct address){local, domain};
    enum account_answer answer = ACCOUNT_NO;
    for (size_t i = 0; i < countof(accounts); i++)
        if (str_eq_c(text, accounts[i]))
            answer = ACCOUNT_YES;
    if (str_eq_c(text, "busy@one.test"))
        answer = ACCOUNT_TRY_LATER;
    return answer;
}

static struct files {
    struct arena arena;
    struct alias_file one, two;
} files;

static enum alias_answer find_alias(void *arg, const struct route_domain *domain, struct str key,
                                    struct arena *a, struct alias *ret)
{
    const struct alias_file *f = domain == &domains[1] ? &files.two : &files.one;
    assert_true(domain->aliases.n > 0);
    if (domain == &domains[3])
        return ALIAS_TRY_LATER;
    for (size_t i = 0; i < f->count; i++) {
        if (!str_eq(f->list[i].name, key))
            continue;
        *ret = f->list[i];
        return ALIAS_YES;
    }
    return ALIAS_NO;
}

static const struct route_table table = {
    .hostname = S("mx.test"),
    .domains = domains,
    .domain_count = countof(domains),
    .routes = routes,
    .route_count = countof(routes),
    .config_name = S("t.conf"),
    .account = account,
    .alias = find_alias,
};

static int read_files(void **state)
{
    struct alias_problems *problems = mem_new(sizeof *problems);
    alias_parse(str_c(one_file), STR("one.test"), &files.arena, &files.one, problems);
    alias_parse(str_c(two_file), STR("two.test"), &files.arena, &files.two, problems);
    int result = problems->count == 0 ? 0 : -1;
    free(problems);
    return result;
}

static int free_files(void **state)
{
    arena_free(&files.arena);
    return 0;
}

static const struct {
    const char *recipient;
    uint16_t code;
    const char *targets;  /* addresses in order, with blanks */
    const char *failures; /* "AT ADDRESS" of each */
} cases[] = {
    {"staff@one.test", 250, "alice@one.test bob@one.test x@far.test ", ""},
    {"STAFF@One.Test", 250, "alice@one.test bob@one.test x@far.test ", ""},
    {"alice@one.test", 250, "alice@one.test ", ""},
    {"nobody@one.test", 550, "", ""},
    /* an alias beats an account, but in itself is that account */
    {"bill@one.test", 250, "bill@one.test y@far.test ", ""},
    {"root@one.test", 250, "root@one.test alice@one.test bob@one.test x@far.test ", ""},
    {"tagged@one.test", 250, "alice@one.test bob@one.test x@far.test bill@one.test y@far.test ",
     ""},
    /* tags */
    {"staff+x@one.test", 250, "alice@one.test bob@one.test x@far.test ", ""},
    {"bob+lists@one.test", 250, "alice@one.test ", ""},
    {"bob+other@one.test", 250, "bob+other@one.test ", ""},
    {"bill+tag@one.test", 250, "bill@one.test y@far.test ", ""},
    {"both+x@one.test", 250, "both+x@one.test ", ""},
    /* what fails for some */
    {"some@one.test", 250, "alice@one.test z@nowhere.test ", "aliases:4 nobody@one.test "},
    {"none@one.test", 550, "", "aliases:5 nobody@one.test aliases:5 nobody2@one.test "},
    {"plain@one.test", 250, "carol@plain.test ", "aliases:16 staff@plain.test "},
    /* once each */
    {"twice@one.test", 250, "alice@one.test bob@one.test x@far.test X@far.test ", ""},
    /* now unknown: nobody gets it now and then not again */
    {"later@one.test", 451, "", ""},
    {"away@one.test", 451, "", ""},
    {"alice@gone.test", 451, "", ""},
    {"postmaster@gone.test", 451, "", ""},
    /* over several files */
    {"in@two.test", 250, "alice@one.test bob@one.test x@far.test ", ""},
    {"across@one.test", 250, "alice@one.test ", "two:2 across@one.test "},
    {"alice@two.test", 550, "", ""},
    /* postmaster always gets it */
    {"postmaster@one.test", 250, "postmaster@one.test ", "aliases:11 nobody@one.test "},
    {"PostMaster@two.test", 250, "alice@one.test ", ""},
    {"postmaster", 250, "postmaster@mx.test ", ""},
    {"\"b ill\"@one.test", 250, "\"b ill\"@one.test ", ""},
    {"quoted@one.test", 250, "\"b ill\"@one.test ", ""},
    /* who has moved: the sender is told, but not of members of a list */
    {"sent@one.test", 251, "x@far.test ", ""},
    {"sent+tag@one.test", 251, "x@far.test ", ""},
    {"renamed@one.test", 251, "Alice@one.test ", ""},
    {"moved@one.test", 551, "", ""},
    {"left@one.test", 550, "", ""},
    {"list@one.test", 250, "x@far.test alice@one.test ",
     "aliases:21 moved@one.test aliases:21 left@one.test "},
    {"onlymoved@one.test", 550, "", "aliases:22 moved@one.test "},
    {"void@one.test", 550, "", "aliases:23 nobody@one.test "},
    /* and never a way around the rules for strangers */
    {"x@far.test", 550, "", ""},
    {"staff%far.test@one.test", 550, "", ""},
};

static void test_expansion(void **state)
{
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct buf targets = buf_init(KIB), failures = buf_init(KIB);
        struct route_answer answer = {0};
        struct route_question q = {.recipient = str_c(cases[i].recipient)};
        route_decide(&table, &q, &a, &answer);
        if (answer.status.code != cases[i].code)
            fail_msg("%s: %u %.*s", cases[i].recipient, answer.status.code, STR_ARG(answer.why));
        for (size_t j = 0; j < answer.target_count; j++)
            buf_printf(&targets, "%.*s ", STR_ARG(answer.targets[j].address));
        for (size_t j = 0; j < answer.failure_count; j++)
            buf_printf(&failures, "%.*s %.*s ", STR_ARG(answer.failures[j].at),
                       STR_ARG(answer.failures[j].address));
        assert_string_equal(buf_c(&targets), cases[i].targets);
        assert_string_equal(buf_c(&failures), cases[i].failures);
        assert_true(answer.why.n > 0);
        buf_free(&targets);
        buf_free(&failures);
        arena_free(&a);
    }
}

static void test_why(void **state)
{
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    struct route_question q = {.recipient = STR("more@one.test")};
    route_decide(&table, &q, &a, &answer);
    assert_string_equal(
        arena_c(&a, answer.why),
        "alias more of aliases:7, by t.conf:1 domain one.test\n"
        "  aliases:7 staff@one.test: alias staff of aliases:1, by t.conf:1 domain one.test\n"
        "    aliases:1 alice@one.test: t.conf:1 domain one.test: account alice\n"
        "    aliases:1 bob@one.test: t.conf:1 domain one.test: account bob\n"
        "    aliases:1 x@far.test: t.conf:5 route far.test: via far:25\n"
        "  aliases:7 x@far.test: the same as above\n"
        "  aliases:7 X@far.test: t.conf:5 route far.test: via far:25");
    assert_true(
        str_eq_c(answer.targets[0].why, "aliases:1: t.conf:1 domain one.test: account alice"));
    arena_free(&a);
}

/* A tree of aliases, made up while it is asked: "nN" leads to ten others, "xN" to itself + 1. */
static enum alias_answer endless(void *arg, const struct route_domain *domain, struct str key,
                                 struct arena *a, struct alias *ret)
{
    bool wide = str_starts(key, STR("n"));
    size_t count = wide ? 10 : 1;
    *ret = (struct alias){.name = key, .line = 1, .target_count = count};
    ret->targets = arena_alloc(a, count * sizeof *ret->targets);
    for (size_t i = 0; i < count; i++) {
        struct str local = wide ? arena_printf(a, "%.*s%zu", STR_ARG(key), i)
                                : arena_printf(a, "%.*sx", STR_ARG(key));
        ret->targets[i] = (struct alias_target){.to = {local, domain->name}, .line = 1};
    }
    return ALIAS_YES;
}

static void test_bounds(void **state)
{
    struct route_table t = table;
    t.alias = endless;
    struct arena a = ARENA_INIT;
    struct route_answer answer = {0};
    route_decide(&t, &(struct route_question){.recipient = STR("n@one.test")}, &a, &answer);
    assert_int_equal(answer.status.code, 451);
    assert_int_equal(answer.target_count, 0);
    assert_true(answer.why.n <= 48 * KIB);
    route_decide(&t, &(struct route_question){.recipient = STR("x@one.test")}, &a, &answer);
    assert_int_equal(answer.status.code, 550);
    assert_int_equal(answer.failure_count, 1);
    assert_true(str_eq_c(answer.failures[0].why, "more than 20 aliases one behind the other"));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, read_files, free_files);
}
