/* daemon/parent/worker_row.h - every kind of worker that the parent starts, one row each. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "ipc/worker.h"

struct worker_row {
    enum role role;
    const char *user;   /* when started by root; NULL: stays root */
    const char *folder; /* below STATE; what it is handed, and its root directory */
    unsigned peers;     /* enum role */
    bool control;       /* has a control socket: STATE/control/ROLE.sock */
    bool owns_state;    /* shares STATE/lock: while one lives no other server may start */
    bool outside;       /* talks to the network: started when the others are ready, stopped first */
    uint32_t (*count)(const struct config *c);
};

enum { WORKER_ROW_COUNT = 10 };
extern const struct worker_row worker_rows[WORKER_ROW_COUNT];
