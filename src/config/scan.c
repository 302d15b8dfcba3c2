/* config/scan.c - see scan.h. One pass over the text; a token is a quoted string, a word, or one of
 * { } = += , ( ). */
// SPDX-License-Identifier: ISC
#include "config/scan.h"

#include <string.h>

#include "base/check.h"
#include "config/statement.h"

struct scanner {
    char *text;
    size_t n, at;
    unsigned line;
    struct arena *arena;
    scan_report_fn *report;
    void *arg;
    struct scan *result;

    unsigned depth;
    unsigned open_lines[NESTING_MAX]; /* of the braces that are open */
    bool in_section;                  /* the outermost open brace is that of a section */
    bool after_equals;
    size_t token_begin[2]; /* the last two strings or words: name and title of a section */
    unsigned token_line[2];
};

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 127;
}

static bool is_word(char c)
{
    return !is_control(c) && !strchr(" #\"'={}()+,*", c);
}

static void say(struct scanner *s, unsigned line, const char *text)
{
    s->report(s->arg, line, text);
}

static void blank(char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (text[i] != '\n')
            text[i] = ' ';
}

static size_t line_end(const struct scanner *s)
{
    const char *newline = memchr(s->text + s->at, '\n', s->n - s->at);
    return newline ? (size_t)(newline - s->text) : s->n;
}

static void scan_comment_line(struct scanner *s)
{
    size_t end = line_end(s);
    blank(s->text, s->at, end);
    s->at = end;
}

static void scan_comment_block(struct scanner *s)
{
    struct str rest = str_n(s->text + s->at + 2, s->n - s->at - 2);
    size_t end = str_find_str(rest, STR("*/"));
    if (end == rest.n)
        say(s, s->line, "the comment that begins here is never closed; end it with */");
    size_t stop = end == rest.n ? s->n : s->at + 2 + end + 2;
    for (size_t i = s->at; i < stop; i++)
        s->line += s->text[i] == '\n';
    blank(s->text, s->at, stop);
    s->at = stop;
}

static void note_token(struct scanner *s, size_t begin)
{
    s->token_begin[0] = s->token_begin[1];
    s->token_line[0] = s->token_line[1];
    s->token_begin[1] = begin;
    s->token_line[1] = s->line;
}

/* What stands in quotes ends on its line. Everything that libconfuse would make something else of
 * is refused: escapes in "…" but \" and \\, and ${…}. */
static void scan_quoted(struct scanner *s)
{
    char quote = s->text[s->at];
    size_t end = line_end(s), i = s->at + 1;
    bool escape_bad = false, variable = false, control = false;
    for (; i < end && s->text[i] != quote; i++) {
        if (is_control(s->text[i])) {
            control = true;
            s->text[i] = 'x';
        }
        char next = i + 1 < end ? s->text[i + 1] : '\0';
        if (s->text[i] == '\\') {
            bool good = next == '\\' || next == quote;
            escape_bad |= quote == '"' && !good;
            if (!good && quote == '"')
                s->text[i] = 'x';
            i += good;
        }
        if (quote == '"' && i < end && s->text[i] == '$' && next == '{') {
            variable = true;
            s->text[i] = 'x';
        }
    }
    if (i >= end) {
        say(s, s->line, "a quote is opened and not closed on this line");
        memset(s->text + s->at, 'x', end - s->at);
        i = end - 1;
    } else if (escape_bad) {
        say(s, s->line, "a backslash means nothing in \"...\"; put the text in '...'");
    } else if (control) {
        say(s, s->line, "a control character; take it out");
    } else if (variable) {
        say(s, s->line, "${...} is not replaced here; write the value itself");
    }
    note_token(s, s->at);
    s->at = i + 1;
}

static void scan_word_token(struct scanner *s)
{
    note_token(s, s->at);
    while (s->at < s->n && is_word(s->text[s->at])) {
        bool variable = s->text[s->at] == '$' && s->at + 1 < s->n && s->text[s->at + 1] == '{';
        if (variable) {
            say(s, s->line, "${...} is not replaced here; write the value itself");
            size_t end = line_end(s);
            while (s->at < end && s->text[s->at] != '}')
                s->text[s->at++] = 'x';
            if (s->at < end)
                s->text[s->at] = 'x';
            continue;
        }
        /* A backslash before the end of the line would join it with the next. */
        if (s->text[s->at] == '\\') {
            say(s, s->line, "a backslash outside of quotes; put the text in '...'");
            s->text[s->at] = 'x';
        }
        s->at++;
    }
}

static enum scope token_section(const struct scanner *s, unsigned token)
{
    struct str rest = str_n(s->text + s->token_begin[token], s->n - s->token_begin[token]);
    size_t n = 0;
    while (n < rest.n && is_word(rest.p[n]))
        n++;
    return section_find(str_sub(rest, 0, n));
}

/* A section begins with its name and a title, or with the name of one that has none. */
static void section_begin(struct scanner *s)
{
    struct scan *r = s->result;
    enum scope before = token_section(s, 0), last = token_section(s, 1);
    bool titled = before != SCOPE_TOP && !sections[before].untitled;
    unsigned first = !titled && sections[last].untitled ? 1 : 0;
    r->sections[r->section_count++] = (struct scan_section){
        .line = s->token_line[first], .begin = s->token_begin[first], .end = s->n};
}

