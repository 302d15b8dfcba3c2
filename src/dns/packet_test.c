// SPDX-License-Identifier: ISC
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "dns/packet.h"

#define HEAD(rcode, answers) "\x12\x34\x81" rcode "\0\1\0" answers "\0\0\0\0"
/* The question: example.org begins at 12, org at 20. */
#define ASKED(type) "\7eXample\3org\0\0" type "\0\1"
#define RR(type, length) "\xc0\x0c\0" type "\0\1\0\0\0\x3c\0" length

static const struct {
    const char *what;
    struct str bytes;
    enum dns_type type;
    const char *want; /* NULL: refused */
} cases[] = {
#define CASE(what_, bytes_, type_, want_)                                                          \
    {                                                                                              \
        what_, {bytes_, sizeof(bytes_) - 1}, type_, want_                                          \
    }
    CASE("an address", HEAD("\x80", "\1") ASKED("\1") RR("\1", "\4") "\xc0\0\2\1", DNS_A,
         "0: 192.0.2.1"),
    CASE("two, and one of another type",
         HEAD("\x80", "\3") ASKED("\1")
             RR("\1", "\4") "\xc0\0\2\1" RR("\x10", "\2") "\1x" RR("\1", "\4") "\xc0\0\2\2",
         DNS_A, "0: 192.0.2.1 192.0.2.2"),
    CASE("an address of IPv6",
         HEAD("\x80", "\1") ASKED("\x1c")
             RR("\x1c", "\x10") "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1",
         DNS_AAAA, "0: 2001:db8::1"),
    CASE("MX with a compressed name",
         HEAD("\x80", "\2") ASKED("\xf")
             RR("\xf", "\7") "\0\xa\2mx\xc0\x0c" RR("\xf", "\6") "\1\0\1b\xc0\x14",
         DNS_MX, "0: 10/mx.example.org 256/b.org"),
    CASE("null MX", HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\3") "\0\0\0", DNS_MX, "0: 0/"),
    CASE("MX with bytes that no host has",
         HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\x8") "\0\0\4a.b\n\0", DNS_MX, "0: 0/!"),
    CASE("PTR", HEAD("\x80", "\1") ASKED("\xc") RR("\xc", "\4") "\1A\xc0\x0c", DNS_PTR,
         "0: /a.example.org"),
    CASE("NS", HEAD("\x80", "\1") ASKED("\2") RR("\2", "\5") "\2ns\xc0\x0c", DNS_NS,
         "0: /ns.example.org"),
    CASE("TXT of two strings", HEAD("\x80", "\1") ASKED("\x10") RR("\x10", "\6") "\3v=x\1;",
         DNS_TXT, "0: 'v=x;'"),
    CASE("TXT with nothing in it",
         HEAD("\x80", "\2") ASKED("\x10") RR("\x10", "\0") RR("\x10", "\1") "\0", DNS_TXT,
         "0: '' ''"),
    CASE("TXT whose string is longer than its record",
         HEAD("\x80", "\1") ASKED("\x10") RR("\x10", "\3") "\3v=x", DNS_TXT, NULL),
    CASE("SRV", HEAD("\x80", "\1") ASKED("\x21") RR("\x21", "\xb") "\0\1\0\2\1\xd1\2mx\xc0\x0c",
         DNS_SRV, "0: 1/2/465/mx.example.org"),
    CASE("SRV without a name", HEAD("\x80", "\1") ASKED("\x21") RR("\x21", "\5") "\0\1\0\2\1",
         DNS_SRV, NULL),
    CASE("TLSA", HEAD("\x80", "\1") ASKED("\x34") RR("\x34", "\5") "\3\1\2\xab\xcd", DNS_TLSA,
         "0: 3/1/2/abcd"),
    CASE("TLSA without what it compares with",
         HEAD("\x80", "\1") ASKED("\x34") RR("\x34", "\3") "\3\1\2", DNS_TLSA, "0: 3/1/2/"),
    CASE("TLSA that is cut", HEAD("\x80", "\1") ASKED("\x34") RR("\x34", "\2") "\3\1", DNS_TLSA,
         NULL),
    CASE("nothing", HEAD("\x80", "\0") ASKED("\xf"), DNS_MX, "0:"),
    CASE("no such name", HEAD("\x83", "\0") ASKED("\xf"), DNS_MX, "3:"),
    CASE("a CNAME and its target",
         HEAD("\x80", "\2") ASKED("\1") RR("\5", "\4") "\1w\xc0\x14\1w\xc0\x14\0\1\0\1\0\0\0\0\0\4"
                                                       "\xc0\0\2\7",
         DNS_A, "0: 192.0.2.7 (1 w.org)"),
    CASE("the same in the other order",
         HEAD("\x80", "\2")
             ASKED("\1") "\1w\xc0\x14\0\1\0\1\0\0\0\0\0\4\xc0\0\2\7" RR("\5", "\4") "\1W\xc0\x14",
         DNS_A, "0: 192.0.2.7 (1 w.org)"),
    CASE("records of others do not count",
         HEAD("\x80", "\1") ASKED("\1") "\1w\xc0\x14\0\1\0\1\0\0\0\0\0\4\xc0\0\2\7", DNS_A, "0:"),
    CASE("a CNAME to itself ends", HEAD("\x80", "\1") ASKED("\1") RR("\5", "\2") "\xc0\x0c", DNS_A,
         "0: (12 example.org)"),
    CASE("another class", HEAD("\x80", "\1") ASKED("\1") "\xc0\x0c\0\1\0\3\0\0\0\0\0\4\xc0\0\2\7",
         DNS_A, "0:"),
    CASE("a question", "\x12\x34\1\0\0\1\0\0\0\0\0\0" ASKED("\1"), DNS_A, NULL),
    CASE("an answer to something else", HEAD("\x80", "\0") ASKED("\1"), DNS_MX, NULL),
    CASE("an address of 3 bytes", HEAD("\x80", "\1") ASKED("\1") RR("\1", "\3") "\xc0\0\2", DNS_A,
         NULL),
    CASE("a record that is cut", HEAD("\x80", "\1") ASKED("\1") RR("\1", "\4") "\xc0\0\2", DNS_A,
         NULL),
    CASE("fewer records than said", HEAD("\x80", "\2") ASKED("\1") RR("\1", "\4") "\xc0\0\2\1",
         DNS_A, NULL),
    CASE("a name beyond its record",
         HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\4") "\0\1\7mxxxxxx\0", DNS_MX, NULL),
    CASE("bytes behind the name", HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\6") "\0\1\1m\0\0",
         DNS_MX, NULL),
    CASE("an MX without a name", HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\1") "\0", DNS_MX,
         NULL),
    CASE("a pointer to itself", HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\4") "\0\1\xc0\x2b",
         DNS_MX, NULL),
    CASE("a pointer into the header", HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\4") "\0\1\xc0\2",
         DNS_MX, NULL),
    CASE("an unknown kind of label", HEAD("\x80", "\1") ASKED("\xf") RR("\xf", "\5") "\0\1\x81xx",
         DNS_MX, NULL),
    CASE("nothing at all", "", DNS_A, NULL),
    CASE("a type that nobody asks for", HEAD("\x80", "\0") ASKED("\x11"), (enum dns_type)17, NULL),
};

static void print_record(const struct dns_record *r, enum dns_type type, struct buf *to)
{
    char text[INET6_ADDRSTRLEN];

    if (type == DNS_A || type == DNS_AAAA)
        buf_printf(to, " %s",
                   inet_ntop(type == DNS_A ? AF_INET : AF_INET6, r->address, text, sizeof text));
    else if (type == DNS_MX)
        buf_printf(to, " %u/%.*s%s", r->preference, STR_ARG(r->name), r->is_host ? "" : "!");
    else if (type == DNS_SRV)
        buf_printf(to, " %u/%u/%u/%.*s", r->preference, r->weight, r->port, STR_ARG(r->name));
    else if (type == DNS_TXT)
        buf_printf(to, " '%.*s'", STR_ARG(r->bytes));
    else if (type == DNS_TLSA)
        buf_printf(to, " %u/%u/%u/", r->usage, r->selector, r->matching);
    else
        buf_printf(to, " /%.*s", STR_ARG(r->name));
    for (size_t i = 0; type == DNS_TLSA && i < r->bytes.n; i++)
        buf_printf(to, "%02x", (uint8_t)r->bytes.p[i]);
}

static void print(const struct dns_packet *k, enum dns_type type, struct buf *to)
{
    buf_printf(to, "%u:", k->rcode);
    for (size_t i = 0; i < k->count; i++)
        print_record(&k->records[i], type, to);
    if (k->cname_count > 0)
        buf_printf(to, " (%zu %.*s)", k->cname_count, STR_ARG(k->canonical));
}

static void test_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena a = ARENA_INIT;
        struct dns_packet k = {.rcode = 99};
        struct buf got = buf_init(4 * KIB);
        bool good = dns_packet_parse(cases[i].bytes, cases[i].type, &a, &k);

        if (good)
            print(&k, cases[i].type, &got);
        else
            assert_int_equal(k.rcode, 99);
        if (good != (cases[i].want != NULL) || (good && strcmp(buf_c(&got), cases[i].want) != 0))
            fail_msg("%s: got %s", cases[i].what, good ? buf_c(&got) : "a refusal");
        buf_free(&got);
        arena_free(&a);
    }
}

/* Cut anywhere, a good answer is none; in memory of just its size, for the sanitizer. */
static void test_cut_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        for (size_t n = 0; cases[i].want && n < cases[i].bytes.n; n++) {
            struct arena a = ARENA_INIT;
            struct dns_packet k;
            char *cut = malloc(n + (n == 0));

            assert_non_null(cut);
            memcpy(cut, cases[i].bytes.p, n);
            if (dns_packet_parse(str_n(cut, n), cases[i].type, &a, &k))
                fail_msg("%s: %zu bytes of it are taken", cases[i].what, n);
            free(cut);
            arena_free(&a);
        }
    }
}

