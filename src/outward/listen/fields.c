/* listen/fields.c - see fields.h. A field that there are rules for is a row. */
// SPDX-License-Identifier: ISC
#include "outward/listen/fields.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "mail/address_list.h"
#include "mail/date.h"
#include "mail/header.h"
#include "outward/listen/words.h"

enum {
    LINE_WANTED_BYTES_MAX = 78,
    ENCODED_WORD_CHARACTERS_MAX = 75,
    HOPS_MANY = 30,
    ADDRESSES_JUDGED_MAX = 1000,
};
#define DAY_US (24 * 60 * 60 * US_PER_S)

struct judging {
    const struct fields_options *options;
    struct arena *arena;
    struct judge *judge;
    struct fields *fields;
    size_t author_count;
    bool mime, mime_version, dkim, dkim_aligned;
    struct str dkim_domains[8];
    size_t dkim_count;
};

/* ---- what single fields must be ---- */

static void judge_date(struct judging *g, const struct header_field *f)
{
    uint64_t us, now = g->options->now_us;

    if (!date_parse(str_trim(f->body), &us))
        judge_tell(g->judge, FOUND_BAD_DATE, str_trim(f->body));
    else if (us > now + DAY_US || us + DAY_US < now)
        judge_tell(g->judge, FOUND_WRONG_DATE, str_trim(f->body));
}

/* How many; the first one is left in *first. */
static size_t judge_addresses(struct judging *g, const struct header_field *f,
                              struct address *first)
{
    struct str rest = f->body, text;
    size_t count = 0;

    while (count < ADDRESSES_JUDGED_MAX && address_list_next(&rest, g->arena, &text)) {
        struct parse_error error;
        struct address address;

        if (!address_parse(text, g->arena, &address, &error))
            judge_printf(g->judge, FOUND_BAD_ADDRESS, "%.*s: %.*s: %s", STR_ARG(f->name),
                         STR_ARG(text), error.text);
        else if (count == 0)
            *first = address;
        count++;
    }
    return count;
}

static void judge_mailboxes(struct judging *g, const struct header_field *f)
{
    struct address first;

    (void)judge_addresses(g, f, &first);
}

static void judge_from(struct judging *g, const struct header_field *f)
{
    struct address first = {0};

    g->author_count = judge_addresses(g, f, &first);
    g->fields->from_domain = first.domain;
    if (g->author_count == 0 && str_trim(f->body).n > 0)
        judge_printf(g->judge, FOUND_BAD_ADDRESS, "From: %.*s", STR_ARG(str_trim(f->body)));
}

static bool is_id(struct str s)
{
    if (!str_starts(s, STR("<")) || !str_ends(s, STR(">")))
        return false;
    s = str_sub(s, 1, s.n - 1);
    size_t at = str_find(s, '@');

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == '<' || s.p[i] == '>' || s.p[i] == 0x7f)
            return false;
    return at > 0 && at + 1 < s.n;
}

static void judge_id(struct judging *g, const struct header_field *f)
{
    if (!is_id(str_trim(f->body)))
        judge_tell(g->judge, FOUND_BAD_MESSAGE_ID, str_trim(f->body));
}

static void judge_bcc(struct judging *g, const struct header_field *f)
{
    if (str_trim(f->body).n > 0)
        judge_tell(g->judge, FOUND_HAS_BCC, str_trim(f->body));
}

static void judge_return_path(struct judging *g, const struct header_field *f)
{
    judge_tell(g->judge, FOUND_HAS_RETURN_PATH, str_trim(f->body));
}

static void judge_mime_version(struct judging *g, const struct header_field *f)
{
    struct str value = mime_token(f->body, g->arena);

    g->mime_version = true;
    if (!str_eq_c(value, "1.0"))
        judge_tell(g->judge, FOUND_BAD_MIME, value);
}

static void note_mime(struct judging *g, const struct header_field *f)
{
    g->mime = true;
}

