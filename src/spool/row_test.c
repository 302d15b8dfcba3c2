/* The bytes of small messages in the transaction itself: which, how long, and that they are whole. */
// SPDX-License-Identifier: ISC
#include <errno.h>

#include "spool/test_spool.h"

static void start_with_rows(struct test_spool *t, uint32_t row_bytes_max)
{
    test_setup(t);
    t->options.row_bytes_max = row_bytes_max;
    test_reopen(t);
}

static uint64_t number_of(struct test_spool *t, const char *sql)
{
    sqlite3_stmt *st;

    assert_int_equal(sqlite3_prepare_v2(t->s->db.handle, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    uint64_t n = (uint64_t)sqlite3_column_int64(st, 0);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    return n;
}

static uint64_t row_count(struct test_spool *t)
{
    return number_of(t, "SELECT count(*) FROM content");
}

static void test_a_row_lives_and_goes(void **state)
{
    struct test_spool t;

    start_with_rows(&t, 100);
    struct id id = test_put_now(&t, "mx:25", "hello");
    test_commit(&t);
    assert_int_equal(row_count(&t), 1);
    assert_int_equal(test_count_files(&t, "segments"), 0);
    assert_true(test_has(&t, id, "hello"));
    test_reopen(&t);
    assert_true(test_has(&t, id, "hello"));
    assert_int_equal(t.s->tally.content_bytes, 5);
    int fd;
    assert_int_equal(spool_content_fd(t.s, id.key, &fd), -EINVAL);
    assert_int_equal(spool_end_recipient(t.s, id.key, 1), 0);
    test_commit(&t);
    assert_int_equal(row_count(&t), 0);
    assert_int_equal(t.s->tally.content_bytes, 0);
    test_stop(&t);
}

/* How many of so many messages of 10 bytes in one batch are rows. */
static void test_few_are_rows_many_are_not(void **state)
{
    static const struct {
        int count;
        uint64_t sync_us, kept_bytes, rows;
    } table[] = {
        {1, 0, 0, 1},
        {10, 0, 0, 10},
        {11, 0, 0, 0}, /* all of them go to a segment */
        {11, 3999, 0, 0},
        {11, 4000, 0, 11}, /* a slow disk: another sync costs more */
        {50, 4000, 0, 50},
        {51, 4000, 0, 0},
        {160, 60 * US_PER_S, 0, 160}, /* but not any number */
        {161, 60 * US_PER_S, 0, 0},
        {1, 0, ROW_BYTES_KEPT - 10, 1}, /* and not for ever */
        {1, 0, ROW_BYTES_KEPT - 9, 0},
    };
    struct id ids[200];
    struct test_spool t;

    for (size_t i = 0; i < countof(table); i++) {
        start_with_rows(&t, 100);
        t.s->sync_us = table[i].sync_us;
        t.s->tally.content_bytes = table[i].kept_bytes;
        for (int n = 0; n < table[i].count; n++)
            ids[n] = test_put_now(&t, "mx:25", "0123456789");
        test_commit(&t);
        assert_int_equal(row_count(&t), table[i].rows);
        assert_int_equal(t.s->tally.content_bytes, table[i].kept_bytes + 10 * table[i].rows);
        for (int n = 0; n < table[i].count; n++)
            assert_true(test_has(&t, ids[n], "0123456789"));
        test_stop(&t);
    }
}

static uint64_t monotonic_us, commit_takes_us;

static uint64_t slow_monotonic(const struct clock *c)
{
    return monotonic_us += commit_takes_us; /* asked before and after COMMIT */
}

static void commit_rows(struct test_spool *t, int count, uint64_t takes_us)
{
    commit_takes_us = takes_us;
    for (int i = 0; i < count; i++)
        (void)test_put_now(t, "mx:25", "0123456789");
    test_commit(t);
}

static void test_the_time_of_a_sync_is_learned(void **state)
{
    struct test_spool t;

    start_with_rows(&t, 100);
    t.clock.clock.monotonic_us = slow_monotonic;
    for (int i = 0; i < 30; i++)
        commit_rows(&t, 1, 8000);
    uint64_t known_us = t.s->sync_us;
    assert_in_range(known_us, 7500, 8000);
    commit_rows(&t, 40, 90000); /* many rows: they took the time */
    assert_int_equal(row_count(&t), 70);
    assert_int_equal(t.s->sync_us, known_us);
    commit_rows(&t, 40, 800); /* and although there were many, a sync was quick */
    assert_in_range(t.s->sync_us, 6500, 7200);
    for (int i = 0; i < 30; i++)
        commit_rows(&t, 1, 800);
    assert_in_range(t.s->sync_us, 800, 1000);
    test_stop(&t);
}

/* The next batch begins anew. */
static void test_both_in_one_spool(void **state)
{
    struct test_spool t;
    struct id ids[4];

    start_with_rows(&t, 8);
    for (int i = 0; i < 4; i++) {
        ids[i] = test_put_now(&t, "mx:25", i == 1 ? "too long for a row" : "row");
        test_commit(&t);
    }
    assert_int_equal(row_count(&t), 3);
    assert_int_equal(number_of(&t, "SELECT sum(message_count) FROM segment"), 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(spool_end_recipient(t.s, ids[i].key, 1), 0);
    test_commit(&t);
    assert_int_equal(row_count(&t), 0);
    assert_int_equal(number_of(&t, "SELECT sum(message_count) FROM segment"), 0);
    test_stop(&t);
}

static void test_damage_is_seen(void **state)
{
    static const char *const damage[] = {
        "UPDATE content SET bytes = 'hellO'",
        "UPDATE content SET bytes = 'hell'",
        "UPDATE content SET crc = crc + 1",
        "DELETE FROM content",
    };
    struct test_spool t;
    struct str content;

    for (size_t i = 0; i < countof(damage); i++) {
        start_with_rows(&t, 100);
        struct id id = test_put_now(&t, "mx:25", "hello");
        test_commit(&t);
        assert_int_equal(sqlite3_exec(t.s->db.handle, damage[i], NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(spool_content(t.s, id.key, &t.arena, &content), -EBADMSG);
        test_stop(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_lives_and_goes),
        cmocka_unit_test(test_few_are_rows_many_are_not),
        cmocka_unit_test(test_the_time_of_a_sync_is_learned),
        cmocka_unit_test(test_both_in_one_spool),
        cmocka_unit_test(test_damage_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
