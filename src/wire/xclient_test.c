// SPDX-License-Identifier: ISC
#include "wire/xclient.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *syntax_error(struct str line, struct arena *a, struct smtp_command *c)
{
    struct parse_error error = {.text = NULL};

    return smtp_command_parse(line, false, a, c, &error) == SYNTAX_OK ? NULL : error.text;
}

/* "name=a.test ip=4 port=25 esmtp", in the order of the bits; an error as it is. */
static void tell(const char *line, struct buf *to)
{
    struct arena a = ARENA_INIT;
    struct smtp_command c;
    struct xclient x;
    const char *wrong = syntax_error(str_c(line), &a, &c);

    if (!wrong)
        wrong = xclient_parse(&c, &a, &x);
    if (wrong) {
        buf_add_c(to, wrong);
        arena_free(&a);
        return;
    }
    if (x.said & XCLIENT_NAME)
        buf_printf(to, "name=%.*s%s ", STR_ARG(x.name), x.name_later ? "later" : "");
    if (x.said & XCLIENT_ADDR)
        buf_printf(to, "addr=%zu/%u ", x.client.ip_bytes, x.client.ip[x.client.ip_bytes / 2]);
    if (x.said & XCLIENT_PORT)
        buf_printf(to, "port=%u ", x.client.port);
    if (x.said & XCLIENT_PROTO)
        buf_printf(to, "proto=%s ", x.extended ? "ESMTP" : "SMTP");
    if (x.said & XCLIENT_HELO)
        buf_printf(to, "helo=%.*s ", STR_ARG(x.helo));
    if (x.said & XCLIENT_LOGIN)
        buf_printf(to, "login=%.*s ", STR_ARG(x.login));
    if (x.said & XCLIENT_DESTADDR)
        buf_printf(to, "destaddr=%zu ", x.server.ip_bytes);
    if (x.said & XCLIENT_DESTPORT)
        buf_printf(to, "destport=%u ", x.server.port);
    arena_free(&a);
}

#define NAME_FORM "NAME takes a host name, [UNAVAILABLE] or [TEMPUNAVAIL]"
#define ADDR_FORM "ADDR takes 192.0.2.1, IPV6:2001:db8::1 or [UNAVAILABLE]"

static void attributes(void **state)
{
    static const struct {
        const char *line, *want;
    } table[] = {
        {"XCLIENT NAME=spike.test ADDR=168.100.7.2", "name=spike.test addr=4/7 "},
        {"xclient name=spike.test addr=ipv6:2001:db8::1", "name=spike.test addr=16/0 "},
        {"XCLIENT NAME=[UNAVAILABLE]", "name= "},
        {"XCLIENT NAME=[unavailable]", "name= "},
        {"XCLIENT NAME=[TempUnavail]", "name=later "},
        {"XCLIENT NAME=+5BUNAVAILABLE+5D", "name= "},
        {"XCLIENT NAME=[192.0.2.1]", NAME_FORM},
        {"XCLIENT NAME=a..b", NAME_FORM},
        {"XCLIENT NAME=a+20b", NAME_FORM},
        {"XCLIENT NAME=+00", NAME_FORM},
        {"XCLIENT NAME=a+2", NAME_FORM},
        {"XCLIENT ADDR=[UNAVAILABLE]", "addr=0/0 "},
        {"XCLIENT ADDR=::1", ADDR_FORM},
        {"XCLIENT ADDR=IPV6:1.2.3.4", ADDR_FORM},
        {"XCLIENT ADDR=[1.2.3.4]", ADDR_FORM},
        {"XCLIENT ADDR=1.2.3", ADDR_FORM},
        {"XCLIENT ADDR=1.2.3.4 PORT=65535", "addr=4/3 port=65535 "},
        {"XCLIENT PORT=25 ADDR=1.2.3.4", "addr=4/3 port=25 "},
        {"XCLIENT PORT=[UNAVAILABLE]", "port=0 "},
        {"XCLIENT PORT=65536", "PORT takes a number or [UNAVAILABLE]"},
        {"XCLIENT PROTO=esmtp", "proto=ESMTP "},
        {"XCLIENT PROTO=SMTP", "proto=SMTP "},
        {"XCLIENT PROTO=LMTP", "PROTO takes SMTP or ESMTP"},
        {"XCLIENT HELO=my+2Bname LOGIN=me+40x.test", "helo=my+name login=me@x.test "},
        {"XCLIENT HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]", "helo= login= "},
        {"XCLIENT DESTADDR=IPV6:::1 DESTPORT=25", "destaddr=16 destport=25 "},
        {"XCLIENT DESTADDR=x", "DESTADDR takes 192.0.2.1, IPV6:2001:db8::1 or [UNAVAILABLE]"},
        {"XCLIENT DESTPORT=x", "DESTPORT takes a number or [UNAVAILABLE]"},
        {"XCLIENT", "the form is XCLIENT ADDR=192.0.2.1 NAME=their.name"},
        {"XCLIENT ADDR", ADDR_FORM},
        {"XCLIENT ADDR=", "malformed parameter; the form is NAME=value"},
        {"XCLIENT 1.2.3.4", "malformed parameter; the form is NAME=value"},
        {"XCLIENT PORT=1 PORT=2", "the same parameter twice"},
        {"XCLIENT SHOE=42", "XCLIENT has the attributes " XCLIENT_ATTRIBUTES},
    };

    for (size_t i = 0; i < countof(table); i++) {
        struct buf told = buf_init(KIB);

        tell(table[i].line, &told);
        assert_string_equal(buf_c(&told), table[i].want);
        buf_free(&told);
    }
}

/* 255 characters are a name of a client, 256 are not. */
static void longest_helo(void **state)
{
    for (size_t n = 255; n <= 256; n++) {
        struct buf line = buf_init(KIB), told = buf_init(KIB);

        buf_add_c(&line, "XCLIENT HELO=");
        for (size_t i = 0; i < n; i++)
            buf_add_char(&line, 'a');
        tell(buf_c(&line), &told);
        assert_int_equal(str_starts(buf_str(&told), STR("helo=aaa")), n == 255);
        buf_free(&line);
        buf_free(&told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes),
        cmocka_unit_test(longest_helo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
