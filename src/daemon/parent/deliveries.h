/* daemon/parent/deliveries.h - starts a helper for local that writes the mail of one user.
 *
 *   DELIVER (login) --fork: looks the user up, becomes them--> exec libexec/troika/deliver; the socket to it: DELIVER_BEGUN
 *   its end, or why there is none --> DELIVER_ENDED
 *
 * All that may take long or go wrong (services that name users, home directories) happens in the
 * child. It refuses root and system users itself, whatever local says; the helper has the socket to
 * local, no environment, and nothing else of ours. At most one helper a user. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "io/user.h"
#include "ipc/message.h"

enum { DELIVERIES_MAX = 40 };

struct server;

struct delivery {
    pid_t pid; /* 0: none */
    uint64_t ticket;
    char login[USER_NAME_BYTES_MAX + 1];
};

struct deliveries {
    struct delivery list[DELIVERIES_MAX];
};

void deliveries_begin(struct server *s, const struct msg_deliver *m);
void deliveries_end(struct server *s, uint64_t ticket);
void deliveries_end_all(struct server *s); /* local is gone, and what they say is not heard */
/* False: it was no helper. */
bool deliveries_ended(struct server *s, pid_t pid, int wait_status);
