// SPDX-License-Identifier: ISC
#include "provider/provider.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "io/disk.h"

static const char example[] =
    "# a remark\n"
    "\n"
    "provider one\n"
    "  title  One & only   \n"
    "  also   uno eins\n"
    "  domains One.test \xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0.\xd1\x80\xd1\x84\n"
    "  domains  two.test\n"
    "  mx      mx.one.test\n"
    "  smtp    smtp.one.test:465 tls\n"
    "\tsmtp    [::1]:587 starttls\n"
    "  login   name\n"
    "  source  2026-01-31 https://one.test/help#smtp\n"
    "  imap    127.0.0.1:143 plain\n"
    "  limit   500 messages a day\r\n"
    "  limit   1 message a second\n"
    "  limit   20 recipients an hour\n"
    "  limit   50 messages in 15 minutes\n"
    "  limit   100 recipients a message\n"
    "  limit   25M a message\n"
    "  oauth   only\n"
    "  pop-first yes\n"
    "  advice  Do this,\n"
    "  advice  then that.\n"
    "  advice-ru \xd0\x94\xd0\xb0.\n"
    "  source  2026-02-28 a friend\n"
    "provider two\n"
    "login word apikey\n";

static struct arena arena;

static int free_arena(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct providers parse(const char *text, const struct providers *base)
{
    struct buf error = buf_init(4096);
    struct providers p = {0};

    if (!providers_parse(&arena, str_c(text), "p.conf", base, &p, &error))
        fail_msg("%s", buf_c(&error));
    assert_int_equal(error.n, 0);
    buf_free(&error);
    return p;
}

static void assert_str(struct str s, const char *expect)
{
    if (!str_eq_c(s, expect))
        fail_msg("'%.*s' is not '%s'", STR_ARG(s), expect);
}

/* The file that we give away. */
static struct providers ours(void)
{
    const char *source = getenv("TROIKA_SOURCE");
    struct buf text = buf_init(PROVIDER_FILE_BYTES_MAX);
    char path[4096];

    assert_non_null(source);
    snprintf(path, sizeof path, "%s/share/providers.conf", source);
    assert_int_equal(file_read(AT_FDCWD, path, PROVIDER_FILE_BYTES_MAX, &text), 0);
    struct providers p = parse(buf_c(&text), NULL);
    buf_free(&text);
    return p;
}

static void reads_all_statements(void **state)
{
    struct providers all = parse(example, NULL);

    assert_int_equal(all.count, 2);
    const struct provider *p = &all.list[0];
    assert_str(p->name, "one");
    assert_str(p->title, "One & only");
    assert_int_equal(p->also_count, 2);
    assert_int_equal(p->domain_count, 3);
    assert_str(p->domains[0], "one.test");
    assert_str(p->domains[1], "xn--80a1acny.xn--p1ai");
    assert_int_equal(p->mx_count, 1);
    assert_int_equal(p->endpoint_count, 3);
    assert_str(p->endpoints[1].host, "::1");
    assert_int_equal(p->endpoints[1].port, 587);
    assert_int_equal(p->endpoints[1].tls, PROVIDER_TLS_STARTTLS);
    assert_int_equal(p->endpoints[2].protocol, PROVIDER_IMAP);
    assert_int_equal(p->endpoints[2].tls, PROVIDER_TLS_NONE);
    assert_int_equal(p->login, PROVIDER_LOGIN_NAME);
    assert_int_equal(p->limit_count, 4);
    assert_int_equal(p->limits[0].count, 500);
    assert_int_equal(p->limits[0].in_us, 86400 * US_PER_S);
    assert_false(p->limits[0].recipients);
    assert_int_equal(p->limits[1].in_us, US_PER_S);
    assert_true(p->limits[2].recipients);
    assert_int_equal(p->limits[2].in_us, 3600 * US_PER_S);
    assert_int_equal(p->limits[3].in_us, 900 * US_PER_S);
    assert_int_equal(p->recipients_max, 100);
    assert_int_equal(p->message_bytes_max, 25 * MIB);
    assert_true(p->oauth && p->oauth_only && p->pop_first);
    assert_str(p->advice, "Do this, then that.");
    assert_str(p->advice_ru, "\xd0\x94\xd0\xb0.");
    assert_str(p->source, "https://one.test/help#smtp");
    assert_str(p->date, "2026-01-31");
    assert_false(p->unsourced);
    assert_str(all.list[1].title, "two");
    assert_str(all.list[1].login_word, "apikey");
    assert_true(all.list[1].unsourced);
}

/* A source is that of what stands above it, up to the one before. */
static void gives_each_figure_its_source(void **state)
{
    struct providers all = parse(example, NULL);
    const struct provider *p = &all.list[0];

    assert_int_equal(p->source_count, 2);
    assert_ptr_equal(p->endpoints[0].source, &p->sources[0]);
    assert_ptr_equal(p->endpoints[1].source, &p->sources[0]);
    assert_ptr_equal(p->endpoints[2].source, &p->sources[1]);
    for (size_t i = 0; i < p->limit_count; i++)
        assert_ptr_equal(p->limits[i].source, &p->sources[1]);
    assert_ptr_equal(p->recipients_source, &p->sources[1]);
    assert_ptr_equal(p->message_source, &p->sources[1]);
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *error; /* what the error must have in it */
    } cases[] = {
        {"smtp a.test:25 plain\n", "p.conf:1: smtp of whom?"},
        {"# x\n\nprovider Yandex\n", "p.conf:3: \"Yandex\" is no name"},
        {"provider\n", "p.conf:1: \"\" is no name"},
        {"provider a b\n", "\"a b\" is no name"},
        {"provider a.\n", "is no name"},
        {"provider 1a\n", "is no name"},
        {"provider aaaaaaaaaabbbbbbbbbbccccccccccddd\n", "up to 32 small letters"},
        {"provider a\nprovider a\n", "p.conf:2: a is already a name of provider a"},
        {"provider a\nalso b\nprovider b\n", "p.conf:3: b is already a name of provider a"},
        {"provider a\nalso a\n", "already a name"},
        {"provider a\nsmpt a.test:25 tls\n", "p.conf:2: \"smpt\" is not known here; a line begins "
                                             "with one of: provider title also domains mx smtp"},
        {"provider a\ntitle\n", "title: nothing follows it"},
        {"provider a\ntitle A\ntitle B\n", "title was already said of provider a; say it once"},
        {"provider a\ndomains x\n", "\"x\" is no domain; write domains such as example.org"},
        {"provider a\ndomains x.test,y.test\n", "is no domain"},
        {"provider a\ndomains [127.0.0.1]\n", "is no domain"},
        {"provider a\ndomains @x.test\n", "is no domain"},
        {"provider a\ndomains x.test X.TEST\n", "x.test already belongs to provider a"},
        {"provider a\ndomains x.test\nprovider b\ndomains x.test\n", "p.conf:4: x.test already"},
        {"provider a\nmx x.test\nprovider b\nmx x.test\n", "p.conf:4: x.test already"},
        {"provider a\nsmtp a.test tls\n", "\"a.test\" is no host and port; write smtp "
                                          "mail.example.org:465 tls"},
        {"provider a\nimap a.test:0 tls\n", "write imap mail.example.org:465 tls"},
        {"provider a\npop a.test:65536 tls\n", "is no host and port"},
        {"provider a\npop a.test:99999999999999999999 tls\n", "is no host and port"},
        {"provider a\nsmtp ::1:25 tls\n", "is no host and port"},
        {"provider a\nsmtp [127.0.0.1]:25 tls\n", "is no host and port"},
        {"provider a\nsmtp [a.test]:25 tls\n", "is no host and port"},
        {"provider a\nsmtp a_b.test:25 tls\n", "is no host and port"},
        {"provider a\nsmtp a.test:465 ssl\n",
         "\"ssl\" behind a.test:465: write tls (from the first "
         "byte on), starttls, or plain"},
        {"provider a\nsmtp a.test:465\n", "\"\" behind a.test:465"},
        {"provider a\nsmtp a.test:465 tls now\n", "write tls"},
        {"provider a\nlogin mail\n", "write login address"},
        {"provider a\nlogin word\n", "write login address"},
        {"provider a\nlogin name x\n", "write login address"},
        {"provider a\noauth maybe\n", "write oauth yes, oauth no, or oauth only"},
        {"provider a\npop-first only\n", "write pop-first yes"},
        {"provider a\nlimit 500\n", "\"500\" is no limit; write one of: limit 500 messages a day"},
        {"provider a\nlimit many messages a day\n", "is no limit"},
        {"provider a\nlimit 0 messages a day\n", "is no limit"},
        {"provider a\nlimit 5 letters a day\n", "is no limit"},
        {"provider a\nlimit 5 messages a week\n", "is no limit"},
        {"provider a\nlimit 5 messages per day\n", "is no limit"},
        {"provider a\nlimit 5 messages in days\n", "is no limit"},
        {"provider a\nlimit 5 messages in 0 days\n", "is no limit"},
        {"provider a\nlimit 5 messages in 1001 days\n", "is no limit"},
        {"provider a\nlimit 5 messages a message\n", "is no limit"},
        {"provider a\nlimit 0M a message\n", "is no limit"},
        {"provider a\nlimit 25m a message\n", "is no limit"},
        {"provider a\nlimit 99999999999999999G a message\n", "is no limit"},
        {"provider a\nlimit 5 messages a day\nlimit 6 messages a day\n",
         "there is one for this time"},
        {"provider a\nlimit 5M a message\nlimit 6M a message\n", "this was said before"},
        {"provider a\nsource https://x.test\n", "write the day when it was looked up, and where"},
        {"provider a\nsource 2026-11-27\n", "write the day"},
        {"provider a\nsource 2026-13-27 x\n", "write the day"},
        {"provider a\ntitle \xff\n", "p.conf:2: this line has characters that cannot be shown"},
        {"provider a\ntitle a\x1b[2J\n", "cannot be shown"},
        {"provider a\ntitle a\xe2\x80\xae z\n", "cannot be shown"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf error = buf_init(4096);
        struct providers p = {.count = 77};

        if (providers_parse(&arena, str_c(cases[i].text), "p.conf", NULL, &p, &error))
            fail_msg("taken: %s", cases[i].text);
        if (!strstr(buf_c(&error), cases[i].error))
            fail_msg("%s: '%s' has no '%s'", cases[i].text, buf_c(&error), cases[i].error);
        assert_int_equal(p.count, 77);
        assert_true(str_starts(buf_str(&error), STR("p.conf:")));
        buf_free(&error);
    }
}

static void shows_every_mistake_up_to_a_limit(void **state)
{
    struct buf text = buf_init(4096), error = buf_init(64 * KIB);
    struct providers p;
    size_t lines = 0;

    assert_false(providers_parse(&arena, STR("x\nprovider a\ny\nsmtp\n"), "f", NULL, &p, &error));
    assert_non_null(strstr(buf_c(&error), "f:1: "));
    assert_non_null(strstr(buf_c(&error), "f:3: "));
    assert_non_null(strstr(buf_c(&error), "f:4: "));
    for (int i = 0; i < 100; i++)
        buf_add_c(&text, "x\n");
    buf_reset(&error);
    assert_false(providers_parse(&arena, buf_str(&text), "f", NULL, &p, &error));
    for (size_t i = 0; i < error.n; i++)
        lines += error.p[i] == '\n';
    assert_int_equal(lines, 21);
    buf_free(&text);
    buf_free(&error);
}

static void has_bounds(void **state)
{
    static const struct {
        const char *head, *line;
        size_t count;
        const char *error;
    } cases[] = {
        {"", "provider p%zu\n", PROVIDERS_MAX, "1000 providers"},
        {"provider a\n", "domains d%zu.test\n", PROVIDER_DOMAINS_MAX, "200 of them"},
        {"provider a\n", "mx d%zu.test\n", PROVIDER_NAMES_MAX, "16 of them"},
        {"provider a\n", "also b%zu\n", PROVIDER_NAMES_MAX, "16 further names"},
        {"provider a\n", "smtp a.test:%zu tls\n", PROVIDER_ENDPOINTS_MAX, "16 servers"},
        {"provider a\n", "limit 1 message in %zu hours\n", PROVIDER_LIMITS_MAX, "8 limits"},
        {"provider a\n", "source 2026-01-01 %zu\n", PROVIDER_SOURCES_MAX, "16 sources"},
        {"provider a\n", "advice %0999zu\n", 2, "longer than 2000 bytes"},
        {"provider a\n", "# %01015zu\n", 1030, "too long"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        struct buf text = buf_init(2 * MIB), error = buf_init(64 * KIB);
        struct providers p;

        buf_add_c(&text, cases[i].head);
        for (size_t n = 1; n <= cases[i].count; n++) {
            char line[2048];

            snprintf(line, sizeof line, cases[i].line, n);
            buf_add_c(&text, line);
        }
        if (!providers_parse(&arena, buf_str(&text), "f", NULL, &p, &error))
            fail_msg("%s: %s", cases[i].line, buf_c(&error));
        char line[2048];
        snprintf(line, sizeof line, cases[i].line, cases[i].count + 1);
        buf_add_c(&text, line);
        if (providers_parse(&arena, buf_str(&text), "f", NULL, &p, &error))
            fail_msg("%s: one more is taken", cases[i].line);
        if (!strstr(buf_c(&error), cases[i].error))
            fail_msg("'%s' has no '%s'", buf_c(&error), cases[i].error);
        buf_free(&text);
        buf_free(&error);
        arena_free(&arena);
    }
}

static void replaces_by_name(void **state)
{
    struct providers base = parse(example, NULL);
    struct providers all =
        parse("provider one\ntitle Mine\nprovider three\ndomains two.test\n", &base);

    assert_int_equal(all.count, 3);
    assert_str(all.list[0].name, "two");
    assert_str(provider_find(&all, STR("one"))->title, "Mine");
    assert_int_equal(provider_find(&all, STR("one"))->endpoint_count, 0);
    assert_null(provider_find(&all, STR("one.test")));
    assert_str(provider_find(&all, STR("a@two.test"))->name, "three");
    assert_int_equal(parse("", &base).count, 2);
    /* a further name of ours does not take away theirs */
    assert_int_equal(parse("provider x\nalso one\n", &base).count, 3);
}

static void finds(void **state)
{
    static const struct {
        const char *what, *name; /* NULL: unknown */
    } cases[] = {
        {"one", "one"},
        {"ONE", "one"},
        {"uno", "one"},
        {"one.test", "one"},
        {"a@one.test", "one"},
        {"a@b@One.Test", "one"},
        {"one.test.", "one"},
        {"mx.one.test", "one"},
        {"a@mx.one.test", NULL},
        {"x.one.test", NULL},
        {"", NULL},
        {"@", NULL},
        {"one@", NULL},
        {"three", NULL},
        {"\xff", NULL},
        {"a@\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0.\xd1\x80\xd1\x84", "one"},
        {"xn--80a1acny.xn--p1ai", "one"},
    };
    struct providers all = parse(example, NULL);

    for (size_t i = 0; i < countof(cases); i++) {
        const struct provider *p = provider_find(&all, str_c(cases[i].what));

        if (!p != !cases[i].name || (p && !str_eq_c(p->name, cases[i].name)))
            fail_msg("%s: %.*s", cases[i].what, p ? (int)p->name.n : 4, p ? p->name.p : "none");
    }
}

static void finds_by_servers(void **state)
{
    struct providers all =
        parse("provider a\ndomains a.test\nmx mail.b.test\nsmtp s.a.test:25 tls\n"
              "provider c\nmx b.test\n",
              NULL);

    assert_str(provider_of_mx(&all, STR("x.mail.B.test."))->name, "a");
    assert_str(provider_of_mx(&all, STR("mail.b.test"))->name, "a");
    assert_str(provider_of_mx(&all, STR("y.b.test"))->name, "c");
    assert_str(provider_of_mx(&all, STR("mx7.a.test"))->name, "a"); /* below its own domain */
    assert_null(provider_of_mx(&all, STR("xb.test")));
    assert_null(provider_of_mx(&all, STR("test")));
    assert_null(provider_of_mx(&all, STR("")));
    assert_str(provider_of_host(&all, STR("S.A.test"))->name, "a");
    assert_null(provider_of_host(&all, STR("a.test")));
    all = ours();
    assert_str(provider_of_host(&all, STR("smtp.gmail.com"))->name, "gmail");
    assert_str(provider_of_host(&all, STR("outlook.office365.com"))->name, "outlook");
}

static void gives_endpoints_and_logins(void **state)
{
    struct providers all = parse("provider a\nsmtp x.test:465 tls\nsmtp y.test:587 starttls\n"
                                 "provider b\nlogin name\nprovider c\nlogin given\n"
                                 "provider d\nlogin word apikey\n",
                                 NULL);

    assert_str(provider_endpoint(&all.list[0], PROVIDER_SMTP)->host, "x.test");
    assert_null(provider_endpoint(&all.list[0], PROVIDER_IMAP));
    assert_str(provider_login_of(&all.list[0], STR("a@b.test")), "a@b.test");
    assert_str(provider_login_of(&all.list[1], STR("a@b.test")), "a");
    assert_str(provider_login_of(&all.list[1], STR("a")), "a");
    assert_str(provider_login_of(&all.list[2], STR("AKIA")), "AKIA");
    assert_str(provider_login_of(&all.list[3], STR("a@b.test")), "apikey");
}

/* ---- the file that we give away ---- */

/* Ports at which each kind of TLS is heard of. */
static bool plausible(const struct provider_endpoint *e)
{
    static const struct {
        enum provider_protocol protocol;
        enum provider_tls tls;
        uint16_t port;
    } known[] = {
        {PROVIDER_SMTP, PROVIDER_TLS_IMPLICIT, 465},  {PROVIDER_SMTP, PROVIDER_TLS_STARTTLS, 587},
        {PROVIDER_SMTP, PROVIDER_TLS_STARTTLS, 25},   {PROVIDER_SMTP, PROVIDER_TLS_STARTTLS, 2525},
        {PROVIDER_SMTP, PROVIDER_TLS_IMPLICIT, 2525}, {PROVIDER_SMTP, PROVIDER_TLS_IMPLICIT, 2465},
        {PROVIDER_SMTP, PROVIDER_TLS_STARTTLS, 2587}, {PROVIDER_SMTP, PROVIDER_TLS_STARTTLS, 1025},
        {PROVIDER_IMAP, PROVIDER_TLS_IMPLICIT, 993},  {PROVIDER_IMAP, PROVIDER_TLS_STARTTLS, 143},
        {PROVIDER_IMAP, PROVIDER_TLS_STARTTLS, 1143}, {PROVIDER_POP, PROVIDER_TLS_IMPLICIT, 995},
        {PROVIDER_POP, PROVIDER_TLS_STARTTLS, 110},
    };

    for (size_t i = 0; i < countof(known); i++)
        if (known[i].protocol == e->protocol && known[i].tls == e->tls && known[i].port == e->port)
            return true;
    return false;
}

static bool is_dated(const struct provider_source *s)
{
    uint64_t day, begin;

    assert_true(day_parse(STR("2026-11-01"), &begin));
    return s && s->where.n > 0 && day_parse(s->date, &day) && day >= begin;
}

static void our_file_is_whole(void **state)
{
    struct providers all = ours();

    assert_true(all.count >= 30);
    for (size_t i = 0; i < all.count; i++) {
        const struct provider *p = &all.list[i];
        bool good = p->title.n > 0 && !p->unsourced && (p->advice.n > 0) == (p->advice_ru.n > 0) &&
                    (p->endpoint_count > 0 || p->advice.n > 0);

        for (size_t j = 0; j < p->endpoint_count; j++)
            good = good && plausible(&p->endpoints[j]) && is_dated(p->endpoints[j].source);
        for (size_t j = 0; j < p->limit_count; j++)
            good = good && is_dated(p->limits[j].source);
        good = good && (p->recipients_max == 0 || is_dated(p->recipients_source));
        good = good && (p->message_bytes_max == 0 || is_dated(p->message_source));
        /* What comes first is what is tried: with TLS from the first byte on, where there is one. */
        for (size_t j = 1; j < p->endpoint_count; j++)
            good = good && !(p->endpoints[j].protocol == p->endpoints[j - 1].protocol &&
                             p->endpoints[j].tls == PROVIDER_TLS_IMPLICIT &&
                             p->endpoints[j].port != 2465 && p->endpoints[j].port != 2525 &&
                             p->endpoints[j - 1].tls == PROVIDER_TLS_STARTTLS);
        if (!good)
            fail_msg("%.*s", STR_ARG(p->name));
    }
}

/* Each provider and domain that the task names is there, by the name a person would try. */
static void our_file_has_what_people_use(void **state)
{
    static const struct {
        const char *what, *name;
    } cases[] = {
        {"gmail", "gmail"},
        {"me@gmail.com", "gmail"},
        {"yandex", "yandex"},
        {"me@ya.ru", "yandex"},
        {"mail.ru", "mailru"},
        {"me@mail.ru", "mailru"},
        {"inbox.ru", "mailru"},
        {"me@list.ru", "mailru"},
        {"me@bk.ru", "mailru"},
        {"yahoo", "yahoo"},
        {"outlook", "outlook"},
        {"hotmail", "outlook"},
        {"live", "outlook"},
        {"me@hotmail.com", "outlook"},
        {"me@live.com", "outlook"},
        {"office365", "office365"},
        {"rambler", "rambler"},
        {"me@rambler.ru", "rambler"},
        {"icloud", "icloud"},
        {"me@me.com", "icloud"},
        {"masterhost", "masterhost"},
        {"timeweb", "timeweb"},
        {"hc.ru", "hc.ru"},
        {"reg.ru", "reg.ru"},
        {"jino", "jino"},
        {"nic.ru", "nic.ru"},
        {"meta.ua", "meta.ua"},
        {"ukr.net", "ukr.net"},
        {"fastmail", "fastmail"},
        {"gmx", "gmx"},
        {"zoho", "zoho"},
        {"aol", "aol"},
        {"proton", "proton"},
        {"sendgrid", "sendgrid"},
        {"mailgun", "mailgun"},
        {"ses", "ses"},
        {"postmark", "postmark"},
        {"brevo", "brevo"},
        {"mailjet", "mailjet"},
    };
    static const struct {
        const char *mx, *name;
    } servers[] = {
        {"aspmx.l.google.com", "google-workspace"},
        {"mx.yandex.net", "yandex"},
        {"emx.mail.ru", "mailru"},
        {"mta5.am0.yahoodns.net", "yahoo"},
        {"mail.gm0.yahoodns.net", "aol"},
        {"example-org.mail.protection.outlook.com", "office365"},
        {"eur.olc.protection.outlook.com", "outlook"},
        {"mx01.mail.icloud.com", "icloud"},
        {"in1-smtp.messagingengine.com", "fastmail"},
        {"mx1.timeweb.ru", "timeweb"},
        {"mx1.hosting.reg.ru", "reg.ru"},
        {"mx00.emig.gmx.net", "gmx"},
    };
    struct providers all = ours();

    for (size_t i = 0; i < countof(cases); i++) {
        const struct provider *p = provider_find(&all, str_c(cases[i].what));

        if (!p || !str_eq_c(p->name, cases[i].name))
            fail_msg("%s is not %s", cases[i].what, cases[i].name);
    }
    for (size_t i = 0; i < countof(servers); i++) {
        const struct provider *p = provider_of_mx(&all, str_c(servers[i].mx));

        if (!p || !str_eq_c(p->name, servers[i].name))
            fail_msg("%s is not of %s", servers[i].mx, servers[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_all_statements, free_arena),
        cmocka_unit_test_teardown(gives_each_figure_its_source, free_arena),
        cmocka_unit_test_teardown(says_what_is_wrong, free_arena),
        cmocka_unit_test_teardown(shows_every_mistake_up_to_a_limit, free_arena),
        cmocka_unit_test_teardown(has_bounds, free_arena),
        cmocka_unit_test_teardown(replaces_by_name, free_arena),
        cmocka_unit_test_teardown(finds, free_arena),
        cmocka_unit_test_teardown(finds_by_servers, free_arena),
        cmocka_unit_test_teardown(gives_endpoints_and_logins, free_arena),
        cmocka_unit_test_teardown(our_file_is_whole, free_arena),
        cmocka_unit_test_teardown(our_file_has_what_people_use, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
