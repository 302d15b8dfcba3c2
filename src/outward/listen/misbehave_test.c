/* listen/misbehave_test.c - orders to misbehave: read, and followed. */
// SPDX-License-Identifier: ISC
#include "outward/listen/misbehave.h"

#include "outward/listen/test_judge.h"

static void test_wrong_orders(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"rcpt", "rcpt: the form is STEP=WHAT, such as rcpt=452:4.2.2 full"},
        {"rct=452", "rct: there is no such step; --misbehave help lists them"},
        {"rcpt=", ": what? a reply such as 452:4.2.2 full, or a word of --misbehave help"},
        {"rcpt=nonsense",
         "nonsense: what? a reply such as 452:4.2.2 full, or a word of --misbehave help"},
        {"rcpt=99", "99: what? a reply such as 452:4.2.2 full, or a word of --misbehave help"},
        {"rcpt=600 x",
         "600 x: what? a reply such as 452:4.2.2 full, or a word of --misbehave help"},
        {"rcpt=4520", "4520: what? a reply such as 452:4.2.2 full, or a word of --misbehave help"},
        {"rcpt=delay", "delay: wants a time, such as delay:30s or drip:200ms"},
        {"rcpt=delay:x", "delay:x: wants a time, such as delay:30s or drip:200ms"},
        {"rcpt=lines:", "lines:: wants a number, such as lines:1000"},
        {"rcpt=cut:3", "cut:3: takes nothing behind it"},
        {"rcpt=inject:", "inject:: wants a text, such as inject:250 yes"},
        {"rcpt/often=cut",
         "often: when? every:2, first:1, after:3, for:bob@example.org or chance:10%"},
        {"rcpt/every:0=cut", "every:0: a number from 1 on belongs behind the colon"},
        {"rcpt/chance:200%=cut", "chance:200%: a chance is a percentage: chance:10%"},
        {"rcpt/for:=cut", "for:: for whom? for:bob@example.org"},
        {"rcpt=expired", "rcpt=expired: that cannot be done at this step; see --misbehave help"},
        {"tls=450", "tls=450: that cannot be done at this step; see --misbehave help"},
        {"content=delay:1s",
         "content=delay:1s: that cannot be done at this step; see --misbehave help"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct misbehave m = {0};
        struct arena a = ARENA_INIT;
        struct buf error = buf_init(512);

        assert_false(misbehave_add(&m, &a, str_c(rows[i].text), &error));
        assert_string_equal(buf_c(&error), rows[i].error);
        buf_free(&error);
        free(m.rules);
        arena_free(&a);
    }
}

/* What a rule does at a step, written down; "" nothing. */
static void ask(struct misbehave *m, enum step at, const char *address, struct buf *to)
{
    struct misdeed d;

    buf_reset(to);
    if (!misbehave_at(m, at, str_c(address), &d))
        return;
    if (d.delay_us)
        buf_printf(to, "delay %llu ", (unsigned long long)d.delay_us / 1000);
    if (d.drip_us)
        buf_printf(to, "drip %llu ", (unsigned long long)d.drip_us / 1000);
    if (d.replied)
        buf_printf(to, "%u/%.*s/%.*s ", d.code, STR_ARG(d.enhanced), STR_ARG(d.text));
    if (d.end)
        buf_printf(to, "end %d ", d.end);
    if (d.tls)
        buf_printf(to, "tls %d ", d.tls);
    if (d.lines)
        buf_printf(to, "lines %llu ", (unsigned long long)d.lines);
    if (d.line_bytes)
        buf_printf(to, "long %llu ", (unsigned long long)d.line_bytes);
    if (d.content_bytes != UINT64_MAX)
        buf_printf(to, "after %llu ", (unsigned long long)d.content_bytes);
    if (d.endless)
        buf_add_c(to, "endless ");
    if (d.bare_lf)
        buf_add_c(to, "bare-lf ");
    if (d.inject.n > 0)
        buf_printf(to, "inject %.*s ", STR_ARG(d.inject));
    if (to->n > 0)
        buf_cut(to, to->n - 1);
}

