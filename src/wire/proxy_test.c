/* wire/proxy_test.c - PROXY headers, whole, byte by byte, and broken in each place. */
// SPDX-License-Identifier: ISC
#include "wire/proxy.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What was read, written down: "1 client 192.0.2.1:5 198.51.100.2:25 +3". */
static void endpoint_tell(const struct endpoint *e, struct buf *to)
{
    for (size_t i = 0; i < e->ip_bytes; i++)
        buf_printf(to, "%s%u", i == 0 ? " " : ".", e->ip[i]);
    buf_printf(to, ":%u", e->port);
}

static void tell(struct str in, struct buf *to)
{
    static const char *const speakers[] = {"itself", "somebody", "client"};
    struct proxy_header h;
    const char *error = NULL;
    size_t used = 0;
    enum proxy_event e = proxy_read(in, &h, &used, &error);

    buf_reset(to);
    if (e == PROXY_MORE) {
        buf_add_c(to, "more");
        assert_true(in.n <= PROXY_HEADER_BYTES_MAX);
    } else if (e == PROXY_BAD) {
        buf_printf(to, "bad: %s", error);
    } else {
        assert_true(used > 0 && used <= in.n);
        buf_printf(to, "%u %s", h.version, speakers[h.speaker]);
        if (h.speaker == PROXY_CLIENT) {
            endpoint_tell(&h.client, to);
            endpoint_tell(&h.server, to);
        }
        buf_printf(to, " +%zu", in.n - used);
    }
}

/* A good header is not taken before its last byte, and none of its beginnings is bad. */
static void trickle(struct str in, const char *want)
{
    struct buf told = buf_init(KIB);
    size_t end = in.n;

    for (size_t n = 0; n <= in.n; n++) {
        tell(str_sub(in, 0, n), &told);
        if (end == in.n && !str_eq_c(buf_str(&told), "more"))
            end = n;
        if (n < end)
            assert_string_equal(buf_c(&told), "more");
        else if (str_starts(str_c(want), STR("bad")))
            assert_true(str_starts(buf_str(&told), STR("bad")));
    }
    assert_string_equal(buf_c(&told), want);
    buf_free(&told);
}

static void lines(void **state)
{
    static const struct {
        const char *in, *want;
    } table[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n",
         "1 client 192.0.2.1:40000 198.51.100.2:25 +0"},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\nEHLO x\r\n",
         "1 client 192.0.2.1:0 198.51.100.2:65535 +8"},
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
         "1 client 32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1:1 0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1:2 +0"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:"
         "ffff 65535 65535\r\n",
         "1 client 255.255.255.255.255.255.255.255.255.255.255.255.255.255.255.255:65535 "
         "255.255.255.255.255.255.255.255.255.255.255.255.255.255.255.255:65535 +0"},
        {"PROXY UNKNOWN\r\n", "1 somebody +0"},
        {"PROXY UNKNOWN ffff::1 what ever\r\nx", "1 somebody +1"},
        {"", "more"},
        {"PROXY", "more"},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r", "more"},
        {"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "bad: no PROXY header"},
        {"EHLO client.test\r\n", "bad: no PROXY header"},
        {"\r\n", "more"}, /* so begins the binary form */
        {"\r\nEHLO\r\n", "bad: no PROXY header"},
        {"\x16\x03\x01", "bad: no PROXY header"}, /* TLS */
        {"PROXY\r\n", "bad: no PROXY header"},
        {"PROXY \r\n", "bad: a PROXY line is about TCP4, TCP6 or UNKNOWN"},
        {"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "bad: a PROXY line is about TCP4, TCP6 or UNKNOWN"},
        {"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "bad: a PROXY line is about TCP4, TCP6 or UNKNOWN"},
        {"PROXY TCP4\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 000001 2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 ::1 ::1 1 2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP6 1.2.3.4 ::1 1 2\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", "bad: malformed addresses in a PROXY line"},
        {"PROXY TCP4 1.2.3.4\r1.2.3.4 1 2\r\n", "bad: malformed addresses in a PROXY line"},
    };

    for (size_t i = 0; i < countof(table); i++)
        trickle(str_c(table[i].in), table[i].want);
}

/* 107 bytes with CRLF are a line, 108 are none. */
static void longest_line(void **state)
{
    for (size_t n = 106; n <= 108; n++) {
        struct buf line = buf_init(KIB);

        buf_add_c(&line, "PROXY UNKNOWN ");
        while (line.n < n - 2)
            buf_add_char(&line, 'x');
        buf_add_c(&line, "\r\n");
        trickle(buf_str(&line), n <= 107 ? "1 somebody +0" : "bad: the PROXY line is too long");
        buf_free(&line);
    }
}

/* ---- version 2 ---- */

static void binary(struct buf *to, unsigned command, unsigned family, struct str rest)
{
    buf_reset(to);
    buf_add(to, str_n("\r\n\r\n\0\r\nQUIT\n", 12));
    buf_add_char(to, (char)command);
    buf_add_char(to, (char)family);
    buf_add_char(to, (char)(rest.n >> 8));
    buf_add_char(to, (char)(rest.n & 0xff));
    buf_add(to, rest);
}

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    } /* a constant */
#define FOUR "\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x00\x19"
#define SIX                                                                                        \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x01\x00\x02"

