// SPDX-License-Identifier: ISC
#include "mail/encoded_word.h"

enum { WORD_BYTES_MAX = 50 }; /* then a new one begins: with its frame it must stay below 76 */

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return true;
}

static size_t add_byte(struct buf *to, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char code[3] = {'=', hex[c >> 4], hex[c & 15]};

    if (char_is_alpha((char)c) || char_is_digit((char)c)) {
        buf_add_char(to, (char)c);
        return 1;
    }
    buf_add(to, str_n(code, sizeof code));
    return sizeof code;
}

static void encode(struct buf *to, struct str text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool starts_character = (c & 0xc0) != 0x80;

        if (i == 0 || (width > WORD_BYTES_MAX && starts_character)) {
            buf_add_c(to, i ? "?=\r\n =?UTF-8?Q?" : "=?UTF-8?Q?");
            width = 0;
        }
        width += add_byte(to, c);
    }
    buf_add_c(to, "?=");
}

void encoded_text_print(struct buf *to, struct str text)
{
    if (is_plain(text))
        buf_add(to, text);
    else
        encode(to, text);
}

static bool is_atom_or_blank(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == ' ' || c == '-' || c == '_' || c == '\'';
}

void encoded_phrase_print(struct buf *to, struct str text)
{
    bool atoms = true;

    if (!is_plain(text)) {
        encode(to, text);
        return;
    }
    for (size_t i = 0; i < text.n; i++)
        atoms = atoms && is_atom_or_blank(text.p[i]);
    if (atoms) {
        buf_add(to, text);
        return;
    }
    buf_add_char(to, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            buf_add_char(to, '\\');
        buf_add_char(to, text.p[i]);
    }
    buf_add_char(to, '"');
}
