/* config/manual.c - the rows as text for people: the statements of troika.conf(5), and a file that
 * gives the configuration in force. */
// SPDX-License-Identifier: ISC
#include "config/config.h"
#include "config/statement.h"

#include <string.h>

enum { MANUAL_COLUMNS = 72 };

/* Sentences begin on lines of their own, as mdoc wants it; \ would be an escape. */
static void manual_words(struct buf *to, const char *words)
{
    struct str rest = str_c(words);
    size_t column = 0;
    while (rest.n > 0) {
        struct str word = str_cut_word(&rest);
        for (size_t i = 0; i < word.n; i++)
            buf_add_c(to, word.p[i] == '\\' ? "\\e" : (char[]){word.p[i], '\0'});
        column += word.n + 1;
        bool ends = word.n > 0 && word.p[word.n - 1] == '.';
        buf_add_char(to, ends || column > MANUAL_COLUMNS || rest.n == 0 ? '\n' : ' ');
        if (ends || column > MANUAL_COLUMNS)
            column = 0;
    }
}

static void manual_range(struct buf *to, const struct statement *s)
{
    if (s->kind == VALUE_CHOICE) {
        struct str words = str_c(s->min);
        buf_add_c(to, "One of");
        while (words.n > 0) {
            struct str word = str_cut_word(&words);
            buf_printf(to, "%s\n.Cm %.*s", words.n > 0 ? "" : " or", STR_ARG(word));
            if (words.n > 0 && str_find(words, ' ') < words.n)
                buf_add_c(to, " ,");
        }
        buf_add_c(to, " .\n");
    } else if (s->max[0]) {
        buf_printf(to, "From %s to %s.\n", s->min, s->max);
    }
}

static void manual_statement(struct buf *to, const struct statement *s)
{
    const struct value_form *form = value_form(s->kind);
    buf_printf(to, form->list ? ".It Ic %s = { Ar %s , ... }\n" : ".It Ic %s = Ar %s\n", s->name,
               form->form);
    manual_words(to, s->help);
    manual_range(to, s);
    if (!s->text) {
        buf_add_c(to, "It must be given.\n");
    } else if (s->text[0]) {
        buf_add_c(to, "Default:\n.Li ");
        struct buf value = buf_init(1024);
        statement_print_default(s, &value);
        /* .Li would take the blanks of a list for separate words, which do no harm. */
        buf_add(to, buf_str(&value));
        buf_free(&value);
        buf_add_c(to, " .\n");
    }
}

static void manual_scope(struct buf *to, enum scope scope)
{
    buf_add_c(to, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < statement_count; i++)
        if (statements[i].scope == scope)
            manual_statement(to, &statements[i]);
    buf_add_c(to, ".El\n");
}

static bool scope_is_empty(enum scope scope)
{
    for (size_t i = 0; i < statement_count; i++)
        if (statements[i].scope == scope)
            return false;
    return true;
}

void config_manual(struct buf *to)
{
    buf_add_c(to, ".Ss Statements\n");
    manual_scope(to, SCOPE_TOP);
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++) {
        if (sections[i].untitled)
            buf_printf(to, ".Ss %s { ... }\n", sections[i].name);
        else
            buf_printf(to, ".Ss %s Qo Ar %s Qc { ... }\n", sections[i].name,
                       value_form(sections[i].title)->form);
        manual_words(to, sections[i].help);
        if (!scope_is_empty((enum scope)i))
            manual_scope(to, (enum scope)i);
    }
}

/* In '…' only \ and ' need a backslash; in "…" libconfuse would do more. */
static void quoted(struct buf *to, struct str s)
{
    bool plain = str_find(s, '"') == s.n && str_find(s, '\\') == s.n && str_find(s, '$') == s.n;
    char quote = plain ? '"' : '\'';
    buf_add_char(to, quote);
    for (size_t i = 0; i < s.n; i++) {
        if (!plain && (s.p[i] == '\'' || s.p[i] == '\\'))
            buf_add_char(to, '\\');
        buf_add_char(to, s.p[i]);
    }
    buf_add_char(to, quote);
}

static void print_value(struct buf *to, const struct statement *s, const void *base, size_t index)
{
    struct buf text = buf_init(4096);
    statement_print(s, base, index, &text);
    if (value_form(s->kind)->bare)
        buf_add(to, buf_str(&text));
    else
        quoted(to, buf_str(&text));
    buf_free(&text);
}

static void print_statements(struct buf *to, enum scope scope, const void *base)
{
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        if (s->scope != scope)
            continue;
        size_t count = statement_values(s, base);
        bool list = value_form(s->kind)->list;
        bool none = list && count == 0 && value_is_none(s->kind, STR("none"));
        buf_printf(to, "%s%s = %s", scope == SCOPE_TOP ? "" : "    ", s->name,
                   none   ? "none\n"
                   : list ? "{ "
                          : "");
        if (none)
            continue;
        for (size_t j = 0; j < count; j++) {
            buf_add_c(to, j > 0 ? ", " : "");
            print_value(to, s, base, j);
        }
        buf_add_c(to, !list ? "\n" : count > 0 ? " }\n" : "}\n");
    }
}

void config_print(struct buf *to, const struct config *c)
{
    print_statements(to, SCOPE_TOP, c);
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++) {
        enum scope scope = (enum scope)i;
        for (size_t j = 0; j < section_count(c, scope); j++) {
            void *section = section_at(c, scope, j);
            buf_printf(to, "%s ", sections[scope].name);
            if (!sections[scope].untitled) {
                quoted(to, *section_title(scope, section));
                buf_add_char(to, ' ');
            }
            buf_add_c(to, "{\n");
            print_statements(to, scope, section);
            buf_add_c(to, "}\n");
        }
    }
}
