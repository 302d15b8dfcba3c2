// SPDX-License-Identifier: ISC
#include "compose/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/utf8.h"

/* In the order in which they are suggested. Names are compared without case and without hyphens
 * and underscores, so only what is really another name stands under `also`. */
static const struct charset charsets[] = {
    {"utf-8", "unicode", "UTF-8", false},
    {"us-ascii", "ascii 646", "US-ASCII", true},
    {"koi8-r", "koi8 koi", "KOI8-R", true},
    {"windows-1251", "cp1251 win1251 1251 cyrillic", "CP1251", true},
    {"koi8-u", NULL, "KOI8-U", true},
    {"iso-8859-5", NULL, "ISO-8859-5", true},
    {"ibm866", "cp866 866 dos alt", "CP866", true},
    {"iso-8859-1", "latin1 l1", "ISO-8859-1", true},
    {"iso-8859-15", "latin9", "ISO-8859-15", true},
    {"windows-1252", "cp1252 win1252 1252", "CP1252", true},
    {"iso-8859-2", "latin2 l2", "ISO-8859-2", true},
    {"windows-1250", "cp1250 win1250 1250", "CP1250", true},
    {"iso-8859-3", "latin3 l3", "ISO-8859-3", true},
    {"iso-8859-4", "latin4 l4", "ISO-8859-4", true},
    {"iso-8859-6", "arabic", "ISO-8859-6", true},
    {"windows-1256", "cp1256 win1256 1256", "CP1256", true},
    {"iso-8859-7", "greek", "ISO-8859-7", true},
    {"windows-1253", "cp1253 win1253 1253", "CP1253", true},
    {"iso-8859-8", "hebrew", "ISO-8859-8", true},
    {"windows-1255", "cp1255 win1255 1255", "CP1255", true},
    {"iso-8859-9", "latin5 l5", "ISO-8859-9", true},
    {"windows-1254", "cp1254 win1254 1254", "CP1254", true},
    {"iso-8859-10", "latin6 l6", "ISO-8859-10", true},
    {"iso-8859-11", NULL, "ISO-8859-11", true},
    {"tis-620", NULL, "TIS-620", true},
    {"windows-874", "cp874 win874", "CP874", true},
    {"iso-8859-13", "latin7", "ISO-8859-13", true},
    {"windows-1257", "cp1257 win1257 1257", "CP1257", true},
    {"iso-8859-14", "latin8", "ISO-8859-14", true},
    {"iso-8859-16", "latin10", "ISO-8859-16", true},
    {"windows-1258", "cp1258 win1258 1258", "CP1258", true},
    {"iso-2022-jp", "jis", "ISO-2022-JP", false},
    {"euc-jp", NULL, "EUC-JP", false},
    {"shift_jis", "sjis cp932 windows31j", "CP932", false},
    {"euc-kr", NULL, "EUC-KR", false},
    {"gb2312", "euccn", "EUC-CN", false},
    {"gbk", "cp936", "GBK", false},
    {"gb18030", NULL, "GB18030", false},
    {"big5", NULL, "BIG5", false},
};

static bool is_joint(char c)
{
    return c == '-' || c == '_';
}

/* "KOI8_R" is "koi8-r" and "koi8r". */
static bool names_equal(struct str a, struct str b)
{
    size_t i = 0, j = 0;

    for (;;) {
        while (i < a.n && is_joint(a.p[i]))
            i++;
        while (j < b.n && is_joint(b.p[j]))
            j++;
        if (i == a.n || j == b.n)
            return i == a.n && j == b.n && i > 0;
        if (char_lower(a.p[i++]) != char_lower(b.p[j++]))
            return false;
    }
}

const struct charset *charset_find(struct str name)
{
    for (size_t i = 0; i < countof(charsets); i++) {
        struct str also = str_c(charsets[i].also);

        if (names_equal(name, str_c(charsets[i].name)))
            return &charsets[i];
        while (also.n > 0)
            if (names_equal(name, str_cut_word(&also)))
                return &charsets[i];
    }
    return NULL;
}

const struct charset *charset_utf8(void)
{
    return &charsets[0];
}

