/* Passwords: which are taken, what is said of the others, and that hashes tell them apart. */
// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "login/password.h"

static const struct address bill = {{"bill", 4}, {"example.org", 11}};

static void test_problems(void **state)
{
    (void)state;
    static const struct {
        struct str password;
        const char *problem; /* a part of it; NULL: none */
    } rows[] = {
        {{"plum-tree 17", 12}, NULL},
        {{"gr\xc3\xb6\xc3\x9f"
          "er als 8",
          14},
         NULL},
        {{"", 0}, "empty"},
        {{"1a2b3c4", 7}, "shorter than 8"},
        {{"\xc3\xb6\xc3\xb6\xc3\xa4\xc3\xbc", 8}, "shorter than 8"},
        {{"nul\0inside it", 13}, "NUL"},
        {{"line\nin the mid", 15}, "line end"},
        {{"line at the end\r", 16}, "line end"},
        {{"\xff\xfe\xfd not utf-8", 13}, "UTF-8"},
        {{"a tab\tinside it", 15}, "UTF-8"},
        {{"\xc2\xad\xc2\xad\xc2\xad", 6}, "empty"}, /* soft hyphens are mapped to nothing */
        {{"aaaaaaaaaaa", 11}, "row"},
        {{"123456789", 9}, "row"},
        {{"ihgfedcba", 9}, "row"},
        {{"PassWord123", 11}, "everybody"},
        {{"Bill@Example.org", 16}, "address"},
        {{"bill2026!", 9}, "address"},
        {{"EXAMPLE.ORG", 11}, "address"},
        {{"example.org1", 12}, "address"},
        {{"billy goat", 10}, NULL},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        const char *problem = password_problem(rows[i].password, &bill);
        if (!!problem != !!rows[i].problem || (problem && !strstr(problem, rows[i].problem)))
            print_error("row %zu: %s\n", i, problem ? problem : "no problem");
        assert_true(!!problem == !!rows[i].problem);
        assert_true(!problem || strstr(problem, rows[i].problem));
    }
}

static void test_sizes(void **state)
{
    (void)state;
    char text[PASSWORD_BYTES_MAX + 1];
    struct prepared_password prepared;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 7);
    assert_null(password_prepare(str_n(text, PASSWORD_BYTES_MAX), &prepared));
    assert_int_equal(strlen(prepared.text), PASSWORD_BYTES_MAX);
    assert_non_null(
        strstr(password_prepare(str_n(text, PASSWORD_BYTES_MAX + 1), &prepared), "255"));
    /* U+FDFA becomes 33 bytes. */
    char grows[PASSWORD_BYTES_MAX];
    size_t n = 0;
    for (; n + 3 <= sizeof grows; n += 3)
        memcpy(grows + n, "\xef\xb7\xba", 3);
    assert_non_null(password_prepare(str_n(grows, n), &prepared));
}

static void test_prepared(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to; /* RFC 4013 section 3 */
    } rows[] = {{"I\xc2\xadX", "IX"},     {"user", "user"},       {"USER", "USER"},
                {"\xc2\xaa", "a"},        {"\xe2\x85\xa8", "IX"}, {"a\xc2\xa0z", "a z"},
                {"o\xcc\x88", "\xc3\xb6"}};
    struct prepared_password prepared;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_null(password_prepare(str_c(rows[i].from), &prepared));
        assert_string_equal(prepared.text, rows[i].to);
    }
    assert_non_null(password_prepare(STR("\x07"), &prepared));
    assert_non_null(password_prepare(STR("\xd8\xa7\x31"), &prepared));
}

