/* daemon/keys/keys.h - the role keys: private keys of TLS, and who may have something signed. */
// SPDX-License-Identifier: ISC
#pragma once

#include "ipc/worker.h"

extern const struct role_spec keys_spec;
