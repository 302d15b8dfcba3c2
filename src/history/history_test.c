// SPDX-License-Identifier: ISC
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "history/internal.h"
#include "mail/id.h"

/* ---- a folder, a clock and a disk of the test ---- */

#define DAY_US (24 * 3600 * US_PER_S)

static uint64_t now_us;

static uint64_t fake_now(const struct clock *c)
{
    return now_us;
}

static const struct clock fake_clock = {fake_now, fake_now};

struct world {
    char path[64];
    int dir_fd;
    struct history *history;
    struct history_options options;
};

static bool sync_fails;

static int sync_or_fail(const struct disk *d, int fd)
{
    return sync_fails ? -EIO : disk_system.sync(&disk_system, fd);
}

static struct disk disk;

static int setup(void **state)
{
    struct world *w = mem_new(sizeof *w);
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(w->path, sizeof w->path, "%.40s/history-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->path));
    w->dir_fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    disk = disk_system;
    disk.sync = sync_or_fail;
    sync_fails = false;
    now_us = UINT64_C(20777) * DAY_US + 5;
    w->options = (struct history_options){.disk = &disk, .clock = &fake_clock};
    assert_int_equal(history_open(w->dir_fd, &w->options, &w->history), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    DIR *dir = opendir(w->path);

    history_close(&w->history);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        (void)unlinkat(w->dir_fd, e->d_name, 0);
    closedir(dir);
    close(w->dir_fd);
    assert_int_equal(rmdir(w->path), 0);
    free(w);
    return 0;
}

static void reopen(struct world *w)
{
    history_close(&w->history);
    assert_int_equal(history_open(w->dir_fd, &w->options, &w->history), 0);
}

/* As a crash leaves it: nothing is written on the way out. */
static void crash(struct world *w)
{
    history_close(&w->history);
}

static void file_name(struct world *w, const char *extension, char to[96])
{
    char name[DAY_NAME_BYTES];

    day_name(name, now_us / DAY_US, extension);
    (void)snprintf(to, 96, "%s/%s", w->path, name);
}

static struct str line_of(struct buf *b, unsigned i)
{
    struct id_text id = id_print((struct id){.key = 1000 + i, .node = 7});

    buf_reset(b);
    line_c(b, "event", "accepted");
    line_c(b, "msg", id.p);
    buf_printf(b, " from=<sender%u@a%u.example> to=<somebody%u@example.net> size=%u", i, i % 7,
               i % 11, i);
    line_c(b, "reply", "250 2.0.0 taken, with quite some words to make the line long");
    return buf_str(b);
}

static void add_lines(struct world *w, unsigned from, unsigned count)
{
    struct buf b = buf_init(4096);

    for (unsigned i = from; i < from + count; i++)
        assert_int_equal(history_add(w->history, i, line_of(&b, i)), 0);
    assert_int_equal(history_commit(w->history), 0);
    buf_free(&b);
}

static size_t find(struct world *w, const char *text, struct buf *to)
{
    struct history_search *s;
    size_t count = 0;
    int more;

    buf_reset(to);
    assert_int_equal(history_search_new(w->history, str_c(text), &s), 0);
    do {
        size_t before = to->n;
        more = history_search_next(s, to, HISTORY_SEARCH_BYTES_MIN);
        assert_true(more >= 0 && to->n - before <= HISTORY_SEARCH_BYTES_MIN);
    } while (more == 1);
    history_search_free(&s);
    for (size_t i = 0; i < to->n; i++)
        count += to->p[i] == '\n';
    return count;
}

static size_t count_of(struct world *w, const char *text)
{
    struct buf lines = buf_init(64 * MIB);
    size_t count = find(w, text, &lines);

    buf_free(&lines);
    return count;
}

/* ---- stories ---- */

static void lines_match_by_value(void **state)
{
    static const char line[] = "event=delivered msg=0abcdefghjkmnpq from=<Bill@Example.org> "
                               "to=\"<a b@x.example>\" reply=\"250 for c@d.example\" session=77f";
    static const struct {
        const char *text;
        bool matches;
    } cases[] = {
        {"", true},
        {"0abcdefghjkmnpq", true},
        {"0abcdefghjkmnp", false},
        {"0ABCDEFGHJKMNPQ", true},
        {"bill@example.org", true},
        {"<bill@example.org>", true},
        {"ill@example.org", false},
        {"bill@example.or", false},
        {"@example.org", true},
        {"@xample.org", false},
        {"@org", false},
        {"a b@x.example", true},
        {"@x.example", true},
        {"c@d.example", false},
        {"delivered", true},
        {"77f", true},
        {"77", false},
        {"msg", false},
    };
    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(history_line_matches(STR(line), str_c(cases[i].text)), cases[i].matches);
    assert_false(history_line_matches(STR("broken =\"x"), STR("x@y")));
    assert_false(history_line_matches(STR(""), STR("x@y")));
}

static void what_is_committed_is_found(void **state)
{
    struct world *w = *state;
    struct buf lines = buf_init(MIB);
    struct buf want = buf_init(4096);

    assert_int_equal(history_taken(w->history), 0);
    add_lines(w, 1, 20);
    assert_int_equal(history_taken(w->history), 20);
    assert_int_equal(find(w, id_print((struct id){1005, 7}).p, &lines), 1);
    line_of(&want, 5);
    buf_add_char(&want, '\n');
    assert_true(str_eq(buf_str(&lines), buf_str(&want)));
    assert_int_equal(find(w, "@example.net", &lines), 20);
    assert_int_equal(find(w, "@a3.example", &lines), 3);
    assert_int_equal(find(w, "somebody4@EXAMPLE.net", &lines), 2);
    assert_int_equal(find(w, "nobody@example.net", &lines), 0);
    assert_int_equal(find(w, "", &lines), 20);
    reopen(w);
    assert_int_equal(history_taken(w->history), 20);
    assert_int_equal(find(w, "sender20@a6.example", &lines), 1);
    buf_free(&lines);
    buf_free(&want);
}

static void a_batch_told_twice_is_written_once(void **state)
{
    struct world *w = *state;

    add_lines(w, 1, 10);
    add_lines(w, 5, 10);
    assert_int_equal(count_of(w, ""), 14);
    reopen(w);
    add_lines(w, 10, 10);
    assert_int_equal(count_of(w, ""), 19);
    assert_int_equal(history_add(w->history, 0, STR("event=refused")), 0);
    assert_int_equal(history_add(w->history, 0, STR("event=refused")), 0);
    assert_int_equal(history_commit(w->history), 0);
    reopen(w);
    assert_int_equal(history_taken(w->history), 19);
    assert_int_equal(count_of(w, "refused"), 2);
}

static void a_torn_end_is_cut_off(void **state)
{
    static const char *const torn[] = {
        "event=half",     "event=whole msg=x\n",        "event=whole\n#commit batch=9",
        "#commit batch=", "event=a\n#commit batch=x\n", "\n\n\n"};

    for (size_t i = 0; i < countof(torn); i++) {
        struct world *w = *state;
        char path[96];
        unsigned next = (unsigned)history_taken(w->history) + 1;

        add_lines(w, next, 3);
        crash(w);
        file_name(w, ".log", path);
        FILE *f = fopen(path, "a");
        fputs(torn[i], f);
        fclose(f);
        reopen(w);
        assert_int_equal(history_taken(w->history), next + 2);
        assert_int_equal(count_of(w, ""), next + 2);
        add_lines(w, next + 3, 1);
        assert_int_equal(count_of(w, ""), next + 3);
    }
}

/* Every length of the file is a possible crash: batches are there whole or not at all. */
static void any_cut_leaves_whole_batches(void **state)
{
    struct world *w = *state;
    char path[96];
    struct stat st;

    add_lines(w, 1, 3);
    add_lines(w, 4, 3);
    file_name(w, ".log", path);
    assert_int_equal(stat(path, &st), 0);
    for (off_t n = st.st_size; n >= 0; n--) {
        crash(w);
        assert_int_equal(truncate(path, n), 0);
        reopen(w);
        size_t count = count_of(w, "");
        assert_int_equal(count, history_taken(w->history));
        assert_true(count == 0 || count == 3 || count == 6);
    }
}

static const char *const questions[] = {"sender77@a0.example",    "@a3.example",
                                        "@example.net",           "somebody9@example.net",
                                        "nobody@nowhere.example", ""};

static void check_index_hides_nothing(struct world *w, const size_t want[countof(questions)])
{
    for (size_t i = 0; i < countof(questions); i++)
        assert_int_equal(count_of(w, questions[i]), want[i]);
}

static void the_index_can_be_lost_or_broken(void **state)
{
    struct world *w = *state;
    char path[96];
    size_t want[countof(questions)];

    for (unsigned i = 0; i < 20; i++)
        add_lines(w, 1 + i * 100, 100);
    for (size_t i = 0; i < countof(questions); i++)
        want[i] = count_of(w, questions[i]);
    assert_int_equal(want[0], 1);
    assert_int_equal(want[2], 2000);
    assert_int_equal(want[4], 0);
    file_name(w, ".idx", path);

    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size >= 4 * INDEX_RECORD_BYTES);

    assert_int_equal(unlink(path), 0); /* under our feet: searched without */
    check_index_hides_nothing(w, want);
    reopen(w);
    check_index_hides_nothing(w, want);
    assert_int_equal(stat(path, &st), 0);

    for (off_t at = 0; at < st.st_size; at += 509) { /* a flipped bit anywhere */
        int fd = open(path, O_RDWR);
        char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (char)(1 << at % 8);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        if (at % 2 == 0)
            check_index_hides_nothing(w, want);
        else
            reopen(w);
    }
    check_index_hides_nothing(w, want);
    crash(w);
    assert_int_equal(truncate(path, 3 * INDEX_RECORD_BYTES + 5), 0); /* behind */
    reopen(w);
    check_index_hides_nothing(w, want);
}

/* What was true when a record was written is not, once more lines stand in its block. */
static void an_old_record_of_a_growing_block_does_not_count(void **state)
{
    struct world *w = *state;
    char path[96];
    char record[INDEX_RECORD_BYTES];

    add_lines(w, 1, 10);
    reopen(w); /* closing wrote a record for part of a block */
    file_name(w, ".idx", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, record, sizeof record), sizeof record);
    add_lines(w, 11, 10);
    crash(w);
    assert_int_equal(pwrite(fd, record, sizeof record, 0), sizeof record); /* as a power cut may */
    close(fd);
    now_us += DAY_US; /* and nobody ever opens that day again */
    reopen(w);
    assert_int_equal(count_of(w, "sender15@a1.example"), 1);
}

