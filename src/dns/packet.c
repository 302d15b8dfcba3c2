/* dns/packet.c - see packet.h. */
// SPDX-License-Identifier: ISC
#include "dns/packet.h"

#include <string.h>

#include "base/check.h"

enum { HEADER_BYTES = 12, LABEL_BYTES_MAX = 63, CLASS_IN = 1, FLAG_ANSWER = 0x8000 };

struct wire_name { /* in lower case, so that equal names are equal bytes */
    uint8_t bytes[DNS_NAME_BYTES_MAX];
    size_t n; /* with the empty label at its end */
};

struct packet {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};

struct record {
    struct wire_name owner;
    unsigned type, class;
    size_t data, end; /* where its content begins, and ends */
};

/* ---- bytes ---- */

static unsigned take_u8(struct packet *k)
{
    if (k->at >= k->n) {
        k->bad = true;
        return 0;
    }
    return k->p[k->at++];
}

static unsigned take_u16(struct packet *k)
{
    unsigned high = take_u8(k);

    return high << 8 | take_u8(k);
}

static void skip(struct packet *k, size_t n)
{
    if (k->n - k->at < n)
        k->bad = true;
    else
        k->at += n;
}

/* ---- names ---- */

static void add_label(struct packet *k, struct wire_name *to, size_t length)
{
    if (k->n - k->at < length || to->n + 1 + length + 1 > sizeof to->bytes) {
        k->bad = true;
        return;
    }
    to->bytes[to->n++] = (uint8_t)length;
    for (size_t i = 0; i < length; i++)
        to->bytes[to->n++] = (uint8_t)char_lower((char)k->p[k->at++]);
}

/* Each pointer leads to before everything that was read of this name: so it ends. */
static void take_name(struct packet *k, struct wire_name *to)
{
    size_t least = k->at;
    size_t after = 0; /* the first pointer, or 0 */
    unsigned length;

    to->n = 0;
    while ((length = take_u8(k)) > 0 && !k->bad) {
        if (length <= LABEL_BYTES_MAX) {
            add_label(k, to, length);
            continue;
        }
        size_t target = (length & 0x3f) << 8 | take_u8(k);
        if (length < 0xc0 || target < HEADER_BYTES || target >= least) {
            k->bad = true;
            return;
        }
        after = after ? after : k->at;
        k->at = least = target;
    }
    to->bytes[to->n++] = 0;
    if (after && !k->bad)
        k->at = after;
}

static bool name_eq(const struct wire_name *a, const struct wire_name *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static bool is_host_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '_';
}

/* As text; false when a label has bytes that no host name has (a dot among them). */
static bool name_text(const struct wire_name *name, struct arena *a, struct str *ret)
{
    char text[DNS_NAME_BYTES_MAX];
    size_t n = 0;

    for (size_t at = 0; name->bytes[at] > 0; at += name->bytes[at] + 1U) {
        if (n > 0)
            text[n++] = '.';
        for (size_t i = 1; i <= name->bytes[at]; i++) {
            char c = (char)name->bytes[at + i];

            if (!is_host_char(c))
                return false;
            text[n++] = c;
        }
    }
    *ret = arena_copy(a, str_n(text, n));
    return true;
}

bool dns_name_valid(struct str name)
{
    size_t wire_bytes = 1;

    if (str_ends(name, STR(".")))
        name.n--;
    struct str rest = name;
    while (rest.n > 0) {
        struct str label = str_cut(&rest, '.');

        if (label.n == 0 || label.n > LABEL_BYTES_MAX)
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!is_host_char(label.p[i]))
                return false;
        wire_bytes += label.n + 1;
    }
    return !str_ends(name, STR(".")) && wire_bytes <= DNS_NAME_BYTES_MAX;
}

/* ---- records ---- */

static bool take_record(struct packet *k, struct record *r)
{
    take_name(k, &r->owner);
    r->type = take_u16(k);
    r->class = take_u16(k);
    skip(k, 4); /* its time to live is the resolver's matter */
    size_t bytes = take_u16(k);
    r->data = k->at;
    skip(k, bytes);
    r->end = k->at;
    return !k->bad;
}

/* The name that a record's content ends with, at `from`. */
static bool content_name(const struct packet *k, const struct record *r, size_t from,
                         struct wire_name *to)
{
    struct packet content = {.p = k->p, .n = r->end, .at = from};

    take_name(&content, to);
    return !content.bad && content.at == r->end;
}

static bool read_bytes(const struct packet *k, const struct record *r, struct arena *a,
                       struct dns_record *to)
{
    memcpy(to->address, k->p + r->data, r->end - r->data);
    return true;
}

static bool read_name(const struct packet *k, const struct record *r, size_t from, struct arena *a,
                      struct dns_record *to)
{
    struct wire_name name;

    if (from > r->end || !content_name(k, r, from, &name))
        return false;
    to->is_host = name_text(&name, a, &to->name);
    return true;
}

static bool read_ptr(const struct packet *k, const struct record *r, struct arena *a,
                     struct dns_record *to)
{
    return read_name(k, r, r->data, a, to);
}