static void test_hashes(void **state)
{
    (void)state;
    char one[PASSWORD_HASH_BYTES_MAX], two[PASSWORD_HASH_BYTES_MAX];
    assert_int_equal(password_hash(STR("plum-tree 17"), one), 0);
    assert_int_equal(password_hash(STR("plum-tree 17"), two), 0);
    assert_string_not_equal(one, two);
    assert_int_equal(strncmp(one, "$y$", 3), 0);
    assert_true(password_hash_known(one));
    assert_true(password_hash_matches(one, STR("plum-tree 17")));
    assert_false(password_hash_matches(one, STR("plum-tree 18")));
    assert_false(password_hash_matches(one, STR("plum-tree 17\0")));
    assert_false(password_hash_matches(one, STR("")));
    assert_false(password_hash_matches("", STR("plum-tree 17")));
    assert_false(password_hash_matches("*", STR("plum-tree 17")));
    assert_true(password_hash(STR(""), one) < 0);
    password_pretend(STR("plum-tree 17"));
    password_pretend(STR("\xff"));

    /* However it was typed. */
    assert_int_equal(password_hash(STR("gr\xc3\xb6\xc3\x9f"
                                       "er"),
                                   one),
                     0);
    assert_true(password_hash_matches(one, STR("gro\xcc\x88\xc3\x9f"
                                               "er")));
}

#define SHA512                                                                                     \
    "$6$w1owE4nYzAlC52.j$YVjWGB3iw/7MOzngvK3kZ42PnWj3e0DB6lKLuvlvTPrtoFAUeR9vcHcRpNebj7Oi34Jyy0h"  \
    "wfUvwWzvyf84RQ/"
#define BCRYPT "$2y$05$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG"
#define YESCRYPT "$y$j9T$s5ZDQ4w/b1I8XlhusZwzK1$Qh86byzukNg6s2A4oxTvqly8d6ZbnGteGq800xXqHA1"

/* Made by libxcrypt for other programs; the one with $5$ of a password as it was typed. */
static void test_foreign_hashes(void **state)
{
    (void)state;
    static const struct {
        const char *password, *hash;
    } rows[] = {
        {"tasty soup", SHA512},
        {"tasty soup", BCRYPT},
        {"tasty soup", "$2b$05$R2WTkAmp54sn0zve0CXo0.MmqwAfrWGaDet6wHCJ0gtA3UW4.HCEG"},
        {"o\xcc\x88 soup", "$5$lf25zo2YaWoP85UD$mrl/Msiuik.f0scR4mk6eTZHbxfH.qm61l7j60b0Ay."},
        {"tasty soup", "$1$whmAtrK7$rg5nBcRjdP1HqP5Rsrjm.."},
        {"tasty soup", YESCRYPT},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        assert_true(password_hash_known(rows[i].hash));
        assert_true(password_hash_matches(rows[i].hash, str_c(rows[i].password)));
        assert_false(password_hash_matches(rows[i].hash, STR("tasty soap")));
    }
}

static void test_known(void **state)
{
    (void)state;
    static const char *const unknown[] = {
        "",
        "*",
        "!" SHA512,
        "tasty soup",
        "xjXkYJbkoD0D6",                      /* DES */
        "$y$j9T$s5ZDQ4w/b1I8XlhusZwzK1$Qh86", /* cut short */
        "$y$j9T$s5ZDQ4w/b1I8XlhusZwzK1",
        "$2y$05$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEGG",
        "$2y$31$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG", /* for a century */
        "$2y$xx$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG",
        "$5$rounds=99999999$lf25zo2YaWoP85UD$mrl/Msiuik.f0scR4mk6eTZHbxfH.qm61l7j60b0Ay.",
        "$y$jFT$s5ZDQ4w/b1I8XlhusZwzK1$Qh86byzukNg6s2A4oxTvqly8d6ZbnGteGq800xXqHA1", /* 1 GiB */
        "$1$whmAtrK7$rg5nBcRjdP1HqP5Rsrj\n.",
    };
    for (size_t i = 0; i < countof(unknown); i++) {
        assert_false(password_hash_known(unknown[i]));
        assert_false(password_hash_matches(unknown[i], STR("tasty soup")));
    }
    /* Taken in by older versions: still checked, but no longer taken. */
    assert_true(
        password_hash_known("$2y$14$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG"));
    assert_non_null(
        password_hash_problem("$2y$14$9eiehy2vfmmALJ8i49ya3OgQcZZT8vgsG0DHHSZeMAhqr5kJ7YrEG"));
    assert_null(password_hash_problem(SHA512));
    assert_true(password_hash_known(
        "$5$rounds=99999$lf25zo2YaWoP85UD$mrl/Msiuik.f0scR4mk6eTZHbxfH.qm61l7j60b0Ay."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_prepared),       cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_foreign_hashes), cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