static void block_boundaries_lose_no_line(void **state)
{
    struct world *w = *state;
    struct buf b = buf_init(64 * KIB);
    char path[96];
    struct stat st;
    unsigned count = 0;

    file_name(w, ".log", path);
    /* Lines that end before, at and behind the boundary, by one byte each. */
    for (unsigned block = 1; block < 40; block++) {
        uint64_t boundary = (uint64_t)block * INDEX_BLOCK_BYTES;
        assert_int_equal(stat(path, &st), 0);
        while ((uint64_t)st.st_size + 14000 < boundary) {
            buf_reset(&b);
            buf_printf(&b, "event=filler x=%0*d", 9000, 1);
            assert_int_equal(history_add(w->history, 0, buf_str(&b)), 0);
            assert_int_equal(history_commit(w->history), 0);
            assert_int_equal(stat(path, &st), 0);
        }
        size_t n = (size_t)(boundary - (uint64_t)st.st_size) - 20 + block; /* newline around it */
        buf_reset(&b);
        buf_printf(&b, "to=<edge%u@example.net> x=", count);
        while (b.n + 1 < n)
            buf_add_char(&b, 'x');
        buf_printf(&b, "\nto=<edge%u@example.net> event=next", count + 1);
        assert_int_equal(history_add(w->history, 0, buf_str(&b)), 0);
        assert_int_equal(history_commit(w->history), 0);
        count += 2;
    }
    for (size_t round = 0; round < 3; round++) {
        for (unsigned i = 0; i < count; i++) {
            char address[64];
            (void)snprintf(address, sizeof address, "edge%u@example.net", i);
            assert_int_equal(count_of(w, address), 1);
        }
        assert_int_equal(count_of(w, "@example.net"), count);
        if (round == 0) {
            file_name(w, ".idx", path);
            assert_int_equal(unlink(path), 0);
        }
        reopen(w);
    }
    buf_free(&b);
}

