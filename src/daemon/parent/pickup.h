/* daemon/parent/pickup.h - takes up what `sendmail` left in STATE/drop while no server was there.
 *
 *   drop-X  --opened, checked, DROP to an smtpd-->  TAKEN: unlinked
 *                                                   LATER: stays, looked at again
 *                                                   ASIDE: moved to STATE/aside, logged
 *
 * One file at a time. The parent reads nothing of it: it looks at the inode only (a regular file,
 * one name, no link, not too large) and tells the smtpd who owns it. A file that two smtpd died of
 * goes aside. A crash between the 250 and unlink makes a second copy, never a loss. */
// SPDX-License-Identifier: ISC
#pragma once

#include <dirent.h>

#include "io/loop.h"
#include "ipc/message.h"
#include "mail/drop.h"

struct server;
struct process;

struct pickup {
    DIR *folder; /* of the look that is under way */
    struct timer timer;
    struct process *with; /* who has the file; NULL: nobody */
    uint64_t ticket;
    char name[DROP_NAME_BYTES + 1]; /* of the file that is given away */
    char suspect[DROP_NAME_BYTES + 1];
    unsigned deaths; /* of smtpd while they had the suspect */
    bool something_waits;
    uint64_t complained_us; /* monotonic */
};

void pickup_start(struct server *s);
void pickup_stop(struct server *s);
void pickup_answered(struct server *s, struct process *from, const struct msg_drop_done *m);
void pickup_lost(struct server *s, const struct process *p); /* that smtpd is gone */
