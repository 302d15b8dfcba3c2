/* Accounts: written by one, seen at once by another, whatever happens to the file. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "login/account.h"

static char folder[256], path[300];

static int folder_make(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/troika-account-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/accounts.db", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    char journal[320];
    snprintf(journal, sizeof journal, "%s-journal", path);
    unlink(journal);
    unlink(path);
    return rmdir(folder);
}

static struct address address(const char *local, const char *domain)
{
    return (struct address){str_c(local), str_c(domain)};
}

static int add(struct accounts *s, const char *local, const char *domain)
{
    struct address a = address(local, domain);
    return accounts_add(s, &a);
}

static int removed(struct accounts *s, const char *local, const char *domain)
{
    struct address a = address(local, domain);
    return accounts_remove(s, &a);
}

static int has(struct accounts *s, const char *local, const char *domain)
{
    struct address own;
    return accounts_find(s, str_c(local), str_c(domain), &own);
}

static struct accounts *opened(bool write)
{
    struct accounts *s = NULL;
    assert_int_equal(accounts_open(folder, write, &s), 0);
    return s;
}

static void test_seen_at_once(void **state)
{
    (void)state;
    struct accounts *reader = opened(false);
    assert_int_equal(has(reader, "alice", "a.test"), 0);
    assert_int_equal(access(path, F_OK), -1); /* a reader makes nothing */

    struct accounts *writer = opened(true);
    assert_int_equal(has(reader, "alice", "a.test"), 0);
    assert_int_equal(add(writer, "Alice", "A.test"), 0);
    assert_int_equal(has(reader, "alice", "a.test"), 1);
    assert_int_equal(has(reader, "ALICE", "a.TEST"), 1);
    assert_int_equal(has(reader, "alic", "a.test"), 0);
    assert_int_equal(has(reader, "alice", "b.test"), 0);
    assert_int_equal(has(reader, "", ""), 0);
    assert_int_equal(add(writer, "aLICE", "a.test"), -EEXIST);
    assert_int_equal(removed(writer, "bob", "a.test"), -ENOENT);
    assert_int_equal(removed(writer, "ALICE", "a.test"), 0);
    assert_int_equal(has(reader, "alice", "a.test"), 0);
    accounts_close(&writer);
    accounts_close(&writer);

    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    accounts_close(&reader);
}

