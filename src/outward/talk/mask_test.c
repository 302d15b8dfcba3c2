// SPDX-License-Identifier: ISC
#include "outward/talk/mask.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/check.h"

static void hides_secrets(void **state)
{
    static const struct {
        const char *line;
        bool in_login;
        const char *shown;
    } cases[] = {
        {"AUTH PLAIN AGEAYg==", false, "AUTH PLAIN ***"},
        {"auth\tplain  AGEAYg== x", false, "auth\tplain  ***"},
        {"  AUTH PLAIN x", false, "  AUTH PLAIN ***"},
        {"AUTH LOGIN", false, "AUTH LOGIN"},
        {"AUTH", false, "AUTH"},
        {"PASS a b c", false, "PASS ***"},
        {"pass", false, "pass"},
        {"APOP me c4c9334bac560ecc979e58001b3e22fb", false, "APOP me ***"},
        {"USER me", false, "USER me"},
        {"MAIL FROM:<a@b> AUTH=<>", false, "MAIL FROM:<a@b> AUTH=<>"},
        {"cGFzcw==", true, "***"},
        {"", true, "***"},
        {"*", true, "*"},
        {"NOOP", true, "***"},
        {"PASSWORD x", false, "PASSWORD x"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = buf_init(256);
        struct str line = str_c(cases[i].line);
        bool masked = mask_line(line, cases[i].in_login, &b);

        assert_string_equal(buf_c(&b), cases[i].shown);
        assert_int_equal(masked, !str_eq_c(line, cases[i].shown));
        assert_int_equal(mask_found(buf_str(&b)), masked);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hides_secrets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
