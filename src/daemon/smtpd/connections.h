/* smtpd/connections.h - how many clients there are, counted over all smtpd workers.
 *
 * Each worker writes a board of its own, a memory file that the others only read: slot 0 is the
 * number of slots in use, then one slot of 32 bytes for each client, without gaps. Counting an
 * address so costs as much as there are clients. What another board says is only a hint: it may
 * change while it is read, and a captured worker may write anything into its own. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/socket.h"

struct connections;

struct connection { /* embedded in its owner: one client's slot */
    uint32_t slot;  /* 0: none */
};

enum { CONNECTION_SLOT_BYTES = 32 };

struct connections *connections_new(void);
void connections_free(struct connections **c);
/* A board by number of its worker; the file stays the caller's. Harmless when it is known. */
int connections_own(struct connections *c, int fd);
int connections_other(struct connections *c, uint32_t number, int fd);

/* False: there is no slot left. The struct stays where it is until connections_leave. */
bool connections_enter(struct connections *c, struct connection *client,
                       const struct sock_address *address);
void connections_leave(struct connections *c, struct connection *client); /* harmless when out */

size_t connections_count(const struct connections *c);
/* Has a worker of numbers 1..worker_count clearly fewer clients than we? */
bool connections_crowded(const struct connections *c, uint32_t worker_count);
size_t connections_count_from(const struct connections *c, const struct sock_address *address);