static void test_sizes(void **state)
{
    enum { MANY = 300 };
    static const char head[] = HEAD("\x80", "\0") ASKED("\1");
    static const char record[] = RR("\1", "\4") "\xc0\0\2\1";
    struct buf many = buf_init(16 * KIB);
    struct arena a = ARENA_INIT;
    struct dns_packet k;

    (void)state;
    buf_add(&many, str_n(head, sizeof head - 1));
    for (size_t i = 0; i < MANY; i++)
        buf_add(&many, str_n(record, sizeof record - 1));
    many.p[6] = MANY >> 8;
    many.p[7] = MANY & 0xff;
    assert_true(dns_packet_parse(buf_str(&many), DNS_A, &a, &k));
    assert_int_equal(k.count, DNS_RECORDS_MAX);
    arena_free(&a);
    buf_free(&many);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } names[] = {
        {"example.org", true},
        {"example.org.", true},
        {"org", true},
        {"", true},
        {".", true},
        {"_25._tcp.a-b.x", true},
        {"a..b", false},
        {"a..", false},
        {".a", false},
        {"a b", false},
        {"a\\.b", false},
        {"a\xc3\xa4", false},
        {"[192.0.2.1]", false},
    };
    char label[80], whole[400];

    (void)state;
    for (size_t i = 0; i < countof(names); i++)
        if (dns_name_valid(str_c(names[i].name)) != names[i].valid)
            fail_msg("%s", names[i].name);
    memset(label, 'x', sizeof label);
    assert_true(dns_name_valid(str_n(label, 63)));
    assert_false(dns_name_valid(str_n(label, 64)));
    for (size_t i = 0; i < sizeof whole; i++)
        whole[i] = i % 2 ? '.' : 'y';
    assert_true(dns_name_valid(str_n(whole, 253)));
    assert_false(dns_name_valid(str_n(whole, 255)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets),
        cmocka_unit_test(test_cut_packets),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
