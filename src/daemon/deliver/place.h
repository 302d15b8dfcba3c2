/* daemon/deliver/place.h - opens the Maildir of the user this process runs as.
 *
 * The home directory must be there: one that is missing may not be mounted, and a Maildir made in
 * its place would be out of sight afterwards. What is missing below it is made. All happens with
 * the rights of the user: links and everything else lead only where they could go themselves. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/disk.h"
#include "mail/status.h"

/* path begins with base ("" is /). 0 and the folder, or a negative errno and in *why what to tell
 * about it. */
int place_open(const struct disk *d, struct str base, struct str path, int *ret_fd,
               struct status *why);
