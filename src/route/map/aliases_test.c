/* Maps of aliases: built whole, read while they are replaced, refused when they are none. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "route/map/aliases.h"

static char folder[256], file[300];
static int dir_fd;
static const char MAP[] = "aliases-here.test.cdb";
#define DOMAIN STR("here.test")

static int make_folder(void **state)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/troika-aliases-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/file", folder);
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    unlinkat(dir_fd, MAP, 0);
    unlinkat(dir_fd, "file", 0);
    close(dir_fd);
    return rmdir(folder);
}

static void write_text(const char *name, struct str text)
{
    assert_int_equal(file_replace(&disk_system, dir_fd, name, text, 0600), 0);
}

static int build(const char *text, struct buf *errors)
{
    struct aliases_built built;
    buf_reset(errors);
    write_text("file", str_c(text));
    return aliases_build(dir_fd, file, DOMAIN, &built, errors);
}

static void assert_targets(struct aliases *m, const char *name, int found, const char *printed)
{
    struct arena a = ARENA_INIT;
    struct alias alias;
    struct buf b = buf_init(KIB);
    assert_int_equal(aliases_find(m, str_c(name), &a, &alias), found);
    if (found > 0)
        alias_print(&b, &alias);
    assert_string_equal(buf_c(&b), printed);
    buf_free(&b);
    arena_free(&a);
}

static void test_built_and_replaced(void **state)
{
    struct buf errors = buf_init(4 * KIB);
    struct aliases *m = aliases_open(dir_fd, DOMAIN);
    assert_targets(m, "staff", -ENOENT, "");
    assert_int_equal(build("staff: a, b\n", &errors), 0);
    assert_targets(m, "staff", 1, "staff: a@here.test, b@here.test");
    assert_true(str_eq_c(aliases_source(m), file));
    assert_targets(m, "other", 0, "");
    assert_targets(m, "@", 0, ""); /* not what is about the map */
    assert_targets(m, "", 0, "");
    assert_int_equal(build("other: c\n", &errors), 0);
    assert_targets(m, "staff", 0, "");
    assert_targets(m, "other", 1, "other: c@here.test");

    /* a broken file changes nothing, and says all */
    assert_int_equal(build("other: d\nx: |y\nz: /z\n", &errors), -EINVAL);
    assert_targets(m, "other", 1, "other: c@here.test");
    struct buf place = buf_init(KIB);
    buf_printf(&place, "%s:2: \"|y\" runs a program", file);
    assert_non_null(strstr(buf_c(&errors), buf_c(&place)));
    assert_non_null(strstr(buf_c(&errors), ":3: \"/z\" names a file"));
    buf_free(&place);

    /* a missing one too */
    unlinkat(dir_fd, "file", 0);
    struct aliases_built built;
    assert_int_equal(aliases_build(dir_fd, file, DOMAIN, &built, &errors), -ENOENT);
    assert_targets(m, "other", 1, "other: c@here.test");
    assert_int_equal(faccessat(dir_fd, "tmp-aliases-here.test.cdb", F_OK, 0), -1);

    unlinkat(dir_fd, MAP, 0);
    assert_targets(m, "other", -ENOENT, "");
    aliases_close(&m);
    buf_free(&errors);
}

static void test_counts(void **state)
{
    struct buf errors = buf_init(4 * KIB);
    struct aliases_built built;
    write_text("file", STR("a: b\ncc: b, d\n"));
    assert_int_equal(aliases_check(file, DOMAIN, &built, &errors), 0);
    assert_int_equal(built.count, 2);
    assert_int_equal(built.longest_bytes, sizeof "b@here.test, d@here.test" - 1);
    assert_int_equal(aliases_check(folder, DOMAIN, &built, &errors), -EINVAL);
    assert_non_null(strstr(buf_c(&errors), "not a file"));
    buf_free(&errors);
}

