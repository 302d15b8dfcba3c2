/* compose/mailboxes.c - one entry of a list is read twice at once: as a name, unquoted, and as it
 * stands; only at its end is it known which of the two it is. */
// SPDX-License-Identifier: ISC
#include "compose/mailboxes.h"

#include <string.h>

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"
#include "mail/address.h"

struct parser {
    struct str s;
    size_t at;
    struct arena *arena;
    struct mailboxes *to;
    struct buf *error;
    bool in_group;
};

/* What has been read of an entry. */
struct entry {
    size_t start;
    struct buf name, raw, comment;
    bool space; /* before the next word of the name */
};

static bool at_end(const struct parser *p)
{
    return p->at == p->s.n;
}

static char peek(const struct parser *p)
{
    return at_end(p) ? '\0' : p->s.p[p->at];
}

enum { SHOWN_BYTES_MAX = 80 };

/* start: of what is wrong; as much of it is shown as a line has room for. */
static bool fail(struct parser *p, size_t start, const char *why)
{
    struct str rest = str_sub(p->s, start, start + SHOWN_BYTES_MAX), shown = rest;
    uint32_t c;

    while (utf8_cut(&rest, &c)) /* no half character at the end */
        ;
    shown.n -= rest.n;
    (void)buf_printf(p->error, "\"%.*s\": %s", STR_ARG(shown), why);
    return false;
}

static bool add(struct parser *p, struct mailbox m)
{
    struct mailboxes *l = p->to;

    if (l->count == MAILBOXES_MAX)
        return fail(p, p->at, _("there are too many addresses"));
    if (l->count == l->room) {
        size_t room = 2 * l->room + 8;
        struct mailbox *items = arena_alloc(p->arena, room * sizeof *items);

        if (l->count > 0)
            memcpy(items, l->items, l->count * sizeof *items);
        l->items = items;
        l->room = room;
    }
    l->items[l->count++] = m;
    l->address_count += m.kind == MAILBOX;
    return true;
}

/* ---- the pieces of an entry ---- */

static void name_add(struct entry *e, struct str text)
{
    if (e->space && e->name.n > 0)
        (void)buf_add_char(&e->name, ' ');
    e->space = false;
    (void)buf_add(&e->name, text);
}

/* RFC 5322 3.2.4 */
static bool read_quoted(struct parser *p, struct entry *e)
{
    size_t start = p->at++;

    name_add(e, STR(""));
    while (!at_end(p) && peek(p) != '"') {
        if (peek(p) == '\\' && p->at + 1 < p->s.n)
            p->at++;
        (void)buf_add_char(&e->name, peek(p));
        p->at++;
    }
    if (at_end(p))
        return fail(p, start, _("the quote that opens here is not closed"));
    p->at++;
    (void)buf_add(&e->raw, str_sub(p->s, start, p->at));
    return true;
}

/* RFC 5322 3.2.2: they nest. */
static bool read_comment(struct parser *p, struct entry *e)
{
    size_t start = p->at, depth = 0;

    do {
        char c = peek(p);

        if (at_end(p))
            return fail(p, start, _("the parenthesis that opens here is not closed"));
        if (c == '\\' && p->at + 1 < p->s.n)
            c = p->s.p[++p->at];
        else
            depth += (size_t)(c == '(') - (size_t)(c == ')');
        if (depth > 0 && p->at > start)
            (void)buf_add_char(&e->comment, c);
        p->at++;
    } while (depth > 0);
    e->space = true;
    return true;
}

/* An address literal: its colons open no group. */
static bool read_literal(struct parser *p, struct entry *e)
{
    size_t bytes = str_find(str_skip(p->s, p->at), ']');

    if (p->at + bytes == p->s.n)
        return fail(p, e->start, _("in brackets stands an IP address: [192.0.2.1]"));
    struct str literal = str_sub(p->s, p->at, p->at + bytes + 1);

    (void)buf_add(&e->raw, literal);
    name_add(e, literal);
    p->at += literal.n;
    return true;
}

static void read_char(struct parser *p, struct entry *e)
{
    char c = p->s.p[p->at++];

    (void)buf_add_char(&e->raw, c);
    if (char_is_blank(c))
        e->space = true;
    else
        name_add(e, str_n(&c, 1));
}

static bool skip_blanks_and_comments(struct parser *p, struct entry *e)
{
    while (char_is_blank(peek(p)) || peek(p) == '(') {
        if (peek(p) == '(' && !read_comment(p, e))
            return false;
        p->at += char_is_blank(peek(p));
    }
    return true;
}

/* ---- entries ---- */

static bool add_address(struct parser *p, struct entry *e, struct str text, struct str name)
{
    struct address address;
    struct parse_error why = {0};

    text = str_trim(text);
    if (!address_parse(text, p->arena, &address, &why)) {
        struct str behind = str_skip(text, str_find(text, '@'));
        bool more = str_find(behind, ' ') < behind.n;

        return fail(p, e->start, more ? _("commas stand between addresses") : _(why.text));
    }
    if (e->name.full || e->comment.full)
        return fail(p, e->start, _("the name is too long"));
    p->to->needs_utf8 |= !utf8_is_ascii(address.local);
    return add(p, (struct mailbox){
                      .kind = MAILBOX,
                      .name = arena_copy(p->arena, str_trim(name)),
                      .address = address_text(p->arena, &address),
                  });
}

