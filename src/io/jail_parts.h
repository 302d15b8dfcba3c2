/* io/jail_parts.h - the two filters jail_enter is made of; nobody else includes this.
 *
 * Both need no_new_privs or root, and hold for the thread that calls and all it starts later. */
// SPDX-License-Identifier: ISC
#pragma once

#include "io/jail.h"

/* Files, TCP, signals and abstract sockets by Landlock. Returns the ABI in force, 0 when the kernel
 * has none, or a negative errno. */
int jail_landlock(const struct jail *j);
/* System calls by seccomp: 0 or a negative errno. */
int jail_seccomp(unsigned may);
