// SPDX-License-Identifier: ISC
#include <errno.h>

#include "spool/test_spool.h"

struct fixture {
    char path[256];
    int dir_fd;
    struct segments *g;
    struct arena arena;
};

static void start(struct fixture *f)
{
    *f = (struct fixture){0};
    test_folder(f->path, &f->dir_fd);
    f->g = segments_new(&disk_system, f->dir_fd, SEGMENT_BYTES);
}

static void stop(struct fixture *f)
{
    segments_free(&f->g);
    arena_free(&f->arena);
    test_folder_remove(f->path, f->dir_fd);
}

static void commit(struct fixture *f)
{
    uint32_t number;

    assert_int_equal(segments_flush(f->g), 0);
    while (segments_surplus(f->g, &number))
        continue;
    segments_committed(f->g);
}

static bool has(struct fixture *f, struct segment_place at, uint64_t key, struct str content)
{
    struct str found;

    return segments_read(f->g, at, key, content.n, &f->arena, &found) == 0 &&
           str_eq(found, content);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4063, 4064, 4065, 65535, 65536, 262144};
    struct segment_place places[countof(sizes)];
    static char bytes[262144];
    struct fixture f;

    start(&f);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < countof(sizes); i++)
        assert_int_equal(segments_append(f.g, i + 1, str_n(bytes, sizes[i]), &places[i]), 0);
    segments_begin(f.g);
    commit(&f);
    for (size_t i = 0; i < countof(sizes); i++) {
        assert_true(has(&f, places[i], i + 1, str_n(bytes, sizes[i])));
        assert_false(has(&f, places[i], i + 2, str_n(bytes, sizes[i])));
    }
    stop(&f);
}

/* A page with promised bytes is never written again. */
static void test_pages(void **state)
{
    struct segment_place first;
    struct segment_place second;
    struct fixture f;

    start(&f);
    assert_int_equal(segments_append(f.g, 1, STR("one"), &first), 0);
    segments_begin(f.g);
    commit(&f);
    assert_int_equal(segments_append(f.g, 2, STR("two"), &second), 0);
    assert_int_equal(first.offset, 0);
    assert_int_equal(second.offset, 4096);
    stop(&f);
}

static void test_damage(void **state)
{
    struct segment_place place;
    struct fixture f;
    struct str found;
    char byte;

    start(&f);
    assert_int_equal(segments_append(f.g, 7, STR("promised"), &place), 0);
    segments_begin(f.g);
    commit(&f);
    int fd = openat(f.dir_fd, "000001", O_RDWR | O_CLOEXEC);
    for (off_t at = 0; at < 28 + 4 + 8; at++) {
        if (at >= 28 && at < 32)
            continue; /* the four zero bytes mean nothing */
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(segments_read(f.g, place, 7, 8, &f.arena, &found), -EBADMSG);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_true(has(&f, place, 7, STR("promised")));
    }
    assert_int_equal(ftruncate(fd, 10), 0);
    assert_int_equal(segments_read(f.g, place, 7, 8, &f.arena, &found), -EBADMSG);
    (void)close(fd);
    place.number = 99;
    assert_int_equal(segments_read(f.g, place, 7, 8, &f.arena, &found), -EBADMSG);
    place.offset = UINT64_MAX;
    assert_int_equal(segments_read(f.g, place, 7, 8, &f.arena, &found), -EBADMSG);
    stop(&f);
}

enum { FILL_BYTES = 60000 };

/* Fills until the segment changes; returns how many went into the one before. */
static uint32_t fill(struct fixture *f, uint32_t *number, struct segment_place *first_of_next)
{
    static char bytes[FILL_BYTES];
    struct segment_place at;
    uint32_t count = 0;

    assert_int_equal(segments_append(f->g, 5, str_n(bytes, sizeof(bytes)), &at), 0);
    *number = at.number;
    do {
        count++;
        assert_int_equal(segments_append(f->g, 5, str_n(bytes, sizeof(bytes)), &at), 0);
    } while (at.number == *number);
    *first_of_next = at;
    return count;
}

static void end_messages(struct fixture *f, uint32_t number, uint32_t count)
{
    segments_begin(f->g);
    for (uint32_t i = 0; i < count; i++)
        segments_message_ended(f->g, number);
}