static void test_what(void **state)
{
    static const struct {
        const char *rule;
        enum step at;
        const char *does;
    } rows[] = {
        {"rcpt=452:4.2.2 full", STEP_RCPT, "452/4.2.2/full"},
        {"rcpt=452 4.2.2 full", STEP_RCPT, "452//4.2.2 full"},
        {"rcpt=452", STEP_RCPT, "452//"},
        {"rcpt=452", STEP_MAIL, ""},
        {"any=421", STEP_GREETING, "421//"},
        {"any=421", STEP_TLS, ""},
        {"RCPT=DELAY:30s", STEP_RCPT, "delay 30000"},
        {"rcpt=delay:200ms", STEP_RCPT, "delay 200"},
        {"rcpt=delay:2", STEP_RCPT, "delay 2000"},
        {"rcpt=delay:5m", STEP_RCPT, "delay 300000"},
        {"rcpt=drip:1s", STEP_RCPT, "drip 1000"},
        {"rcpt=lines:1000", STEP_RCPT, "lines 1000"},
        {"rcpt=lines:99999999", STEP_RCPT, "lines 100000"},
        {"rcpt=long:9", STEP_RCPT, "long 9"},
        {"rcpt=endless", STEP_RCPT, "endless"},
        {"rcpt=bare-lf", STEP_RCPT, "bare-lf"},
        {"starttls=inject:250 yes", STEP_STARTTLS, "inject 250 yes"},
        {"content=cut-after:100", STEP_CONTENT, "end 3 after 100"},
        {"content=silence", STEP_CONTENT, "end 8 after 0"},
    };
    struct buf does = buf_init(512), error = buf_init(512);

    assert_int_equal(KIND_CUT, 3);
    assert_int_equal(KIND_SILENCE, 8);
    for (size_t i = 0; i < countof(rows); i++) {
        struct misbehave m = {0};
        struct arena a = ARENA_INIT;

        assert_true(misbehave_add(&m, &a, str_c(rows[i].rule), &error));
        ask(&m, rows[i].at, "", &does);
        assert_string_equal(buf_c(&does), rows[i].does);
        free(m.rules);
        arena_free(&a);
    }
    buf_free(&does);
    buf_free(&error);
}

static void test_when(void **state)
{
    static const struct {
        const char *rule, *hits; /* of seven askings, for bob and eve in turn */
    } rows[] = {
        {"rcpt=450", "xxxxxxx"},
        {"rcpt/every:2=450", ".x.x.x."},
        {"rcpt/first:3=450", "xxx...."},
        {"rcpt/after:3=450", "...xxxx"},
        {"rcpt/for:Bob@b.test=450", "x.x.x.x"},
        {"rcpt/for:bob@b.test/first:2=450", "x.x...."},
        {"rcpt/first:2/for:bob@b.test=450", "x.x...."},
        {"rcpt/every:2/after:4=450", ".....x."},
        {"rcpt/chance:100%=450", "xxxxxxx"},
        {"rcpt/chance:0%=450", "......."},
    };
    struct buf does = buf_init(512), error = buf_init(512);

    for (size_t i = 0; i < countof(rows); i++) {
        struct misbehave m = {0};
        struct arena a = ARENA_INIT;
        char hits[8] = "";

        assert_true(misbehave_add(&m, &a, str_c(rows[i].rule), &error));
        for (size_t n = 0; n < 7; n++) {
            ask(&m, STEP_RCPT, n % 2 == 0 ? "bob@b.test" : "eve@b.test", &does);
            hits[n] = does.n > 0 ? 'x' : '.';
        }
        assert_string_equal(hits, rows[i].hits);
        free(m.rules);
        arena_free(&a);
    }
    buf_free(&does);
    buf_free(&error);
}

static void test_rules_add_up(void **state)
{
    static const char *const rules[] = {"dot=delay:1s", "any=delay:2s", "dot=451:4.3.0 later",
                                        "dot=550 no", "dot=hang-up"};
    struct misbehave m = {0};
    struct arena a = ARENA_INIT;
    struct buf does = buf_init(512), error = buf_init(512);

    for (size_t i = 0; i < countof(rules); i++)
        assert_true(misbehave_add(&m, &a, str_c(rules[i]), &error));
    ask(&m, STEP_DOT, "", &does);
    assert_true(str_starts(buf_str(&does), STR("delay 3000 451/4.3.0/later end ")));
    free(m.rules);
    arena_free(&a);
    buf_free(&does);
    buf_free(&error);
}

/* The same seed, the same run; another one, another. About as often as it is said. */
static void test_chances(void **state)
{
    char runs[3][201] = {"", "", ""};
    struct buf does = buf_init(512), error = buf_init(512);
    size_t hits = 0;

    for (size_t run = 0; run < 3; run++) {
        struct misbehave m = {0};
        struct arena a = ARENA_INIT;

        misbehave_seed(&m, run < 2 ? 7 : 8);
        assert_true(misbehave_add(&m, &a, STR("random"), &error));
        for (size_t n = 0; n < 200; n++) {
            ask(&m, n % 2 ? STEP_DOT : STEP_TLS, "", &does);
            runs[run][n] = (char)('0' + does.n % 10);
            hits += run == 0 && does.n > 0;
        }
        free(m.rules);
        arena_free(&a);
    }
    assert_string_equal(runs[0], runs[1]);
    assert_string_not_equal(runs[0], runs[2]);
    assert_in_range(hits, 15, 70);
    buf_free(&does);
    buf_free(&error);
}

static void test_help(void **state)
{
    struct buf help = buf_init(16 * KIB);

    misbehave_help(&help);
    assert_false(help.full);
    for (enum step s = 0; s < STEP_COUNT; s++)
        assert_true(str_find_str(buf_str(&help), str_c(step_word(s))) < help.n);
    buf_free(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_orders), cmocka_unit_test(test_what),
        cmocka_unit_test(test_when),         cmocka_unit_test(test_rules_add_up),
        cmocka_unit_test(test_chances),      cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
