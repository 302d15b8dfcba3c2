/* One password by a real PAM: services in a folder of their own, so nothing of this machine is
 * asked but who runs the test. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/pam/check.h"
#include "io/user.h"

static char folder[64], script[100], heard[100];
static char person[USER_NAME_BYTES_MAX + 1]; /* a user of this machine with uid 1 or more */

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[200];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* Whatever the service is, account and authentication are what is tried. */
static void write_service(const char *name, const char *auth, const char *account)
{
    char text[1000];

    (void)snprintf(text, sizeof text, "auth %s\naccount %s\n", auth, account);
    write_file(name, text, 0644);
}

static int set_up(void **state)
{
    char text[1000], exec[300];
    const struct passwd *p;

    (void)snprintf(folder, sizeof folder, "/tmp/troika-pam-XXXXXX");
    if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
        return -1;
    setpwent();
    while (!person[0] && (p = getpwent()))
        if (p->pw_uid > 0 && p->pw_uid != 65534 && user_name_valid(str_c(p->pw_name)))
            (void)snprintf(person, sizeof person, "%s", p->pw_name);
    endpwent();
    if (!person[0]) /* every system has some beside root and nobody */
        return -1;
    (void)snprintf(script, sizeof script, "%s/program", folder);
    (void)snprintf(heard, sizeof heard, "%s/heard", folder);
    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\nread -r password\n"
                   "echo \"$PAM_USER $PAM_RHOST $PAM_SERVICE $password\" >%s\n"
                   "[ \"$password\" = right ]\n",
                   heard);
    write_file("program", text, 0755);
    (void)snprintf(exec, sizeof exec, "required pam_exec.so quiet expose_authtok %s", script);
    write_service("yes", "required pam_permit.so", "required pam_permit.so");
    write_service("no", "required pam_deny.so", "required pam_permit.so");
    write_service("closed", "required pam_permit.so", "required pam_deny.so");
    write_service("script", exec, "required pam_permit.so");
    write_service("missing", "required pam_not_there.so", "required pam_permit.so");
    write_service("unix", "required pam_unix.so nullok", "required pam_unix.so");
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"yes",     "no",   "closed", "script",
                                        "missing", "unix", "heard",  "program"};
    char path[200];

    for (size_t i = 0; i < countof(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static enum check_end check_it(const char *service, const char *login, struct str password,
                               uid_t minimum_uid)
{
    return check_password(&(struct check){.service = service,
                                          .folder = folder,
                                          .minimum_uid = minimum_uid,
                                          .login = str_c(login),
                                          .password = password,
                                          .client = STR("192.0.2.1")});
}

static void what_a_service_says(void **state)
{
    static const struct {
        const char *service;
        struct str password;
        enum check_end end;
    } cases[] = {
        {"yes", {"any", 3}, CHECK_RIGHT},
        {"no", {"any", 3}, CHECK_WRONG},
        {"closed", {"any", 3}, CHECK_WRONG}, /* pam_deny says so of an account, too */
        {"script", {"right", 5}, CHECK_RIGHT},
        {"script", {"wrong", 5}, CHECK_FAILED},
        {"missing", {"any", 3}, CHECK_BROKEN},
        {"unix", {"not it, whatever it is", 22}, CHECK_WRONG},
        {"yes", {"", 0}, CHECK_WRONG},         /* nobody without a password, */
        {"yes", {"right\0x", 7}, CHECK_WRONG}, /* or with half of one */
    };

    for (size_t i = 0; i < countof(cases); i++) {
        enum check_end end = check_it(cases[i].service, person, cases[i].password, 1);

        if (end != cases[i].end)
            fail_msg("%s %s: %s", cases[i].service, cases[i].password.p, check_ends[end].why);
    }
}

static void what_it_is_told(void **state)
{
    char line[200] = "", wanted[200];

    assert_int_equal(check_it("script", person, STR("right"), 1), CHECK_RIGHT);
    int fd = open(heard, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, line, sizeof line - 1) > 0);
    (void)close(fd);
    (void)snprintf(wanted, sizeof wanted, "%s 192.0.2.1 script right\n", person);
    assert_string_equal(line, wanted);
}

static void who_is_never_asked_about(void **state)
{
    struct buf long_password = buf_init(KIB);

    while (long_password.n <= CHECK_PASSWORD_BYTES_MAX)
        buf_add_char(&long_password, 'x');
    assert_int_equal(check_it("yes", "root", STR("any"), 0), CHECK_NO_USER);
    assert_int_equal(check_it("yes", "nobody", STR("any"), 1), CHECK_NO_USER);
    assert_int_equal(check_it("yes", "no-such-user-here", STR("any"), 1), CHECK_NO_USER);
    assert_int_equal(check_it("yes", "../etc", STR("any"), 1), CHECK_NO_USER);
    assert_int_equal(check_it("yes", person, STR("any"), 4000000000U), CHECK_NO_USER);
    assert_int_equal(check_it("yes", person, buf_str(&long_password), 1), CHECK_WRONG);
    buf_free(&long_password);
}

static void every_end_has_words(void **state)
{
    for (size_t i = 0; i < CHECK_END_COUNT; i++)
        assert_true(check_ends[i].why && (i == CHECK_RIGHT) == (check_ends[i].why[0] == '\0'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_service_says),
        cmocka_unit_test(what_it_is_told),
        cmocka_unit_test(who_is_never_asked_about),
        cmocka_unit_test(every_end_has_words),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
