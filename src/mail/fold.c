// SPDX-License-Identifier: ISC
#include "mail/fold.h"

#include <string.h>

#include "base/utf8.h"

enum { LINE_BYTES_WANTED = 78, TAB_WIDTH = 8 };

struct fold fold_field(struct buf *to, const char *name)
{
    (void)buf_add_c(to, name);
    (void)buf_add_char(to, ':');
    return (struct fold){
        .to = to, .indent = "\t", .indent_width = TAB_WIDTH, .column = strlen(name) + 1};
}

struct fold fold_paragraph(struct buf *to, const char *indent)
{
    size_t width = strlen(indent);

    (void)buf_add_c(to, indent);
    return (struct fold){
        .to = to, .indent = indent, .indent_width = width, .column = width, .at_start = true};
}

void fold_line(struct fold *f)
{
    (void)buf_add(f->to, STR("\r\n"));
    (void)buf_add_c(f->to, f->indent);
    f->column = f->indent_width;
    f->at_start = true;
}

void fold_wide_word(struct fold *f, struct str word, size_t width)
{
    if (!f->at_start && f->column + 1 + width > LINE_BYTES_WANTED)
        fold_line(f);
    if (!f->at_start)
        (void)buf_add_char(f->to, ' ');
    (void)buf_add(f->to, word);
    f->column += width + !f->at_start;
    f->at_start = false;
}

void fold_word(struct fold *f, struct str word)
{
    fold_wide_word(f, word, word.n);
}

enum { WORD_BYTES_MAX = 512 }; /* so that lines stay below the 998 bytes of RFC 5322 2.1.1 */

static struct str clean_word(char *memory, struct str s, bool utf8)
{
    size_t n = 0;

    while (s.n > 0) {
        struct str rest = s, one = STR("?");
        uint32_t c;

        if (utf8_cut(&rest, &c) && utf8_is_visible(c) && (utf8 || c <= '~'))
            one = str_sub(s, 0, s.n - rest.n);
        else
            rest = str_skip(s, 1);
        if (n + one.n > WORD_BYTES_MAX)
            break;
        memcpy(memory + n, one.p, one.n);
        n += one.n;
        s = rest;
    }
    return str_n(memory, n);
}

void fold_token(struct fold *f, struct str text)
{
    char word[WORD_BYTES_MAX];

    fold_word(f, clean_word(word, text, f->utf8));
}

static bool ends_word(char c)
{
    return char_is_blank(c) || c == '\r' || c == '\n';
}

void fold_text(struct fold *f, struct str text)
{
    while (text.n > 0) {
        size_t n = 0;

        while (n < text.n && n < WORD_BYTES_MAX && !ends_word(text.p[n]))
            n++;
        if (n > 0)
            fold_token(f, str_sub(text, 0, n));
        bool at_blank = n < text.n && ends_word(text.p[n]);
        text = str_skip(text, n + at_blank);
    }
}

void fold_end(struct fold *f)
{
    (void)buf_add(f->to, STR("\r\n"));
}
