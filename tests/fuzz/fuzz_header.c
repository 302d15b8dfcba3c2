/* Any bytes as a message: fields lie one behind the other, and the streaming scan, cut anywhere,
 * sees the same as the walk. First byte: where to cut. The delivery report about it stays 7-bit. */
// links: base mail
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "mail/dsn.h"
#include "mail/header.h"

struct facts {
    uint32_t received_count;
    bool has_date, has_message_id, has_from;
};

static struct facts walk(struct str message)
{
    struct str rest = message;
    struct header_field field;
    struct facts f = {0};
    size_t bytes = 0;

    while (header_next(&rest, &field)) {
        check(field.name.n > 0 && field.all.p == message.p + bytes);
        check(field.name.n + 1 + field.body.n <= field.all.n);
        bytes += field.all.n;
        f.received_count += str_eq_nocase(field.name, STR("Received"));
        f.has_date |= str_eq_nocase(field.name, STR("Date"));
        f.has_message_id |= str_eq_nocase(field.name, STR("Message-ID"));
        f.has_from |= str_eq_nocase(field.name, STR("From"));
    }
    check(bytes == header_bytes(message));
    check(str_ends(message, rest));
    return f;
}

static void check_scan(struct str message, size_t step, struct facts f)
{
    struct header_scan h;

    header_scan_init(&h);
    for (size_t at = 0; at < message.n; at += step)
        header_scan_feed(&h, str_sub(message, at, at + step));
    check(h.received_count == f.received_count);
    check(h.has_date == f.has_date);
    check(h.has_message_id == f.has_message_id);
    check(h.has_from == f.has_from);
}

static void check_report(struct str message)
{
    struct dsn_recipient r = {
        .final = STR("a@b"),
        .remote = str_sub(message, 0, 300),
        .status = status_from_reply(550, message),
    };
    struct dsn d = {
        .reporting_host = STR("mx.example.org"),
        .to = STR("c@d"),
        .now_us = 1,
        .original_header = message,
        .recipients = &r,
        .recipient_count = 1,
    };
    struct buf b = buf_init(MIB);

    dsn_print(&b, &d);
    check(!b.full);
    struct str body = str_skip(buf_str(&b), header_bytes(buf_str(&b)));
    size_t delimiters = 0;
    while (body.n > 0) {
        struct str line = str_cut(&body, '\n');
        check(line.n > 0 && line.n <= 999 && line.p[line.n - 1] == '\r');
        delimiters += str_starts(line, STR("--=_"));
        for (size_t i = 0; i + 1 < line.n; i++)
            check((line.p[i] >= ' ' && line.p[i] <= '~') || line.p[i] == '\t');
    }
    check(delimiters == (message.n > 0 ? 4 : 3));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    struct str message = str_n((const char *)p + 1, n - 1);
    struct facts f = walk(message);

    check_scan(message, 1, f);
    check_scan(message, (size_t)p[0] + 1, f);
    check_report(message);
    return 0;
}
