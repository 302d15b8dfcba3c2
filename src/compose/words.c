/* compose/words.c - each encoded word stands for whole characters, and a set with states begins
 * and ends it in ASCII (RFC 2047 3, 5), so it is filled character by character. */
// SPDX-License-Identifier: ISC
#include "compose/words.h"

#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"

enum {
    LINE_WIDTH_MAX = 76, /* with an encoded word in it, RFC 2047 2 */
    WORD_WIDTH_MAX = 75,
    WORD_WIDTH_MIN = 40,        /* rather a new line than a shorter one */
    PLAIN_WORD_BYTES_MAX = 800, /* so that no line is over 998 */
};

/* ---- what needs no encoding ---- */

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return true;
}

/* Somebody would decode it. */
static bool is_like_encoded(struct str s)
{
    return str_find_str(s, STR("=?")) < s.n;
}

static bool has_long_word(struct str s)
{
    while (s.n > 0)
        if (str_cut(&s, ' ').n > PLAIN_WORD_BYTES_MAX)
            return true;
    return false;
}

/* One blank between two words, none around: folding changes nothing then. */
static bool blanks_survive(struct str s)
{
    return !str_starts(s, STR(" ")) && !str_ends(s, STR(" ")) && str_find_str(s, STR("  ")) == s.n;
}

static bool is_plain(struct str s)
{
    return is_printable(s) && !is_like_encoded(s) && !has_long_word(s) && blanks_survive(s);
}

static void put_plain(struct fold *f, struct str text)
{
    while (text.n > 0)
        fold_word(f, str_cut(&text, ' '));
}

/* ---- encoded words ---- */

struct word {
    const char *charset;
    char kind;        /* 'Q' or 'B' */
    struct buf bytes; /* in the set */
    struct buf text;  /* the whole word */
    struct coder *coder;
};

/* RFC 2047 5 (3): what may stand in a phrase as it is; elsewhere more could. */
static bool is_q_safe(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || (c && strchr("!*+-/", c));
}

static void put_q(struct buf *to, struct str bytes)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t c = (uint8_t)bytes.p[i];

        if (c == ' ')
            (void)buf_add_char(to, '_');
        else if (is_q_safe((char)c))
            (void)buf_add_char(to, (char)c);
        else
            (void)buf_printf(to, "=%c%c", hex[c >> 4], hex[c & 15]);
    }
}

/* The word that stands for these characters. */
static bool make_word(struct word *w, struct str characters)
{
    size_t bad;

    buf_reset(&w->bytes);
    buf_reset(&w->text);
    if (!coder_convert(w->coder, characters, &w->bytes, &bad))
        return false;
    (void)buf_printf(&w->text, "=?%s?%c?", w->charset, w->kind);
    if (w->kind == 'Q')
        put_q(&w->text, buf_str(&w->bytes));
    else
        base64_put(&w->text, buf_str(&w->bytes));
    (void)buf_add(&w->text, STR("?="));
    return !w->text.full;
}

/* Bytes of as many characters as make a word of at most this width; 0: the set lacks one. */
static size_t fill_word(struct word *w, struct str text, size_t width)
{
    struct str rest = text;
    uint32_t c;
    size_t good = 0;

    while (rest.n > 0 && utf8_cut(&rest, &c)) {
        size_t n = text.n - rest.n;

        if (!make_word(w, str_sub(text, 0, n)))
            return 0;
        if (w->text.n > width && good > 0)
            break;
        good = n;
        if (w->text.n >= width)
            break;
    }
    return good > 0 && make_word(w, str_sub(text, 0, good)) ? good : 0;
}

static size_t width_left(struct fold *f)
{
    size_t used = f->column + !f->at_start;

    if (used + WORD_WIDTH_MIN > LINE_WIDTH_MAX) {
        fold_line(f);
        used = f->column;
    }
    return MIN_OF((size_t)WORD_WIDTH_MAX, LINE_WIDTH_MAX - used);
}

/* Q shows what is ASCII in it, so it may be a little longer. */
static bool choose_kind(struct word *w, struct str text)
{
    struct buf all = buf_init(4 * text.n + KIB), q = buf_init(12 * text.n + 4 * KIB);
    size_t bad;
    bool done = coder_convert(w->coder, text, &all, &bad);

    put_q(&q, buf_str(&all));
    w->kind = 2 * q.n <= 3 * ((all.n + 2) / 3 * 4) ? 'Q' : 'B';
    buf_free(&all);
    buf_free(&q);
    return done;
}

static bool put_encoded(struct fold *f, struct str text, struct coder *coder)
{
    struct word w = {
        .charset = coder_charset(coder)->name,
        .bytes = buf_init(KIB),
        .text = buf_init(4 * KIB),
        .coder = coder,
    };
    bool good = choose_kind(&w, text);

    while (good && text.n > 0) {
        size_t n = fill_word(&w, text, width_left(f));

        if (n > 0)
            fold_word(f, buf_str(&w.text));
        good = n > 0;
        text = str_skip(text, n);
    }
    buf_free(&w.bytes);
    buf_free(&w.text);
    return good && !f->to->full;
}

/* ---- the doors ---- */

bool words_text(struct fold *f, struct str text, struct coder *coder)
{
    if (!is_plain(text))
        return put_encoded(f, text, coder);
    put_plain(f, text);
    return !f->to->full;
}

/* RFC 5322 3.2.3, without what would have to be looked at twice. */
static bool is_atoms(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!char_is_alpha(s.p[i]) && !char_is_digit(s.p[i]) && !strchr(" -_'+", s.p[i]))
            return false;
    return true;
}

static bool put_quoted(struct fold *f, struct str name)
{
    struct buf quoted = buf_init(2 * PLAIN_WORD_BYTES_MAX + 2);

    (void)buf_add_char(&quoted, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"' || name.p[i] == '\\')
            (void)buf_add_char(&quoted, '\\');
        (void)buf_add_char(&quoted, name.p[i]);
    }
    (void)buf_add_char(&quoted, '"');
    fold_word(f, buf_str(&quoted));
    buf_free(&quoted);
    return !f->to->full;
}

/* A name that has room in one word is not cut: some readers see a blank at the cut. */
static void start_line_for(struct fold *f, struct str name, struct coder *coder)
{
    struct word w = {
        .charset = coder_charset(coder)->name,
        .bytes = buf_init(KIB),
        .text = buf_init(4 * KIB),
        .coder = coder,
    };
    bool whole = choose_kind(&w, name) && make_word(&w, name);

    if (whole && w.text.n + f->indent_width <= LINE_WIDTH_MAX &&
        w.text.n + f->column + !f->at_start > LINE_WIDTH_MAX)
        fold_line(f);
    buf_free(&w.bytes);
    buf_free(&w.text);
}

enum { QUOTED_NAME_BYTES_MAX = 200 }; /* one word for the folding, so it should not be longer */

bool words_phrase(struct fold *f, struct str name, struct coder *coder)
{
    if (!is_printable(name) || is_like_encoded(name) ||
        (name.n > QUOTED_NAME_BYTES_MAX && !is_atoms(name)) || has_long_word(name)) {
        start_line_for(f, name, coder);
        return put_encoded(f, name, coder);
    }
    if (!is_atoms(name) || !blanks_survive(name))
        return put_quoted(f, name);
    put_plain(f, name);
    return !f->to->full;
}
