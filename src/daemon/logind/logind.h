/* logind/logind.h - the role logind: who is it that logs in? */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/worker.h"

extern const struct role_spec logind_spec;

enum {
    WAITING_MAX = 32,     /* steps that wait for their turn: 454 for more */
    EXCHANGES_MAX = 1024, /* begun and not ended, likewise */
};