static void note_hop(struct judging *g, const struct header_field *f)
{
    if (++g->fields->hop_count == HOPS_MANY)
        judge_printf(g->judge, FOUND_LOOP, "%d", HOPS_MANY);
}

/* d= of a DKIM-Signature, RFC 6376 3.5. */
static struct str dkim_domain(struct str body)
{
    while (body.n > 0) {
        struct str tag = str_cut(&body, ';');
        struct str name = str_trim(str_cut(&tag, '='));

        if (str_eq_c(name, "d"))
            return str_trim(tag);
    }
    return STR_NONE;
}

static void note_dkim(struct judging *g, const struct header_field *f)
{
    struct str domain = dkim_domain(f->body);

    g->dkim = true;
    judge_printf(g->judge, FOUND_HAS_DKIM, "d=%.*s", STR_ARG(domain));
    if (g->dkim_count < countof(g->dkim_domains))
        g->dkim_domains[g->dkim_count++] = domain;
}

static const struct rule {
    const char *name;
    bool once, may_be_empty;
    void (*judge)(struct judging *g, const struct header_field *f);
} rules[] = {
    {"Date", true, false, judge_date},
    {"From", true, false, judge_from},
    {"Sender", true, false, judge_mailboxes},
    {"Reply-To", true, false, judge_mailboxes},
    {"To", true, false, judge_mailboxes},
    {"Cc", true, false, judge_mailboxes},
    {"Bcc", true, true, judge_bcc},
    {"Message-ID", true, false, judge_id},
    {"In-Reply-To", true, false, NULL},
    {"References", true, false, NULL},
    {"Subject", true, true, NULL},
    {"MIME-Version", true, false, judge_mime_version},
    {"Content-Type", true, false, note_mime},
    {"Content-Transfer-Encoding", true, false, note_mime},
    {"Content-Disposition", true, false, note_mime},
    {"Content-ID", true, false, NULL},
    {"Return-Path", false, true, judge_return_path},
    {"Received", false, false, note_hop},
    {"DKIM-Signature", false, false, note_dkim},
};

/* ---- the whole of it ---- */

static void judge_words(struct judging *g, const struct header_field *f,
                        const struct words_seen *seen)
{
    if (seen->bad > 0)
        judge_tell(g->judge, FOUND_BAD_WORD, f->name);
    if (seen->longest > ENCODED_WORD_CHARACTERS_MAX)
        judge_printf(g->judge, FOUND_WORD_LONG, "%.*s: %zu", STR_ARG(f->name), seen->longest);
}

static void judge_letters(struct judging *g, const struct header_field *f)
{
    struct str lines = f->all;

    if (!utf8_is_ascii(f->all) && !g->options->smtputf8)
        judge_tell(g->judge, FOUND_HEADER_8BIT, f->name);
    else if (!utf8_valid(f->all))
        judge_tell(g->judge, FOUND_HEADER_NOT_UTF8, f->name);
    while (lines.n > 0) {
        struct str line = str_cut(&lines, '\n');

        if (line.n > LINE_WANTED_BYTES_MAX + 1)
            judge_printf(g->judge, FOUND_HEADER_LINE_LONG, "%.*s: %zu", STR_ARG(f->name),
                         line.n - 1);
    }
}

/* Known charsets of before MIME cannot be told apart: what is no UTF-8 is shown as '?'. */
static void keep(struct judging *g, const struct header_field *f)
{
    struct buf value = buf_init(4 * f->body.n + KIB);
    struct words_seen seen;

    words_decode(&value, f->body, &seen);
    judge_words(g, f, &seen);
    if (g->fields->count < FIELDS_MAX)
        g->fields->list[g->fields->count++] = (struct field){
            .name = arena_copy(g->arena, f->name),
            .value = arena_copy(g->arena, str_sub(buf_str(&value), 0, FIELD_VALUE_BYTES_MAX))};
    buf_free(&value);
}