/* The file goes away, comes back, is replaced: the next question sees it. */
static void test_replaced(void **state)
{
    (void)state;
    struct accounts *reader = opened(false), *writer = opened(true);
    assert_int_equal(add(writer, "bob", "a.test"), 0);
    accounts_close(&writer);
    assert_int_equal(has(reader, "bob", "a.test"), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(has(reader, "bob", "a.test"), 0);
    writer = opened(true);
    assert_int_equal(add(writer, "carol", "a.test"), 0);
    assert_int_equal(has(reader, "carol", "a.test"), 1);
    assert_int_equal(has(reader, "bob", "a.test"), 0);
    assert_int_equal(removed(writer, "carol", "a.test"), 0);
    accounts_close(&writer);
    accounts_close(&reader);
}

static uint64_t hour_later(const struct clock *c)
{
    return clock_now_us(&clock_system) + 3600 * US_PER_S;
}
static const struct clock later = {.now_us = hour_later};

/* A change made now would have another time than the one before. */
static void wait_for_tick(void)
{
    struct stat st;
    struct timespec now;
    assert_int_equal(stat(path, &st), 0);
    do {
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (now.tv_sec == st.st_ctim.tv_sec && now.tv_nsec == st.st_ctim.tv_nsec);
}

/* A file that has been let alone is not asked again (so a lock on it does not matter), until
 * something about it changes. */
static void test_remembered(void **state)
{
    (void)state;
    struct accounts *writer = opened(true), *reader = opened(false);
    sqlite3 *other = NULL;
    accounts_set_clock(reader, &later);
    assert_int_equal(add(writer, "dora", "a.test"), 0);
    wait_for_tick();
    assert_int_equal(has(reader, "dora", "a.test"), 1);
    assert_int_equal(has(reader, "emil", "a.test"), 0);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(has(reader, "Dora", "A.test"), 1);
    assert_int_equal(has(reader, "emil", "a.test"), 0);
    assert_int_equal(has(reader, "fritz", "a.test"), -EAGAIN);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);

    assert_int_equal(add(writer, "emil", "a.test"), 0);
    assert_int_equal(has(reader, "emil", "a.test"), 1);
    wait_for_tick();
    assert_int_equal(removed(writer, "emil", "a.test"), 0);
    assert_int_equal(removed(writer, "dora", "a.test"), 0);
    assert_int_equal(has(reader, "emil", "a.test"), 0);
    assert_int_equal(has(reader, "dora", "a.test"), 0);
    accounts_close(&writer);
    accounts_close(&reader);
}

static void gather(void *arg, const struct address *listed, const struct address *alias_of)
{
    struct buf *b = arg;
    address_print(b, listed);
    if (alias_of->local.n > 0) {
        buf_add_c(b, "->");
        address_print(b, alias_of);
    }
    buf_add_char(b, ' ');
}

static void test_list(void **state)
{
    (void)state;
    struct accounts *s = opened(true);
    struct buf b = buf_init(4 * KIB);
    assert_int_equal(accounts_list(s, STR_NONE, gather, &b), 0);
    assert_int_equal(add(s, "z", "a.test"), 0);
    assert_int_equal(add(s, "b c", "a.test"), 0);
    assert_int_equal(add(s, "a", "b.test"), 0);
    assert_int_equal(accounts_list(s, STR_NONE, gather, &b), 3);
    assert_string_equal(buf_c(&b), "\"b c\"@a.test z@a.test a@b.test ");
    buf_reset(&b);
    assert_int_equal(accounts_list(s, STR("B.Test"), gather, &b), 1);
    assert_string_equal(buf_c(&b), "a@b.test ");
    assert_int_equal(accounts_list(s, STR("none.test"), gather, &b), 0);
    buf_free(&b);
    accounts_close(&s);
}

static int add_alias(struct accounts *s, const char *local, const char *domain, const char *alias,
                     const char *alias_domain)
{
    struct address of = address(local, domain), a = address(alias, alias_domain);
    return accounts_add_alias(s, &of, &a);
}

static void test_aliases(void **state)
{
    (void)state;
    struct accounts *s = opened(true), *reader = opened(false);
    struct buf b = buf_init(4 * KIB);
    struct address own;
    assert_int_equal(add(s, "bill", "al.test"), 0);
    assert_int_equal(add_alias(s, "BILL", "al.test", "Info", "other.test"), 0);
    assert_int_equal(add_alias(s, "bill", "al.test", "info", "other.test"), -EEXIST);
    assert_int_equal(add_alias(s, "bill", "al.test", "bill", "al.test"), -EEXIST);
    assert_int_equal(add_alias(s, "none", "al.test", "none2", "al.test"), -ENOENT);
    assert_int_equal(add_alias(s, "info", "other.test", "more", "al.test"), -ENOENT);
    assert_int_equal(add_alias(s, "bill", "al.test", "a%b", "al.test"), -EINVAL);
    assert_int_equal(add(s, "info", "other.test"), -EEXIST);

    assert_int_equal(accounts_find(reader, STR("INFO"), STR("other.test"), &own),
                     ACCOUNT_FOUND_ALIAS);
    address_print(&b, &own);
    assert_string_equal(buf_c(&b), "bill@al.test");
    assert_int_equal(accounts_find(reader, STR("Bill"), STR("al.test"), &own), ACCOUNT_FOUND);
    assert_true(str_eq_c(own.local, "bill") && str_eq_c(own.domain, "al.test"));

    buf_reset(&b);
    assert_int_equal(accounts_list(reader, STR("other.test"), gather, &b), 1);
    assert_string_equal(buf_c(&b), "info@other.test->bill@al.test ");

    assert_int_equal(add_alias(s, "bill", "al.test", "sales", "al.test"), 0);
    assert_int_equal(removed(s, "sales", "al.test"), 0); /* the alias alone */
    assert_int_equal(has(reader, "bill", "al.test"), ACCOUNT_FOUND);
    assert_int_equal(removed(s, "bill", "al.test"), 0); /* and all that leads to it */
    assert_int_equal(has(reader, "info", "other.test"), ACCOUNT_FOUND_NONE);
    buf_free(&b);
    accounts_close(&s);
    accounts_close(&reader);
}

/* Nothing is seen before it is committed, and nothing stays when it is not. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    struct accounts *s = opened(true), *reader = opened(false);
    assert_int_equal(accounts_begin(s), 0);
    for (int i = 0; i < 40000; i++) { /* more than SQLite keeps in memory by itself */
        char name[60];
        snprintf(name, sizeof name, "somebody-with-a-rather-long-name-%d", i);
        assert_int_equal(add(s, name, "many.test"), 0);
    }
    assert_int_equal(has(reader, "somebody-with-a-rather-long-name-1", "many.test"), 0);
    accounts_close(&s);
    assert_int_equal(has(reader, "somebody-with-a-rather-long-name-1", "many.test"), 0);

    s = opened(true);
    accounts_set_clock(s, &later); /* nothing was written for an hour */
    assert_int_equal(accounts_begin(s), 0);
    assert_int_equal(has(s, "one", "few.test"), 0);
    assert_int_equal(add(s, "one", "few.test"), 0);
    assert_int_equal(has(s, "one", "few.test"), 1);
    assert_int_equal(accounts_commit(s), 0);
    assert_int_equal(has(reader, "one", "few.test"), 1);
    assert_int_equal(removed(s, "one", "few.test"), 0);
    accounts_close(&s);
    accounts_close(&reader);
}