static void scan_open(struct scanner *s)
{
    if (s->depth == NESTING_MAX) {
        say(s, s->line, "too many braces inside each other");
        s->result->balanced = false;
        s->at = s->n;
        return;
    }
    if (s->depth == 0 && !s->after_equals)
        section_begin(s);
    if (s->depth == 0)
        s->in_section = !s->after_equals;
    s->open_lines[s->depth++] = s->line;
}

static void scan_close(struct scanner *s)
{
    struct scan *r = s->result;
    if (s->depth == 0) {
        say(s, s->line, "a } that closes nothing");
        s->text[s->at] = ' ';
        return;
    }
    s->depth--;
    if (s->depth == 0 && s->in_section)
        r->sections[r->section_count - 1].end = s->at + 1;
}

/* Strings and braces, which everything else is made of. */
static void scan_mark(struct scanner *s, char c)
{
    char next = s->at + 1 < s->n ? s->text[s->at + 1] : '\0';
    if (c == '{')
        scan_open(s);
    else if (c == '}')
        scan_close(s);
    bool known = strchr("{}=,()", c) || (c == '+' && next == '=');
    if (c == '+' && known)
        s->at++;
    if (!known) {
        say(s, s->line,
            c == '*'   ? "a * outside of quotes; write it in quotes, as in \"*:25\""
            : c == '+' ? "a + outside of quotes; write it in quotes, or += to add to a list"
                       : "a control character; take it out");
        s->text[s->at] = 'x';
    }
    s->after_equals = s->at < s->n && s->text[s->at] == '=';
    if (s->at < s->n)
        s->at++;
}

static void scan_step(struct scanner *s)
{
    char c = s->text[s->at];
    char next = s->at + 1 < s->n ? s->text[s->at + 1] : '\0';
    if (c == '\n' || c == ' ' || c == '\t' || c == '\r') {
        s->line += c == '\n';
        if (c == '\r')
            s->text[s->at] = ' ';
        s->at++;
    } else if (c == '#' || (c == '/' && next == '/')) {
        scan_comment_line(s);
    } else if (c == '/' && next == '*') {
        scan_comment_block(s);
    } else if (c == '"' || c == '\'') {
        scan_quoted(s);
        s->after_equals = false;
    } else if (is_word(c)) {
        scan_word_token(s);
        s->after_equals = false;
    } else {
        scan_mark(s, c);
    }
}

void scan_text(char *text, size_t n, struct arena *a, scan_report_fn *report, void *arg,
               struct scan *ret)
{
    struct scanner s = {.text = text,
                        .n = n,
                        .line = 1,
                        .arena = a,
                        .report = report,
                        .arg = arg,
                        .result = ret,
                        .token_line = {1, 1}};
    *ret = (struct scan){.balanced = true};
    size_t braces = 1;
    for (size_t i = 0; i < n; i++)
        braces += text[i] == '{';
    ret->sections = arena_alloc(a, braces * sizeof *ret->sections);
    while (s.at < n)
        scan_step(&s);
    if (s.depth > 0) {
        say(&s, s.open_lines[s.depth - 1], "the { of this line is never closed");
        ret->balanced = false;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blanks(struct str text, size_t at)
{
    while (at < text.n && is_blank(text.p[at]))
        at++;
    return at;
}

/* Behind the string or word at `at`; quotes are closed, scan_text saw to it. */
static size_t skip_token(struct str text, size_t at)
{
    if (at >= text.n)
        return text.n;
    char quote = text.p[at];
    if (quote != '"' && quote != '\'') {
        size_t begin = at;
        while (at < text.n && is_word(text.p[at]))
            at++;
        return at > begin ? at : at + 1;
    }
    for (at++; at < text.n && text.p[at] != quote; at++)
        at += text.p[at] == '\\';
    return MIN_OF(at + 1, text.n);
}

static size_t skip_braces(struct str text, size_t at)
{
    size_t depth = 0;
    while (at < text.n) {
        at = skip_blanks(text, at);
        if (at >= text.n)
            break;
        char c = text.p[at];
        depth += c == '{';
        at = skip_token(text, at);
        if (c == '}' && --depth == 0)
            return at;
    }
    return text.n;
}

size_t scan_statement_end(struct str text, size_t at)
{
    at = skip_blanks(text, skip_token(text, at));
    if (at < text.n && text.p[at] == '+')
        at++;
    if (at < text.n && text.p[at] == '=') {
        at = skip_blanks(text, at + 1);
        return at < text.n && text.p[at] == '{' ? skip_braces(text, at) : skip_token(text, at);
    }
    if (at < text.n && text.p[at] == '{')
        return skip_braces(text, at);
    /* A title, then the section; or no statement at all: then only its first word is one. */
    size_t brace = skip_blanks(text, skip_token(text, at));
    return brace < text.n && text.p[brace] == '{' ? skip_braces(text, brace) : at;
}

size_t scan_line(struct str text, unsigned line)
{
    size_t at = 0;
    for (unsigned i = 1; i < line && at < text.n; i++) {
        size_t newline = str_find(str_skip(text, at), '\n');
        at = MIN_OF(at + newline + 1, text.n);
    }
    return at;
}

size_t scan_word(struct str text, unsigned line, struct str word)
{
    size_t at = scan_line(text, line);
    size_t end = at + str_find(str_skip(text, at), '\n');
    while (at < end) {
        at = skip_blanks(text, at);
        size_t after = MIN_OF(skip_token(text, at), end);
        if (at < after && str_eq(str_sub(text, at, after), word))
            return at;
        at = MAX_OF(after, at + 1);
    }
    return text.n;
}
