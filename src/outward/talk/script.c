// SPDX-License-Identifier: ISC
#include "outward/talk/script.h"

#include "base/check.h"
#include "base/translate.h"

static const struct directive {
    const char *word;
    enum script_kind kind;
} directives[] = {
    {"S:", SCRIPT_HEAR},           {"S\\:", SCRIPT_HEAR_RAW},  {"C:", SCRIPT_SAY},
    {"C\\:", SCRIPT_SAY_RAW},      {"closed:", SCRIPT_CLOSED}, {"wait:", SCRIPT_WAIT},
    {"config", SCRIPT_SKIPPED},    {"world:", SCRIPT_SKIPPED}, {"spool:", SCRIPT_SKIPPED},
    {"from:", SCRIPT_SKIPPED},     {"to:", SCRIPT_SKIPPED},    {"client:", SCRIPT_SKIPPED},
    {"prefix:", SCRIPT_SKIPPED},   {"body:", SCRIPT_SKIPPED},  {"named:", SCRIPT_SKIPPED},
    {"nameless:", SCRIPT_SKIPPED},
};

static const struct directive *find_directive(struct str line)
{
    struct str rest = line;
    struct str word = str_cut_word(&rest);

    for (size_t i = 0; i < countof(directives); i++)
        if (str_starts(line, word) && str_eq_c(word, directives[i].word))
            return &directives[i];
    return NULL;
}

bool script_is_dialogue(struct str line)
{
    return find_directive(line) != NULL;
}

struct script_line script_parse(struct str line, bool dialogue)
{
    const struct directive *d = dialogue ? find_directive(line) : NULL;

    if (str_ends(line, STR("\r")))
        line.n--;
    if (!dialogue)
        return (struct script_line){SCRIPT_TYPED, line};
    if (str_trim(line).n == 0 || line.p[0] == '#')
        return (struct script_line){SCRIPT_NOTHING, line};
    if (!d)
        return (struct script_line){SCRIPT_BAD, line};
    struct str text = str_skip(line, str_c(d->word).n);

    return (struct script_line){d->kind, text.n > 0 ? str_skip(text, 1) : text};
}

/* Greedy with one place to go back to: linear in most cases, never more than product of both. */
bool script_matches(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.n && pattern.p[p] == text.p[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

/* ---- escapes ---- */

static int hex_value(char c)
{
    c = char_lower(c);
    if (char_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \{1000*text}: how often, and what, which may not have braces of its own. */
static bool cut_repeat(struct str *rest, struct buf *to, const char **why)
{
    struct str inner = str_sub(*rest, 0, str_find(*rest, '}'));
    bool closed = inner.n < rest->n;
    struct str text = inner;
    struct str count_text = str_cut(&text, '*');
    uint64_t count;

    *why = N_("\\{ is written as \\{1000*text}");
    if (!closed || inner.n == count_text.n || !str_u64(count_text, &count))
        return false;
    *rest = str_skip(*rest, inner.n + 1);
    if (text.n > 0 && count > SCRIPT_SAID_BYTES_MAX / text.n) {
        *why = N_("that is more than 16 MiB");
        return false;
    }
    for (uint64_t i = 0; i < count && text.n > 0; i++)
        if (!script_unescape(text, to, why))
            return false;
    return true;
}

static bool cut_hex(struct str *rest, struct buf *to, const char **why)
{
    int high = rest->n > 0 ? hex_value(rest->p[0]) : -1;
    int low = rest->n > 1 ? hex_value(rest->p[1]) : -1;

    *why = N_("\\x is followed by two hexadecimal digits");
    if (high < 0 || low < 0)
        return false;
    *rest = str_skip(*rest, 2);
    return buf_add_char(to, (char)(high * 16 + low));
}

/* Behind the backslash. */
static bool cut_escape(struct str *rest, struct buf *to, const char **why)
{
    static const struct {
        char letter, byte;
    } letters[] = {{'r', '\r'}, {'n', '\n'}, {'t', '\t'}, {'0', '\0'}, {'\\', '\\'}, {'"', '"'}};
    char c = rest->n > 0 ? rest->p[0] : '\0';

    *rest = str_skip(*rest, 1);
    if (c == 'x')
        return cut_hex(rest, to, why);
    if (c == '{')
        return cut_repeat(rest, to, why);
    for (size_t i = 0; i < countof(letters); i++)
        if (letters[i].letter == c)
            return buf_add_char(to, letters[i].byte);
    *why = N_("a backslash is followed by r n t 0 \\ \" xHH or {1000*text}");
    return false;
}

bool script_unescape(struct str text, struct buf *to, const char **why)
{
    while (text.n > 0) {
        size_t plain = str_find(text, '\\');

        (void)buf_add(to, str_sub(text, 0, plain));
        if (plain == text.n)
            break;
        text = str_skip(text, plain + 1);
        if (!cut_escape(&text, to, why))
            return false;
    }
    *why = N_("that is more than 16 MiB");
    return !to->full;
}
