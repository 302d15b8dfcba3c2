/* daemon/router/router.h - the role: ROUTE_ASK in, ROUTE_ANSWER out; some wait
 * for an answer of users in between.
 *
 * Its folder is STATE/accounts. Nothing is remembered between questions but the configuration, so
 * the account database may appear, change or go away at any time; maps of aliases are opened again
 * when they were replaced. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/worker.h"

extern const struct role_spec router_spec;