/* RFC 7208 3.3 and the like: what stands in several strings is one text. */
static bool read_txt(const struct packet *k, const struct record *r, struct arena *a,
                     struct dns_record *to)
{
    struct packet content = {.p = k->p, .n = r->end, .at = r->data};
    char *text = arena_alloc(a, r->end - r->data + 1);
    size_t n = 0;

    while (content.at < r->end && !content.bad) {
        size_t length = take_u8(&content);
        const uint8_t *from = content.p + content.at;

        skip(&content, length);
        if (content.bad)
            return false;
        memcpy(text + n, from, length);
        n += length;
    }
    to->bytes = str_n(text, n);
    return true;
}

static bool read_srv(const struct packet *k, const struct record *r, struct arena *a,
                     struct dns_record *to)
{
    struct packet content = {.p = k->p, .n = r->end, .at = r->data};

    to->preference = (uint16_t)take_u16(&content);
    to->weight = (uint16_t)take_u16(&content);
    to->port = (uint16_t)take_u16(&content);
    return !content.bad && read_name(k, r, r->data + 6, a, to);
}

static bool read_tlsa(const struct packet *k, const struct record *r, struct arena *a,
                      struct dns_record *to)
{
    struct packet content = {.p = k->p, .n = r->end, .at = r->data};

    to->usage = (uint8_t)take_u8(&content);
    to->selector = (uint8_t)take_u8(&content);
    to->matching = (uint8_t)take_u8(&content);
    if (content.bad)
        return false;
    to->bytes = arena_copy(a, str_n((const char *)k->p + content.at, r->end - content.at));
    return true;
}

static bool read_mx(const struct packet *k, const struct record *r, struct arena *a,
                    struct dns_record *to)
{
    struct packet content = {.p = k->p, .n = r->end, .at = r->data};

    to->preference = (uint16_t)take_u16(&content);
    return !content.bad && read_name(k, r, r->data + 2, a, to);
}

static const struct form {
    enum dns_type type;
    size_t bytes; /* of its content; 0: any */
    bool (*read)(const struct packet *k, const struct record *r, struct arena *a,
                 struct dns_record *to);
} forms[] = {
    {DNS_A, 4, read_bytes}, {DNS_AAAA, 16, read_bytes}, {DNS_PTR, 0, read_ptr},
    {DNS_NS, 0, read_ptr},  {DNS_MX, 0, read_mx},       {DNS_TXT, 0, read_txt},
    {DNS_SRV, 0, read_srv}, {DNS_TLSA, 0, read_tlsa},
};

static const struct form *form_of(enum dns_type type)
{
    for (size_t i = 0; i < countof(forms); i++)
        if (forms[i].type == type)
            return &forms[i];
    return NULL;
}

/* ---- the answer ---- */

struct answer {
    struct packet packet; /* behind the question */
    unsigned count;       /* records of the answer section */
    struct wire_name name;
};

/* Moves the name on along one CNAME, whatever order they stand in. */
static bool follow_cname(struct answer *w)
{
    struct packet k = w->packet;
    struct record r;

    for (unsigned i = 0; i < w->count && take_record(&k, &r); i++)
        if (r.type == DNS_CNAME && r.class == CLASS_IN && name_eq(&r.owner, &w->name))
            return content_name(&k, &r, r.data, &w->name);
    return false;
}

static bool collect(const struct answer *w, const struct form *form, struct arena *a,
                    struct dns_packet *ret)
{
    struct packet k = w->packet;
    struct record r;

    ret->records = arena_alloc(a, DNS_RECORDS_MAX * sizeof *ret->records);
    for (unsigned i = 0; i < w->count; i++) {
        if (!take_record(&k, &r))
            return false;
        if (r.type != form->type || r.class != CLASS_IN || !name_eq(&r.owner, &w->name) ||
            ret->count == DNS_RECORDS_MAX)
            continue;
        if ((form->bytes > 0 && r.end - r.data != form->bytes) ||
            !form->read(&k, &r, a, &ret->records[ret->count]))
            return false;
        ret->count++;
    }
    return true;
}

bool dns_packet_parse(struct str bytes, enum dns_type type, struct arena *a, struct dns_packet *ret)
{
    const struct form *form = form_of(type);
    struct answer w = {.packet = {.p = (const uint8_t *)bytes.p, .n = bytes.n}};
    struct packet *k = &w.packet;
    struct dns_packet found = {0};

    skip(k, 2); /* the resolver has compared the number */
    unsigned flags = take_u16(k);
    unsigned questions = take_u16(k);
    w.count = take_u16(k);
    skip(k, 4);
    take_name(k, &w.name);
    unsigned asked = take_u16(k);
    unsigned class = take_u16(k);
    if (!form || k->bad || !(flags & FLAG_ANSWER) || questions != 1 || asked != (unsigned)type ||
        class != CLASS_IN)
        return false;
    while (found.cname_count < DNS_CNAMES_MAX && follow_cname(&w))
        found.cname_count++;
    found.rcode = flags & 0xf;
    if (!collect(&w, form, a, &found))
        return false;
    if (!name_text(&w.name, a, &found.canonical))
        found.canonical = STR_NONE;
    *ret = found;
    return true;
}
