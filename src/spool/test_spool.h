/* spool/test_spool.h - a spool in a folder of its own, for the tests here. */
// SPDX-License-Identifier: ISC
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spool/internal.h"

#define TEST_START_US UINT64_C(1795200000000000) /* in November 2026 */

struct test_clock {
    struct clock clock; /* first */
    uint64_t now_us, monotonic_us;
};

struct test_spool {
    char path[256];
    int dir_fd;
    struct test_clock clock;
    struct spool_options options;
    struct spool *s;
    struct arena arena; /* for what is read */
};

static inline uint64_t test_now(const struct clock *c)
{
    return ((const struct test_clock *)(const void *)c)->now_us;
}

static inline uint64_t test_monotonic(const struct clock *c)
{
    return ((const struct test_clock *)(const void *)c)->monotonic_us;
}

static inline void test_folder(char path[256], int *dir_fd)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(path, 256, "%s/spool-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    *dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(*dir_fd >= 0);
}

static inline int test_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

static inline void test_folder_remove(const char *path, int dir_fd)
{
    (void)close(dir_fd);
    assert_int_equal(nftw(path, test_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void test_reopen(struct test_spool *t)
{
    spool_close(&t->s);
    assert_int_equal(spool_open(t->dir_fd, &t->options, &t->s), 0);
}

static inline void test_setup(struct test_spool *t)
{
    *t = (struct test_spool){
        .clock = {.clock = {.now_us = test_now, .monotonic_us = test_monotonic},
                  .now_us = TEST_START_US,
                  .monotonic_us = 1},
        /* Content goes to segments, but where a test is about rows. */
        .options = {.disk = &disk_system, .reserve_bytes = 64 * KIB, .row_bytes_max = 1},
    };
    t->options.clock = &t->clock.clock;
    test_folder(t->path, &t->dir_fd);
}

static inline void test_start(struct test_spool *t)
{
    test_setup(t);
    test_reopen(t);
}

static inline void test_stop(struct test_spool *t)
{
    spool_close(&t->s);
    arena_free(&t->arena);
    test_folder_remove(t->path, t->dir_fd);
}

/* The spool as another process, or a power cut, would find it now. */
static inline void test_copy(const struct test_spool *from, struct test_spool *to)
{
    extern char **environ;
    char source[300];
    pid_t pid;
    int status;

    test_setup(to);
    to->clock.now_us = from->clock.now_us;
    (void)snprintf(source, sizeof(source), "%s/.", from->path);
    char cp[] = "cp";
    char option[] = "-r";
    char *argv[] = {cp, option, source, to->path, NULL};
    assert_int_equal(posix_spawnp(&pid, "cp", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* A running checkpoint may shorten nothing, but the index of the log belongs to its process. */
    (void)unlinkat(to->dir_fd, "queue.db-shm", 0);
    test_reopen(to);
}

enum { TEST_RECIPIENTS_MAX = 4 };

static inline struct recipient test_recipient(const char *address, const char *next_hop)
{
    return (struct recipient){
        .address = str_c(address),
        .target = {.transport = TRANSPORT_RELAY,
                   .next_hop = str_c(next_hop),
                   .address = str_c(address),
                   .why = STR("troika.conf:1")},
    };
}

/* One message of one recipient; *ret is its id. Joins the batch. */
static inline int test_put(struct test_spool *t, const char *next_hop, struct str content,
                           uint64_t due_us, struct id *ret)
{
    struct recipient to = test_recipient("bill@example.org", next_hop);
    struct envelope e = {
        .sender = STR("ann@example.net"),
        .client = STR("client=[192.0.2.1]"),
        .recipient_count = 1,
        .recipients = &to,
    };
    struct spool_terms terms = {.due_us = due_us, .expires_us = due_us + 432000 * US_PER_S};
    struct spool_entry *m;
    int r = spool_begin(t->s, &e, content.n, &m);

    if (r < 0)
        return r;
    r = spool_write(m, content);
    if (r < 0) {
        spool_abort(&m);
        return r;
    }
    return spool_add(&m, STR("Received: x id \x1a\r\n"), &terms, ret);
}

static inline struct id test_put_now(struct test_spool *t, const char *next_hop, const char *text)
{
    struct id id;

    assert_int_equal(test_put(t, next_hop, str_c(text), t->clock.now_us, &id), 0);
    return id;
}

static inline void test_commit(struct test_spool *t)
{
    assert_int_equal(spool_commit(t->s), 0);
    assert_false(spool_dirty(t->s));
}

static inline bool test_has(struct test_spool *t, struct id id, const char *text)
{
    struct str content;

    return spool_content(t->s, id.key, &t->arena, &content) == 0 && str_eq_c(content, text);
}

static inline size_t test_count_files(const struct test_spool *t, const char *folder)
{
    size_t n = 0;
    char path[300];

    (void)snprintf(path, sizeof(path), "%s/%s", t->path, folder);
    struct dirent **list;
    int count = scandir(path, &list, NULL, NULL);
    for (int i = 0; i < count; i++) {
        n += list[i]->d_name[0] != '.';
        free(list[i]);
    }
    free(list);
    return n;
}