bool charset_is_utf8(const struct charset *c)
{
    return c == &charsets[0];
}

void charset_names(struct buf *to)
{
    for (size_t i = 0; i < countof(charsets); i++)
        (void)buf_printf(to, "%s%s", i > 0 ? ", " : "", charsets[i].name);
}

/* ---- conversion ---- */

struct coder {
    const struct charset *charset;
    iconv_t cd;
    bool drops_tags;
};

static bool has_everything(const struct charset *c)
{
    return charset_is_utf8(c) || str_eq_c(str_c(c->name), "gb18030");
}

int coder_open(const struct charset *c, bool decode, struct coder **ret)
{
    iconv_t cd = decode ? iconv_open("UTF-8", c->iconv) : iconv_open(c->iconv, "UTF-8");
    struct coder *coder;

    if (cd == (iconv_t)-1)
        return errno == EINVAL ? -ENOENT : -errno;
    coder = mem_new(sizeof *coder);
    *coder = (struct coder){
        .charset = c,
        .cd = cd,
        .drops_tags = !decode && !has_everything(c),
    };
    *ret = coder;
    return 0;
}

void coder_close(struct coder **c)
{
    if (!*c)
        return;
    (void)iconv_close((*c)->cd);
    free(*c);
    *c = NULL;
}

const struct charset *coder_charset(const struct coder *c)
{
    return c->charset;
}

enum { PIECE_BYTES = 4096 };

/* One call of iconv with room for a piece. in NULL: back to the first state. */
static size_t convert_piece(struct coder *c, char **in, size_t *left, struct buf *to)
{
    char piece[PIECE_BYTES];
    char *out = piece;
    size_t room = sizeof piece;
    size_t result = iconv(c->cd, in, left, &out, &room);
    int error = errno;

    if (to && !buf_add(to, str_n(piece, sizeof piece - room)))
        error = ENOBUFS;
    errno = error;
    return to && to->full ? (size_t)-1 : result;
}

/* Where the first of the characters U+E0000 to U+E007F is, or text.n: what a set does not have of
 * them, the GNU C library leaves out without a word. */
static size_t find_tag(struct str text)
{
    for (struct str rest = text; rest.n > 0;) {
        size_t at = str_find_str(rest, STR("\xf3\xa0"));
        struct str behind = str_skip(rest, at + 2);

        if (behind.n > 0 && (uint8_t)behind.p[0] <= 0x81)
            return text.n - rest.n + at;
        rest = behind;
    }
    return text.n;
}

static bool convert(struct coder *c, struct str text, struct buf *to, size_t *bad)
{
    char *in = (char *)(uintptr_t)text.p; /* iconv only reads it */
    size_t left = text.n;

    (void)iconv(c->cd, NULL, NULL, NULL, NULL);
    while (left > 0) {
        if (convert_piece(c, &in, &left, to) != (size_t)-1 || errno == E2BIG)
            continue;
        *bad = errno == ENOBUFS ? text.n : text.n - left;
        return false;
    }
    if (convert_piece(c, NULL, NULL, to) == (size_t)-1) {
        *bad = text.n;
        return false;
    }
    return true;
}

bool coder_convert(struct coder *c, struct str text, struct buf *to, size_t *bad)
{
    size_t tag = c->drops_tags ? find_tag(text) : text.n;

    if (!convert(c, str_sub(text, 0, tag), to, bad)) {
        *bad = *bad == tag ? text.n : *bad; /* it did not fit */
        return false;
    }
    *bad = tag;
    return tag == text.n;
}

static bool has_all(const struct charset *c, const struct str *texts, size_t count)
{
    struct coder *coder = NULL;
    bool all = coder_open(c, false, &coder) == 0;
    size_t bad;

    for (size_t i = 0; i < count && all; i++)
        all = coder_convert(coder, texts[i], NULL, &bad);
    coder_close(&coder);
    return all;
}

const struct charset *charset_suggest(const struct str *texts, size_t count)
{
    for (size_t i = 0; i < countof(charsets); i++)
        if (charsets[i].small && has_all(&charsets[i], texts, count))
            return &charsets[i];
    return NULL;
}
