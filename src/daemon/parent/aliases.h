/* daemon/parent/aliases.h - the maps of aliases follow their files: built before the first worker
 * starts, again after a reload, and when a look at the file (one a second) shows a change.
 *
 * A file that is being written is left alone until it lies still for one look. A child process
 * builds, with bounds on time and memory; it logs everything that is wrong, once, and leaves the map
 * before it in force. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/stat.h>

#include "config/config.h"
#include "io/loop.h"

struct server;

struct alias_watch {
    struct str domain, file; /* of the configuration in force */
    struct stat seen, built; /* at the last look, and for the last build; zeroed: no file */
    bool due;
};

struct alias_watches {
    struct alias_watch *list;
    size_t count;
    pid_t builder; /* 0: none runs */
    uint64_t retry_us;
    struct timer look;
};

void alias_watches_start(struct server *s); /* builds and waits for it */
void alias_watches_reload(struct server *s);
void alias_watches_stop(struct server *s);
/* False: the process was not the builder. */
bool alias_builder_ended(struct server *s, pid_t pid, int wait_status);
