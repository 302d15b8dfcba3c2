/* daemon/pam/check.h - one password by PAM. It may take as long as it likes, crash, or leak: to be
 * called in a child that is killed (daemon/pam/pam.c). */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "base/str.h"
#include "ipc/message.h"

enum { CHECK_PASSWORD_BYTES_MAX = 500, CHECK_TEXT_BYTES_MAX = 128 };

struct check {
    const char *service; /* a file in /etc/pam.d, */
    const char *folder;  /* or in this folder; NULL: in that one */
    uid_t minimum_uid;   /* users with a lower one are none */
    struct str login, password;
    struct str client; /* where it comes from: PAM_RHOST */
};

/* How it ended; the number is the status of the child. */
enum check_end {
    CHECK_RIGHT,
    CHECK_WRONG,
    CHECK_FAILED,   /* a module says so, pam_exec of a command that refuses; it counts as wrong */
    CHECK_NO_USER,  /* or root, or a system user */
    CHECK_NO_LOGIN, /* the password is right, but the account may not log in */
    CHECK_EXPIRED,  /* likewise, before it has another password */
    CHECK_OTHER,    /* PAM took the login for another user */
    CHECK_LATER,    /* what PAM asks cannot be asked now */
    CHECK_BROKEN,   /* the service names what is not there */
    CHECK_END_COUNT
};
struct check_end_row {
    enum password_verdict verdict;
    const char *why;
};
extern const struct check_end_row check_ends[CHECK_END_COUNT];

enum check_end check_password(const struct check *c);
