/* crash/planted_test.c - does the crash test see anything? Each planted fault must be found. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After what it needs.
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "run.h"

enum { STORIES_MAX = 6 };

static size_t found_with(enum fault fault, uint64_t stories)
{
    struct tally t = {0};

    for (uint64_t seed = 1; seed <= stories && t.violations == 0; seed++) {
        struct run_options o = {.seed = seed,
                                .steps = 500,
                                .parts = 2,
                                .picks = 1,
                                .sample = 4,
                                .violations_max = 1,
                                .fault = fault,
                                .quiet = fault != FAULT_NONE};
        run(&o, &t);
    }
    return t.violations;
}

static void test_faults_are_found(void **state)
{
    static const struct {
        const char *what;
        enum fault fault;
    } rows[] = {
        {"a disk whose syncs do nothing", FAULT_SYNC},
        {"names are never synced", FAULT_FOLDER_SYNC},
        {"a mailbox file is named before it is synced", FAULT_MAIL_SYNC},
        {"rows are durable before their bytes", FAULT_LATE_SYNC},
        {"the database's log is never synced", FAULT_LOG_SYNC},
        {"250 before the commit", FAULT_EARLY_250},
        {"delivered before the mailbox is durable", FAULT_EARLY_DELIVERED},
        {"events are forgotten before history has them", FAULT_EVENTS},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        print_message("%s\n", rows[i].what);
        assert_true(found_with(rows[i].fault, STORIES_MAX) > 0);
    }
}

static void test_without_fault_nothing_is_found(void **state)
{
    assert_int_equal(found_with(FAULT_NONE, 1), 0);
}

/* ---- do the stories contain what the test is about? ---- */

struct chapter {
    size_t accepted, large, delivered, handed_over, reports, removed, deaths, checkpoints, reused,
        dropped;
};

static void count_letters(const struct story *s, struct chapter *c)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct letter *l = &s->letters[i];
        c->accepted += l->accepted_at != NEVER;
        c->large += l->accepted_at != NEVER && l->content.n > 64 * KIB;
        c->reports += l->about.key != 0;
        for (size_t k = 0; k < l->count; k++) {
            c->delivered += l->fates[k].confirmed_at != NEVER && l->fates[k].mailbox.n > 0;
            c->handed_over += l->fates[k].handed_over_at != NEVER;
            c->removed += l->fates[k].removed_at != NEVER;
        }
    }
}

/* From the names of files: queue.db is written by checkpoints, a segment has six digits, and one
 * that is used again is written at its start once more. */
static void count_steps(const struct log *l, struct chapter *c)
{
    const char **names = mem_new(l->node_count * sizeof(*names));
    bool *started = mem_new(l->node_count * sizeof(*started));

    for (size_t i = 0; i < l->count; i++) {
        const struct step *s = &l->steps[i];
        if (s->kind == STEP_NAME)
            names[s->child] = s->name;
        const char *name = names[s->node] != NULL ? names[s->node] : "";
        bool segment = s->kind == STEP_WRITE && strlen(name) == 6;
        c->checkpoints += s->kind == STEP_SYNC && strcmp(name, "queue.db") == 0;
        c->reused += segment && s->offset == 0 && started[s->node];
        started[s->node] = started[s->node] || (segment && s->offset == 0);
        c->dropped += s->kind == STEP_UNNAME && strlen(s->name) == 6;
    }
    free(names);
    free(started);
}

static void test_stories_are_full(void **state)
{
    struct chapter c = {0};

    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct story s;
        story_make(&s, seed, 6000, FAULT_NONE);
        count_letters(&s, &c);
        count_steps(&s.log, &c);
        c.deaths += s.deaths;
        story_free(&s);
    }
    print_message("accepted %zu, of them large %zu, delivered %zu, handed over %zu, reports %zu, "
                  "removed %zu, deaths %zu, checkpoints %zu, segments reused %zu, dropped %zu\n",
                  c.accepted, c.large, c.delivered, c.handed_over, c.reports, c.removed, c.deaths,
                  c.checkpoints, c.reused, c.dropped);
    assert_true(c.accepted > 50 && c.large > 5 && c.delivered > 20 && c.handed_over > 20);
    assert_true(c.reports > 5 && c.removed > 0 && c.deaths > 5 && c.checkpoints > 5);
    assert_true(c.reused > 5 && c.dropped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_found),
        cmocka_unit_test(test_stories_are_full),
        cmocka_unit_test(test_without_fault_nothing_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
