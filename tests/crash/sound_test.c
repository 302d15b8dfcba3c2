// SPDX-License-Identifier: ISC
#include "spool/test_spool.h" /* cmocka with it */

#include <errno.h>

#include "sound.h"

static struct str large_text(struct arena *a)
{
    enum { BYTES = SPOOL_SEGMENT_BYTES_MAX + 1 };
    char *p = arena_alloc(a, BYTES);

    memset(p, 'x', BYTES);
    return str_n(p, BYTES);
}

static struct loop *loop;

static void stop_loop(void *arg, int error)
{
    *(int *)arg = error;
    loop_stop(loop);
}

/* test_put, but of a large message, which is synced beside the loop. */
static void put_large(struct test_spool *t)
{
    struct recipient to = test_recipient("bill@example.org", "mx:25");
    struct envelope e = {.sender = STR("ann@example.net"), .recipient_count = 1, .recipients = &to};
    struct spool_terms terms = {.due_us = t->clock.now_us, .expires_us = UINT64_C(1) << 60};
    struct str text = large_text(&t->arena);
    struct spool_entry *m;
    struct id id;
    int error = -1;

    assert_int_equal(spool_begin(t->s, &e, text.n, &m), 0);
    assert_int_equal(spool_write(m, text), 0);
    assert_int_equal(spool_sync(m, loop, stop_loop, &error), -EAGAIN);
    loop_run(loop);
    assert_int_equal(error, 0);
    assert_int_equal(spool_add(&m, STR_NONE, &terms, &id), 0);
    test_commit(t);
}

/* A spool is sound whatever came first. Of large messages only, it has no segment at all, and "NULL
 * NOT IN" an empty set is true. */
static void test_sound(void **state)
{
    struct test_spool t;

    assert_int_equal(loop_new(&clock_system, &loop), 0);
    test_start(&t);
    assert_null(database_problem(t.s->db.handle));
    put_large(&t);
    assert_null(database_problem(t.s->db.handle));
    test_put_now(&t, "mx:25", "small");
    test_commit(&t);
    assert_null(database_problem(t.s->db.handle));
    put_large(&t);
    assert_null(database_problem(t.s->db.handle));
    test_stop(&t);
    loop_free(&loop);
}

/* Each fact can fail. */
static void test_damage_is_seen(void **state)
{
    static const struct {
        const char *damage, *problem;
        uint32_t row_bytes_max; /* 0: the content is a row */
    } rows[] = {
        {"UPDATE segment SET message_count = 2", "message_count <>", 1},
        {"DELETE FROM segment", "segment NOT IN", 1},
        {"DELETE FROM content", "key NOT IN (SELECT key FROM content)"},
        {"UPDATE message SET segment = NULL", "FROM content WHERE key NOT IN"},
        {"DELETE FROM recipient", "key NOT IN (SELECT key FROM recipient)"},
        {"DELETE FROM message; DELETE FROM segment", "key NOT IN (SELECT key FROM message)", 1},
        {"DELETE FROM destination", "d.id IS NULL"},
        {"UPDATE destination SET due_us = due_us + 1", "d.due_us > r.due_us"},
        {"UPDATE tally SET recipient_count = 2", "FROM tally"},
        {"UPDATE tally SET content_bytes = 0", "FROM tally"},
        {"UPDATE tally SET last_key = 1", "FROM tally"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct test_spool t;
        test_setup(&t);
        t.options.row_bytes_max = rows[i].row_bytes_max;
        test_reopen(&t);
        test_put_now(&t, "mx:25", "small");
        test_commit(&t);
        assert_int_equal(sqlite3_exec(t.s->db.handle, rows[i].damage, NULL, NULL, NULL), SQLITE_OK);
        const char *problem = database_problem(t.s->db.handle);
        assert_non_null(problem);
        assert_non_null(strstr(problem, rows[i].problem));
        test_stop(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
