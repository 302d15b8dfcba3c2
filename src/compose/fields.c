/* compose/fields.c - the header of a message (RFC 5322 3.6), but for what MIME says of its body. */
// SPDX-License-Identifier: ISC
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/check.h"
#include "base/map.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "compose/cid.h"
#include "compose/internal.h"
#include "compose/report.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/idn.h"

enum {
    HEADER_BYTES_MAX = 16 * 1024 * 1024,
    FIELD_NAME_BYTES_MAX = 76,
    FIELD_BYTES_MAX = 64 * 1024,
    LIST_BYTES_MAX = 4 * 1024 * 1024, /* of one item of To or Cc */
    ID_LETTERS = 26,
    ID_BYTES_MAX = 400,
};

/* ---- what may stand in a field ---- */

int fields_check(const char *what, struct str text, struct buf *error)
{
    struct str rest = text;
    uint32_t c;

    while (rest.n > 0) {
        size_t place = text.n - rest.n;

        if (!utf8_cut(&rest, &c))
            return report(error, EX_DATAERR, _("%s: byte 0x%02X at %zu is not UTF-8"), what,
                          (uint8_t)text.p[place], place + 1);
        if (c == '\r' || c == '\n')
            return report(error, EX_DATAERR,
                          _("%s: there is a line end in it, after %zu bytes; a header field is "
                            "one line, however long"),
                          what, place);
        if ((c < ' ' && c != '\t') || (c >= 0x7f && c < 0xa0))
            return report(error, EX_DATAERR,
                          _("%s: the control character U+%04X, after %zu bytes, cannot stand in a "
                            "header"),
                          what, (unsigned)c, place);
    }
    return 0;
}

/* ---- addresses ---- */

static int take_list(struct compose *c, const char *what, struct str text, struct mailboxes *to,
                     struct buf *error)
{
    struct buf why = buf_init(KIB);
    int code = fields_check(what, text, error);

    if (code == 0 && text.n > LIST_BYTES_MAX)
        code = report(error, EX_DATAERR, _("%s is longer than %d MiB"), what, LIST_BYTES_MAX >> 20);
    if (code == 0 && !mailboxes_parse(text, &c->arena, to, &why))
        code = report(error, EX_DATAERR, "%s: %s", what, buf_c(&why));
    buf_free(&why);
    return code;
}

static int take_lists(struct compose *c, const char *what, const struct str *texts, size_t count,
                      struct mailboxes *to, struct buf *error)
{
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++)
        code = take_list(c, what, texts[i], to, error);
    return code;
}

/* RFC 5322 3.6.2 */
static int check_authors(const struct compose *c, struct buf *error)
{
    if (c->from.address_count == 0)
        return report(error, EX_USAGE, _("From: an address is needed: who is the message from?"));
    if (c->from.count > c->from.address_count || c->sender.count > c->sender.address_count)
        return report(error, EX_DATAERR, _("From and Sender have people in them, no groups"));
    if (c->from.address_count > 1 && c->sender.address_count == 0)
        return report(error, EX_USAGE,
                      _("From: with several authors, Sender says which of them sends"));
    if (c->sender.address_count > 1)
        return report(error, EX_DATAERR, _("Sender: one address, of who sends"));
    return 0;
}

static void add_recipients(struct compose *c, struct map *seen, const struct mailboxes *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct str address = m->items[i].address;

        if (m->items[i].kind != MAILBOX || map_get(seen, address))
            continue;
        (void)map_put(seen, address, &m->items[i]);
        c->recipients[c->recipient_count++] = address;
    }
}

static void take_recipients(struct compose *c)
{
    struct map *seen = map_new();
    size_t room = c->to.address_count + c->cc.address_count;

    c->recipients = arena_alloc(&c->arena, room * sizeof *c->recipients);
    add_recipients(c, seen, &c->to);
    add_recipients(c, seen, &c->cc);
    map_free(&seen);
}

static int take_addresses(struct compose *c, struct buf *error)
{
    const struct compose_options *o = c->o;
    int code = take_list(c, "From", o->from, &c->from, error);

    if (code == 0)
        code = take_list(c, "Sender", o->sender, &c->sender, error);
    if (code == 0)
        code = take_lists(c, "Reply-To", o->reply_to, o->reply_to_count, &c->reply_to, error);
    if (code == 0)
        code = take_lists(c, "To", o->to, o->to_count, &c->to, error);
    if (code == 0)
        code = take_lists(c, "Cc", o->cc, o->cc_count, &c->cc, error);
    if (code == 0)
        code = check_authors(c, error);
    if (code == 0)
        take_recipients(c);
    return code;
}

/* ---- further fields ---- */

enum kind { TAKEN, MADE_HERE, BCC, DATE, ID, IDS, TRACE, FREE };

