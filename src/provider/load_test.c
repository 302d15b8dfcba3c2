// SPDX-License-Identifier: ISC
#include "provider/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static char folder[] = "/tmp/troika-load-XXXXXX";

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)unlink("one");
    (void)unlink("two");
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static bool load(struct arena *a, const struct providers_file *files, size_t count,
                 struct providers *ret, struct buf *error)
{
    buf_reset(error);
    return providers_load_files(a, files, count, ret, error);
}

static void reads_files_in_their_order(void **state)
{
    static const struct providers_file files[] = {{"one", true}, {"none", false}, {"two", false}};
    struct buf error = buf_init(4096);
    struct arena a = ARENA_INIT;
    struct providers p = {0};

    write_file("one", "provider a\ntitle First\nprovider b\n");
    write_file("two", "provider a\ntitle Second\n");
    assert_true(load(&a, files, countof(files), &p, &error));
    assert_int_equal(p.count, 2);
    assert_true(str_eq_c(provider_find(&p, STR("a"))->title, "Second"));
    assert_true(load(&a, files, 0, &p, &error));
    assert_int_equal(p.count, 0);
    arena_free(&a);
    buf_free(&error);
}

static void tells_which_file_is_wrong(void **state)
{
    static const struct {
        struct providers_file files[2];
        const char *error;
    } cases[] = {
        {{{"one", true}, {"two", false}}, "two:2: \"oops\" is not known here"},
        {{{"none", true}, {"one", false}}, "none: No such file"},
        {{{"one", true}, {"one/x", true}}, "one/x: Not a directory"},
        {{{"one", true}, {"/tmp", false}}, "/tmp: "},
    };
    struct buf error = buf_init(4096);
    struct arena a = ARENA_INIT;
    struct providers p;

    write_file("one", "provider a\n");
    write_file("two", "provider b\noops\n");
    for (size_t i = 0; i < countof(cases); i++) {
        assert_false(load(&a, cases[i].files, 2, &p, &error));
        if (!strstr(buf_c(&error), cases[i].error))
            fail_msg("'%s' has no '%s'", buf_c(&error), cases[i].error);
    }
    arena_free(&a);
    buf_free(&error);
}

/* A test is not where share/ is: without our own file nothing is known. */
static void needs_our_own_file(void **state)
{
    struct buf error = buf_init(4096);
    struct arena a = ARENA_INIT;
    struct providers p;

    assert_false(providers_load(&a, PROVIDERS_OF_USER, &p, &error));
    assert_non_null(
        strstr(buf_c(&error), "providers.conf is not where this program was installed"));
    arena_free(&a);
    buf_free(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_files_in_their_order),
        cmocka_unit_test(tells_which_file_is_wrong),
        cmocka_unit_test(needs_our_own_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
