// SPDX-License-Identifier: ISC
#include "mail/notify.h"

#include "base/check.h"
#include "base/utf8.h"

static const struct {
    const char *word;
    unsigned bit;
} words[] = {{"SUCCESS", NOTIFY_SUCCESS}, {"FAILURE", NOTIFY_FAILURE}, {"DELAY", NOTIFY_DELAY}};

static const char *const return_names[RETURN_COUNT] = {
    [RETURN_UNSAID] = "", [RETURN_HEADERS] = "HDRS", [RETURN_FULL] = "FULL"};

bool notify_wants(unsigned when, enum notify_when what)
{
    unsigned said = when & NOTIFY_ASKED;

    return (said ? said : NOTIFY_FAILURE | NOTIFY_DELAY) & what;
}

static unsigned word_bit(struct str word)
{
    for (size_t i = 0; i < countof(words); i++)
        if (str_eq_nocase(word, str_c(words[i].word)))
            return words[i].bit;
    return 0;
}

bool notify_parse(struct str text, unsigned *ret)
{
    unsigned when = 0;
    bool more = true;

    if (str_eq_nocase(text, STR("NEVER"))) {
        *ret = NOTIFY_NEVER;
        return true;
    }
    while (more) {
        more = str_find(text, ',') < text.n;
        unsigned bit = word_bit(str_cut(&text, ','));
        if (bit == 0 || when & bit)
            return false;
        when |= bit;
    }
    *ret = when;
    return true;
}

void notify_print(struct buf *to, unsigned when)
{
    const char *between = "";

    if (when & NOTIFY_NEVER)
        buf_add_c(to, "NEVER");
    for (size_t i = 0; i < countof(words); i++) {
        if (!(when & words[i].bit))
            continue;
        buf_printf(to, "%s%s", between, words[i].word);
        between = ",";
    }
}

bool notify_valid(unsigned when)
{
    unsigned said = when & NOTIFY_ASKED;

    return !(when & ~(unsigned)(NOTIFY_ASKED | NOTIFY_EXPANDED)) &&
           (!(said & NOTIFY_NEVER) || said == NOTIFY_NEVER);
}

const char *notify_return_name(enum notify_return r)
{
    return (size_t)r < RETURN_COUNT ? return_names[r] : "";
}

bool notify_return_parse(struct str text, enum notify_return *ret)
{
    for (size_t i = RETURN_HEADERS; i < RETURN_COUNT; i++) {
        if (!str_eq_nocase(text, str_c(return_names[i])))
            continue;
        *ret = (enum notify_return)i;
        return true;
    }
    return false;
}

bool notify_text_valid(struct str decoded, size_t bytes_max)
{
    for (size_t i = 0; i < decoded.n; i++)
        if (decoded.p[i] < ' ' || decoded.p[i] > '~')
            return false;
    return decoded.n > 0 && decoded.n <= bytes_max;
}

bool orcpt_is_utf8(struct str decoded)
{
    return str_starts_nocase(decoded, STR("utf-8;"));
}

/* RFC 3461 4.2: the type is an atom. */
bool orcpt_valid(struct str decoded)
{
    size_t at = str_find(decoded, ';');
    bool text_valid = orcpt_is_utf8(decoded) ? decoded.n <= ORCPT_BYTES_MAX && utf8_visible(decoded)
                                             : notify_text_valid(decoded, ORCPT_BYTES_MAX);

    if (at == 0 || at + 1 >= decoded.n || !text_valid)
        return false;
    for (size_t i = 0; i < at; i++)
        if (!char_is_alpha(decoded.p[i]) && !char_is_digit(decoded.p[i]) && decoded.p[i] != '-')
            return false;
    return true;
}
