/* daemon/parent/files.h - files that only root may read: certificates and keys, which the role keys
 * reads, and passwords for other servers, which relay reads. They are opened here, handed over and
 * read by nobody else. One that changed is handed over again, once it has been still for a second. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/loop.h"
#include "ipc/message.h"

struct server;
struct process;
struct file;

struct files {
    struct file *list; /* its strings are of the configuration in force */
    size_t count;
    struct timer look;
};

void files_reload(struct server *s); /* the configuration is new */
void files_give(struct process *p);  /* all that its role reads; harmless for others */
void files_stop(struct server *s);
