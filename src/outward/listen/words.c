/* listen/words.c - see words.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/words.h"

#include <errno.h>
#include <iconv.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/utf8.h"

enum { CHARSET_BYTES_MAX = 40, WORD_BYTES_MAX = 4096, PIECES_MAX = 64 };

/* ---- charsets ---- */

static bool convert(iconv_t way, struct buf *to, struct str bytes)
{
    char *from = (char *)(uintptr_t)bytes.p;
    size_t left = bytes.n;

    while (left > 0) {
        char *room = buf_room(to, 256);
        char *at = room;
        size_t free_bytes = 256;

        if (!room)
            return false;
        size_t r = iconv(way, &from, &left, &at, &free_bytes);

        buf_added(to, (size_t)(at - room));
        if (r == (size_t)-1 && errno != E2BIG)
            return false;
    }
    return true;
}

bool charset_decode(struct buf *to, struct str charset, struct str bytes)
{
    char name[CHARSET_BYTES_MAX + 1];
    size_t before = to->n;

    if (charset.n == 0 || charset.n > CHARSET_BYTES_MAX || str_find(charset, '\0') < charset.n ||
        str_find(charset, '/') < charset.n)
        return false;
    for (size_t i = 0; i < charset.n; i++)
        name[i] = charset.p[i];
    name[charset.n] = '\0';

    iconv_t way = iconv_open("UTF-8", name);

    if (way == (iconv_t)-1)
        return false;
    bool done = convert(way, to, bytes);

    (void)iconv_close(way);
    if (!done)
        buf_cut(to, before);
    return done;
}

/* ---- encoded words ---- */

static int hex_digit(char c)
{
    if (char_is_digit(c))
        return c - '0';
    c = char_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool q_decode(struct buf *to, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '=' && i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;

        if (text.p[i] == '=' && low < 0)
            return false;
        if (low >= 0)
            i += 2;
        buf_add_char(to, low >= 0 ? (char)(high << 4 | low) : text.p[i] == '_' ? ' ' : text.p[i]);
    }
    return true;
}

struct word {
    struct str charset, encoding, text, all;
};

/* Does s begin with an encoded word? RFC 2047 2: no blanks in it. */
static bool word_cut(struct str s, struct word *ret)
{
    struct str rest = str_skip(s, 2), whole;

    if (!str_starts(s, STR("=?")))
        return false;
    whole = rest;
    whole.n = 0;
    while (whole.n < rest.n && !char_is_blank(rest.p[whole.n]))
        whole.n++;
    rest = whole;
    ret->charset = str_cut(&whole, '?');
    ret->encoding = str_cut(&whole, '?');
    size_t end = str_find_str(whole, STR("?="));

    if (ret->encoding.n != 1 || end == whole.n || end > WORD_BYTES_MAX)
        return false;
    ret->text = str_sub(whole, 0, end);
    ret->all = str_sub(s, 0, (size_t)(ret->text.p + end + 2 - s.p));
    ret->charset.n = str_find(ret->charset, '*'); /* a language, RFC 2231 5 */
    return true;
}

static bool word_decode(struct buf *to, const struct word *w)
{
    struct buf bytes = buf_init(WORD_BYTES_MAX + 8);
    char kind = char_lower(w->encoding.p[0]);
    bool good =
        (kind == 'b' && base64_get(&bytes, w->text)) || (kind == 'q' && q_decode(&bytes, w->text));

    good = good && charset_decode(to, w->charset, buf_str(&bytes));
    buf_free(&bytes);
    return good;
}

/* Blanks, tabs and line ends at the start of s. */
static size_t blank_bytes(struct str s)
{
    size_t n = 0;

    while (n < s.n && (char_is_blank(s.p[n]) || s.p[n] == '\r' || s.p[n] == '\n'))
        n++;
    return n;
}

static struct str text_cut(struct str *s)
{
    size_t n = 0;

    while (n < s->n && blank_bytes(str_sub(*s, n, n + 1)) == 0 &&
           (n == 0 || !str_starts(str_skip(*s, n), STR("=?"))))
        n++;

    struct str text = str_sub(*s, 0, n);

    *s = str_skip(*s, n);
    return text;
}

void words_decode(struct buf *to, struct str body, struct words_seen *seen)
{
    bool behind_word = false;
    size_t blanks = 0;

    *seen = (struct words_seen){0};
    body = str_trim(body);
    while (body.n > 0) {
        struct word w;
        size_t before = to->n;

        blanks = blank_bytes(body);
        body = str_skip(body, blanks);
        bool is_word = word_cut(body, &w);

        /* Blanks between two words only separate them: RFC 2047 6.2. */
        if (blanks > 0 && !(behind_word && is_word))
            buf_add_char(to, ' ');
        if (is_word) {
            seen->longest = MAX_OF(seen->longest, w.all.n);
            body = str_skip(body, w.all.n);
            behind_word = word_decode(to, &w);
            if (!behind_word) {
                seen->bad++;
                buf_cut(to, before);
                buf_add(to, w.all);
            }
        } else {
            seen->bad += str_starts(body, STR("=?"));
            buf_add(to, text_cut(&body));
            behind_word = false;
        }
    }
}

/* ---- fields of MIME ---- */

