/* dns/fake.c - see fake.h. */
// SPDX-License-Identifier: ISC
#include "dns/fake.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "dns/internal.h"

enum { PACKET_BYTES_MAX = 16 * 1024, LINKS_MAX = 8 };

struct answer {
    struct buf records;
    unsigned count;
    bool exists, secure;
};

static void add_u16(struct buf *to, unsigned v)
{
    buf_add_char(to, (char)(v >> 8));
    buf_add_char(to, (char)(v & 0xff));
}

static void add_name(struct buf *to, struct str name)
{
    while (name.n > 0) {
        struct str label = str_cut(&name, '.');

        if (label.n == 0)
            break;
        buf_add_char(to, (char)label.n);
        buf_add(to, label);
    }
    buf_add_char(to, '\0');
}

static unsigned cut_number(struct str *rest)
{
    uint64_t v = 0;

    check(str_u64(str_cut_word(rest), &v));
    return (unsigned)v;
}

static void add_address(struct buf *to, enum dns_type type, struct str text)
{
    uint8_t address[16];

    check(inet_pton(type == DNS_A ? AF_INET : AF_INET6, text.p, address) == 1);
    buf_add(to, str_n((const char *)address, type == DNS_A ? 4 : 16));
}

static void add_text(struct buf *to, struct str text)
{
    do {
        struct str part = str_sub(text, 0, 255);

        buf_add_char(to, (char)part.n);
        buf_add(to, part);
        text = str_skip(text, part.n);
    } while (text.n > 0);
}

static unsigned hex_digit(char c)
{
    return char_is_digit(c) ? (unsigned)(c - '0') : (unsigned)(char_lower(c) - 'a' + 10);
}

static void add_hex(struct buf *to, struct str digits)
{
    for (size_t i = 0; i + 1 < digits.n; i += 2)
        buf_add_char(to, (char)(hex_digit(digits.p[i]) << 4 | hex_digit(digits.p[i + 1])));
}

static void add_tlsa(struct buf *to, struct str rest)
{
    for (size_t i = 0; i < 3; i++)
        buf_add_char(to, (char)cut_number(&rest));
    add_hex(to, rest);
}

static void add_content(struct buf *to, enum dns_type type, const char *value)
{
    size_t numbers = type == DNS_MX ? 1 : type == DNS_SRV ? 3 : 0;
    struct str rest = str_c(value);

    if (type == DNS_A || type == DNS_AAAA) {
        add_address(to, type, rest);
    } else if (type == DNS_TXT) {
        add_text(to, rest);
    } else if (type == DNS_TLSA) {
        add_tlsa(to, rest);
    } else {
        for (size_t i = 0; i < numbers; i++)
            add_u16(to, cut_number(&rest));
        add_name(to, rest);
    }
}

static void add_record(struct answer *w, const struct dns_fake_row *row)
{
    struct buf content = buf_init(4096);

    add_content(&content, row->type, row->value);
    add_name(&w->records, str_c(row->name));
    add_u16(&w->records, row->type);
    add_u16(&w->records, 1);
    buf_add(&w->records, STR("\0\0\0\x3c"));
    add_u16(&w->records, (unsigned)content.n);
    buf_add(&w->records, buf_str(&content));
    buf_free(&content);
    w->count++;
    w->secure = w->secure && row->secure;
}

/* Adds the records of the name; where a CNAME leads, or NULL. */
static const char *add_records(const struct dns *d, struct str name, enum dns_type type,
                               struct answer *w, const char **word)
{
    const struct dns_fake_row *rows = d->rows;
    const char *next = NULL;

    w->exists = false;
    for (size_t i = 0; i < d->row_count; i++) {
        if (!str_eq_nocase(str_c(rows[i].name), name))
            continue;
        w->exists = true;
        if (rows[i].type != type && rows[i].type != DNS_CNAME)
            continue;
        if (strcmp(rows[i].value, "SERVFAIL") == 0 || strcmp(rows[i].value, "BOGUS") == 0 ||
            strcmp(rows[i].value, "SILENCE") == 0) {
            *word = rows[i].value;
            return NULL;
        }
        add_record(w, &rows[i]);
        if (rows[i].type == DNS_CNAME)
            next = rows[i].value;
    }
    return next;
}

static void answer(struct dns_pending *p, struct answer *w)
{
    struct buf packet = buf_init(PACKET_BYTES_MAX);
    enum dns_security security = w->secure && w->count > 0 ? DNS_SECURE : DNS_INSECURE;

    buf_add(&packet, STR("\0\0"));
    add_u16(&packet, 0x8180U | (w->exists ? DNS_RCODE_OK : DNS_RCODE_NO_NAME));
    add_u16(&packet, 1);
    add_u16(&packet, w->count);
    buf_add(&packet, STR("\0\0\0\0"));
    add_name(&packet, str_c(p->name));
    add_u16(&packet, p->type);
    add_u16(&packet, 1);
    buf_add(&packet, buf_str(&w->records));
    check(!packet.full);
    dns_pending_answered(p, 0, security, NULL, buf_str(&packet));
    buf_free(&packet);
}

static bool fake_ask(struct dns *d, struct dns_pending *p)
{
    struct answer w = {.records = buf_init(PACKET_BYTES_MAX), .secure = true};
    const char *word = NULL;
    const char *next = p->name;

    for (size_t i = 0; next && i < LINKS_MAX; i++)
        next = add_records(d, str_c(next), p->type, &w, &word);
    if (!word)
        answer(p, &w);
    else if (strcmp(word, "SILENCE") != 0)
        dns_pending_answered(p, DNS_RCODE_SERVFAIL,
                             strcmp(word, "BOGUS") == 0 ? DNS_BOGUS : DNS_INSECURE, NULL, STR_NONE);
    buf_free(&w.records);
    return true;
}

static void fake_free(struct dns *d) {}

struct dns *dns_fake_new(struct loop *l, const struct dns_fake_row *rows, size_t count)
{
    static const struct dns_backend backend = {fake_ask, fake_free};
    struct dns *d = dns_make(l, &backend);

    d->rows = rows;
    d->row_count = count;
    return d;
}