static void binaries(void **state)
{
    static const char unix_pair[216];
    static const struct {
        unsigned command, family;
        struct str rest;
        const char *want;
    } table[] = {
        {0x21, 0x11, BYTES(FOUR), "2 client 192.0.2.1:40000 198.51.100.2:25 +0"},
        {0x21, 0x21, BYTES(SIX),
         "2 client 32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1:1 0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1:2 +0"},
        {0x21, 0x31, {unix_pair, 216}, "2 somebody +0"},
        {0x21, 0x31, {unix_pair, 215}, "bad: a PROXY header without its addresses"},
        {0x21, 0x00, BYTES(""), "2 somebody +0"},
        {0x21, 0x00, BYTES("anything"), "2 somebody +0"},
        {0x20, 0x00, BYTES(""), "2 itself +0"},
        {0x20, 0x11, BYTES(FOUR), "2 itself +0"},
        {0x20, 0xff, BYTES("x"), "2 itself +0"},
        {0x21, 0x11, BYTES(FOUR "\x04\0\3abc"), "2 client 192.0.2.1:40000 198.51.100.2:25 +0"},
        {0x21, 0x11, BYTES(FOUR "\x04\0\0\xee\0\1z"),
         "2 client 192.0.2.1:40000 198.51.100.2:25 +0"},
        {0x21, 0x11, BYTES(FOUR "\x04\0\4abc"),
         "bad: a field of the PROXY header is longer than the header"},
        {0x21, 0x11, BYTES(FOUR "\x04\0"),
         "bad: a field of the PROXY header is longer than the header"},
        {0x21, 0x11, BYTES(FOUR "\3\0\4abcd"), "bad: the checksum of the PROXY header is wrong"},
        {0x21, 0x11, BYTES(FOUR "\3\0\3abc"), "bad: the checksum of the PROXY header is wrong"},
        {0x21, 0x11, BYTES(""), "bad: a PROXY header without its addresses"},
        {0x21, 0x12, BYTES(FOUR), "bad: a PROXY header for something else than a TCP connection"},
        {0x21, 0x41, BYTES(FOUR), "bad: a PROXY header for something else than a TCP connection"},
        {0x22, 0x11, BYTES(FOUR), "bad: unknown version or command of a PROXY header"},
        {0x11, 0x11, BYTES(FOUR), "bad: unknown version or command of a PROXY header"},
        {0x31, 0x11, BYTES(FOUR), "bad: unknown version or command of a PROXY header"},
    };
    struct buf header = buf_init(KIB);

    for (size_t i = 0; i < countof(table); i++) {
        binary(&header, table[i].command, table[i].family, table[i].rest);
        trickle(buf_str(&header), table[i].want);
    }
    buf_free(&header);
}

/* The sum is made over all of the header, itself as zeros; wherever a bit is wrong, it shows. */
static void checksum(void **state)
{
    struct buf header = buf_init(KIB), told = buf_init(KIB);

    binary(&header, 0x21, 0x11, STR(FOUR "\x04\0\2ab\3\0\4\0\0\0\0\x04\0\1c"));

    size_t at = 16 + 12 + 5 + 3;
    uint32_t crc = crc32c(0, header.p, header.n);

    for (size_t i = 0; i < 4; i++)
        header.p[at + i] = (char)(crc >> (24 - 8 * i));
    trickle(buf_str(&header), "2 client 192.0.2.1:40000 198.51.100.2:25 +0");
    for (size_t i = 16; i < header.n; i++) {
        header.p[i] ^= 1;
        tell(buf_str(&header), &told);
        if (i != at - 3) /* or it is no checksum any more */
            assert_false(str_starts(buf_str(&told), STR("2 client")));
        header.p[i] ^= 1;
    }
    buf_free(&header);
    buf_free(&told);
}

static void longest_binary(void **state)
{
    struct buf header = buf_init(64 * KIB), rest = buf_init(64 * KIB), told = buf_init(KIB);

    for (size_t n = PROXY_HEADER_BYTES_MAX - 16; n <= PROXY_HEADER_BYTES_MAX - 15; n++) {
        buf_reset(&rest);
        while (rest.n < n)
            buf_add_char(&rest, 'x');
        binary(&header, 0x20, 0, buf_str(&rest));
        tell(buf_str(&header), &told);
        assert_string_equal(buf_c(&told), n <= PROXY_HEADER_BYTES_MAX - 16
                                              ? "2 itself +0"
                                              : "bad: the PROXY header is too long");
        tell(str_sub(buf_str(&header), 0, 16), &told);
        assert_string_equal(buf_c(&told), n <= PROXY_HEADER_BYTES_MAX - 16
                                              ? "more"
                                              : "bad: the PROXY header is too long");
    }
    buf_free(&header);
    buf_free(&rest);
    buf_free(&told);
}

static void addresses(void **state)
{
    struct endpoint e = {.ip_bytes = 99};
    uint16_t port = 7;

    assert_false(endpoint_parse_ip(STR(""), &e));
    assert_false(endpoint_parse_ip(STR("a"), &e));
    assert_false(endpoint_parse_ip(STR("1.2.3.4\0"), &e));
    assert_int_equal(e.ip_bytes, 99);
    assert_true(endpoint_parse_ip(STR("1.2.3.4"), &e) && e.ip_bytes == 4);
    assert_true(endpoint_parse_ip(STR("::"), &e) && e.ip_bytes == 16);
    assert_false(port_parse(STR(""), &port) || port_parse(STR("65536"), &port));
    assert_int_equal(port, 7);
    assert_true(port_parse(STR("65535"), &port) && port == 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),    cmocka_unit_test(longest_line),   cmocka_unit_test(binaries),
        cmocka_unit_test(checksum), cmocka_unit_test(longest_binary), cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
