/* relay/client_name.h - names of the clients of smtpd: NAME_ASK in, NAME_ANSWER out. They are asked
 * for here because this process talks to name servers anyway, and has no files. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/list.h"
#include "dns/dns.h"
#include "ipc/channel.h"

enum { CLIENT_NAMES_MAX = 1000 }; /* looked up at the same time; more are answered at once */

struct client_names {
    struct dns *dns;
    struct list lookups;
    size_t count;
};

void client_names_init(struct client_names *n, struct dns *dns);
void client_names_ask(struct client_names *n, struct channel *from, const struct msg_name_ask *ask);
void client_names_lose(struct client_names *n, const struct channel *asker); /* it is gone */
