/* daemon/parent/listeners.h - the listening sockets of one configuration.
 *
 * A new set takes over the sockets of the old one where the address stayed, so that no connection
 * is refused while it changes; and if one address cannot be had, there is no new set at all. What
 * the service manager holds (inherited.h) is taken from there. The file of a Unix socket is ours to
 * remove, when it is still the one that was made. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "config/config.h"
#include "daemon/parent/inherited.h"

struct listener {
    uint32_t listen_index; /* of config->listens */
    struct sock_address at;
    int fd;
    bool made; /* a Unix socket, by us: the file is this one */
    dev_t device;
    ino_t inode;
};

struct listeners {
    struct listener *list;
    size_t count;
    uint32_t generation; /* of this set; rises */
};

/* False: *error says which address and what to do, one line each; *ret is untouched. */
bool listeners_open(const struct config *c, const struct inherited *held,
                    const struct listeners *old, struct listeners *ret, struct buf *error);
void listeners_close(struct listeners *l);
/* Removes the files of Unix sockets that are not in `kept` (NULL: none is kept). */
void listeners_remove_files(const struct listeners *l, const struct listeners *kept);
