// SPDX-License-Identifier: ISC
#include "io/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static void finds_what_is_there(void **state)
{
    static const char *const folders[] = {"no-such-folder", "."};
    char found[4096], short_room[10];

    assert_true(
        program_file(folders, countof(folders), "io_program_test", X_OK, found, sizeof found));
    assert_int_equal(access(found, X_OK), 0);
    assert_non_null(strstr(found, "/./io_program_test"));
    assert_false(program_file(folders, 1, "io_program_test", X_OK, found, sizeof found));
    assert_false(
        program_file(folders, countof(folders), "no-such-file", R_OK, found, sizeof found));
    assert_false(program_file(folders, countof(folders), "io_program_test", X_OK, short_room,
                              sizeof short_room));
}

/* The program copied to where it would be installed finds the data of its prefix. */
static void finds_data_of_a_prefix(void **state)
{
    static const struct {
        const char *program, *data;
    } places[] = {
        {"bin/p", "share/troika/d"},
        {"libexec/troika/p", "share/troika/d"},
        {"build/p", "build/share/d"},
        {"build/libexec/p", "build/share/d"},
    };
    char self[4096], command[9000], prefix[] = "/tmp/troika-program-XXXXXX";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    assert_true(n > 0);
    self[n] = '\0';
    assert_non_null(mkdtemp(prefix));
    for (size_t i = 0; i < countof(places); i++) {
        snprintf(command, sizeof command,
                 "cd %s && mkdir -p $(dirname %s %s) && cp %s %s && echo x >%s && %s/%s d; s=$?; "
                 "rm -rf %s/*; exit $s",
                 prefix, places[i].program, places[i].data, self, places[i].program, places[i].data,
                 prefix, places[i].program, prefix);
        FILE *shell = popen(command, "r");
        char line[4200] = "";

        assert_non_null(shell);
        assert_non_null(fgets(line, sizeof line, shell));
        if (pclose(shell) != 0 || !strstr(line, places[i].data))
            fail_msg("%s does not find %s: %s", places[i].program, places[i].data, line);
    }
    assert_int_equal(rmdir(prefix), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_there),
        cmocka_unit_test(finds_data_of_a_prefix),
    };

    if (argc == 2) { /* as its own copy: what does it find? */
        char found[4096], real[4096] = "nothing";
        bool there = program_share(argv[1], found, sizeof found) && realpath(found, real);

        printf("%s\n", real);
        return there ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
