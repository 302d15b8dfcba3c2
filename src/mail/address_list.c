/* mail/address_list.c - one mailbox at a time: first where it ends, then what of it counts. */
// SPDX-License-Identifier: ISC
#include "mail/address_list.h"

#include <string.h>

#include "base/check.h"
#include "mail/header.h"

/* Where a byte of a list stands. A backslash takes the meaning from the byte behind it, in
 * comments and quotes only. */
struct place {
    unsigned comment; /* depth */
    bool quote, angle, literal;
};

/* Bytes that c takes, 1 or 2 with a backslash; moves the place. */
static size_t step(struct place *p, struct str s, size_t at)
{
    char c = s.p[at];

    if ((p->comment > 0 || p->quote) && c == '\\')
        return at + 1 < s.n ? 2 : 1;
    if (p->comment > 0)
        p->comment += (c == '(') - (c == ')');
    else if (p->quote)
        p->quote = c != '"';
    else if (c == '(')
        p->comment = 1;
    else if (c == '"')
        p->quote = true;
    else if (c == '[' || c == ']')
        p->literal = c == '[';
    else if (c == '<' || c == '>')
        p->angle = c == '<';
    return 1;
}

static bool is_separator(const struct place *p, char c)
{
    bool plain = p->comment == 0 && !p->quote && !p->angle && !p->literal;

    return plain && (c == ',' || c == ';' || c == ':');
}

static size_t entry_end(struct str s)
{
    struct place p = {0};
    size_t at = 0;

    while (at < s.n && !is_separator(&p, s.p[at]))
        at += step(&p, s, at);
    return at;
}

static bool is_white(char c)
{
    return char_is_blank(c) || c == '\r' || c == '\n';
}

static bool binds(char c)
{
    return c == '@' || c == '.';
}

/* A blank counts only between two words that are not held together by a dot or an at sign. */
static void add_byte(char *to, size_t *n, bool *blank, char c)
{
    if (*blank && *n > 0 && !binds(to[*n - 1]) && !binds(c))
        to[(*n)++] = ' ';
    *blank = false;
    to[(*n)++] = c;
}

/* What stands in the brackets if there are any, else everything but comments. */
static struct str clean(struct str entry, struct arena *a)
{
    char *to = arena_alloc(a, 2 * entry.n + 1);
    struct place p = {0};
    size_t n = 0;
    bool blank = false, bracketed = false;

    for (size_t at = 0; at < entry.n;) {
        struct place before = p;
        size_t bytes = step(&p, entry, at);
        bool opens = p.angle && !before.angle, closes = before.angle && !p.angle;
        bool text = before.comment == 0 && p.comment == 0 && !opens && !closes;

        if (opens) {
            n = 0;
            bracketed = true;
        } else if (!text || (!p.quote && !before.quote && is_white(entry.p[at]))) {
            blank = true;
        } else if (!bracketed || before.angle) {
            for (size_t i = 0; i < bytes; i++)
                add_byte(to, &n, &blank, entry.p[at + i]);
        }
        at += bytes;
    }
    return str_n(to, n);
}

/* RFC 5322 4.4: <@one,@two:user@three> */
static struct str without_route(struct str s)
{
    size_t colon = str_find(s, ':');

    return s.n > 0 && s.p[0] == '@' && colon < s.n ? str_skip(s, colon + 1) : s;
}

bool address_list_next(struct str *rest, struct arena *a, struct str *ret)
{
    while (rest->n > 0) {
        size_t end = entry_end(*rest);
        struct str entry = str_sub(*rest, 0, end);
        bool group = end < rest->n && rest->p[end] == ':';

        *rest = str_skip(*rest, end + 1);
        if (group)
            continue;
        struct str address = without_route(clean(entry, a));
        if (address.n > 0) {
            *ret = address;
            return true;
        }
    }
    return false;
}

bool address_qualify(struct str text, struct str domain, struct arena *a, struct address *ret,
                     struct parse_error *error)
{
    bool whole = str_find(text, '@') < text.n && !str_ends(text, STR("\""));

    if (!whole)
        text = arena_printf(a, "%.*s@%.*s", STR_ARG(text), STR_ARG(domain));
    return address_parse(text, a, ret, error);
}

/* ---- of a whole header ---- */

static const char *const names[] = {"To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"};
enum { PLAIN_NAMES = 3 };

/* countof(names): none of them. */
static size_t name_index(struct str name)
{
    size_t i = 0;

    while (i < countof(names) && !str_eq_nocase(name, str_c(names[i])))
        i++;
    return i;
}

bool header_is_bcc(struct str name)
{
    size_t i = name_index(name);

    return i == 2 || i == 5;
}

static bool is_resent(struct str message)
{
    struct header_field field;

    while (header_next(&message, &field)) {
        size_t i = name_index(field.name);

        if (i >= PLAIN_NAMES && i < countof(names))
            return true;
    }
    return false;
}

struct list {
    struct str *p;
    size_t n, room;
};

static void list_add_str(struct list *l, struct arena *a, struct str s)
{
    if (l->n == l->room) {
        struct str *more = arena_alloc(a, (2 * l->room + 16) * sizeof *more);

        if (l->n > 0)
            memcpy(more, l->p, l->n * sizeof *more);
        l->p = more;
        l->room = 2 * l->room + 16;
    }
    l->p[l->n++] = s;
}

size_t header_recipients(struct str message, struct arena *a, struct str **ret)
{
    bool resent = is_resent(message);
    struct list found = {0};
    struct header_field field;

    while (header_next(&message, &field)) {
        size_t i = name_index(field.name);
        struct str body = field.body, address;

        if (i == countof(names) || (i >= PLAIN_NAMES) != resent)
            continue;
        while (address_list_next(&body, a, &address))
            list_add_str(&found, a, address);
    }
    *ret = found.p;
    return found.n;
}
