/* compose/cid.c - HTML is not parsed for this but copied, so that nothing else in it changes. What
 * stands in a tag is told from text, where "cid:" may be just two words. */
// SPDX-License-Identifier: ISC
#include "compose/cid.h"

#include <string.h>

#include "base/check.h"

enum { ID_BYTES_MAX = 200 };

bool cid_valid(struct str id, bool at)
{
    size_t ats = 0;

    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool inside = i > 0 && i + 1 < id.n && id.p[i - 1] != '.' && id.p[i - 1] != '@';

        ats += c == '@';
        if ((c == '@' || c == '.') ? !inside
                                   : !char_is_alpha(c) && !char_is_digit(c) && !strchr("_-+", c))
            return false;
    }
    return id.n > 0 && id.n <= ID_BYTES_MAX && ats == at;
}

enum state { TEXT, TAG, IN_DOUBLE, IN_SINGLE };

static enum state next_state(enum state state, struct str rest)
{
    char c = rest.p[0];

    switch (state) {
    case TEXT:
        return c == '<' && rest.n > 1 && char_is_alpha(rest.p[1]) ? TAG : TEXT;
    case TAG:
        return c == '>' ? TEXT : c == '"' ? IN_DOUBLE : c == '\'' ? IN_SINGLE : TAG;
    case IN_DOUBLE:
        return c == '"' ? TAG : IN_DOUBLE;
    case IN_SINGLE:
        return c == '\'' ? TAG : IN_SINGLE;
    }
    return TEXT;
}

/* What ends a reference that begins behind this character; NULL: none begins there. */
static const char *ends_of(char before)
{
    switch (before) {
    case '"':
        return "\"";
    case '\'':
        return "'";
    case '(':
        return ")\"'";
    case '=':
        return " \t\r\n\f>";
    default:
        return NULL;
    }
}

static int hex_digit(char c)
{
    if (char_is_digit(c))
        return c - '0';
    c = char_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 2.1 */
static bool equals_decoded(struct str url, struct str name)
{
    size_t i = 0, n = 0;

    for (; i < url.n && n < name.n; i++, n++) {
        char c = url.p[i];

        if (c == '%' && i + 2 < url.n && hex_digit(url.p[i + 1]) >= 0 &&
            hex_digit(url.p[i + 2]) >= 0) {
            c = (char)(hex_digit(url.p[i + 1]) * 16 + hex_digit(url.p[i + 2]));
            i += 2;
        }
        if (c != name.p[n])
            return false;
    }
    return i == url.n && n == name.n;
}

static struct cid *find(struct str reference, struct cid *cids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(reference, cids[i].called) || equals_decoded(reference, cids[i].called))
            return &cids[i];
    return NULL;
}

/* The reference at rest, without "cid:"; false: there is none. */
static bool reference_at(struct str rest, char before, struct str *ret)
{
    const char *ends = ends_of(before);

    if (!ends || !str_starts_nocase(rest, STR("cid:")))
        return false;
    rest = str_skip(rest, 4);
    size_t n = 0;
    while (n < rest.n && (!rest.p[n] || !strchr(ends, rest.p[n])))
        n++;
    *ret = str_sub(rest, 0, n);
    return true;
}

bool cid_rename(struct str html, struct cid *cids, size_t count, struct buf *to,
                struct str *unknown)
{
    enum state state = TEXT;
    char before = '\0';

    while (html.n > 0) {
        struct str reference;
        bool refers = reference_at(html, before, &reference);
        struct cid *cid = refers ? find(str_trim(reference), cids, count) : NULL;

        if (cid) {
            (void)buf_printf(to, "cid:%.*s", STR_ARG(cid->id));
            cid->used = true;
            html = str_skip(html, 4 + reference.n);
            before = '\0';
            continue;
        }
        if (refers && state != TEXT) {
            *unknown = reference;
            return false;
        }
        state = next_state(state, html);
        before = html.p[0];
        (void)buf_add_char(to, before);
        html = str_skip(html, 1);
    }
    *unknown = STR("");
    return !to->full;
}
