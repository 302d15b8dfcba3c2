// SPDX-License-Identifier: ISC
#include "outward/send/target.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct str domains[] = {{"ya.test", 7}, {"yandex.test", 11}};
static struct provider_endpoint endpoints[] = {
    {PROVIDER_SMTP, {"smtp.yandex.test", 16}, 465, PROVIDER_TLS_IMPLICIT},
    {PROVIDER_SMTP, {"smtp.yandex.test", 16}, 587, PROVIDER_TLS_STARTTLS},
};
static const struct provider list[] = {
    {.name = {"yandex", 6},
     .domains = domains,
     .domain_count = 2,
     .endpoints = endpoints,
     .endpoint_count = 2,
     .login = PROVIDER_LOGIN_NAME},
    {.name = {"mute", 4}},
};
static const struct providers known = {list, countof(list)};

/* "smtp required me@b mail.test 587", or the error. */
static const char *read(const char *text, struct arena *a)
{
    static const char *const protocols[] = {"smtp", "lmtp", "pop", "imap"};
    static const char *const kinds[] = {"off", "optional", "required", "implicit"};
    struct server_target t;
    struct buf error = buf_init(KIB);
    const char *ret;

    if (target_parse(a, str_c(text), &known, &t, &error))
        ret = arena_printf(a, "%s %s %.*s%s%.*s %u%s", protocols[t.protocol], kinds[t.tls],
                           STR_ARG(t.user), t.user.n ? " " : "", STR_ARG(t.host), t.port,
                           t.provider ? " by name" : "")
                  .p;
    else
        ret = arena_copy(a, buf_str(&error)).p;
    buf_free(&error);
    return ret;
}

static void good(void **state)
{
    static const struct {
        const char *text, *want;
    } table[] = {
        {"smtp://mail.test", "smtp optional mail.test 25"},
        {"smtp://mail.test/", "smtp optional mail.test 25"},
        {"SMTP://Mail.Test:2525", "smtp optional Mail.Test 2525"},
        {" smtp://mail.test. ", "smtp optional mail.test 25"},
        {"smtp://me@mail.test", "smtp required me mail.test 587"},
        {"smtp://me@b.test@mail.test", "smtp required me@b.test mail.test 587"},
        {"smtp://me%40b.test@mail.test:25", "smtp required me@b.test mail.test 25"},
        {"smtp://100%25@mail.test", "smtp required 100% mail.test 587"},
        {"smtps://mail.test", "smtp implicit mail.test 465"},
        {"smtps://me@mail.test:1465", "smtp implicit me mail.test 1465"},
        {"lmtp://mail.test", "lmtp optional mail.test 24"},
        {"pop://me@mail.test", "pop required me mail.test 110"},
        {"pops://mail.test", "pop implicit mail.test 995"},
        {"pop3s://mail.test", "pop implicit mail.test 995"},
        {"imap://mail.test", "imap optional mail.test 143"},
        {"imaps://mail.test", "imap implicit mail.test 993"},
        {"mail.test", "smtp optional mail.test 25"},
        {"mail.test:587", "smtp optional mail.test 587"},
        {"mail.test:465", "smtp implicit mail.test 465"},
        {"mail.test:995", "pop implicit mail.test 995"},
        {"mail.test:110", "pop optional mail.test 110"},
        {"mail.test:24", "lmtp optional mail.test 24"},
        {"me@mail.test:465", "smtp implicit me mail.test 465"},
        {"me@mail.test", "smtp required me mail.test 587"},
        {"localhost", "smtp optional localhost 25"},
        {"192.0.2.1", "smtp optional 192.0.2.1 25"},
        {"192.0.2.1:2525", "smtp optional 192.0.2.1 2525"},
        {"[2001:db8::1]", "smtp optional 2001:db8::1 25"},
        {"smtps://me@[::1]:1", "smtp implicit me ::1 1"},
        {"smtp://почта.рф", "smtp optional xn--80a1acny.xn--p1ai 25"},
        {"smtp://я@почта.рф", "smtp required я xn--80a1acny.xn--p1ai 587"},
        {"yandex", "smtp implicit smtp.yandex.test 465 by name"},
        {"ya.test", "smtp implicit smtp.yandex.test 465 by name"},
        {"me@ya.test", "smtp implicit me smtp.yandex.test 465 by name"},
        {"smtp://ya.test", "smtp optional ya.test 25"},
    };
    struct arena a = ARENA_INIT;

    for (size_t i = 0; i < countof(table); i++)
        assert_string_equal(read(table[i].text, &a), table[i].want);
    arena_free(&a);
}

