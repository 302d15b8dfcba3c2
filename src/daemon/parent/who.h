/* daemon/parent/who.h - what a user of this machine is called and may do, for mail of theirs. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "config/config.h"

enum { LOGIN_BYTES_MAX = 32 };

struct who {
    uid_t uid;
    bool trusted; /* may say any sender: root, our own uid, group troika, trusted-users */
    char login[LOGIN_BYTES_MAX + 1]; /* empty: none that could be shown */
};

struct who who_is(const struct config *c, uid_t uid, gid_t control_gid);
