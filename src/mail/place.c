// SPDX-License-Identifier: ISC
#include "mail/place.h"

#include "base/check.h"

static const char user_word[] = "{user}";

static bool part_valid(struct str part)
{
    if (part.n == 0 || str_eq_c(part, ".") || str_eq_c(part, ".."))
        return false;
    for (size_t at = str_find_str(part, str_c(user_word)); at < part.n;
         at = str_find_str(part, str_c(user_word))) {
        struct str before = str_sub(part, 0, at);

        if (str_find(before, '{') < before.n || str_find(before, '}') < before.n)
            return false;
        part = str_skip(part, at + sizeof user_word - 1);
    }
    return str_find(part, '{') == part.n && str_find(part, '}') == part.n;
}

static bool bytes_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || (s.p[i] == '~' && i > 0))
            return false;
    return true;
}

const char *place_problem(struct str place)
{
    bool below_home = str_starts(place, STR("~/"));

    if (place.n > PLACE_BYTES_MAX)
        return "is longer than 200 characters";
    if (!below_home && !str_starts(place, STR("/")))
        return "begins with ~/ (the home directory) or /, as in \"~/Maildir\"";
    if (!bytes_valid(place))
        return "has a character that is not allowed there: printable ASCII, ~ only in front";
    struct str rest = str_skip(place, below_home ? 2 : 1);
    if (!below_home && str_find_str(rest, str_c(user_word)) == rest.n)
        return "would be the same for all users; write {user} where their name goes";
    do {
        if (!part_valid(str_cut(&rest, '/')))
            return "names a folder, without //, . and .., and with no braces but {user}";
    } while (rest.n > 0);
    return str_ends(place, STR("/")) ? "ends in a slash; leave it out" : NULL;
}

static void add_part(struct buf *path, struct str part, struct str user)
{
    buf_add_char(path, '/');
    for (size_t at = str_find_str(part, str_c(user_word)); at < part.n;
         at = str_find_str(part, str_c(user_word))) {
        buf_add(path, str_sub(part, 0, at));
        buf_add(path, user);
        part = str_skip(part, at + sizeof user_word - 1);
    }
    buf_add(path, part);
}

bool place_expand(struct str place, struct str user, struct str home, struct buf *path,
                  size_t *base_bytes)
{
    bool below_home = str_starts(place, STR("~/"));
    struct str rest = str_skip(place, below_home ? 2 : 1);
    bool own = below_home;

    if (below_home && !str_starts(home, STR("/")))
        return false;
    while (home.n > 1 && str_ends(home, STR("/")))
        home = str_sub(home, 0, home.n - 1);
    if (below_home && home.n > 1)
        buf_add(path, home);
    *base_bytes = path->n;
    while (rest.n > 0) {
        struct str part = str_cut(&rest, '/');

        own = own || str_find_str(part, str_c(user_word)) < part.n;
        add_part(path, part, user);
        if (!own)
            *base_bytes = path->n;
    }
    return !path->full;
}
