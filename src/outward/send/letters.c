// SPDX-License-Identifier: ISC
#include "outward/send/letters.h"

#include <errno.h>
#include <iconv.h>
#include <langinfo.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/utf8.h"

enum { PIECE_BYTES = 4096 };

const char *letters_of_locale(void)
{
    const char *name = nl_langinfo(CODESET);

    /* The locale C says ASCII, and means that nobody chose. */
    return *name && strcmp(name, "ANSI_X3.4-1968") != 0 ? name : "UTF-8";
}

static bool is_utf8(const char *charset)
{
    return strcasecmp(charset, "utf-8") == 0 || strcasecmp(charset, "utf8") == 0;
}

static int bad_at(const char *charset, struct str bytes, size_t at, struct buf *error)
{
    size_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += bytes.p[i] == '\n';
    buf_printf(
        error,
        _("line %zu, byte %zu: 0x%02X means nothing in %s; --input-charset says which letters "
          "it is written in, such as windows-1251 or koi8-r"),
        line, at + 1, at < bytes.n ? (unsigned char)bytes.p[at] : 0u, charset);
    return EX_DATAERR;
}

static int too_much(const struct buf *to, struct buf *error)
{
    buf_printf(error, _("it is longer than %zu bytes"), to->bytes_max);
    return EX_DATAERR;
}

static int take_utf8(struct str bytes, struct buf *to, struct buf *error)
{
    struct str rest = bytes;
    uint32_t c;

    while (rest.n > 0 && utf8_cut(&rest, &c))
        ;
    if (rest.n > 0)
        return bad_at("UTF-8", bytes, bytes.n - rest.n, error);
    if (str_starts(bytes, STR("\xef\xbb\xbf")))
        bytes = str_skip(bytes, 3);
    return buf_add(to, bytes) ? EX_OK : too_much(to, error);
}

/* Piece by piece; what iconv(3) leaves it is given again. */
static int convert(iconv_t letters, const char *charset, struct str bytes, struct buf *to,
                   struct buf *error)
{
    char *in = (char *)(uintptr_t)bytes.p; /* iconv(3) does not write there */
    size_t left = bytes.n, did = 0;

    while (left > 0 && did != (size_t)-1) {
        char piece[PIECE_BYTES], *out = piece;
        size_t room = sizeof(piece);

        did = iconv(letters, &in, &left, &out, &room);
        if (did == (size_t)-1 && errno == E2BIG)
            did = 0;
        if (!buf_add(to, str_n(piece, sizeof(piece) - room)))
            return too_much(to, error);
    }
    return left > 0 ? bad_at(charset, bytes, bytes.n - left, error) : EX_OK;
}

int letters_decode(const char *charset, struct str bytes, struct buf *to, struct buf *error)
{
    if (is_utf8(charset))
        return take_utf8(bytes, to, error);
    iconv_t letters = iconv_open("UTF-8", charset);

    if (letters == (iconv_t)-1) {
        buf_printf(error, _("no letters are called %s; `iconv -l` lists their names"), charset);
        return EX_USAGE;
    }
    int code = convert(letters, charset, bytes, to, error);

    (void)iconv_close(letters);
    return code;
}