static const struct {
    const char *name;
    enum kind kind;
} known_fields[] = {
    {"From", TAKEN},
    {"Sender", TAKEN},
    {"Reply-To", TAKEN},
    {"To", TAKEN},
    {"Cc", TAKEN},
    {"Subject", TAKEN},
    {"Bcc", BCC},
    {"Resent-Bcc", BCC},
    {"MIME-Version", MADE_HERE},
    {"DKIM-Signature", MADE_HERE},
    {"Received", TRACE},
    {"Return-Path", TRACE},
    {"Delivered-To", TRACE},
    {"Date", DATE},
    {"Message-ID", ID},
    {"In-Reply-To", IDS},
    {"References", IDS},
};

static enum kind kind_of(struct str name)
{
    if (str_starts_nocase(name, STR("Content-")))
        return MADE_HERE;
    for (size_t i = 0; i < countof(known_fields); i++)
        if (str_eq_nocase(name, str_c(known_fields[i].name)))
            return known_fields[i].kind;
    return FREE;
}

/* RFC 5322 3.6.4 msg-id, of what can be in one today. */
static bool is_message_id(struct str s)
{
    if (!str_starts(s, STR("<")) || !str_ends(s, STR(">")) || s.n > ID_BYTES_MAX)
        return false;
    struct str left = str_sub(s, 1, s.n - 1);
    size_t at = str_find_last(left, '@');

    for (size_t i = 0; i < left.n; i++)
        if (left.p[i] <= ' ' || left.p[i] > '~' || strchr("<>(),;:\\\"", left.p[i]))
            return false;
    return at > 0 && at + 1 < left.n;
}

static bool are_message_ids(struct str s)
{
    struct str id = str_cut_word(&s);
    bool good = id.n > 0;

    for (; good && id.n > 0; id = str_cut_word(&s))
        good = is_message_id(id);
    return good;
}

static int check_known(const char *name, enum kind kind, struct str value, struct buf *error)
{
    uint64_t time;

    switch (kind) {
    case TAKEN:
        return report(error, EX_USAGE, _("the field %s has an option of its own"), name);
    case BCC:
        return report(error, EX_USAGE,
                      _("%s in a header would be read by everybody; the option for it sends "
                        "without showing"),
                      name);
    case MADE_HERE:
        return report(error, EX_USAGE, _("the field %s is made from what the message has"), name);
    case TRACE:
        return report(error, EX_USAGE, _("the field %s is written by servers on the way"), name);
    case DATE:
        return date_parse(value, &time)
                   ? 0
                   : report(error, EX_DATAERR,
                            _("%s: a date looks like Fri, 27 Nov 2026 12:00:00 +0300"), name);
    case ID:
    case IDS:
        return (kind == ID ? is_message_id(value) : are_message_ids(value))
                   ? 0
                   : report(error, EX_DATAERR, _("%s: it looks like <letters@example.org>"), name);
    case FREE:
        break;
    }
    return 0;
}

/* RFC 5322 3.6.8 */
static bool is_field_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
            return false;
    return name.n > 0 && name.n <= FIELD_NAME_BYTES_MAX;
}

static int take_field(struct compose *c, struct str text, struct field *ret, struct buf *error)
{
    struct str value = text, name = str_cut(&value, ':');

    if (!is_field_name(name) || name.n == text.n)
        return report(error, EX_USAGE, _("\"%.*s\": a header field looks like \"Name: value\""),
                      (int)MIN_OF(text.n, (size_t)80), text.p);
    name = arena_copy(&c->arena, name); /* with a NUL behind it */
    value = str_trim(value);
    if (text.n > FIELD_BYTES_MAX)
        return report(error, EX_DATAERR, _("%s is longer than %d bytes"), name.p, FIELD_BYTES_MAX);
    int code = fields_check(name.p, value, error);

    if (code == 0)
        code = check_known(name.p, kind_of(name), value, error);
    *ret = (struct field){.name = name, .value = value};
    return code;
}

static bool has_field(const struct compose *c, const char *name, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(c->fields[i].name, str_c(name)))
            return true;
    return false;
}

static int take_fields(struct compose *c, struct buf *error)
{
    const struct compose_options *o = c->o;
    int code = 0;

    if (o->header_count > COMPOSE_HEADERS_MAX)
        return report(error, EX_USAGE, _("a message may have %d further header fields"),
                      COMPOSE_HEADERS_MAX);
    c->fields = arena_alloc(&c->arena, o->header_count * sizeof *c->fields);
    for (size_t i = 0; i < o->header_count && code == 0; i++) {
        code = take_field(c, o->headers[i], &c->fields[i], error);
        if (code == 0 && kind_of(c->fields[i].name) != FREE && has_field(c, c->fields[i].name.p, i))
            code = report(error, EX_USAGE, _("the field %s is there once (RFC 5322 3.6)"),
                          c->fields[i].name.p);
    }
    return code;
}