/* Blanks and comments. False: a comment has no end. */
static bool skip_comments(struct str *s)
{
    unsigned depth = 0;

    for (; s->n > 0; *s = str_skip(*s, 1)) {
        if (s->p[0] == '(')
            depth++;
        else if (depth > 0 && s->p[0] == ')')
            depth--;
        else if (depth > 0 && s->p[0] == '\\')
            *s = str_skip(*s, 1);
        else if (depth == 0 && blank_bytes(*s) == 0)
            break;
    }
    return depth == 0;
}

/* RFC 2045 5.1, and / for types. */
static bool is_token_char(char c)
{
    const struct str specials = STR("()<>@,;:\\\"[]?=");

    return c > ' ' && c != 0x7f && str_find(specials, c) == specials.n;
}

static struct str token_cut(struct str *s)
{
    size_t n = 0;

    while (n < s->n && is_token_char(s->p[n]))
        n++;

    struct str token = str_sub(*s, 0, n);

    *s = str_skip(*s, n);
    return token;
}

static bool value_cut(struct str *s, struct arena *a, struct str *ret)
{
    if (!str_starts(*s, STR("\""))) {
        *ret = token_cut(s);
        return ret->n > 0;
    }
    struct buf text = buf_init(s->n + 1);
    size_t i = 1;

    for (; i < s->n && s->p[i] != '"'; i++) {
        if (s->p[i] == '\\' && i + 1 < s->n)
            i++;
        if (s->p[i] != '\r' && s->p[i] != '\n')
            buf_add_char(&text, s->p[i]);
    }
    bool closed = i < s->n;

    *ret = arena_copy(a, buf_str(&text));
    buf_free(&text);
    *s = str_skip(*s, i + 1);
    return closed;
}

static struct str lower(struct arena *a, struct str s)
{
    char *text = arena_c(a, s);

    for (size_t i = 0; i < s.n; i++)
        text[i] = char_lower(text[i]);
    return str_n(text, s.n);
}

/* Pieces of one parameter: name*0*=, name*1=; RFC 2231 3, 4. */
struct pieces {
    const char *name;
    struct str plain, charset;
    struct buf bytes;
    bool extended;
};

static void percent_add(struct buf *to, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '%' && i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;

        buf_add_char(to, low >= 0 ? (char)(high << 4 | low) : text.p[i]);
        if (low >= 0)
            i += 2;
    }
}

static void piece_add(struct pieces *p, struct str name, struct str value)
{
    struct str own = str_c(p->name);

    if (str_eq_nocase(name, own)) {
        p->plain = value;
        return;
    }
    if (!str_starts_nocase(name, own) || name.n <= own.n || name.p[own.n] != '*')
        return;
    if (str_ends(name, STR("*"))) {
        if (!p->extended && str_find(value, '\'') < value.n) {
            p->charset = str_cut(&value, '\'');
            (void)str_cut(&value, '\'');
        }
        percent_add(&p->bytes, value);
    } else {
        buf_add(&p->bytes, value);
    }
    p->extended = true;
}

static struct str pieces_take(struct pieces *p, struct arena *a)
{
    struct buf text = buf_init(4 * WORD_BYTES_MAX);
    struct words_seen seen;
    struct str ret;

    if (!p->extended) /* encoded words do not belong into a parameter, but many write them there */
        words_decode(&text, p->plain, &seen);
    else if (p->charset.n == 0 || !charset_decode(&text, p->charset, buf_str(&p->bytes)))
        buf_add(&text, buf_str(&p->bytes));
    ret = arena_copy(a, buf_str(&text));
    buf_free(&text);
    buf_free(&p->bytes);
    return ret;
}

bool mime_field_parse(struct str body, struct arena *a, struct mime_field *ret)
{
    struct pieces pieces[] = {
        {.name = "charset"}, {.name = "boundary"}, {.name = "filename"}, {.name = "name"}};
    size_t count = 0;
    bool good;

    for (size_t i = 0; i < countof(pieces); i++)
        pieces[i].bytes = buf_init(WORD_BYTES_MAX);
    *ret = (struct mime_field){0};
    good = skip_comments(&body);
    ret->value = lower(a, token_cut(&body));
    good = good && ret->value.n > 0;
    while (good && skip_comments(&body) && body.n > 0) {
        struct str name, value;

        good = body.p[0] == ';';
        body = str_skip(body, 1);
        if (!good || !skip_comments(&body) || body.n == 0)
            break; /* a last ; is forgiven */
        name = token_cut(&body);
        good = skip_comments(&body) && str_starts(body, STR("=")) && name.n > 0;
        body = str_skip(body, 1);
        good = good && skip_comments(&body) && value_cut(&body, a, &value) && count++ < PIECES_MAX;
        for (size_t i = 0; good && i < countof(pieces); i++)
            piece_add(&pieces[i], name, value);
    }
    ret->charset = pieces_take(&pieces[0], a);
    ret->boundary = arena_copy(a, pieces[1].plain); /* as it is: encoded words are not for it */
    buf_free(&pieces[1].bytes);
    ret->filename = pieces_take(&pieces[2], a);
    struct str name = pieces_take(&pieces[3], a);

    if (ret->filename.n == 0)
        ret->filename = name;
    return good;
}

struct str mime_token(struct str body, struct arena *a)
{
    (void)skip_comments(&body);
    return lower(a, token_cut(&body));
}
