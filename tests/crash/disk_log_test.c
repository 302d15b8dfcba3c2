// SPDX-License-Identifier: ISC
#include "disk_log.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

#define MAGIC UINT64_C(0x6a736677736872)

/* At this sector of the file: four numbers, and text behind them. */
static void put(int fd, uint64_t at, const uint64_t words[4], const char *text)
{
    char sector[DISK_SECTOR_BYTES] = {0};

    for (size_t i = 0; i < 4; i++) {
        uint64_t word = htole64(words[i]);
        memcpy(sector + i * sizeof(word), &word, sizeof(word));
    }
    memcpy(sector + 32, text, strlen(text));
    assert_int_equal(pwrite(fd, sector, sizeof(sector), (off_t)(at * DISK_SECTOR_BYTES)),
                     sizeof(sector));
}

static int new_log(uint64_t magic, uint64_t count)
{
    char name[] = "/tmp/disk-log-XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    (void)unlink(name);
    put(fd, 0, (uint64_t[]){magic, 1, count, DISK_SECTOR_BYTES}, "");
    return fd;
}

static void test_all_kinds(void **state)
{
    static const struct {
        uint64_t at, words[4]; /* sector, sectors, flags, bytes of the mark */
        const char *mark;
        bool barrier, discard, metadata;
    } rows[] = {
        {1, {100, 2, 0, 0}, NULL, false, false, false},
        {4, {7, 8, 16, 0}, NULL, false, false, true},
        {13, {0, 0, 1, 0}, NULL, true, false, false},
        {14, {0, 0, 8, 10}, "left|x|-|y", false, false, false},
        {15, {5, 1, 18, 0}, NULL, true, false, true},
        {17, {9, 64, 4, 0}, NULL, false, true, false}, /* has no bytes in the log */
        {18, {3, 1, 3, 0}, NULL, true, false, false},
        {20, {0, 0, 8, 0}, "", false, false, false},
    };
    int fd = new_log(MAGIC, countof(rows));
    struct arena a = ARENA_INIT;
    struct disk_write *log;
    size_t count;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        put(fd, rows[i].at, rows[i].words, rows[i].mark != NULL ? rows[i].mark : "");
    assert_int_equal(disk_log_read(fd, &a, &log, &count), 0);
    assert_int_equal(count, countof(rows));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(log[i].sector, rows[i].words[0]);
        assert_int_equal(log[i].sectors, rows[i].words[1]);
        assert_int_equal(log[i].at, (rows[i].at + 1) * DISK_SECTOR_BYTES);
        assert_int_equal(log[i].barrier, rows[i].barrier);
        assert_int_equal(log[i].discard, rows[i].discard);
        assert_int_equal(log[i].metadata, rows[i].metadata);
        assert_int_equal(log[i].mark.p != NULL, rows[i].mark != NULL);
        if (rows[i].mark != NULL)
            assert_true(str_eq_c(log[i].mark, rows[i].mark));
    }
    arena_free(&a);
    (void)close(fd);
}

static void test_none(void **state)
{
    struct arena a = ARENA_INIT;
    struct disk_write *log;
    size_t count;
    int other = new_log(MAGIC + 1, 0);
    int short_one = new_log(MAGIC, 1);
    int long_mark = new_log(MAGIC, 1);

    (void)state;
    put(long_mark, 1, (uint64_t[]){0, 0, 8, DISK_SECTOR_BYTES}, "");
    assert_int_equal(disk_log_read(other, &a, &log, &count), -EBADMSG);
    assert_int_equal(disk_log_read(short_one, &a, &log, &count), -EBADMSG);
    assert_int_equal(disk_log_read(long_mark, &a, &log, &count), -EBADMSG);
    arena_free(&a);
    (void)close(other);
    (void)close(short_one);
    (void)close(long_mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_kinds),
                                       cmocka_unit_test(test_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
