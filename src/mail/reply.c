// SPDX-License-Identifier: ISC
#include "mail/reply.h"

#include "base/check.h"
#include "base/translate.h"
#include "base/utf8.h"

#include <string.h>

enum { LINE_BYTES = 512 }; /* with CRLF: RFC 5321 4.5.3.1.5 */

const struct reply_row reply_table[REPLY_COUNT] = {
#define REPLY(name, code, enhanced, text, cause, remedy)                                           \
    [REPLY_##name] = {#name, code, enhanced, text, cause, remedy},
#include "mail/replies.def"
#undef REPLY
};

/* What stands before and after the %s of a row's text. Without one, all stands before. */
static bool split_text(const struct reply_row *row, struct str *before, struct str *after)
{
    struct str text = str_c(row->text);
    size_t at = str_find_str(text, STR("%s"));

    *before = str_sub(text, 0, at);
    *after = str_skip(text, at + 2);
    return at < text.n;
}

static void add_about(struct buf *to, struct str about, bool keeps_lines)
{
    while (about.n > 0) {
        struct str rest = about;
        uint32_t c;
        bool shown =
            utf8_cut(&rest, &c) && (utf8_is_visible(c) || c == ' ' || (c == '\n' && keeps_lines));

        if (!shown)
            rest = str_skip(about, 1);
        if (!buf_add(to, shown ? str_sub(about, 0, about.n - rest.n) : STR("?")))
            return;
        about = rest;
    }
}

static void add_text(struct buf *to, const struct reply_row *row, struct str about)
{
    struct str before;
    struct str after;

    if (!split_text(row, &before, &after))
        about = STR_NONE;
    /* Leave room for what follows: a long name must not hide what is said about it. */
    about = str_sub(about, 0, to->bytes_max - MIN_OF(to->n + before.n + after.n, to->bytes_max));
    (void)buf_add(to, before);
    add_about(to, about, row->code < 300 && before.n + after.n == 0);
    (void)buf_add(to, after);
}

struct status reply_status(enum reply_name name, struct str about)
{
    const struct reply_row *row = &reply_table[name];
    struct status st = {.code = row->code, .class = (uint8_t)(row->code / 100)};
    struct buf text = {.p = st.text, .room = sizeof(st.text) - 1, .bytes_max = sizeof(st.text) - 1};

    st.bare = !status_parse_enhanced(str_c(row->enhanced), &st);
    add_text(&text, row, about);
    st.text[text.n] = '\0';
    return st;
}

/* How much of s goes into one line of room bytes: to its newline, else to a blank. */
static size_t line_length(struct str s, size_t room)
{
    size_t newline = str_find(s, '\n');

    if (newline <= room)
        return newline;
    while (room > 0 && ((unsigned char)s.p[room] & 0xc0) == 0x80) /* no character in two */
        room--;
    size_t blank = str_find_last(str_sub(s, 0, room), ' ');
    return blank > room / 2 && blank < room ? blank : room;
}

static void print_lines(struct buf *to, uint16_t code, struct str enhanced, struct str text)
{
    size_t room = LINE_BYTES - 2 - 4 - (enhanced.n ? enhanced.n + 1 : 0);
    bool last;

    do {
        size_t n = line_length(text, room);
        struct str line = str_sub(text, 0, n);
        last = n == text.n;
        bool at_break = !last && (text.p[n] == '\n' || text.p[n] == ' ');
        text = str_skip(text, n + at_break);

        (void)buf_add_u64(to, code);
        (void)buf_add_char(to, last ? ' ' : '-');
        (void)buf_add(to, enhanced);
        if (enhanced.n)
            (void)buf_add_char(to, ' ');
        (void)buf_add(to, line);
        (void)buf_add(to, STR("\r\n"));
    } while (!last);
}

static uint16_t code_of(const struct status *st)
{
    if (st->code >= 200 && st->code <= 599)
        return st->code;
    if (st->class == 2)
        return 250;
    return st->class == 5 ? 554 : 451;
}

void reply_print(struct buf *to, const struct status *st, bool enhanced)
{
    char memory[16];
    struct buf code = {.p = memory, .room = sizeof(memory) - 1, .bytes_max = sizeof(memory) - 1};

    if (enhanced && !st->bare)
        status_print_enhanced(&code, st);
    print_lines(to, code_of(st), buf_str(&code), str_c(st->text));
}

static bool row_has_codes(const struct reply_row *row, const struct status *st)
{
    struct status own = {0};

    return row->code == st->code && status_parse_enhanced(str_c(row->enhanced), &own) &&
           own.class == st->class && own.subject == st->subject && own.detail == st->detail;
}

const struct reply_row *reply_row_of(const struct status *st)
{
    struct str text = str_c(st->text);

    for (size_t i = 0; i < REPLY_COUNT; i++) {
        const struct reply_row *row = &reply_table[i];
        struct str before;
        struct str after;
        bool has_about = split_text(row, &before, &after);
        if (before.n + after.n == 0 || !row_has_codes(row, st))
            continue;
        if (has_about
                ? text.n >= before.n + after.n && str_starts(text, before) && str_ends(text, after)
                : str_eq(text, before))
            return row;
    }
    return NULL;
}

static void add_row_head(struct buf *to, const struct reply_row *row)
{
    (void)buf_add_u64(to, row->code);
    (void)buf_add_char(to, ' ');
    (void)buf_add_c(to, row->enhanced);
    (void)buf_add_c(to, row->enhanced[0] ? " " : "");
    add_text(to, row, STR("..."));
}

/* Markdown takes < for a tag, except between backticks, and | for the next column. */
static void add_markdown(struct buf *to, struct str s)
{
    bool code = false;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '`')
            code = !code;
        if (s.p[i] == '|')
            (void)buf_add_char(to, '\\');
        if (s.p[i] == '<' && !code)
            (void)buf_add(to, STR("&lt;"));
        else
            (void)buf_add_char(to, s.p[i]);
    }
}

