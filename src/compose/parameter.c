// SPDX-License-Identifier: ISC
#include "compose/parameter.h"

#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

enum {
    VALUE_WIDTH_MAX = 60, /* so that it has a line of its own with its name around it */
    CHARACTER_BYTES_MAX = 64,
};

/* RFC 2231 7 attribute-char, which is also in a token */
static bool is_attribute_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || (c && strchr("!#$&+-.^_`{|}~", c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_attribute_char(s.p[i]))
            return false;
    return s.n > 0;
}

/* Nothing in it that readers of old would take for an encoding, or take amiss. */
static bool is_quotable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return str_find_str(s, STR("=?")) == s.n && str_find_str(s, STR("''")) == s.n &&
           str_find(s, '%') == s.n && str_find(s, '\\') == s.n && str_find(s, '"') == s.n;
}

static void print_short(struct fold *f, const char *name, struct str value, const char *quote)
{
    struct buf word = buf_init(KIB);

    (void)buf_printf(&word, "%s=%s%.*s%s", name, quote, STR_ARG(value), quote);
    fold_word(f, buf_str(&word));
    buf_free(&word);
}

static void percent(struct buf *to, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        if (is_attribute_char(bytes.p[i]))
            (void)buf_add_char(to, bytes.p[i]);
        else
            (void)buf_printf(to, "%%%02X", (uint8_t)bytes.p[i]);
    }
}

/* The encoded form of as many characters as fit; cuts them off *value. False: the set lacks one. */
static bool take_piece(struct str *value, struct coder *coder, struct buf *piece)
{
    struct buf bytes = buf_init(CHARACTER_BYTES_MAX), encoded = buf_init(4 * CHARACTER_BYTES_MAX);
    uint32_t c;
    size_t bad;
    bool good = true;

    while (value->n > 0) {
        struct str rest = *value;

        buf_reset(&bytes);
        buf_reset(&encoded);
        good = utf8_cut(&rest, &c) &&
               coder_convert(coder, str_sub(*value, 0, value->n - rest.n), &bytes, &bad);
        percent(&encoded, buf_str(&bytes));
        if (!good || (piece->n > 0 && piece->n + encoded.n > VALUE_WIDTH_MAX))
            break;
        (void)buf_add(piece, buf_str(&encoded));
        *value = rest;
    }
    buf_free(&bytes);
    buf_free(&encoded);
    return good;
}

static bool print_encoded(struct fold *f, const char *name, struct str value, struct coder *coder)
{
    struct buf piece = buf_init(KIB), word = buf_init(2 * KIB);
    bool good = true;

    for (unsigned i = 0; good && value.n > 0; i++) {
        buf_reset(&piece);
        buf_reset(&word);
        if (i == 0)
            (void)buf_printf(&piece, "%s''", coder_charset(coder)->name);
        good = take_piece(&value, coder, &piece);
        if (i == 0 && value.n == 0)
            (void)buf_printf(&word, "%s*=%s", name, buf_c(&piece));
        else
            (void)buf_printf(&word, "%s*%u*=%s%s", name, i, buf_c(&piece), value.n > 0 ? ";" : "");
        fold_word(f, buf_str(&word));
    }
    buf_free(&piece);
    buf_free(&word);
    return good && !f->to->full;
}

bool parameter_print(struct fold *f, const char *name, struct str value, struct coder *coder)
{
    (void)buf_add_char(f->to, ';');
    f->column++;
    if (value.n > VALUE_WIDTH_MAX || !is_quotable(value))
        return print_encoded(f, name, value, coder);
    print_short(f, name, value, is_token(value) ? "" : "\"");
    return !f->to->full;
}
