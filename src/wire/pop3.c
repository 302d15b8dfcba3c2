/* wire/pop3.c - what a POP3 server says. RFC 1939, 2449. */
// SPDX-License-Identifier: ISC
#include "wire/pop3.h"

#include <string.h>

#include "base/check.h"

enum { ARGUMENT_BYTES_MAX = 480 }; /* far over the 40 of RFC 1939 3, within a line of RFC 2449 4 */

enum pop3_line pop3_line(struct str in, struct str *ret, size_t *used)
{
    struct str window = str_sub(in, 0, POP3_CHALLENGE_BYTES_MAX);
    size_t end = str_find(window, '\n');

    if (end == window.n)
        return window.n == POP3_CHALLENGE_BYTES_MAX ? POP3_TOO_LONG : POP3_MORE;
    *used = end + 1;
    *ret = str_sub(window, 0, end > 0 && window.p[end - 1] == '\r' ? end - 1 : end);
    return POP3_LINE;
}

/* "[AUTH] text", of a reply that RFC 2449 8 allows it in. */
static void cut_code(struct pop3_reply *r)
{
    size_t end = str_find(r->text, ']');

    if (!str_starts(r->text, STR("[")) || end == r->text.n)
        return;
    r->code = str_sub(r->text, 1, end);
    r->text = str_trim(str_skip(r->text, end + 1));
}

struct pop3_reply pop3_reply_parse(struct str line)
{
    struct pop3_reply r = {.kind = POP3_NONSENSE, .text = line};
    size_t space = str_find(line, ' ');
    struct str word = str_sub(line, 0, space);

    if (str_eq_nocase(word, STR("+OK")))
        r.kind = POP3_OK;
    else if (str_eq_nocase(word, STR("-ERR")))
        r.kind = POP3_ERR;
    else if (str_eq(word, STR("+")))
        r.kind = POP3_CHALLENGE;
    else
        return r;
    r.text = str_trim(str_skip(line, space));
    if (r.kind != POP3_CHALLENGE)
        cut_code(&r);
    return r;
}

struct str pop3_timestamp(struct str greeting)
{
    size_t from = str_find(greeting, '<');
    struct str rest = str_skip(greeting, from);
    size_t end = str_find(rest, '>');
    struct str stamp = str_sub(rest, 0, end + 1);

    if (end == rest.n || str_find(stamp, '@') == stamp.n)
        return STR_NONE;
    for (size_t i = 0; i < stamp.n; i++) {
        if (stamp.p[i] <= ' ' || stamp.p[i] > '~')
            return STR_NONE;
    }
    return stamp;
}

bool pop3_multi_line(struct str *line)
{
    if (str_eq(*line, STR(".")))
        return false;
    if (str_starts(*line, STR(".")))
        *line = str_skip(*line, 1);
    return true;
}

static void take_mechanisms(struct pop3_capabilities *c, struct str words)
{
    size_t n = 0;

    for (struct str one = str_cut_word(&words); one.n > 0; one = str_cut_word(&words)) {
        if (n + 1 + one.n >= sizeof(c->sasl))
            continue;
        if (n > 0)
            c->sasl[n++] = ' ';
        memcpy(c->sasl + n, one.p, one.n);
        n += one.n;
    }
    c->sasl[n] = '\0';
}

void pop3_capability(struct pop3_capabilities *c, struct str line)
{
    const struct {
        const char *word;
        bool *has;
    } rows[] = {{"STLS", &c->stls},
                {"USER", &c->user},
                {"TOP", &c->top},
                {"UIDL", &c->uidl},
                {"PIPELINING", &c->pipelining}};
    struct str word = str_cut_word(&line);

    for (size_t i = 0; i < countof(rows); i++)
        *rows[i].has = *rows[i].has || str_eq_nocase(word, str_c(rows[i].word));
    if (str_eq_nocase(word, STR("SASL")))
        take_mechanisms(c, line);
}

bool pop3_argument_valid(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
            return false;
    }
    return text.n > 0 && text.n <= ARGUMENT_BYTES_MAX;
}
