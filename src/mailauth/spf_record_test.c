// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "mailauth/spf_record.h"

static const char *const names[SPF_MECHANISM_COUNT] = {"all", "include", "a",   "mx",
                                                       "ptr", "ip4",     "ip6", "exists"};

static void print(const struct spf_record *r, struct buf *to)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct spf_term *t = &r->terms[i];

        buf_printf(to, "%c%s", t->qualifier, names[t->mechanism]);
        if (t->domain.n > 0)
            buf_printf(to, ":%.*s", STR_ARG(t->domain));
        if (t->mechanism == SPF_IP4)
            buf_printf(to, ":%u.%u.%u.%u", t->address[0], t->address[1], t->address[2],
                       t->address[3]);
        if (t->mechanism == SPF_A || t->mechanism == SPF_MX || t->mechanism == SPF_IP4 ||
            t->mechanism == SPF_IP6)
            buf_printf(to, "/%u/%u", t->bits4, t->bits6);
        buf_add_char(to, ' ');
    }
    if (r->redirect.n > 0)
        buf_printf(to, "redirect=%.*s ", STR_ARG(r->redirect));
    if (r->explanation.n > 0)
        buf_printf(to, "exp=%.*s ", STR_ARG(r->explanation));
    if (r->mistaken.n > 0)
        buf_printf(to, "mistaken:%.*s ", STR_ARG(r->mistaken));
    if (r->after_all.n > 0)
        buf_printf(to, "behind all:%.*s ", STR_ARG(r->after_all));
}

static void test_records(void **state)
{
    static const struct {
        const char *text, *want; /* want: see print(), or "! why" */
    } cases[] = {
        {"v=spf1", ""},
        {"V=SPF1  -ALL ", "-all "},
        {"v=spf1 a mx/24 a:b.example/24//64 ?mx:c.example//48 ~all",
         "+a/32/128 +mx/24/128 +a:b.example/24/64 ?mx:c.example/32/48 ~all "},
        {"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", "+ip4:192.0.2.0/24/0 +ip6/0/32 -all "},
        {"v=spf1 ip4:192.0.2.1", "+ip4:192.0.2.1/32/0 "},
        {"v=spf1 include:_spf.example.net exists:%{i}.x.example ptr ptr:a.example",
         "+include:_spf.example.net +exists:%{i}.x.example +ptr +ptr:a.example "},
        {"v=spf1 redirect=_spf.%{d} exp=why.example.org foo=bar",
         "redirect=_spf.%{d} exp=why.example.org "},
        {"v=spf1 ip4=192.0.2.1 -all", "-all mistaken:ip4=192.0.2.1 "},
        {"v=spf1 -all a", "-all +a/32/128 behind all:a "},
        {"v=spf10", "! it does not begin with \"v=spf1\" and a blank"},
        {"v=spf1 all all: ", "! \"all\" takes nothing behind it"},
        {"v=spf1 ip4:192.0.2.0/33", "! a length of a network that cannot be"},
        {"v=spf1 ip4:192.0.2.0/08", "! a length of a network that cannot be"},
        {"v=spf1 ip4:192.0.2", "! this is no address of IPv4"},
        {"v=spf1 ip6:192.0.2.1", "! this is no address of IPv6"},
        {"v=spf1 ipv4:192.0.2.1", "! an unknown mechanism"},
        {"v=spf1 - all", "! an unknown mechanism"},
        {"v=spf1\tall", "! it does not begin with \"v=spf1\" and a blank"},
        {"v=spf1 a\tall", "! a character that is not printable ASCII"},
        {"v=spf1 include:%{d}.", "! a name of a domain is needed there, and this is none"},
        {"v=spf1 include:%{d", "! a name of a domain is needed there, and this is none"},
        {"v=spf1 redirect=a.example redirect=b.example",
         "! a modifier that may be there once is there twice"},
        {"v=spf1 x=%", "! a macro that is not written as RFC 7208 7 wants it"},
        {"v=spf1 x=%{d0}", "! a macro that is not written as RFC 7208 7 wants it"},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct record_error error = {0};
        struct buf got = buf_init(4 * KIB);
        struct spf_record r;

        if (spf_record_parse(str_c(cases[i].text), &r, &error))
            print(&r, &got);
        else
            buf_printf(&got, "! %s", error.why);
        if (strcmp(buf_c(&got), cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].text, buf_c(&got));
        buf_free(&got);
    }
}

/* ---- records that others wrote ---- */

static unsigned hex(char c)
{
    return char_is_digit(c) ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void unescape(struct str text, struct buf *to)
{
    buf_reset(to);
    for (size_t i = 0; i < text.n; i++) {
        bool escaped = text.p[i] == '\\' && i + 3 < text.n;

        buf_add_char(to,
                     escaped ? (char)(hex(text.p[i + 2]) << 4 | hex(text.p[i + 3])) : text.p[i]);
        i += escaped ? 3 : 0;
    }
}

static size_t run_file(const char *name)
{
    char path[4096], line[4096];
    struct buf text = buf_init(4 * KIB);
    struct spf_record r;
    size_t count = 0;

    snprintf(path, sizeof path, "%s/tests/record/%s/records.txt", getenv("TROIKA_SOURCE"), name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct str rest = {line, strcspn(line, "\n")};
        bool good = str_eq_c(str_cut(&rest, ' '), "good");
        struct record_error error = {0};

        unescape(rest, &text);
        if (spf_record_parse(buf_str(&text), &r, &error) != good)
            fail_msg("%s: %s", line, good ? error.why : "is taken");
        count++;
    }
    fclose(f);
    buf_free(&text);
    return count;
}

static void test_suites(void **state)
{
    (void)state;
    assert_true(run_file("spf-rfc7208") > 90);
    assert_true(run_file("spf-mail-auth") > 40);
}

static void test_expansion(void **state)
{
    static const struct {
        const char *spec, *want; /* NULL: depends on the message */
    } cases[] = {
        {"_spf.example.net", "_spf.example.net"},
        {"_spf.%{d}", "_spf.example.org"},
        {"%{D}", "example.org"},
        {"a%%b.example", "a%b.example"},
        {"%{i}._spf.%{d}", NULL},
        {"%{d2}", NULL},
        {"%", NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct str got = STR_NONE;
        bool known = spf_expand(str_c(cases[i].spec), STR("example.org"), &a, &got);

        assert_int_equal(known, cases[i].want != NULL);
        if (known)
            assert_true(str_eq_c(got, cases[i].want));
        arena_free(&a);
    }
}

static void test_limits(void **state)
{
    struct buf text = buf_init(16 * KIB);
    struct record_error error = {0};
    struct spf_record r;

    (void)state;
    buf_add_c(&text, "v=spf1");
    for (size_t i = 0; i < SPF_TERMS_MAX; i++)
        buf_add_c(&text, " a");
    assert_true(spf_record_parse(buf_str(&text), &r, &error));
    assert_int_equal(r.count, SPF_TERMS_MAX);
    buf_add_c(&text, " a");
    assert_false(spf_record_parse(buf_str(&text), &r, &error));
    buf_free(&text);
    assert_true(spf_asks(SPF_INCLUDE) && spf_asks(SPF_PTR) && spf_asks(SPF_EXISTS));
    assert_false(spf_asks(SPF_ALL) || spf_asks(SPF_IP4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_suites),
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