/* What stands behind the @ of names that are unique in the world. */
static void take_host(struct compose *c)
{
    struct str host = c->o->hostname, address = c->from.items[0].address;
    struct str domain = str_skip(address, str_find_last(address, '@') + 1);

    if (!utf8_is_ascii(host) && !idn_to_ascii(host, &c->arena, &host))
        host = STR("");
    c->host = cid_valid(host, false) && host.n <= DOMAIN_BYTES_MAX ? host
              : cid_valid(domain, false)                           ? domain
                                                                   : STR("localhost");
}

int fields_take(struct compose *c, struct buf *error)
{
    int code = take_addresses(c, error);

    if (code == 0)
        code = fields_check("Subject", c->o->subject, error);
    if (code == 0 && c->o->subject.n > FIELD_BYTES_MAX)
        code =
            report(error, EX_DATAERR, _("%s is longer than %d bytes"), "Subject", FIELD_BYTES_MAX);
    if (code == 0)
        code = take_fields(c, error);
    if (code == 0)
        take_host(c);
    return code;
}

/* ---- printing ---- */

/* The writer's own clock on the wall (RFC 5322 3.3). */
static int zone_minutes(uint64_t now_us)
{
    time_t now = (time_t)(now_us / US_PER_S);
    struct tm local;

    return localtime_r(&now, &local) ? (int)(local.tm_gmtoff / 60) : 0;
}

static void print_date(struct compose *c)
{
    uint64_t now_us = clock_now_us(c->o->clock);

    (void)buf_add(&c->header, STR("Date: "));
    date_print(&c->header, now_us, zone_minutes(now_us));
    (void)buf_add(&c->header, STR("\r\n"));
}

static void print_message_id(struct compose *c)
{
    char letters[ID_LETTERS + 1];

    random_letters(letters, ID_LETTERS);
    (void)buf_printf(&c->header, "Message-ID: <%s@%.*s>\r\n", letters, STR_ARG(c->host));
}

enum { SLACK_COLUMNS = 3 };

/* Like fold_field, for lines with encoded words in them: these have at most 76 characters (RFC 2047
 * 2) instead of 78, and a comma may follow the last one. Further lines start with a tab, which
 * counts for eight. */
static struct fold begin_field(struct buf *to, const char *name)
{
    struct fold f = fold_field(to, name);

    f.column += SLACK_COLUMNS;
    return f;
}

static bool print_list(struct compose *c, const char *name, const struct mailboxes *m)
{
    if (m->count == 0)
        return true;
    struct fold f = begin_field(&c->header, name);
    bool good = mailboxes_print(&f, m, c->coder);

    fold_end(&f);
    return good;
}

static bool print_text(struct compose *c, const char *name, struct str text)
{
    struct fold f = fold_field(&c->header, name);
    bool good = words_text(&f, text, c->coder);

    fold_end(&f);
    return good;
}

/* Where everybody would be hidden (RFC 5322 A.1.3), for who misses a To. */
static void print_undisclosed(struct compose *c)
{
    if (c->to.count == 0 && c->cc.count == 0)
        (void)buf_add(&c->header, STR("To: undisclosed-recipients:;\r\n"));
}

enum { PLAIN_WORD_BYTES_MAX = 500 }; /* as fold_text takes it */

/* As it was given, but for its blanks: it may have a structure of its own, or be encoded already. */
static bool is_plain(struct str value)
{
    bool plain = utf8_is_ascii(value);

    while (value.n > 0 && plain)
        plain = str_cut_word(&value).n <= PLAIN_WORD_BYTES_MAX;
    return plain;
}

static bool print_field(struct compose *c, const struct field *field)
{
    if (!is_plain(field->value))
        return print_text(c, field->name.p, field->value);
    struct fold f = fold_field(&c->header, field->name.p);

    fold_text(&f, field->value);
    fold_end(&f);
    return true;
}

int fields_print(struct compose *c, struct buf *error)
{
    size_t count = c->o->header_count;
    bool good = true;

    c->header = buf_init(HEADER_BYTES_MAX);
    if (!has_field(c, "Date", count))
        print_date(c);
    good &= print_list(c, "From", &c->from);
    good &= print_list(c, "Sender", &c->sender);
    good &= print_list(c, "Reply-To", &c->reply_to);
    good &= print_list(c, "To", &c->to);
    good &= print_list(c, "Cc", &c->cc);
    print_undisclosed(c);
    if (c->o->subject.n > 0)
        good &= print_text(c, "Subject", c->o->subject);
    if (!has_field(c, "Message-ID", count))
        print_message_id(c);
    for (size_t i = 0; i < count; i++)
        good &= print_field(c, &c->fields[i]);
    (void)buf_add(&c->header, STR("MIME-Version: 1.0\r\n"));
    if (good && !c->header.full)
        return 0;
    return report(error, EX_DATAERR, _("the header would be larger than %d MiB"),
                  HEADER_BYTES_MAX >> 20);
}
