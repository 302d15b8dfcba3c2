/* daemon/relay/security.h - TLS with other servers: how much of it the configuration wants. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "tls/policy.h"
#include "tls/tls.h"

/* The context of all connections, with the roots of `tls { roots }` or those of the system;
 * without any nothing is verified, and the log says so. NULL: TLS cannot work here. */
struct tls_context *security_before_jail(const struct config *c);
enum tls_policy security_policy(struct config_hop hop);