static void errors_say_what_would_be_right(void **state)
{
    static const struct {
        const char *text, *says;
    } table[] = {
        {"", "which server"},
        {"smtp://", "which server"},
        {"smtp://me@", "which server"},
        {"smtp://@mail.test", "before the @"},
        {"smtp://me:secret@mail.test", "--password-file"},
        {"me:secret@mail.test", "--password-file"},
        {"http://mail.test", "\"http://\" is nothing that is spoken here; these are: smtp://"},
        {"://mail.test", "these are: smtp://"},
        {"smtp://mail.test:0", "\"0\" is no port"},
        {"smtp://mail.test:65536", "from 1 to 65535"},
        {"smtp://mail.test:", "\"\" is no port"},
        {"smtp://mail.test:x", "\"x\" is no port"},
        {"smtp://mail.test/inbox", "\"/inbox\": nothing stands behind"},
        {"smtp://mail.test:25//", "nothing stands behind"},
        {"2001:db8::1", "brackets"},
        {"smtp://[::1", "in brackets stands"},
        {"smtp://[mail.test]", "in brackets stands"},
        {"smtp://[127.0.0.1]", "in brackets stands"},
        {"smtp://[::1]25", "[::1]:25"},
        {"smtp://mail test", "is no name of a server"},
        {"smtp://mail..test", "is no name of a server"},
        {"smtp://-", "is no name of a server"},
        {"smtp://m\x01x", "\"m?x\" is no name of a server"},
        {"smtp://\xff", "is no name of a server"},
        {"smtp://a%4@mail.test", "%25 for % itself"},
        {"smtp://a%zz@mail.test", "%25 for % itself"},
        {"smtp://a%00@mail.test", "nobody's login"},
        {"smtp://a%0d%0aQUIT@mail.test", "nobody's login"},
        {"smtp://a%ff@mail.test", "nobody's login"},
        {"mute", "mute: no server of it is known"},
    };
    struct arena a = ARENA_INIT;

    for (size_t i = 0; i < countof(table); i++) {
        const char *got = read(table[i].text, &a);

        if (!strstr(got, table[i].says))
            fail_msg("%s: %s", table[i].text, got);
        assert_null(strstr(got, "secret"));
    }
    arena_free(&a);
}

static void a_user_from_elsewhere(void **state)
{
    static const struct {
        const char *text;
        enum target_tls tls;
        uint16_t port;
    } table[] = {
        {"smtp://mail.test", TARGET_TLS_REQUIRED, 587},
        {"mail.test", TARGET_TLS_REQUIRED, 587},
        {"smtp://mail.test:25", TARGET_TLS_REQUIRED, 25},
        {"smtps://mail.test", TARGET_TLS_IMPLICIT, 465},
        {"pop://mail.test", TARGET_TLS_REQUIRED, 110},
        {"yandex", TARGET_TLS_IMPLICIT, 465},
    };
    struct arena a = ARENA_INIT;
    struct buf error = buf_init(KIB);

    for (size_t i = 0; i < countof(table); i++) {
        struct server_target t;

        assert_true(target_parse(&a, str_c(table[i].text), &known, &t, &error));
        target_log_in(&t, STR("me"));
        assert_true(str_eq_c(t.user, "me"));
        assert_int_equal(t.tls, table[i].tls);
        assert_int_equal(t.port, table[i].port);
    }
    arena_free(&a);
    buf_free(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(a_user_from_elsewhere),
        cmocka_unit_test(errors_say_what_would_be_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
