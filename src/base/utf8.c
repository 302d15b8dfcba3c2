// SPDX-License-Identifier: ISC
#include "base/utf8.h"

#include "base/check.h"

/* By the number of bytes: the mark in the first, and the least character that needs so many. */
static const struct form {
    uint8_t mask, mark;
    uint32_t least;
} forms[UTF8_BYTES_MAX + 1] = {
    [1] = {0x80, 0x00, 0},
    [2] = {0xe0, 0xc0, 0x80},
    [3] = {0xf0, 0xe0, 0x800},
    [4] = {0xf8, 0xf0, 0x10000},
};

static bool is_character(uint32_t c)
{
    return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

static size_t form_of(uint8_t first)
{
    for (size_t n = 1; n <= UTF8_BYTES_MAX; n++)
        if ((first & forms[n].mask) == forms[n].mark)
            return n;
    return 0;
}

bool utf8_cut(struct str *s, uint32_t *ret)
{
    size_t n = s->n > 0 ? form_of((uint8_t)s->p[0]) : 0;

    if (n == 0 || n > s->n)
        return false;

    uint32_t c = (uint8_t)s->p[0] & (uint8_t)~forms[n].mask;

    for (size_t i = 1; i < n; i++) {
        uint8_t next = (uint8_t)s->p[i];
        if ((next & 0xc0) != 0x80)
            return false;
        c = c << 6 | (next & 0x3f);
    }
    if (c < forms[n].least || !is_character(c))
        return false;
    *s = str_skip(*s, n);
    *ret = c;
    return true;
}

bool utf8_valid(struct str s)
{
    uint32_t c;

    while (s.n > 0)
        if (!utf8_cut(&s, &c))
            return false;
    return true;
}

bool utf8_is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] > 0x7f)
            return false;
    return true;
}

/* Ranges of Unicode 15: controls, format characters, separators, what is no character at all. */
static const struct range {
    uint32_t first, last;
} hidden[] = {
    {0x00, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},       {0x34f, 0x34f},      {0x61c, 0x61c},
    {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5},   {0x180b, 0x180f},    {0x2000, 0x200f},
    {0x2028, 0x202f}, {0x205f, 0x206f}, {0x2800, 0x2800},   {0x3000, 0x3000},    {0x3164, 0x3164},
    {0xe000, 0xf8ff}, {0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},    {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
};

bool utf8_is_visible(uint32_t c)
{
    for (size_t i = 0; i < countof(hidden); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return false;
    return is_character(c) && (c & 0xfffe) != 0xfffe;
}

bool utf8_visible(struct str s)
{
    uint32_t c;

    while (s.n > 0)
        if (!utf8_cut(&s, &c) || !utf8_is_visible(c))
            return false;
    return true;
}

size_t utf8_put(char *to, uint32_t c)
{
    size_t n = 1;

    if (!is_character(c))
        return 0;
    while (n < UTF8_BYTES_MAX && c >= forms[n + 1].least)
        n++;
    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(forms[n].mark | c);
    return n;
}