/* Whatever is under the name of a map: an error, or what a map says, never more. */
static void test_damaged(void **state)
{
    struct buf errors = buf_init(4 * KIB), map = buf_init(64 * KIB);
    assert_int_equal(build("staff: a, b\n", &errors), 0);
    assert_int_equal(file_read(dir_fd, MAP, 64 * KIB, &map), 0);
    for (size_t i = 0; i < map.n; i += i < 2040 ? 61 : 1) {
        struct buf broken = buf_init(64 * KIB);
        struct arena a = ARENA_INIT;
        struct alias alias;
        buf_add(&broken, buf_str(&map));
        broken.p[i] ^= (char)0xff;
        write_text(MAP, buf_str(&broken));
        struct aliases *m = aliases_open(dir_fd, DOMAIN);
        int found = aliases_find(m, STR("staff"), &a, &alias);
        assert_true(found == 1 || found == 0 || found == -EBADMSG);
        write_text(MAP, str_n(map.p, i)); /* replaced by a shorter one */
        found = aliases_find(m, STR("staff"), &a, &alias);
        assert_true(found == 1 || found == 0 || found == -EBADMSG);
        aliases_close(&m);
        arena_free(&a);
        buf_free(&broken);
    }
    write_text(MAP, STR("not a map at all"));
    struct aliases *m = aliases_open(dir_fd, DOMAIN);
    assert_targets(m, "staff", -EBADMSG, "");
    assert_int_equal(build("staff: a\n", &errors), 0); /* mended by the next build */
    assert_targets(m, "staff", 1, "staff: a@here.test");
    aliases_close(&m);
    buf_free(&map);
    buf_free(&errors);
}

struct seen {
    size_t count;
    bool in_order;
    char last;
};

static void on_alias(void *arg, const struct alias *alias)
{
    struct seen *s = arg;
    s->in_order = s->in_order && alias->name.p[0] > s->last;
    s->last = alias->name.p[0];
    s->count++;
}

static void test_list(void **state)
{
    struct buf errors = buf_init(4 * KIB);
    struct seen seen = {.in_order = true};
    assert_int_equal(build("a: x\nb: x\nc: x\n", &errors), 0);
    struct aliases *m = aliases_open(dir_fd, DOMAIN);
    assert_int_equal(aliases_list(m, on_alias, &seen), 0);
    assert_int_equal(seen.count, 3);
    assert_true(seen.in_order);
    aliases_close(&m);
    buf_free(&errors);
}

/* Several at a time: each ends well, and so does the map. */
static void test_builders_wait(void **state)
{
    enum { BUILDERS = 6, ROUNDS = 20 };
    write_text("file", STR("staff: a\n"));
    for (int i = 0; i < BUILDERS; i++) {
        if (fork() > 0)
            continue;
        int result = 0;
        for (int j = 0; j < ROUNDS && result == 0; j++) {
            struct buf errors = buf_init(4 * KIB);
            struct aliases_built built;
            result = aliases_build(dir_fd, file, DOMAIN, &built, &errors);
            buf_free(&errors);
        }
        _exit(result == 0 ? 0 : 1);
    }
    for (int i = 0; i < BUILDERS; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    struct aliases *m = aliases_open(dir_fd, DOMAIN);
    assert_targets(m, "staff", 1, "staff: a@here.test");
    aliases_close(&m);
}

static void test_links_are_not_followed(void **state)
{
    struct buf errors = buf_init(4 * KIB);
    struct aliases_built built;
    write_text("file", STR("staff: a\n"));
    assert_int_equal(symlinkat("file", dir_fd, "tmp-aliases-here.test.cdb"), 0);
    assert_int_equal(aliases_build(dir_fd, file, DOMAIN, &built, &errors), -ELOOP);
    unlinkat(dir_fd, "tmp-aliases-here.test.cdb", 0);
    assert_int_equal(linkat(dir_fd, "file", dir_fd, "tmp-aliases-here.test.cdb", 0), 0);
    assert_int_equal(aliases_build(dir_fd, file, DOMAIN, &built, &errors), -EPERM);
    unlinkat(dir_fd, "tmp-aliases-here.test.cdb", 0);
    buf_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_and_replaced),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_builders_wait),
        cmocka_unit_test(test_links_are_not_followed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
