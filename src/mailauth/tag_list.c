/* mailauth/tag_list.c - see tag_list.h. */
// SPDX-License-Identifier: ISC
#include "mailauth/tag_list.h"

static bool is_name_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '_';
}

static bool name_good(struct str name)
{
    if (name.n == 0 || !char_is_alpha(name.p[0]))
        return false;
    for (size_t i = 1; i < name.n; i++)
        if (!is_name_char(name.p[i]))
            return false;
    return true;
}

/* Printable ASCII with blanks in it; what folds a line is a blank, too. */
static bool value_good(struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];

        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c > '~')
            return false;
    }
    return true;
}

static bool take_tag(struct tag_list *l, struct str text, struct record_error *error)
{
    struct str value = text;
    struct str name = str_trim(str_cut(&value, '='));

    if (name.n == text.n)
        return record_wrong(error, N_("a tag without = in it"), text);
    value = str_trim(value);
    if (!name_good(name))
        return record_wrong(error, N_("this cannot be the name of a tag"), name);
    if (!value_good(value))
        return record_wrong(error, N_("a value with characters that are not printable ASCII"),
                            name);
    for (size_t i = 0; i < l->count; i++)
        if (str_eq(l->tags[i].name, name))
            return record_wrong(error, N_("a tag that is there twice"), name);
    if (l->count == TAGS_MAX)
        return record_wrong(error, N_("more tags than anybody needs"), name);
    l->tags[l->count++] = (struct tag){name, value.p ? value : STR("")};
    return true;
}

bool tag_list_parse(struct str text, struct tag_list *ret, struct record_error *error)
{
    ret->count = 0;
    while (text.n > 0) {
        struct str one = str_trim(str_cut(&text, ';'));

        if (one.n > 0 && !take_tag(ret, one, error))
            return false;
    }
    return true;
}

bool tag_list_is(struct str text, const char *version)
{
    struct str value = str_cut(&text, ';');
    struct str name = str_trim(str_cut(&value, '='));

    return str_eq_c(name, "v") && str_eq_c(str_trim(value), version);
}

struct str tag_get(const struct tag_list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (str_eq_c(l->tags[i].name, name))
            return l->tags[i].value;
    return STR_NONE;
}
