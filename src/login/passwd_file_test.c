/* Lines of accounts from other servers: what is taken, and what is said of the rest. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "login/passwd_file.h"

#define SHA512                                                                                     \
    "$6$w1owE4nYzAlC52.j$YVjWGB3iw/7MOzngvK3kZ42PnWj3e0DB6lKLuvlvTPrtoFAUeR9vcHcRpNebj7Oi34Jyy0h"  \
    "wfUvwWzvyf84RQ/"
#define BCRYPT "$2y$05$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG"
#define KEY20 "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define KEY32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static const struct {
    const char *line;
    enum passwd_read read;
    const char *expect; /* the password, its hash, "-" for none; or a part of the problem */
} rows[] = {
    {"", PASSWD_NOTHING, NULL},
    {"  \r\n", PASSWD_NOTHING, NULL},
    {"# bill@a.test:{PLAIN}x", PASSWD_NOTHING, NULL},
    {"bill@a.test:{PLAIN}tasty soup:1000:1000::/home/bill", PASSWD_ACCOUNT, "tasty soup"},
    {"bill@a.test:{CLEARTEXT}tasty soup\r\n", PASSWD_ACCOUNT, "tasty soup"},
    {"bill@a.test:{plain}tasty soup", PASSWD_ACCOUNT, "tasty soup"},
    {" bill@a.test :{BLF-CRYPT}" BCRYPT ":", PASSWD_ACCOUNT, BCRYPT},
    {"bill@a.test:{CRYPT}" BCRYPT, PASSWD_ACCOUNT, BCRYPT},
    {"bill@a.test:" SHA512, PASSWD_ACCOUNT, SHA512},
    {"bill@a.test:{SHA512-CRYPT}" SHA512 "::::::", PASSWD_ACCOUNT, SHA512},
    {"bill@a.test", PASSWD_ACCOUNT, "-"},
    {"bill@a.test:", PASSWD_ACCOUNT, "-"},
    {"bill@a.test::1000", PASSWD_ACCOUNT, "-"},
    {"bill@a.test:{SCRAM-SHA-1}4096,c2FsdA==," KEY20 "," KEY20, PASSWD_ACCOUNT, "keys"},
    {"bill@a.test:{SCRAM-SHA-256}15000,c2FsdA==," KEY32 "," KEY32 ":", PASSWD_ACCOUNT, "keys"},

    {"bill", PASSWD_WRONG, "whole address"},
    {"bill:{PLAIN}tasty soup", PASSWD_WRONG, "whole address"},
    {":{PLAIN}tasty soup", PASSWD_WRONG, "whole address"},
    {"bill@:{PLAIN}tasty soup", PASSWD_WRONG, ""},
    {"bi ll@a.test:{PLAIN}tasty soup", PASSWD_WRONG, ""},
    {"a%b@a.test:{PLAIN}tasty soup", PASSWD_WRONG, "%"},
    {"bill@[192.0.2.1]:{PLAIN}tasty soup", PASSWD_WRONG, "domain"},
    {"bill@a.test:tasty soup", PASSWD_WRONG, "{PLAIN}password"},
    {"bill@a.test:{PLAIN", PASSWD_WRONG, "no }"},
    {"bill@a.test:{PLAIN}", PASSWD_WRONG, "empty"},
    {"bill@a.test:{PLAIN}\xff\xff", PASSWD_WRONG, "UTF-8"},
    {"bill@a.test:{SSHA}abcd", PASSWD_WRONG, "{SSHA} is not known"},
    {"bill@a.test:{SSHA}abcd", PASSWD_WRONG, "{SHA512-CRYPT}"},
    {"bill@a.test:{0123456789012345678901234567890123456789x}abcd", PASSWD_WRONG, "no scheme"},
    {"bill@a.test:{\033[2J}abcd", PASSWD_WRONG, "no scheme"},
    {"bill@a.test:{SHA512-CRYPT}" BCRYPT, PASSWD_WRONG, "begins with $6$"},
    {"bill@a.test:{CRYPT}xjXkYJbkoD0D6", PASSWD_WRONG, "begins with $"},
    {"bill@a.test:$2y$05$9eiehy2", PASSWD_WRONG, "not whole"},
    /* what takes too long to check says so */
    {"bill@a.test:$2y$12$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG", PASSWD_ACCOUNT,
     "$2y$12$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG"},
    {"bill@a.test:$2y$13$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG", PASSWD_WRONG,
     "bcrypt cost of 12"},
    {"bill@a.test:$2y$31$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG", PASSWD_WRONG,
     "too long"},
    {"bill@a.test:$5$rounds=500000$lf25zo2YaWoP85UD$mrl/Msiuik.f0scR4mk6eTZHbxfH.qm61l7j60b0Ay.",
     PASSWD_ACCOUNT,
     "$5$rounds=500000$lf25zo2YaWoP85UD$mrl/Msiuik.f0scR4mk6eTZHbxfH.qm61l7j60b0Ay."},
    {"bill@a.test:$5$rounds=999999999$lf25zo2YaWoP85UD$mrl/Msiuik.f0scR4mk6eTZHbxfH.qm61l7j60b0Ay.",
     PASSWD_WRONG, "rounds=500000"},
    {"bill@a.test:$y$jFT$s5ZDQ4w/b1I8XlhusZwzK1$Qh86byzukNg6s2A4oxTvqly8d6ZbnGteGq800xXqHA1",
     PASSWD_WRONG, "too long"},
    {"bill@a.test:{SCRAM-SHA-1}4095,c2FsdA==," KEY20 "," KEY20, PASSWD_WRONG, "iterations"},
    {"bill@a.test:{SCRAM-SHA-1}4096,," KEY20 "," KEY20, PASSWD_WRONG, "salt"},
    {"bill@a.test:{SCRAM-SHA-1}4096,c2FsdA==," KEY32 "," KEY20, PASSWD_WRONG, "length"},
    {"bill@a.test:{SCRAM-SHA-1}4096,c2FsdA==," KEY20, PASSWD_WRONG, "length"},
    {"bill@a.test:{SCRAM-SHA-256}4096,c2FsdA==," KEY32 ",*", PASSWD_WRONG, "length"},
};

static bool is_expected(const struct passwd_line *l, const char *expect)
{
    const struct credential *c = &l->credential;
    if (l->plain.n > 0)
        return str_eq_c(l->plain, expect) && !c->enabled;
    if (strcmp(expect, "keys") == 0)
        return c->enabled && c->sha1.set != c->sha256.set && !c->password[0];
    if (strcmp(expect, "-") == 0)
        return !c->enabled && !c->password[0] && !c->sha1.set && !c->sha256.set;
    return c->enabled && strcmp(c->password, expect) == 0;
}

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct arena a = ARENA_INIT;
        struct passwd_line line;
        const char *problem = NULL;
        enum passwd_read read = passwd_line_parse(str_c(rows[i].line), &a, &line, &problem);
        if (read != rows[i].read)
            print_error("%s: %s\n", rows[i].line, problem ? problem : "no problem");
        assert_int_equal(read, rows[i].read);
        if (read == PASSWD_ACCOUNT) {
            assert_true(is_expected(&line, rows[i].expect));
            assert_true(str_eq_c(line.address.local, "bill"));
            assert_true(str_eq_c(line.address.domain, "a.test"));
        } else if (read == PASSWD_WRONG) {
            assert_non_null(strstr(problem, rows[i].expect));
            assert_false(line.credential.enabled);
        }
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
