// SPDX-License-Identifier: ISC
#include "daemon/parent/who.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { GROUPS_MAX = 1024 };

static bool in_group(const struct passwd *user, gid_t gid)
{
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    if (gid == (gid_t)-1)
        return false;
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
        count = 0;
    for (int i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

static bool is_listed(const struct config *c, const char *login)
{
    for (size_t i = 0; i < c->trusted_user_count; i++)
        if (str_eq_c(c->trusted_users[i], login))
            return true;
    return false;
}

static bool is_login_char(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '.' || c == '_' || c == '-';
}

static void keep_login(struct who *w, struct str login)
{
    for (size_t i = 0; i < login.n; i++)
        if (!is_login_char(login.p[i]) || login.n > LOGIN_BYTES_MAX)
            return;
    memcpy(w->login, login.p, login.n);
}

struct who who_is(const struct config *c, uid_t uid, gid_t control_gid)
{
    struct who w = {.uid = uid, .trusted = uid == 0 || uid == geteuid()};
    const struct passwd *user = getpwuid(uid);

    if (!user)
        return w;
    w.trusted = w.trusted || is_listed(c, user->pw_name) || in_group(user, control_gid);
    keep_login(&w, str_c(user->pw_name));
    return w;
}
