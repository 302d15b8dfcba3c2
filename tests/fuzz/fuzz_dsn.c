/* fuzz_dsn.c - reports about anything: lines of legal length in CRLF, a header that parses back and
 * has each field once, and the boundary where it belongs, whatever ENVID, ORCPT, the answer of the
 * other server and the original hold. Fields are separated by a byte 0xff. */
// links: base mail
// SPDX-License-Identifier: ISC
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPORT_BYTES_MAX = 4 * MIB };

static struct str next(struct str *in)
{
    return str_cut(in, '\xff');
}

/* controls: only a whole original brings any. */
static bool byte_is_legal(char c, bool is_8bit, bool controls)
{
    bool plain = (c >= ' ' && c <= '~') || c == '\t' || c == '\x1a';

    return (unsigned char)c >= 0x80 ? is_8bit : plain || (controls && c != '\0');
}

static void lines_are_legal(struct str s, bool is_8bit, bool controls)
{
    while (s.n > 0) {
        struct str line = str_cut(&s, '\n');
        check(line.n > 0 && line.n <= 999 && line.p[line.n - 1] == '\r');
        check(str_find(line, '\r') == line.n - 1);
        for (size_t i = 0; i + 1 < line.n; i++)
            check(byte_is_legal(line.p[i], is_8bit, controls));
    }
}

static size_t count_fields(struct str section, const char *name)
{
    struct header_field f;
    size_t count = 0;

    while (header_next(&section, &f))
        count += str_eq_nocase(f.name, str_c(name));
    return count;
}

/* The parts of the report: the first ends where the second begins. */
static size_t split(struct str report, struct str *parts, size_t room)
{
    struct header_field type;
    struct buf delimiter = buf_init(256);
    size_t count = 0;

    check(header_find(report, "Content-Type", &type));
    struct str boundary = str_skip(type.body, str_find(type.body, '"') + 1);
    boundary = str_cut(&boundary, '"');
    buf_printf(&delimiter, "\r\n--%.*s", STR_ARG(boundary));
    for (;;) {
        size_t at = str_find_str(report, buf_str(&delimiter));
        check(count < room);
        parts[count++] = str_sub(report, 0, at);
        if (at == report.n)
            break;
        report = str_skip(report, at + delimiter.n);
    }
    buf_free(&delimiter);
    return count;
}

static void look_at(struct str report, const struct dsn *d)
{
    struct str parts[6];
    bool is_8bit = dsn_is_8bit(d) || dsn_header_is_utf8(d);
    size_t count = split(report, parts, countof(parts));
    bool quotes = d->original_header.n > 0 || d->original.n > 0;

    check(count == 4 || (count == 5 && quotes));
    check(str_eq_c(parts[count - 1], "--\r\n"));
    lines_are_legal(report, is_8bit, d->original.n > 0);
    check(count_fields(parts[0], "Subject") == 1 && count_fields(parts[0], "To") == 1);
    check(count_fields(parts[0], "Bcc") == 0);
    struct str fields = str_skip(parts[2], 2); /* CRLF behind the boundary */
    check(header_bytes(fields) > 0);
    fields = str_skip(fields, header_bytes(fields) + 2);
    check(count_fields(fields, "Reporting-MTA") == 1);
    check(count_fields(fields, "Original-Envelope-Id") == (d->envid.n > 0));
    fields = str_skip(fields, header_bytes(fields) + 2);
    check(count_fields(fields, "Action") == 1 && count_fields(fields, "Final-Recipient") == 1);
    check(count_fields(fields, "Status") == 1);
    check(count_fields(fields, "Original-Recipient") <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n((const char *)data, size);
    struct buf b = buf_init(REPORT_BYTES_MAX);

    if (size < 2 || size > 256 * KIB)
        return 0;
    uint8_t action = data[0], code = data[1];
    in = str_skip(in, 2);
    struct dsn_recipient r = {.action = (enum dsn_action)(action % DSN_ACTION_COUNT),
                              .original = next(&in),
                              .final = next(&in),
                              .orcpt = next(&in),
                              .remote = next(&in),
                              .next_hop = next(&in),
                              .last_attempt_us = UINT64_C(1795197860000000),
                              .until_us = UINT64_C(1795197860000000)};
    struct dsn d = {.reporting_host = STR("mx.example.org"),
                    .original_id = {.key = 1, .node = 1},
                    .now_us = 1,
                    .recipients = &r,
                    .recipient_count = 1};

    r.status = code & 1 ? status_from_reply((uint16_t)(400 + code), next(&in))
                        : reply_status((enum reply_name)(code % REPLY_COUNT), next(&in));
    d.to = next(&in);
    d.envid = next(&in);
    d.expired = action & 0x80;
    d.utf8 = action & 0x40;
    d.original_header = next(&in);
    d.original = in;
    if (d.original.n + d.original_header.n > 128 * KIB)
        return 0;
    dsn_print(&b, &d);
    check(!b.full);
    look_at(buf_str(&b), &d);
    buf_free(&b);
    return 0;
}