/* A file from before there were aliases: read as it is, brought up to date by the next change. */
static void test_first_version(void **state)
{
    (void)state;
    static const char first[] = "PRAGMA application_id=0x54524b41; PRAGMA user_version=1;"
                                "CREATE TABLE account(domain TEXT NOT NULL, name TEXT NOT NULL,"
                                " PRIMARY KEY(domain, name)) WITHOUT ROWID, STRICT;"
                                "INSERT INTO account VALUES('old.test', 'anna')";
    struct accounts *reader = opened(false);
    struct buf b = buf_init(4 * KIB);
    sqlite3 *other = NULL;
    unlink(path);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, first, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(has(reader, "anna", "old.test"), 1);
    assert_int_equal(accounts_list(reader, STR_NONE, gather, &b), 1);

    struct accounts *s = opened(true);
    assert_int_equal(add_alias(s, "anna", "old.test", "info", "old.test"), 0);
    assert_int_equal(has(reader, "info", "old.test"), ACCOUNT_FOUND_ALIAS);
    assert_string_equal(buf_c(&b), "anna@old.test ");
    buf_free(&b);
    accounts_close(&s);
    accounts_close(&reader);
    unlink(path);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *local, *domain;
        int result;
    } names[] = {
        {"a.b+c", "n.test", 0},
        {"o'neil", "n.test", 0},
        {"", "n.test", -EINVAL},
        {"a%b", "n.test", -EINVAL},
        {"a!b", "n.test", -EINVAL},
        {"a@b", "n.test", -EINVAL},
        {"a\nb", "n.test", -EINVAL},
        {"\xff", "n.test", -EINVAL},
        {"a\xe2\x80\xae", "n.test", -EINVAL}, /* turns the direction of what follows */
        {"почта", "n.test", 0},
        {"a", "", -EINVAL},
        {"a", "[192.0.2.1]", -EINVAL},
        {"a", "n..test", -EINVAL},
        {"a", "n/test", -EINVAL},
        {"1234567890123456789012345678901234567890123456789012345678901234", "n.test", 0},
        {"12345678901234567890123456789012345678901234567890123456789012345", "n.test", -EINVAL},
    };
    struct accounts *s = opened(true);
    for (size_t i = 0; i < countof(names); i++) {
        assert_int_equal(add(s, names[i].local, names[i].domain), names[i].result);
        assert_int_equal(has(s, names[i].local, names[i].domain), names[i].result == 0);
        struct address a = address(names[i].local, names[i].domain);
        assert_int_equal(accounts_name_problem(&a) != NULL, names[i].result != 0);
    }
    accounts_close(&s);
}

/* Somebody holds the database: later, not no. */
static void test_busy(void **state)
{
    (void)state;
    struct accounts *reader = opened(false);
    sqlite3 *other = NULL;
    assert_int_equal(has(reader, "z", "a.test"), 1);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(has(reader, "z", "a.test"), -EAGAIN);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(has(reader, "z", "a.test"), 1);
    sqlite3_close(other);
    accounts_close(&reader);
}

static _Noreturn void die_while_writing(void)
{
    sqlite3 *db = NULL;
    static const char much[] =
        "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN IMMEDIATE;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000)"
        "INSERT INTO account(domain, name) SELECT 'half.test', 'name'||i FROM n;";
    sqlite3_open(path, &db);
    sqlite3_exec(db, much, NULL, NULL, NULL);
    _exit(0); /* as kill -9: the journal stays, some pages are in the file */
}

static void test_writer_died(void **state)
{
    (void)state;
    struct accounts *reader = opened(false);
    assert_int_equal(accounts_recover(folder), 0);
    assert_int_equal(has(reader, "z", "a.test"), 1);
    pid_t pid = fork();
    if (pid == 0)
        die_while_writing();
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(has(reader, "z", "a.test"), -EROFS);
    assert_int_equal(accounts_recover(folder), 0);
    assert_int_equal(has(reader, "z", "a.test"), 1);
    assert_int_equal(has(reader, "name1", "half.test"), 0);
    accounts_close(&reader);
}

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_no_database(void **state)
{
    (void)state;
    struct accounts *reader = opened(false), *writer = NULL;
    unlink(path);
    write_file("this is a text file, long enough to be taken for a database by mistake, or is it");
    assert_int_equal(has(reader, "z", "a.test"), -EBADMSG);
    assert_int_equal(accounts_open(folder, true, &writer), -EBADMSG);
    assert_null(writer);

    unlink(path);
    sqlite3 *other = NULL; /* a database, but of something else */
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE account(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(has(reader, "z", "a.test"), -EBADMSG);
    assert_int_equal(accounts_open(folder, true, &writer), -EBADMSG);

    unlink(path);
    write_file(""); /* a writer that has only begun */
    assert_int_equal(has(reader, "z", "a.test"), 0);
    writer = opened(true);
    assert_int_equal(add(writer, "z", "a.test"), 0);
    assert_int_equal(has(reader, "z", "a.test"), 1);
    accounts_close(&writer);
    accounts_close(&reader);
    assert_int_equal(accounts_open("/nonexistent", true, &writer), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_at_once),  cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_aliases),       cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_first_version), cmocka_unit_test(test_list),
        cmocka_unit_test(test_remembered),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_busy),          cmocka_unit_test(test_writer_died),
        cmocka_unit_test(test_no_database),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
