/* daemon/parent/tls_files.h - the files with certificates and keys: opened here, because only root
 * may read them, and read only by the role keys. One that changed is handed over again, once it has
 * been still for a second. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/loop.h"
#include "ipc/message.h"

struct server;
struct process;
struct tls_file;

struct tls_files {
    struct tls_file *list; /* its strings are of the configuration in force */
    size_t count;
    struct timer look;
};

void tls_files_reload(struct server *s); /* the configuration is new */
void tls_files_give(struct process *p);  /* all of them; harmless for other roles than keys */
void tls_files_stop(struct server *s);
