/* daemon/parent/notify.h - what systemd is told (sd_notify(3)), without its library.
 *
 * Without $NOTIFY_SOCKET nothing is said. The variables are removed from the environment, so that
 * no worker can speak for the server. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdint.h>

void notify_init(void);
void notify_say(const char *text); /* "READY=1\nSTATUS=…" */
void notify_reloading(uint64_t monotonic_us);
uint64_t notify_watchdog_us(void); /* half of what systemd waits; 0: no watchdog */
