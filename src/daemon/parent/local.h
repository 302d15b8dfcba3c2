/* daemon/parent/local.h - users of this machine who connect to STATE/submit.sock.
 *
 * The parent only takes the connection, asks the kernel who is there, and hands both to an smtpd:
 * it reads no byte of theirs. While no smtpd is ready they wait in the kernel. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/loop.h"

struct server;
struct process;

struct local {
    int fd; /* the listening socket; -1: none */
    struct watch ready;
    struct timer rest;
    uint32_t last; /* smtpd that got the last one */
};

void local_start(struct server *s); /* an smtpd is ready; harmless when it runs */
void local_stop(struct server *s);
/* The next smtpd that could take something, in turn; NULL: none now. */
struct process *local_smtpd(struct server *s);