static void take(struct judging *g, const struct header_field *f, size_t counts[])
{
    keep(g, f);
    judge_letters(g, f);
    if (f->all.p + f->name.n < f->body.p - 1)
        judge_tell(g->judge, FOUND_FIELD_SPACE, f->name);
    for (size_t i = 0; i < countof(rules); i++) {
        const struct rule *r = &rules[i];

        if (!str_eq_nocase(f->name, str_c(r->name)))
            continue;
        if (++counts[i] > 1 && r->once)
            judge_tell(g->judge, FOUND_FIELD_TWICE, f->name);
        if (!r->may_be_empty && str_trim(f->body).n == 0)
            judge_tell(g->judge, FOUND_FIELD_EMPTY, f->name);
        if (r->judge && (counts[i] == 1 || !r->once))
            r->judge(g, f);
    }
}

static size_t count_of(const size_t counts[], const char *name)
{
    for (size_t i = 0; i < countof(rules); i++)
        if (str_eq_c(str_c(name), rules[i].name))
            return counts[i];
    return 0;
}

static bool in_domain(struct str name, struct str domain)
{
    return str_eq_nocase(name, domain) ||
           (name.n > domain.n && domain.n > 0 && str_ends_nocase(name, domain) &&
            name.p[name.n - domain.n - 1] == '.');
}

static void judge_dkim(struct judging *g)
{
    struct str from = g->fields->from_domain;
    bool aligned = false;

    if (!g->dkim) {
        judge_tell(g->judge, FOUND_NO_DKIM, STR_NONE);
        return;
    }
    for (size_t i = 0; i < g->dkim_count; i++)
        aligned =
            aligned || in_domain(from, g->dkim_domains[i]) || in_domain(g->dkim_domains[i], from);
    if (!aligned && from.n > 0)
        judge_tell(g->judge, FOUND_DKIM_OTHER, from);
}

static void judge_missing(struct judging *g, const size_t counts[])
{
    static const struct {
        const char *name;
        enum finding finding;
    } wanted[] = {{"Date", FOUND_NO_DATE},
                  {"From", FOUND_NO_FROM},
                  {"Message-ID", FOUND_NO_MESSAGE_ID},
                  {"Subject", FOUND_NO_SUBJECT}};

    for (size_t i = 0; i < countof(wanted); i++)
        if (count_of(counts, wanted[i].name) == 0)
            judge_tell(g->judge, wanted[i].finding, STR_NONE);
    if (count_of(counts, "To") + count_of(counts, "Cc") + count_of(counts, "Bcc") == 0)
        judge_tell(g->judge, FOUND_NO_RECEIVER, STR_NONE);
    if (g->author_count > 1 && count_of(counts, "Sender") == 0)
        judge_printf(g->judge, FOUND_NO_SENDER, "%zu", g->author_count);
    if (g->mime && !g->mime_version)
        judge_tell(g->judge, FOUND_NO_MIME, STR_NONE);
}

void fields_judge(struct str header, const struct fields_options *o, struct arena *a,
                  struct judge *j, struct fields *ret)
{
    struct judging g = {.options = o, .arena = a, .judge = j, .fields = ret};
    size_t counts[countof(rules)] = {0};
    struct header_field f;
    bool any = false;

    *ret = (struct fields){0};
    while (header_next(&header, &f)) {
        take(&g, &f, counts);
        any = true;
    }
    if (o->cut)
        judge_tell(j, FOUND_HEADER_LARGE, STR_NONE);
    if (!any) {
        judge_tell(j, FOUND_NO_HEADER, STR_NONE);
        return;
    }
    if (!o->cut)
        judge_missing(&g, counts);
    judge_dkim(&g);
}

struct str fields_get(const struct fields *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (str_eq_nocase(f->list[i].name, str_c(name)))
            return f->list[i].value;
    return STR_NONE;
}
