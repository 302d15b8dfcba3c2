// SPDX-License-Identifier: ISC
#include <errno.h>

#include "spool/test_spool.h"

/* Every question must be answered through an index: its cost is what it returns. */
static void test_plans(void **state)
{
    struct test_spool t;
    char sql[2048];

    test_start(&t);
    for (int which = 0; which < SQL_COUNT; which++) {
        sqlite3_stmt *st;
        (void)snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", db_sql((enum sql)which));
        if (which <= SQL_ROLLBACK || which == SQL_SEGMENTS) /* all segments are read, once */
            continue;
        assert_int_equal(sqlite3_prepare_v2(t.s->db.handle, sql, -1, &st, NULL), SQLITE_OK);
        while (sqlite3_step(st) == SQLITE_ROW) {
            const char *detail = (const char *)sqlite3_column_text(st, 3);
            if (strstr(detail, "SCAN ") && !strstr(detail, "CONSTANT ROW"))
                fail_msg("%s: %s", db_sql((enum sql)which), detail);
            if (strstr(detail, "TEMP B-TREE"))
                fail_msg("%s: %s", db_sql((enum sql)which), detail);
        }
        (void)sqlite3_finalize(st);
    }
    test_stop(&t);
}

struct plan {
    enum sql which;
    const char *part;
};

static void test_indexes(void **state)
{
    static const struct plan table[] = {
        {SQL_DUE_RECIPIENTS,
         "USING INDEX recipient_due (destination=? AND held=? AND (due_us,key,"},
        {SQL_AGED_RECIPIENTS,
         "USING INDEX recipient_expiry (destination=? AND held=? AND (age_us,key,"},
        {SQL_EARLIEST_DUE, "USING COVERING INDEX recipient_due (destination=? AND held=?"},
        {SQL_NEXT_DUE, "recipient_due (destination=? AND held=? AND due_us>?"},
        {SQL_DUE_DESTINATIONS, "USING INDEX destination_wake (wake_us>?"},
        {SQL_NEXT_WAKE, "USING COVERING INDEX destination_wake (wake_us>?"},
        {SQL_FAR_RECIPIENTS, "recipient_due (destination=? AND held=? AND due_us>?"},
        {SQL_IDLE_DESTINATIONS, "destination_wake (wake_us=? AND rowid>?"},
        {SQL_LIST, "USING PRIMARY KEY ((key,number)>(?,?))"},
        {SQL_MESSAGES, "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
    };
    struct test_spool t;
    char sql[2048];

    test_start(&t);
    for (size_t i = 0; i < countof(table); i++) {
        sqlite3_stmt *st;
        (void)snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", db_sql(table[i].which));
        assert_int_equal(sqlite3_prepare_v2(t.s->db.handle, sql, -1, &st, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(st), SQLITE_ROW);
        const char *detail = (const char *)sqlite3_column_text(st, 3);
        if (!strstr(detail, table[i].part))
            fail_msg("%s: %s", table[i].part, detail);
        (void)sqlite3_finalize(st);
    }
    test_stop(&t);
}

static void test_status(void **state)
{
    struct status st = status_make(451, 4, 4, 1, STR("no route to host"));
    struct arena a = ARENA_INIT;
    struct str packed = status_pack(&a, &st);

    assert_int_equal(packed.n, 5 + 16);
    assert_true(str_eq(str_skip(packed, 5), STR("no route to host")));
    assert_int_equal(status_pack(&a, NULL).n, 0);
    assert_int_equal(status_pack(&a, &(struct status){0}).n, 0);
    arena_free(&a);
}

static void test_later_version(void **state)
{
    struct test_spool t;

    test_start(&t);
    assert_int_equal(sqlite3_exec(t.s->db.handle, "PRAGMA user_version = 99", NULL, NULL, NULL),
                     SQLITE_OK);
    spool_close(&t.s);
    assert_int_equal(spool_open(t.dir_fd, &t.options, &t.s), -EPROTONOSUPPORT);
    test_stop(&t);
}

/* What the first version wrote is read by this one: never warned of, because too old for it. */
static void test_earlier_version(void **state)
{
    static const char back[] = "DROP TABLE content;"
                               "ALTER TABLE tally DROP COLUMN content_bytes;"
                               "DELETE FROM recipient WHERE number > 1;"
                               "ALTER TABLE recipient DROP COLUMN orcpt;"
                               "ALTER TABLE recipient DROP COLUMN notify;"
                               "ALTER TABLE recipient DROP COLUMN expires_us;"
                               "ALTER TABLE recipient RENAME COLUMN age_us TO expires_us;"
                               "ALTER TABLE message DROP COLUMN envid;"
                               "ALTER TABLE message DROP COLUMN ret;"
                               "ALTER TABLE message DROP COLUMN utf8;"
                               "ALTER TABLE message RENAME COLUMN body TO body_8bit;"
                               "UPDATE message SET body_8bit = 1;"
                               "PRAGMA user_version = 1;";
    struct test_spool t;
    struct spool_recipient row;
    struct spool_message m;

    test_start(&t);
    uint64_t due_us = t.clock.now_us;
    uint64_t key = test_put_now(&t, "mx.test:25", "x").key;
    test_commit(&t);
    (void)sqlite3_exec(t.s->db.handle, "COMMIT", NULL, NULL, NULL); /* the snapshot, if any */
    if (sqlite3_exec(t.s->db.handle, back, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(t.s->db.handle));
    spool_close(&t.s);
    assert_int_equal(spool_open(t.dir_fd, &t.options, &t.s), 0);
    assert_int_equal(spool_recipients(t.s, key, 0, &t.arena, &row, 1), 1);
    assert_int_equal(row.expires_us, due_us + 432000 * US_PER_S);
    assert_int_equal(row.age_us, row.expires_us);
    assert_int_equal(row.notify.when, 0);
    assert_int_equal(row.notify.orcpt.n, 0);
    assert_int_equal(spool_message(t.s, key, &t.arena, &m), 0);
    assert_int_equal(m.ret, RETURN_UNSAID);
    assert_int_equal(m.body, BODY_8BIT);
    assert_int_equal(m.utf8, UTF8_UNSAID);
    test_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),           cmocka_unit_test(test_indexes),
        cmocka_unit_test(test_status),          cmocka_unit_test(test_later_version),
        cmocka_unit_test(test_earlier_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