/* At the <. */
static bool read_bracketed(struct parser *p, struct entry *e)
{
    struct str rest = str_skip(p->s, ++p->at);
    size_t bytes = 0;
    bool quoted = false;

    for (; bytes < rest.n && (quoted || rest.p[bytes] != '>'); bytes++) {
        quoted ^= rest.p[bytes] == '"';
        bytes += rest.p[bytes] == '\\' && quoted && bytes + 1 < rest.n;
    }
    if (bytes >= rest.n)
        return fail(p, e->start, _("the > after the address is missing"));
    p->at += bytes + 1;
    if (!skip_blanks_and_comments(p, e))
        return false;
    if (!at_end(p) && !strchr(",;", peek(p)))
        return fail(p, e->start, _("after the > comes a comma and the next address, or nothing"));
    struct str name = e->name.n > 0 ? buf_str(&e->name) : buf_str(&e->comment);

    return add_address(p, e, str_sub(rest, 0, bytes), name);
}

/* At the : behind the name of a group. */
static bool read_group(struct parser *p, struct entry *e)
{
    p->at++;
    if (p->in_group)
        return fail(p, e->start, _("there are no groups in groups; a ; ends one"));
    if (e->name.n == 0 || e->name.full || str_find(buf_str(&e->name), '@') < e->name.n)
        return fail(p, e->start,
                    _("a colon stands behind the name of a group, as in friends: a@example.org, "
                      "b@example.org;"));
    p->in_group = true;
    return add(
        p, (struct mailbox){.kind = GROUP_BEGINS, .name = arena_copy(p->arena, buf_str(&e->name))});
}

/* The end of an entry that had no brackets. */
static bool read_bare(struct parser *p, struct entry *e)
{
    struct str text = str_trim(buf_str(&e->raw));

    if (text.n == 0 && e->comment.n == 0)
        return true; /* two commas */
    if (str_find(text, '@') == text.n && peek(p) == ',')
        return fail(p, e->start,
                    _("an address looks like bill@example.org; a name with a comma in it goes in "
                      "quotes: \"Smith, Bill\" <bill@example.org>"));
    return add_address(p, e, text, buf_str(&e->comment));
}

static bool read_pieces(struct parser *p, struct entry *e)
{
    for (;;) {
        switch (peek(p)) {
        case '"':
            if (!read_quoted(p, e))
                return false;
            break;
        case '(':
            if (!read_comment(p, e))
                return false;
            break;
        case '[':
            if (!read_literal(p, e))
                return false;
            break;
        case '<':
            return read_bracketed(p, e);
        case ':':
            return read_group(p, e);
        case ',':
        case ';':
            return read_bare(p, e);
        case '>':
            return fail(p, e->start, _("there is a > without a < before it"));
        default:
            if (at_end(p))
                return read_bare(p, e);
            read_char(p, e);
        }
    }
}

static bool read_entry(struct parser *p)
{
    struct entry e = {
        .start = p->at,
        .name = buf_init(MAILBOX_NAME_BYTES_MAX),
        .comment = buf_init(MAILBOX_NAME_BYTES_MAX),
        .raw = buf_init(MAILBOX_NAME_BYTES_MAX + ADDRESS_BYTES_MAX),
    };
    bool good = read_pieces(p, &e);

    if (good && e.raw.full)
        good = fail(p, e.start, _("the address is too long"));
    buf_free(&e.name);
    buf_free(&e.comment);
    buf_free(&e.raw);
    return good;
}

/* What stands between two entries. */
static bool read_separator(struct parser *p)
{
    if (peek(p) == ';' && !p->in_group)
        return fail(p, p->at, _("commas stand between addresses"));
    if (peek(p) == ';') {
        p->in_group = false;
        p->at++;
        return add(p, (struct mailbox){.kind = GROUP_ENDS});
    }
    p->at += peek(p) == ',';
    return true;
}

bool mailboxes_parse(struct str text, struct arena *a, struct mailboxes *to, struct buf *error)
{
    struct parser p = {.s = text, .arena = a, .to = to, .error = error};

    while (!at_end(&p)) {
        while (char_is_blank(peek(&p)))
            p.at++;
        if (at_end(&p))
            break;
        if (!read_entry(&p) || !read_separator(&p))
            return false;
    }
    return p.in_group ? fail(&p, 0, _("a ; ends the group")) : true;
}

/* ---- printing ---- */

static void attach(struct fold *f, char c)
{
    (void)buf_add_char(f->to, c);
    f->column++;
}

/* RFC 2047 5 (3): behind an encoded word there is a blank. */
static bool print_group(struct fold *f, struct str name, struct coder *coder)
{
    bool good = words_phrase(f, name, coder);

    if (str_ends(buf_str(f->to), STR("?=")))
        attach(f, ' ');
    attach(f, ':');
    return good;
}

static bool print_mailbox(struct fold *f, const struct mailbox *m, struct coder *coder)
{
    struct buf bracketed = buf_init(2 * ADDRESS_BYTES_MAX);
    bool good = m->name.n == 0 || words_phrase(f, m->name, coder);

    (void)buf_printf(&bracketed, m->name.n > 0 ? "<%.*s>" : "%.*s", STR_ARG(m->address));
    fold_word(f, buf_str(&bracketed));
    buf_free(&bracketed);
    return good;
}

bool mailboxes_print(struct fold *f, const struct mailboxes *m, struct coder *coder)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct mailbox *item = &m->items[i];
        bool more = i + 1 < m->count && m->items[i + 1].kind != GROUP_ENDS;

        if (item->kind == MAILBOX && !print_mailbox(f, item, coder))
            return false;
        if (item->kind == GROUP_BEGINS && !print_group(f, item->name, coder))
            return false;
        if (item->kind == GROUP_ENDS)
            attach(f, ';');
        if (item->kind != GROUP_BEGINS && more)
            attach(f, ',');
    }
    return !f->to->full;
}