static void add_manual_row(struct buf *to, const struct reply_row *row)
{
    (void)buf_add(to, STR("| `"));
    add_row_head(to, row);
    (void)buf_add(to, STR("` | "));
    add_markdown(to, str_c(row->cause));
    (void)buf_add(to, STR(" | "));
    add_markdown(to, str_c(row->remedy));
    (void)buf_add(to, STR(" |\n"));
}

static int row_order(const struct reply_row *a, const struct reply_row *b)
{
    return a->code != b->code ? (a->code < b->code ? -1 : 1) : strcmp(a->enhanced, b->enhanced);
}

void reply_manual(struct buf *to)
{
    static const struct {
        uint16_t class;
        const char *title;
    } classes[] = {
        {2, "2xx: done"},
        {3, "3xx: go on"},
        {4, "4xx: not now, try again later"},
        {5, "5xx: no, and not later either"},
    };
    const struct reply_row *rows[REPLY_COUNT];

    for (size_t i = 0; i < REPLY_COUNT; i++) { /* insertion keeps the table's order of equals */
        size_t at = i;
        for (; at > 0 && row_order(rows[at - 1], &reply_table[i]) > 0; at--)
            rows[at] = rows[at - 1];
        rows[at] = &reply_table[i];
    }
    (void)buf_add(to, STR("# Every reply Troika gives\n\n"
                          "Made from `src/mail/replies.def`. In a session, `HELP 550` or "
                          "`HELP 5.1.1` says the same.\n"));
    for (size_t class = 0; class < countof(classes); class ++) {
        (void)buf_printf(to,
                         "\n## %s\n\n| reply | what happened | what to do |\n| --- | --- | --- |\n",
                         classes[class].title);
        for (size_t i = 0; i < REPLY_COUNT; i++)
            if (rows[i]->code / 100 == classes[class].class)
                add_manual_row(to, rows[i]);
    }
}