static void test_recycled(void **state)
{
    struct segment_place next;
    struct fixture f;
    uint32_t number;

    start(&f);
    uint32_t count = fill(&f, &number, &next);
    assert_int_equal(number, 1);
    assert_int_equal(next.number, 2);
    assert_true(count > 250 && count < 300);
    segments_begin(f.g);
    commit(&f);
    assert_int_equal(segments_in_use(f.g), 2);

    /* Ended, but not committed: an attempt that was rolled back does not free it. */
    end_messages(&f, 1, count);
    segments_begin(f.g);
    uint32_t second;
    uint32_t more = fill(&f, &second, &next);
    assert_int_equal(second, 2);
    assert_int_equal(next.number, 3);
    commit(&f);

    end_messages(&f, 1, count);
    commit(&f);
    assert_int_equal(segments_in_use(f.g), 2);
    (void)fill(&f, &second, &next);
    assert_int_equal(second, 3);
    assert_int_equal(next.number, 1); /* used again, from its front */
    assert_int_equal(next.offset, 0);
    assert_true(more > 0);
    stop(&f);
}

static void test_surplus(void **state)
{
    enum { COUNT = 9 };
    struct segment_place next;
    uint32_t counts[COUNT];
    uint32_t numbers[COUNT];
    uint32_t carried = 0;
    struct fixture f;

    start(&f);
    for (size_t i = 0; i < COUNT; i++) {
        counts[i] = fill(&f, &numbers[i], &next) + carried;
        carried = 1;
        segments_begin(f.g);
        commit(&f);
    }
    for (size_t i = 0; i < COUNT; i++) {
        end_messages(&f, numbers[i], counts[i]);
        commit(&f);
    }
    /* Each commit drops what was too many before it. */
    segments_begin(f.g);
    commit(&f);
    size_t left = 0;
    for (uint32_t n = 1; n <= COUNT + 1; n++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%06u", n);
        left += faccessat(f.dir_fd, name, F_OK, 0) == 0;
    }
    assert_int_equal(left, SEGMENT_SPARE_MAX + 1);
    assert_int_equal(segments_in_use(f.g), 1);
    stop(&f);
}

static void test_sweep(void **state)
{
    static const char *const names[] = {"000001", "000002", "000003", "rubbish"};
    struct fixture f;

    start(&f);
    for (size_t i = 0; i < countof(names); i++)
        (void)close(openat(f.dir_fd, names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    segments_load(f.g, 2, 1);
    segments_load(f.g, 3, 0);
    assert_int_equal(segments_sweep(f.g), 0);
    assert_int_equal(faccessat(f.dir_fd, "000001", F_OK, 0), -1);
    assert_int_equal(faccessat(f.dir_fd, "000002", F_OK, 0), 0);
    assert_int_equal(faccessat(f.dir_fd, "000003", F_OK, 0), 0);
    assert_int_equal(faccessat(f.dir_fd, "rubbish", F_OK, 0), -1);

    struct segment_place at;
    assert_int_equal(segments_append(f.g, 1, STR("x"), &at), 0);
    assert_int_equal(at.number, 3); /* the free one, not the one in use, not a new one */
    stop(&f);
}

/* A free segment whose file somebody removed is made again. */
static void test_removed(void **state)
{
    struct segment_place at;
    struct fixture f;

    start(&f);
    segments_load(f.g, 1, 0);
    assert_int_equal(segments_append(f.g, 1, STR("x"), &at), 0);
    assert_int_equal(at.number, 1);
    segments_begin(f.g);
    commit(&f);
    assert_true(has(&f, at, 1, STR("x")));
    stop(&f);
}

static bool open_fails;

static int open_or_fail(const struct disk *d, int dir_fd, const char *name, int flags,
                        unsigned mode)
{
    return open_fails ? -EMFILE : disk_system.open(d, dir_fd, name, flags, mode);
}

/* One that cannot be opened now is not taken for one that is gone: it is there later. */
static void test_not_to_be_opened(void **state)
{
    struct disk disk = disk_system;
    struct segment_place at;
    struct fixture f;

    start(&f);
    (void)close(openat(f.dir_fd, "000001", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    disk.open = open_or_fail;
    segments_free(&f.g);
    f.g = segments_new(&disk, f.dir_fd, SEGMENT_BYTES);
    segments_load(f.g, 1, 0);
    open_fails = true;
    assert_int_equal(segments_append(f.g, 1, STR("x"), &at), -EMFILE);
    open_fails = false;
    assert_int_equal(segments_append(f.g, 1, STR("x"), &at), 0);
    assert_int_equal(at.number, 1);
    stop(&f);
}

/* Nor is a file in the way of a new one an obstacle for ever. */
static void test_file_in_the_way(void **state)
{
    struct segment_place at;
    struct fixture f;

    start(&f);
    (void)close(openat(f.dir_fd, "000001", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(segments_append(f.g, 1, STR("x"), &at), 0);
    assert_int_equal(at.number, 2);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),           cmocka_unit_test(test_pages),
        cmocka_unit_test(test_damage),          cmocka_unit_test(test_recycled),
        cmocka_unit_test(test_surplus),         cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_removed),         cmocka_unit_test(test_not_to_be_opened),
        cmocka_unit_test(test_file_in_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
