/* outward/talk/local_table.c - which commands are ours, and which lines are meant for us. Pure. */
// SPDX-License-Identifier: ISC
#include "outward/talk/local.h"

#include "base/check.h"
#include "base/translate.h"

const struct local locals[] = {
#define LOCAL(name, word, usage, help, completes, waits)                                           \
    {"/" #name, word, usage, help, completes, waits},
#include "outward/talk/local.def"
#undef LOCAL
};
const size_t local_count = countof(locals);

size_t local_find(struct str verb)
{
    size_t i = 0;

    if (str_starts(verb, STR("/")))
        verb = str_skip(verb, 1);
    while (i < local_count && !str_eq_nocase(verb, str_skip(str_c(locals[i].name), 1)))
        i++;
    return i;
}

bool local_waits(struct str verb)
{
    size_t i = local_find(verb);

    return i < local_count && locals[i].waits;
}

bool local_cut(struct str line, bool pop3, struct str *verb, struct str *arguments)
{
    uint64_t number;

    *arguments = line;
    *verb = str_cut_word(arguments);
    *arguments = str_trim(*arguments);
    if (str_starts(*verb, STR("/")))
        return true;
    struct str rest = *arguments;
    struct str first = str_cut_word(&rest);

    if (str_eq_nocase(*verb, STR("auth"))) /* alone it lists the mechanisms in POP3 (RFC 1734) */
        return first.n == 0 && !pop3;
    if (str_eq_nocase(*verb, STR("expect")))
        return first.n > 0;
    if (pop3)
        return false;
    if (str_eq_nocase(*verb, STR("data")))
        return first.n > 0;
    return str_eq_nocase(*verb, STR("bdat")) && first.n > 0 && !str_u64(first, &number);
}
