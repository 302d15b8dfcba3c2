// SPDX-License-Identifier: ISC
#include "io/user.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ENTRY_BYTES = 16 * 1024, UID_NOBODY = 65534 };

static bool is_name_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '.' || c == '_' || c == '-';
}

bool user_name_valid(struct str name)
{
    size_t digits = 0;

    if (name.n == 0 || name.n > USER_NAME_BYTES_MAX || name.p[0] == '.' || name.p[0] == '-')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (!is_name_char(name.p[i]))
            return false;
        digits += char_is_digit(name.p[i]);
    }
    return digits < name.n;
}

static bool is_person(uid_t uid, uid_t minimum_uid)
{
    return uid != 0 && uid >= minimum_uid && uid != UID_NOBODY && uid != (uid_t)-1;
}

static bool keep(struct user *ret, const struct passwd *entry)
{
    size_t name_bytes = strlen(entry->pw_name), home_bytes = strlen(entry->pw_dir);

    if (!user_name_valid(str_c(entry->pw_name)) || home_bytes > USER_HOME_BYTES_MAX)
        return false;
    *ret = (struct user){.uid = entry->pw_uid, .gid = entry->pw_gid};
    memcpy(ret->name, entry->pw_name, name_bytes + 1);
    memcpy(ret->home, entry->pw_dir, home_bytes + 1);
    return true;
}

static bool means_none(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH; /* some services say so */
}

static enum user_found find(const char *name, uid_t minimum_uid, struct user *ret)
{
    struct passwd entry, *found = NULL;
    char *bytes = mem_new(ENTRY_BYTES);
    int error = getpwnam_r(name, &entry, bytes, ENTRY_BYTES, &found);
    enum user_found answer = USER_UNKNOWN;

    if (!found && !means_none(error))
        answer = USER_TRY_LATER;
    else if (found && keep(ret, found))
        answer = is_person(ret->uid, minimum_uid) ? USER_FOUND : USER_REFUSED;
    free(bytes);
    return answer;
}

enum user_found user_find(struct str name, uid_t minimum_uid, struct user *ret)
{
    char text[USER_NAME_BYTES_MAX + 1] = "";
    bool same = true;

    if (!user_name_valid(name))
        return USER_UNKNOWN;
    memcpy(text, name.p, name.n);
    enum user_found answer = find(text, minimum_uid, ret);
    for (size_t i = 0; i < name.n; i++) {
        text[i] = char_lower(text[i]);
        same = same && text[i] == name.p[i];
    }
    return answer != USER_UNKNOWN || same ? answer : find(text, minimum_uid, ret);
}