static void days_follow_each_other_and_are_dropped(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < 5; i++) {
        add_lines(w, 1 + i * 10, 10);
        now_us += DAY_US;
    }
    reopen(w);
    assert_int_equal(count_of(w, ""), 50);
    assert_int_equal(history_taken(w->history), 50);
    history_limits(w->history, 4, 0); /* today and three more */
    assert_int_equal(count_of(w, ""), 30);
    history_limits(w->history, 0, 1);
    assert_int_equal(count_of(w, ""), 0);
    assert_int_equal(history_taken(w->history), 50);
    add_lines(w, 51, 1);
    reopen(w);
    assert_int_equal(history_taken(w->history), 51);

    now_us -= 3 * DAY_US; /* a clock that steps back */
    add_lines(w, 52, 1);
    reopen(w);
    assert_int_equal(history_taken(w->history), 52);
    assert_int_equal(count_of(w, ""), 2);
}

static void notes_do_not_fill_the_disk(void **state)
{
    struct world *w = *state;

    history_limits(w->history, 0, 10000);
    add_lines(w, 1, 100);
    assert_int_equal(history_add(w->history, 0, STR("event=refused")), -ENOSPC);
    add_lines(w, 101, 1); /* a message's life is never dropped */
    assert_int_equal(count_of(w, ""), 101);
}

