/* daemon/parent/state.h - STATE: its folders, who owns them, and the lock of the one server.
 *
 * All functions return EX_OK or what the parent should exit with, and say in *error what is wrong
 * and what to do. */
// SPDX-License-Identifier: ISC
#pragma once

#include <sys/types.h>

#include "config/config.h"

struct state {
    int dir_fd;
    int lock_fd; /* held until this and every worker that shares it is gone */
    char *path;
    gid_t control_gid; /* of the control sockets as root, or (gid_t)-1 */
};

/* As root: all users of worker_rows that this configuration needs exist; else it needs no root. */
int state_check_users(const struct config *c, struct buf *error);
/* Says in *error why a server that root did not start cannot have users of this machine. */
bool state_may_have_system_users(const struct config *c, struct buf *error);
int state_open(const char *path, struct state *ret, struct buf *error);
/* A folder of worker_rows for handing out, or a negative errno. */
int state_folder(const struct state *s, const char *name);
int state_control_socket(const struct state *s, const char *role, int *ret_fd, struct buf *error);
/* STATE/submit.sock, where every user of this machine may hand over mail. */
int state_submit_socket(const struct state *s, int *ret_fd, struct buf *error);
/* Removes the sockets and the pid; closes. */
void state_close(struct state *s);
