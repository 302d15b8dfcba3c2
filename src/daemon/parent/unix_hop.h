/* daemon/parent/unix_hop.h - a relay wants a Unix socket that a route names: the parent connects, for
 * relays have no files. Only to what the configuration in force says, whatever a relay asks. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/message.h"

struct process;

void unix_hop_connect(struct process *relay, const struct msg_unix_hop *m);