static void a_failed_sync_promises_nothing(void **state)
{
    struct world *w = *state;
    struct buf b = buf_init(4096);

    add_lines(w, 1, 5);
    assert_int_equal(history_add(w->history, 6, line_of(&b, 6)), 0);
    sync_fails = true;
    assert_int_equal(history_commit(w->history), -EIO);
    assert_int_equal(history_taken(w->history), 5);
    assert_int_equal(count_of(w, ""), 5);
    crash(w);
    sync_fails = false;
    reopen(w);
    assert_int_equal(history_taken(w->history), 5);
    add_lines(w, 6, 1);
    assert_int_equal(count_of(w, ""), 6);
    buf_free(&b);
}

static void strange_lines_are_tamed(void **state)
{
    struct world *w = *state;
    struct buf b = buf_init(MIB);

    assert_int_equal(history_add(w->history, 3, STR("#commit batch=99\n\nevent=a\n")), 0);
    buf_add(&b, STR("event=long to=<long@example.net> x="));
    for (size_t i = 0; i < 50000; i++)
        buf_add_char(&b, 'x');
    assert_int_equal(history_add(w->history, 4, buf_str(&b)), 0);
    assert_int_equal(history_commit(w->history), 0);
    reopen(w);
    assert_int_equal(history_taken(w->history), 4);
    assert_int_equal(count_of(w, ""), 2);
    assert_int_equal(count_of(w, "long@example.net"), 1);
    buf_free(&b);
}

static void a_search_survives_what_happens_meanwhile(void **state)
{
    struct world *w = *state;
    struct history_search *s;
    struct buf to = buf_init(8 * MIB);

    for (unsigned i = 0; i < 4; i++) {
        add_lines(w, 1 + i * 1000, 1000);
        now_us += DAY_US;
    }
    assert_int_equal(history_search_new(w->history, STR("@example.net"), &s), 0);
    assert_int_equal(history_search_next(s, &to, HISTORY_SEARCH_BYTES_MIN), 1);
    history_limits(w->history, 2, 0);
    add_lines(w, 5000, 100);
    while (history_search_next(s, &to, HISTORY_SEARCH_BYTES_MIN) == 1)
        ;
    history_search_free(&s);
    assert_true(to.n > 100000);
    buf_free(&to);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_match_by_value),
        STORY(what_is_committed_is_found),
        STORY(a_batch_told_twice_is_written_once),
        STORY(a_torn_end_is_cut_off),
        STORY(any_cut_leaves_whole_batches),
        STORY(the_index_can_be_lost_or_broken),
        STORY(an_old_record_of_a_growing_block_does_not_count),
        STORY(block_boundaries_lose_no_line),
        STORY(days_follow_each_other_and_are_dropped),
        STORY(notes_do_not_fill_the_disk),
        STORY(a_failed_sync_promises_nothing),
        STORY(strange_lines_are_tamed),
        STORY(a_search_survives_what_happens_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
