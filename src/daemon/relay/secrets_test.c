// SPDX-License-Identifier: ISC
#include "daemon/relay/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static void take(struct secrets *s, const char *path, struct str text)
{
    int fd = memfd_create("password", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    secrets_take(s, str_c(path), fd);
    (void)close(fd);
}

static void the_first_line_is_the_password(void **state)
{
    static const struct {
        struct str text;
        const char *password, *why;
    } rows[] = {
        {{"secret", 6}, "secret", ""},
        {{"secret\n", 7}, "secret", ""},
        {{"secret\r\nwhat else\n", 18}, "secret", ""},
        {{" two words \n", 12}, " two words ", ""},
        {{"пароль\n", 13}, "пароль", ""},
        {{"", 0}, "", "its first line is empty"},
        {{"\nsecret\n", 8}, "", "its first line is empty"},
        {{"a\0b\n", 4}, "", "a NUL is in its first line"},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        struct secrets s;

        secrets_init(&s);
        assert_null(secret_find(&s, STR("/a")));
        take(&s, "/a", rows[i].text);
        assert_true(str_eq_c(secret_find(&s, STR("/a"))->password, rows[i].password));
        assert_true(str_eq_c(secret_find(&s, STR("/a"))->why, rows[i].why));
        assert_null(secret_find(&s, STR("/b")));
        secrets_done(&s);
    }
}

static void the_last_word_counts(void **state)
{
    struct secrets s;

    secrets_init(&s);
    take(&s, "/a", STR("old"));
    take(&s, "/a", STR("new"));
    assert_true(str_eq_c(secret_find(&s, STR("/a"))->password, "new"));
    secrets_missing(&s, STR("/a"), STR("it is gone"));
    assert_int_equal(secret_find(&s, STR("/a"))->password.n, 0);
    assert_true(str_eq_c(secret_find(&s, STR("/a"))->why, "it is gone"));
    take(&s, "/a", STR("again"));
    assert_true(str_eq_c(secret_find(&s, STR("/a"))->password, "again"));
    assert_int_equal(secret_find(&s, STR("/a"))->why.n, 0);
    secrets_done(&s);
}

static void what_no_statement_names_is_forgotten(void **state)
{
    struct config_route route = {.password_file = STR("/route")};
    struct config c = {
        .routes = &route, .route_count = 1, .smarthost = {.password_file = STR("/smarthost")}};
    struct secrets s;

    secrets_init(&s);
    take(&s, "/route", STR("a"));
    take(&s, "/smarthost", STR("b"));
    take(&s, "/old", STR("c"));
    secrets_keep(&s, &c);
    assert_non_null(secret_find(&s, STR("/route")));
    assert_non_null(secret_find(&s, STR("/smarthost")));
    assert_null(secret_find(&s, STR("/old")));
    secrets_done(&s);
}

static void a_file_that_is_none_is_told(void **state)
{
    struct secrets s;
    int pair[2];

    secrets_init(&s);
    assert_int_equal(pipe(pair), 0);
    secrets_take(&s, STR("/a"), pair[0]);
    assert_int_equal(secret_find(&s, STR("/a"))->password.n, 0);
    assert_true(secret_find(&s, STR("/a"))->why.n > 0);
    (void)close(pair[0]);
    (void)close(pair[1]);
    secrets_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_is_the_password),
        cmocka_unit_test(the_last_word_counts),
        cmocka_unit_test(what_no_statement_names_is_forgotten),
        cmocka_unit_test(a_file_that_is_none_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
