// SPDX-License-Identifier: ISC
#include "mail/header.h"

#include "base/utf8.h"

/* RFC 5322 3.6.8 ftext */
static bool is_name_char(char c)
{
    return c > ' ' && c <= '~' && c != ':';
}

static struct str cut_line(struct str *rest)
{
    size_t newline = str_find(*rest, '\n');
    struct str line = str_sub(*rest, 0, newline + 1);

    *rest = str_skip(*rest, newline + 1);
    return line;
}

static struct str without_line_end(struct str s)
{
    if (!str_ends(s, STR("\n")))
        return s;
    s.n--;
    if (str_ends(s, STR("\r")))
        s.n--;
    return s;
}

/* The bytes of a field's name, when line starts with one and a colon; else 0. Blanks between the
 * two are obsolete, but read: RFC 5322 4.5. */
static size_t name_bytes(struct str line, size_t *ret_colon)
{
    size_t n = 0;
    size_t colon;

    while (n < line.n && is_name_char(line.p[n]))
        n++;
    for (colon = n; colon < line.n && char_is_blank(line.p[colon]); colon++)
        ;
    if (n == 0 || colon == line.n || line.p[colon] != ':')
        return 0;
    *ret_colon = colon;
    return n;
}

bool header_next(struct str *rest, struct header_field *ret)
{
    struct str after = *rest;
    struct str line = cut_line(&after);
    size_t colon;
    size_t n = name_bytes(line, &colon);

    if (n == 0) {
        if (line.n > 0 && without_line_end(line).n == 0 && line.p[line.n - 1] == '\n')
            *rest = after;
        return false;
    }
    while (after.n > 0 && char_is_blank(after.p[0]))
        (void)cut_line(&after);
    ret->all = str_sub(*rest, 0, rest->n - after.n);
    ret->name = str_sub(line, 0, n);
    ret->body = without_line_end(str_skip(ret->all, colon + 1));
    *rest = after;
    return true;
}

bool header_find(struct str message, const char *name, struct header_field *ret)
{
    struct str wanted = str_c(name);
    struct header_field field;

    while (header_next(&message, &field)) {
        if (str_eq_nocase(field.name, wanted)) {
            *ret = field;
            return true;
        }
    }
    return false;
}

size_t header_bytes(struct str message)
{
    struct str rest = message;
    struct header_field field;
    size_t bytes = 0;

    while (header_next(&rest, &field))
        bytes += field.all.n;
    return bytes;
}

/*  AT_FIRST_LINE, AT_LINE --letter--> IN_NAME --blank--> AFTER_NAME
 *       |    ^                          |                   |
 *       CR   LF                         +-------- : --------+--> IN_BODY
 *       v    +------------------------------------------------------+
 *      SAW_CR
 * Everything else ends the header. Only at the first line a blank does: there is nothing yet that
 * it could continue. */
enum { AT_FIRST_LINE, AT_LINE, SAW_CR, IN_NAME, AFTER_NAME, IN_BODY };

void header_scan_init(struct header_scan *h)
{
    *h = (struct header_scan){.state = AT_FIRST_LINE};
}

static void note_field(struct header_scan *h)
{
    struct str name = str_n(h->name, h->name_bytes);

    h->keeps = false;
    if (h->name_bytes > sizeof(h->name))
        return;
    if (str_eq_nocase(name, STR("Received")))
        h->received_count += h->received_count < UINT32_MAX;
    h->has_date |= str_eq_nocase(name, STR("Date"));
    h->has_message_id |= str_eq_nocase(name, STR("Message-ID"));
    bool from = str_eq_nocase(name, STR("From"));

    h->has_from |= from;
    h->keeps = h->authors && (from || str_eq_nocase(name, STR("Sender")));
    if (h->keeps)
        buf_printf(h->authors, "%.*s:", STR_ARG(name));
}

static void add_to_name(struct header_scan *h, char c)
{
    if (h->name_bytes < sizeof(h->name))
        h->name[h->name_bytes] = c;
    if (h->name_bytes <= sizeof(h->name)) /* one more: too long to be one of ours */
        h->name_bytes++;
}

static void feed_at_line(struct header_scan *h, char c)
{
    if (c == '\r') {
        h->state = SAW_CR;
    } else if (char_is_blank(c) && h->state == AT_LINE) {
        h->state = IN_BODY;
        if (h->keeps)
            (void)buf_add_char(h->authors, c);
    } else if (is_name_char(c)) {
        h->state = IN_NAME;
        h->name_bytes = 0;
        add_to_name(h, c);
    } else {
        h->ended = true; /* the blank line, or no field */
    }
}

static void feed_in_name(struct header_scan *h, char c)
{
    if (c == ':') {
        note_field(h);
        h->state = IN_BODY;
    } else if (char_is_blank(c)) {
        h->state = AFTER_NAME;
    } else if (h->state == IN_NAME && is_name_char(c)) {
        add_to_name(h, c);
    } else {
        h->ended = true;
    }
}

void header_scan_feed(struct header_scan *h, struct str bytes)
{
    while (bytes.n > 0 && !h->ended) {
        if (h->state == IN_BODY) {
            size_t newline = str_find(bytes, '\n');
            if (h->keeps)
                (void)buf_add(h->authors, str_sub(bytes, 0, newline + 1)); /* full: it knows */
            if (newline < bytes.n)
                h->state = AT_LINE;
            h->has_8bit = h->has_8bit || !utf8_is_ascii(str_sub(bytes, 0, newline));
            bytes = str_skip(bytes, newline + 1);
            continue;
        }
        if (h->state == SAW_CR)
            h->ended = true;
        else if (h->state == IN_NAME || h->state == AFTER_NAME)
            feed_in_name(h, bytes.p[0]);
        else
            feed_at_line(h, bytes.p[0]);
        bytes = str_skip(bytes, 1);
    }
}
