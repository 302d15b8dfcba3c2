// SPDX-License-Identifier: ISC
#include "discover/discover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

#define HEAD "<?xml version=\"1.0\"?><clientConfig version=\"1.1\"><emailProvider id=\"x\">"
#define TAIL "</emailProvider></clientConfig>"
#define SERVER(element, type, host, port, tls, user, more)                                         \
    "<" element " type=\"" type "\"><hostname>" host "</hostname><port>" port                      \
    "</port><socketType>" tls "</socketType><username>" user "</username>" more "</" element ">"
#define SMTP(host, port, tls, user) SERVER("outgoingServer", "smtp", host, port, tls, user, "")
#define GOOD SMTP("smtp.a.test", "465", "SSL", "%EMAILADDRESS%")

static struct arena arena;

static int free_arena(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct provider parse(const char *xml, const char *address)
{
    struct buf error = buf_init(4096);
    struct provider p = {0};

    if (!autoconfig_parse(&arena, str_c(xml), str_c(address), &p, &error))
        fail_msg("%s: %s", xml, buf_c(&error));
    buf_free(&error);
    return p;
}

static void assert_str(struct str s, const char *expect)
{
    if (!str_eq_c(s, expect))
        fail_msg("'%.*s' is not '%s'", STR_ARG(s), expect);
}

static void reads_all_of_it(void **state)
{
    struct provider p = parse(
        HEAD "<domain>a.test</domain><displayName> A &amp; B </displayName>" SERVER(
            "incomingServer", "imap", "IMAP.a.test", " 993 ", "SSL", "%EMAILLOCALPART%",
            "") SERVER("incomingServer", "pop3", "pop.%EMAILDOMAIN%", "110", "starttls", "x", "")
            SERVER("incomingServer", "exchange", "x.a.test", "443", "SSL", "x", "")
                SERVER("outgoingServer", "smtp", "smtp.a.test", "587", "STARTTLS", "x",
                       "<authentication>OAuth2</authentication><authentication>password-cleartext</"
                       "authentication>") SMTP("smtp.a.test", "25", "plain", "x") TAIL,
        "me@a.test");

    assert_str(p.title, "A & B");
    assert_str(p.name, "a.test");
    assert_int_equal(p.domain_count, 1);
    assert_int_equal(p.endpoint_count, 4);
    assert_str(p.endpoints[0].host, "imap.a.test");
    assert_int_equal(p.endpoints[0].protocol, PROVIDER_IMAP);
    assert_int_equal(p.endpoints[0].tls, PROVIDER_TLS_IMPLICIT);
    assert_int_equal(p.endpoints[0].port, 993);
    assert_str(p.endpoints[1].host, "pop.a.test");
    assert_int_equal(p.endpoints[1].tls, PROVIDER_TLS_STARTTLS);
    assert_int_equal(p.endpoints[3].tls, PROVIDER_TLS_NONE);
    assert_int_equal(p.login, PROVIDER_LOGIN_NAME);
    assert_true(p.oauth && !p.oauth_only);
}

static void knows_logins(void **state)
{
    static const struct {
        const char *user, *address;
        enum provider_login login;
        const char *word;
    } cases[] = {
        {"%EMAILADDRESS%", "me@a.test", PROVIDER_LOGIN_ADDRESS, ""},
        {"%EMAILADDRESS%", "a.test", PROVIDER_LOGIN_ADDRESS, ""},
        {"me@a.test", "me@a.test", PROVIDER_LOGIN_ADDRESS, ""},
        {"%EMAILLOCALPART%", "me@a.test", PROVIDER_LOGIN_NAME, ""},
        {"%EMAILLOCALPART%", "a.test", PROVIDER_LOGIN_NAME, ""},
        {"%EMAILLOCALPART%@b.test", "me@a.test", PROVIDER_LOGIN_WORD, "me@b.test"},
        {"%EMAILLOCALPART%@b.test", "a.test", PROVIDER_LOGIN_GIVEN, ""},
        {"m42", "me@a.test", PROVIDER_LOGIN_WORD, "m42"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf xml = buf_init(2048);

        buf_printf(&xml,
                   HEAD "<outgoingServer type='smtp'><hostname>s.a.test</hostname><port>465</port>"
                        "<socketType>SSL</socketType><username>%s</username></outgoingServer>" TAIL,
                   cases[i].user);
        struct provider p = parse(buf_c(&xml), cases[i].address);
        if (p.login != cases[i].login || !str_eq_c(p.login_word, cases[i].word))
            fail_msg("%s of %s: %d '%.*s'", cases[i].user, cases[i].address, (int)p.login,
                     STR_ARG(p.login_word));
        buf_free(&xml);
    }
}

/* What is wrong with one server leaves the others. */
static void leaves_out_what_cannot_be(void **state)
{
    static const char *const servers[] = {
        SMTP("", "465", "SSL", "x"),
        SMTP("smtp", "465", "SSL", "x"),
        SMTP("127.0.0.1:25", "465", "SSL", "x"),
        SMTP("[127.0.0.1]", "465", "SSL", "x"),
        SMTP("a b.test", "465", "SSL", "x"),
        SMTP("a_b.test", "465", "SSL", "x"),
        SMTP("a.test/x", "465", "SSL", "x"),
        SMTP("x.%EMAILADDRESS%", "465", "SSL", "x"),
        SMTP("smtp.b.test", "0", "SSL", "x"),
        SMTP("smtp.b.test", "65536", "SSL", "x"),
        SMTP("smtp.b.test", "-1", "SSL", "x"),
        SMTP("smtp.b.test", "", "SSL", "x"),
        SMTP("smtp.b.test", "25", "TLS9", "x"),
        SMTP("smtp.b.test", "25", "", "x"),
        SERVER("outgoingServer", "imap", "smtp.b.test", "25", "SSL", "x", ""),
        SERVER("incomingServer", "smtp", "smtp.b.test", "25", "SSL", "x", ""),
        "<outgoingServer/>",
        "<outgoingServer type='smtp'><hostname><b>smtp.b.test</b></hostname></outgoingServer>",
        "some text",
    };

    for (size_t i = 0; i < countof(servers); i++) {
        struct buf xml = buf_init(4096);

        buf_printf(&xml, "%s%s%s%s", HEAD, servers[i], GOOD, TAIL);
        struct provider p = parse(buf_c(&xml), "me@a.test");
        if (p.endpoint_count != 1 || !str_eq_c(p.endpoints[0].host, "smtp.a.test"))
            fail_msg("%s: %zu", servers[i], p.endpoint_count);
        buf_free(&xml);
    }
}

#define LAUGHS                                                                                     \
    "<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"                             \
    "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">" \
    "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\"><!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">" \
    "<!ENTITY g \"&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;\"><!ENTITY h \"&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;\">" \
    "<!ENTITY i \"&h;&h;&h;&h;&h;&h;&h;&h;&h;&h;\">"

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *xml, *error;
    } cases[] = {
        {"", "it is empty"},
        {"hello", "it is no XML"},
        {"<", "it is no XML"},
        {"<clientConfig>", "it is no XML"},
        {HEAD GOOD, "it is no XML"},
        {"<html><body>Welcome</body></html>", "it is no autoconfig file"},
        {"<clientConfig version='1.1'/>", "there is no emailProvider in it"},
        {HEAD TAIL, "it names no server to send by"},
        {HEAD SERVER("incomingServer", "imap", "i.a.test", "993", "SSL", "x", "") TAIL,
         "it names no server to send by"},
        {"<!DOCTYPE html><html/>", "it has a document type"},
        {"<!DOCTYPE clientConfig SYSTEM \"http://127.0.0.1:1/x.dtd\"><clientConfig/>",
         "it has a document type"},
        {"<!DOCTYPE x [" LAUGHS
         "]><clientConfig><emailProvider><displayName>&i;</displayName>" GOOD TAIL,
         "it has a document type"},
        {"<!DOCTYPE x [<!ENTITY p SYSTEM \"file:///etc/passwd\">]><clientConfig>&p;</clientConfig>",
         "it has a document type"},
        {"<!DOCTYPE x [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p;]><clientConfig/>",
         "it has a document type"},
        {HEAD "<displayName>&none;</displayName>" GOOD TAIL, "it is no XML"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf error = buf_init(4096);
        struct provider p;

        if (autoconfig_parse(&arena, str_c(cases[i].xml), STR("me@a.test"), &p, &error))
            fail_msg("taken: %s", cases[i].xml);
        if (!strstr(buf_c(&error), cases[i].error))
            fail_msg("%s: '%s' has no '%s'", cases[i].xml, buf_c(&error), cases[i].error);
        buf_free(&error);
    }
}

static void has_bounds(void **state)
{
    struct buf xml = buf_init(4 * MIB), error = buf_init(4096);
    struct provider p;

    buf_add_c(&xml, HEAD);
    for (int i = 0; i < 100; i++)
        buf_add_c(&xml, GOOD);
    buf_add_c(&xml, "<displayName>");
    for (int i = 0; i < 1000; i++)
        buf_add_c(&xml, "a");
    buf_add_c(&xml, "</displayName>" TAIL);
    p = parse(buf_c(&xml), "me@a.test");
    assert_int_equal(p.endpoint_count, PROVIDER_ENDPOINTS_MAX);
    assert_str(p.title, "a.test"); /* theirs is too long */

    buf_reset(&xml);
    while (xml.n <= AUTOCONFIG_BYTES_MAX)
        buf_add_c(&xml, "<a>");
    assert_false(autoconfig_parse(&arena, buf_str(&xml), STR("me@a.test"), &p, &error));
    assert_non_null(strstr(buf_c(&error), "longer than 256 KiB"));
    buf_reset(&error);
    buf_cut(&xml, AUTOCONFIG_BYTES_MAX - AUTOCONFIG_BYTES_MAX % 3); /* as deep as can be */
    assert_false(autoconfig_parse(&arena, buf_str(&xml), STR("me@a.test"), &p, &error));
    assert_non_null(strstr(buf_c(&error), "it is no XML"));
    buf_free(&xml);
    buf_free(&error);
}

/* A title that would move the cursor is not shown. */
static void shows_nothing_of_an_enemy(void **state)
{
    assert_str(parse(HEAD "<displayName>a&#x202e;b</displayName>" GOOD TAIL, "me@a.test").title,
               "a.test");
    assert_str(parse(HEAD "<displayName>a&#x85;b</displayName>" GOOD TAIL, "me@a.test").title,
               "a.test");
    assert_str(
        parse(HEAD "<displayName><![CDATA[<b>]]></displayName>" GOOD TAIL, "me@a.test").title,
        "<b>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_all_of_it, free_arena),
        cmocka_unit_test_teardown(knows_logins, free_arena),
        cmocka_unit_test_teardown(leaves_out_what_cannot_be, free_arena),
        cmocka_unit_test_teardown(says_what_is_wrong, free_arena),
        cmocka_unit_test_teardown(has_bounds, free_arena),
        cmocka_unit_test_teardown(shows_nothing_of_an_enemy, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
