/* daemon/pam/pam.h - the role pam: is this the password of a user of this machine?
 *
 * It stays root, because modules of PAM are written for it, and hears only logind. Each check is a
 * child of its own: a module that hangs is killed with it after pam-timeout, one that crashes or
 * leaks takes nothing with it, and the password is gone when it ends. So many children at once, so
 * many questions in a line, and who comes then hears "later" (docs/design/0033-pam.md). */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/worker.h"

extern const struct role_spec pam_spec;

enum {
    CHECKS_AT_ONCE_MAX = 8,
    CHECKS_WAITING_MAX = 64, /* PASSWORD_LATER for more */
};

/* For tests: the folder of PAM's services, instead of /etc/pam.d. */
void pam_use_folder(const char *folder);
