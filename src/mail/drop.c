// SPDX-License-Identifier: ISC
#include "mail/drop.h"

#include "base/check.h"
#include "base/utf8.h"
#include "mail/address.h"

static const char first_line[] = "troika-drop 1";
static const char end_line[] = "\ntroika-drop end ";

enum { SIZE_DIGITS = 16, CRC_DIGITS = 8, NAME_DIGITS = 26 };

void drop_head_print(struct buf *to, const struct drop_head *h)
{
    buf_printf(to, "%s\nfrom <%.*s>\nbody %s\n", first_line, STR_ARG(h->sender),
               h->body_8bit ? "8bit" : "7bit");
    if (h->ret != RETURN_UNSAID)
        buf_printf(to, "ret %s\n", notify_return_name(h->ret));
    if (h->envid.n > 0)
        buf_printf(to, "envid <%.*s>\n", STR_ARG(h->envid));
    if (h->notify != 0) {
        buf_add_c(to, "notify ");
        notify_print(to, h->notify);
        buf_add_char(to, '\n');
    }
    for (size_t i = 0; i < h->recipient_count; i++)
        buf_printf(to, "to <%.*s>\n", STR_ARG(h->recipients[i]));
    buf_add_c(to, "\n");
}

/* Visible text between < and >: nothing that could become a second line of a dialogue. */
static bool bracketed(struct str line, const char *word, struct str *ret)
{
    struct str start = str_c(word);

    if (!str_starts(line, start) || !str_ends(line, STR(">")) || line.n <= start.n)
        return false;
    struct str inner = str_sub(line, start.n, line.n - 1);
    *ret = inner;
    return inner.n <= ADDRESS_BYTES_MAX && utf8_visible(inner);
}

/* A line with its newline; else NULL bytes and *rest is used up. */
static struct str next_line(struct str *rest)
{
    size_t newline = str_find(*rest, '\n');
    struct str line = newline < rest->n ? str_sub(*rest, 0, newline) : STR_NONE;

    *rest = str_skip(*rest, newline + 1);
    return line;
}

/* Written as we write it, so that each head has one form. */
static bool notify_line(struct str words, unsigned *ret)
{
    struct buf again = buf_init(64);
    bool same = notify_parse(words, ret);

    if (same)
        notify_print(&again, *ret);
    same = same && str_eq(buf_str(&again), words);
    buf_free(&again);
    return same;
}

/* The lines that may be there, in this order; *line goes on to the first behind them. */
static bool wishes(struct str *rest, struct str *line, struct drop_head *h)
{
    if (str_starts(*line, STR("ret "))) {
        if (!notify_return_parse(str_skip(*line, 4), &h->ret) ||
            !str_eq_c(str_skip(*line, 4), notify_return_name(h->ret)))
            return false;
        *line = next_line(rest);
    }
    if (str_starts(*line, STR("envid "))) {
        if (!bracketed(*line, "envid <", &h->envid) ||
            !notify_text_valid(h->envid, ENVID_BYTES_MAX))
            return false;
        *line = next_line(rest);
    }
    if (str_starts(*line, STR("notify "))) {
        if (!notify_line(str_skip(*line, 7), &h->notify))
            return false;
        *line = next_line(rest);
    }
    return true;
}

const char *drop_head_parse(struct str start, struct arena *a, struct drop_head *ret)
{
    struct drop_head h = {0};
    struct str rest = str_sub(start, 0, DROP_HEAD_BYTES_MAX);
    struct str *list = arena_alloc(a, DROP_RECIPIENTS_MAX * sizeof *list);

    start = rest;
    if (!str_eq_c(next_line(&rest), first_line))
        return "it does not begin as a drop file does";
    if (!bracketed(next_line(&rest), "from <", &h.sender))
        return "its sender is not readable";
    struct str body = next_line(&rest);
    h.body_8bit = str_eq_c(body, "body 8bit");
    if (!h.body_8bit && !str_eq_c(body, "body 7bit"))
        return "it does not say which kind of body it has";
    struct str line = next_line(&rest);
    if (!wishes(&rest, &line, &h))
        return "what its sender wants to be told is not readable";
    for (; !line.p || line.n > 0; line = next_line(&rest)) {
        if (!line.p)
            return "its head does not end";
        if (h.recipient_count == DROP_RECIPIENTS_MAX)
            return "it has too many recipients";
        if (!bracketed(line, "to <", &list[h.recipient_count++]))
            return "a recipient is not readable";
    }
    if (h.recipient_count == 0)
        return "it has no recipient";
    h.recipients = list;
    h.bytes = start.n - rest.n;
    *ret = h;
    return NULL;
}

/* ---- the last line ---- */

void drop_end_print(struct buf *to, const struct drop_end *e)
{
    buf_printf(to, "%s%016llx %08x\n", end_line, (unsigned long long)e->message_bytes,
               (unsigned)e->crc);
}

static bool hex_parse(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = c >= 'a' && c <= 'f';

        if (!letter && !char_is_digit(c))
            return false;
        v = v << 4 | (uint64_t)(letter ? c - 'a' + 10 : c - '0');
    }
    *ret = v;
    return true;
}

bool drop_end_parse(struct str end, struct drop_end *ret)
{
    size_t at = sizeof end_line - 1;
    uint64_t bytes, crc;

    _Static_assert(sizeof end_line - 1 + SIZE_DIGITS + 1 + CRC_DIGITS + 1 == DROP_END_BYTES,
                   "the last line has one width");
    if (end.n != DROP_END_BYTES || !str_starts(end, str_c(end_line)) ||
        !hex_parse(str_sub(end, at, at + SIZE_DIGITS), &bytes) || end.p[at + SIZE_DIGITS] != ' ' ||
        !hex_parse(str_sub(end, at + SIZE_DIGITS + 1, end.n - 1), &crc) || end.p[end.n - 1] != '\n')
        return false;
    *ret = (struct drop_end){.message_bytes = bytes, .crc = (uint32_t)crc};
    return true;
}

/* ---- names ---- */

static bool name_valid(struct str name, const char *prefix)
{
    struct str start = str_c(prefix);

    if (name.n != DROP_NAME_BYTES || !str_starts(name, start))
        return false;
    for (size_t i = start.n; i < name.n; i++)
        if (!char_is_digit(name.p[i]) && !(name.p[i] >= 'a' && name.p[i] <= 'z'))
            return false;
    return true;
}

bool drop_name_valid(struct str name)
{
    return name_valid(name, DROP_PREFIX);
}

bool drop_part_name_valid(struct str name)
{
    return name_valid(name, DROP_PART_PREFIX);
}
