/* Reading files in a child: good, wrong, missing, strange; snapshots by descriptor. */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config.h"

static char folder[256], path[300];

static int folder_make(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/troika-config-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/troika.conf", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(struct str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    close(fd);
}

static void test_good(void **state)
{
    (void)state;
    struct buf errors = buf_init(16 * KIB);
    struct config *c = NULL;
    int fd = -1;
    write_file(STR("hostname = a.test\nlisten smtp { address = '127.0.0.1:2525' }\n"));
    assert_int_equal(config_check_file(path, &fd, &errors), 0);
    assert_int_equal(errors.n, 0);
    assert_true(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE);
    assert_true(write(fd, "x", 1) < 0);
    assert_int_equal(config_load(fd, &c), 0);
    assert_true(str_ends(c->file, STR("/troika.conf")));
    assert_true(str_eq_c(c->hostname, "a.test"));

    struct config *held = config_hold(c);
    config_drop(&c);
    assert_null(c);
    assert_true(str_eq_c(held->hostname, "a.test"));
    config_drop(&held);
    config_drop(&held);
    close(fd);
    buf_free(&errors);
}

static void test_wrong(void **state)
{
    (void)state;
    struct buf errors = buf_init(16 * KIB);
    int fd = -1;
    write_file(STR("hostname = a.test\nfoo = 1\nhold = 2\n"));
    assert_int_equal(config_check_file(path, &fd, &errors), -EINVAL);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(buf_c(&errors), "troika.conf:2: foo: unknown statement"));
    assert_non_null(strstr(buf_c(&errors), "troika.conf:3: hold: "));
    buf_free(&errors);
}

static void test_unreadable(void **state)
{
    (void)state;
    struct buf errors = buf_init(16 * KIB);
    int fd = -1;
    unlink(path);
    assert_int_equal(config_check_file(path, &fd, &errors), -ENOENT);
    assert_non_null(strstr(buf_c(&errors), "cannot be read: No such file"));
    assert_int_equal(config_check_file(folder, &fd, &errors), -EINVAL);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_int_equal(config_check_file(path, &fd, &errors), -EINVAL);
    unlink(path);

    char *large = mem_new(5 * MIB);
    memset(large, '\n', 5 * MIB);
    write_file(str_n(large, 5 * MIB));
    assert_int_equal(config_check_file(path, &fd, &errors), -EFBIG);
    free(large);
    buf_free(&errors);
}

static void test_load_strange(void **state)
{
    (void)state;
    struct config *c = NULL;
    int fd = memfd_create("t", MFD_CLOEXEC);
    assert_int_equal(config_load(fd, &c), -EBADMSG);
    assert_int_equal(write(fd, "troika configuration\nxxxx", 25), 25);
    assert_int_equal(config_load(fd, &c), -EBADMSG);
    assert_int_equal(ftruncate(fd, 100 << 20), 0);
    assert_int_equal(config_load(fd, &c), -EBADMSG);
    close(fd);
    assert_true(config_load(fd, &c) < 0);
    assert_null(c);
}

static void test_default_path(void **state)
{
    (void)state;
    setenv("TROIKA_CONF", "/x/y.conf", 1);
    assert_string_equal(config_default_path(), "/x/y.conf");
    setenv("TROIKA_CONF", "", 1);
    assert_non_null(strstr(config_default_path(), "/etc/troika/troika.conf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_unreadable),   cmocka_unit_test(test_load_strange),
        cmocka_unit_test(test_default_path),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
