// SPDX-License-Identifier: ISC
#include "mail/address.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A10 "aaaaaaaaaa"
#define P16 "пппппппппппппппп"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"

/* On the heap and of the exact size, so that the sanitizer sees every byte read beyond it. */
static bool parse_exact(struct str s, struct arena *a, struct address *ret, struct parse_error *e)
{
    char *p = malloc(s.n ? s.n : 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    bool ok = address_parse(str_n(p, s.n), a, ret, e);
    free(p);
    return ok;
}

static void takes_addresses(void **state)
{
    static const struct {
        const char *text, *local, *domain, *printed;
    } cases[] = {
        {"a@b", "a", "b", "a@b"},
        {"Bill@Example.ORG", "Bill", "example.org", "Bill@example.org"},
        {"a@b.example.", "a", "b.example", "a@b.example"},
        {"a.b.c@d", "a.b.c", "d", "a.b.c@d"},
        {"!#$%&'*+-/=?^_`{|}~@d", "!#$%&'*+-/=?^_`{|}~", "d", "!#$%&'*+-/=?^_`{|}~@d"},
        {"\"a b\"@d", "a b", "d", "\"a b\"@d"},
        {"\"a\"@d", "a", "d", "a@d"}, /* quotes that are not needed go */
        {"\"a\\b\\\"\\\\\"@d", "ab\"\\", "d", "\"ab\\\"\\\\\"@d"},
        {"\"\"@d", "", "d", "\"\"@d"},
        {"\".a\"@d", ".a", "d", "\".a\"@d"},
        {"\"a..b\"@d", "a..b", "d", "\"a..b\"@d"},
        {"\"a@b\"@d", "a@b", "d", "\"a@b\"@d"},
        {"a@[192.0.2.1]", "a", "[192.0.2.1]", "a@[192.0.2.1]"},
        {"a@[IPv6:2001:DB8::1]", "a", "[IPv6:2001:DB8::1]", "a@[IPv6:2001:DB8::1]"},
        {"a@[ipv6:::ffff:192.0.2.1]", "a", "[ipv6:::ffff:192.0.2.1]", "a@[ipv6:::ffff:192.0.2.1]"},
        {"a@my_host.example", "a", "my_host.example", "a@my_host.example"},
        {"a@1.example", "a", "1.example", "a@1.example"},
        {A60 "aaaa@b", A60 "aaaa", "b", A60 "aaaa@b"},
        {"почта@пример.рф", "почта", "xn--e1afmkfd.xn--p1ai", "почта@xn--e1afmkfd.xn--p1ai"},
        {"a@ПРИМЕР.рф.", "a", "xn--e1afmkfd.xn--p1ai", "a@xn--e1afmkfd.xn--p1ai"},
        {"a@mx.XN--E1AFMKFD.xn--p1ai", "a", "mx.xn--e1afmkfd.xn--p1ai",
         "a@mx.xn--e1afmkfd.xn--p1ai"},
        {"\"п о\"@d", "п о", "d", "\"п о\"@d"},
        {"и\xcc\x86@d", "й", "d", "й@d"}, /* NFC */
        {P16 P16 "@b", P16 P16, "b", P16 P16 "@b"},
        {"a@" A63 "." A63 "." A63 ".b", "a", A63 "." A63 "." A63 ".b",
         "a@" A63 "." A63 "." A63 ".b"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct parse_error e = {.text = "?"};
        struct address address = {0};
        if (!parse_exact(str_c(cases[i].text), &a, &address, &e))
            fail_msg("%s: %s", cases[i].text, e.text);
        assert_true(str_eq_c(address.local, cases[i].local));
        assert_true(str_eq_c(address.domain, cases[i].domain));
        struct str text = address_text(&a, &address);
        assert_string_equal(text.p, cases[i].printed);
        struct address again;
        assert_true(parse_exact(text, &a, &again, NULL));
        assert_true(str_eq(again.local, address.local) && str_eq(again.domain, address.domain));
        arena_free(&a);
    }
}

static void refuses_with_a_reason(void **state)
{
    static const struct {
        const char *text;
        size_t at;
        const char *reason; /* a part of it */
    } cases[] = {
        {"", 0, "looks like bill@example.org"},
        {"bill", 4, "the @ and a domain are missing"},
        {"@b", 0, "name before the @"},
        {"a@", 2, "comes a domain"},
        {"a@b@c", 3, "one @"},
        {".a@b", 0, "start with a dot"},
        {"a.@b", 2, "right before the @"},
        {"a..b@c", 2, "two dots"},
        {"a b@c", 1, "blank before the @"},
        {"a,b@c", 1, "goes in quotes"},
        {"a(x)@c", 1, "goes in quotes"},
        {"a\x01@c", 1, "control"},
        {"\xff@c", 0, "written in UTF-8"},
        {"a\xc0\xaf@c", 0, "written in UTF-8"},    /* overlong */
        {"\xed\xa0\x80@c", 0, "written in UTF-8"}, /* a surrogate */
        {"a\xe2\x80\xae@c", 0, "invisible"},       /* would turn the direction of a log line */
        {"\"a\xc2\x85\"@c", 0, "invisible"},       /* a C1 control */
        {"a@\xd0.example", 2, "no domain name in any language"},
        {"a@\xe2\x98\x83.example", 2, "no domain name in any language"},
        {"a@\xef\xbc\x91.\xef\xbc\x92.\xef\xbc\x93.\xef\xbc\x94", 2, "brackets"}, /* wide 1.2.3.4 */
        {"п@" A63 "ä.b", 3, "no domain name"},
        {"a@п..рф", 2, ""},
        {P16 P16 "п@b", 0, "64 bytes"},
        {"\"a@c", 0, "not closed"},
        {"\"a\"b@c", 3, "comes the @"},
        {"\"a\x7f\"@c", 2, "printable"},
        {"\"a\\", 3, "printable"},
        {"a@-b", 2, "hyphen"},
        {"a@b-", 2, "hyphen"},
        {"a@b..c", 4, "before each dot"},
        {"a@.b", 2, "before each dot"},
        {"a@b c", 3, "comes a domain"},
        {"a@192.0.2.1", 2, "brackets"},
        {"a@[192.0.2]", 2, "IP address"},
        {"a@[192.0.2.256]", 2, "IP address"},
        {"a@[2001:db8::1]", 2, "IP address"},
        {"a@[IPv6:192.0.2.1]", 2, "IP address"},
        {"a@[IPv6:1::2::3]", 2, "IP address"},
        {"a@[]", 2, "IP address"},
        {"a@[192.0.2.1", 2, "IP address"},
        {"a@[192.0.2.1]x", 13, "comes a domain"},
        {A60 "aaaaa@b", 0, "64 bytes"},
        {"a@" A63 "a.b", 2, "63 bytes"},
        {"a@" A63 "." A63 "." A63 "." A63, 0, "254 bytes"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct parse_error e = {.text = "", .at = 999};
        struct address address = {.local = {"untouched", 9}};
        if (parse_exact(str_c(cases[i].text), &a, &address, &e) ||
            !strstr(e.text, cases[i].reason) || e.at != cases[i].at)
            fail_msg("'%s': '%s' at %zu", cases[i].text, e.text, e.at);
        assert_true(str_eq_c(address.local, "untouched"));
        arena_free(&a);
    }
}

static void paths(void **state)
{
    enum { E = PATH_MAY_BE_EMPTY, P = PATH_MAY_BE_POSTMASTER, L = PATH_LENIENT };
    static const struct {
        const char *text;
        unsigned flags;
        const char *printed, *rest; /* NULL: refused */
    } cases[] = {
        {"<a@b>", 0, "a@b", ""},
        {"<a@b> SIZE=1", 0, "a@b", " SIZE=1"},
        {"<a@b>SIZE=1", 0, NULL, NULL},
        {"<a@b>SIZE=1", L, NULL, NULL},
        {"<>", E, "", ""},
        {"<> BODY=7BIT", E, "", " BODY=7BIT"},
        {"<>", 0, NULL, NULL},
        {"", E, NULL, NULL},
        {"", E | L, NULL, NULL},
        {"<postmaster>", P, "postmaster", ""},
        {"<PostMaster> X", P, "postmaster", " X"},
        {"<postmaster>", 0, NULL, NULL},
        {"<postmaster@b>", P, "postmaster@b", ""},
        {"<postmasters>", P, NULL, NULL},
        {"postmaster", P | L, "postmaster", ""},
        {"postmaster", P, NULL, NULL},
        {"<@x:a@b>", 0, "a@b", ""},
        {"<@x,@y.example,@[192.0.2.1]:a@b>", 0, "a@b", ""},
        {"<@x,y:a@b>", 0, NULL, NULL},
        {"<@x a@b>", 0, NULL, NULL},
        {"<@x:>", E, NULL, NULL},
        {"@x:a@b", L, "a@b", ""},
        {"a@b", 0, NULL, NULL},
        {"a@b", L, "a@b", ""},
        {" a@b SIZE=1", L, "a@b", " SIZE=1"},
        {" <a@b>", 0, NULL, NULL},
        {" \t< a@b > X", L, "a@b", " X"},
        {"< a@b>", 0, NULL, NULL},
        {"<a@b >", 0, NULL, NULL},
        {"<a@b_c>", 0, NULL, NULL},
        {"<a@b_c>", L, "a@b_c", ""},
        {"<\"a> b\"@c> X", 0, "\"a> b\"@c", " X"},
        {"<a@b", 0, NULL, NULL},
        {"<a@b>>", 0, NULL, NULL},
        {"<<a@b>>", L, NULL, NULL},
        {"<a@b.>", 0, "a@b", ""},
        {"<a>", 0, NULL, NULL},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct parse_error e = {0};
        struct address address;
        struct str s = str_c(cases[i].text);
        bool ok = path_parse(&s, cases[i].flags, &a, &address, &e);
        if (ok != (cases[i].printed != NULL))
            fail_msg("'%s': %s", cases[i].text, ok ? "taken" : e.text);
        if (ok) {
            assert_string_equal(address_text(&a, &address).p, cases[i].printed);
            assert_true(str_eq_c(s, cases[i].rest));
        } else {
            assert_non_null(e.text);
            assert_true(e.at <= s.n && str_eq_c(s, cases[i].text));
        }
        arena_free(&a);
    }
}

/* 256 bytes of path are taken, 257 are not, with a source route too. */
static void path_size_is_bounded(void **state)
{
    for (size_t n = 250; n <= 260; n++) {
        char text[300];
        size_t label = 0;
        struct arena a = ARENA_INIT;
        struct address address;
        memcpy(text, "<@x:a@", 6);
        for (size_t i = 6; i < n - 1; i++, label++)
            text[i] = label % 50 == 49 && i < n - 2 ? '.' : 'a';
        text[n - 1] = '>';
        struct str s = str_n(text, n);
        assert_int_equal(path_parse(&s, 0, &a, &address, NULL), n <= 256);
        arena_free(&a);
    }
}

/* Every beginning of a path and every byte in it replaced: no crash, no reading beyond. */
static void torn_paths(void **state)
{
    static const char whole[] = "<@x,@y:\"a\\ b\"@[IPv6:::1]> SIZE=1";
    struct arena a = ARENA_INIT;

    for (size_t n = 0; n < sizeof(whole); n++) {
        for (int c = 0; c < 256; c++) {
            char *p = malloc(n + 1);
            struct address address;
            struct parse_error e = {0};
            memcpy(p, whole, n);
            p[n] = (char)c;
            struct str s = str_n(p, n + 1);
            if (!path_parse(&s, PATH_LENIENT | PATH_MAY_BE_EMPTY, &a, &address, &e))
                assert_non_null(e.text);
            free(p);
        }
        arena_free(&a);
    }
}

static void domains(void **state)
{
    static const struct {
        const char *text;
        bool strict, lenient;
    } cases[] = {
        {"example.org", true, true}, {"localhost", false, true}, {"a_b.example", false, true},
        {"[192.0.2.1]", true, true}, {"[IPv6:::1]", true, true}, {"[::1]", false, false},
        {"", false, false},          {".", false, false},        {"a.", false, false},
        {"a.b.", false, false},      {"-a.b", false, false},     {"a-.b", false, false},
        {"a b.c", false, false},     {"[", false, false},        {"[192.0.2.1", false, false},
        {"192.0.2.1", false, false}, {"x\xe4.b", false, false},  {"a.b\n", false, false},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        assert_int_equal(domain_valid(str_c(cases[i].text), false), cases[i].strict);
        assert_int_equal(domain_valid(str_c(cases[i].text), true), cases[i].lenient);
    }
    assert_false(domain_valid(str_n("a.b\0c", 5), true));
}

static void sees_routing_names(void **state)
{
    assert_true(local_part_routes(STR("a%b")));
    assert_true(local_part_routes(STR("b!a")));
    assert_true(local_part_routes(STR("a@b")));
    assert_false(local_part_routes(STR("a+b.c")));
    assert_false(local_part_routes(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_addresses),
        cmocka_unit_test(refuses_with_a_reason),
        cmocka_unit_test(paths),
        cmocka_unit_test(path_size_is_bounded),
        cmocka_unit_test(torn_paths),
        cmocka_unit_test(domains),
        cmocka_unit_test(sees_routing_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
