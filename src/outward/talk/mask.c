// SPDX-License-Identifier: ISC
#include "outward/talk/mask.h"

#include "base/check.h"

/* Behind how many words of these commands a secret begins. The login of APOP is none, its digest
 * can be tried against all words of a dictionary. */
static const struct {
    const char *verb;
    size_t words;
} secret_commands[] = {{"AUTH", 2}, {"AUTHENTICATE", 2}, {"PASS", 1}, {"APOP", 2}, {"LOGIN", 2}};

/* Where the words behind the first n begin, with blanks before them kept apart. */
static size_t skip_words(struct str line, size_t n)
{
    struct str rest = line;

    while (n-- > 0 && rest.n > 0)
        (void)str_cut_word(&rest);
    return rest.n > 0 ? (size_t)(rest.p - line.p) : line.n;
}

static size_t secret_begins(struct str line)
{
    struct str rest = line;
    struct str verb = str_cut_word(&rest);

    for (size_t i = 0; i < countof(secret_commands); i++)
        if (str_eq_nocase(verb, str_c(secret_commands[i].verb)))
            return skip_words(line, secret_commands[i].words);
    return line.n;
}

bool mask_line(struct str line, bool in_login, struct buf *to)
{
    size_t at = in_login ? 0 : secret_begins(line);

    if (in_login ? str_eq_c(str_trim(line), "*") : at >= line.n) {
        (void)buf_add(to, line);
        return false;
    }
    (void)buf_add(to, str_sub(line, 0, at));
    (void)buf_add(to, STR(MASK));
    return true;
}

bool mask_found(struct str line)
{
    return str_ends(line, STR(MASK));
}
