/* io/user.h - the users of this machine, by name (NSS: files, LDAP, whatever nsswitch.conf names).
 *
 * A look takes as long as those services take: never ask in a loop that others wait for. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "base/str.h"

enum { USER_NAME_BYTES_MAX = 32, USER_HOME_BYTES_MAX = 1024 };

enum user_found {
    USER_UNKNOWN,
    USER_FOUND,
    USER_REFUSED,   /* there is one, but it is no person: root, a system user, nobody */
    USER_TRY_LATER, /* the services do not answer */
    USER_FOUND_COUNT
};

struct user {
    char name[USER_NAME_BYTES_MAX + 1]; /* as the system writes it */
    uid_t uid;
    gid_t gid;
    char home[USER_HOME_BYTES_MAX + 1];
};

/* Could this be a login at all? Letters, digits, '.', '_' and '-', not all digits, no '.' or '-'
 * in front: nothing that a path or a service could take in another way. */
bool user_name_valid(struct str name);
/* As written, then in lower case. uids below minimum_uid are USER_REFUSED, and so is uid 0
 * whatever the minimum. *ret is written when the user was found or refused. */
enum user_found user_find(struct str name, uid_t minimum_uid, struct user *ret);
