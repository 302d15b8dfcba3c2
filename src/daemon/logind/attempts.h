/* logind/attempts.h - failed logins, and how long who failed has to wait: STATE/credentials/attempts.db.
 *
 * All logind share the file, so that it does not matter which of them is asked, and it survives
 * restarts. Counted are a login, and a network (/24, /64; loopback is not counted: a web mail
 * program on this machine is many people). The first failures are free; then each doubles the
 * pause. A day without failure, or a login that works, and an account's count is forgotten; a
 * network's only by time, or one good account would buy guesses at all others. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/clock.h"
#include "base/str.h"

struct attempts;

enum { ATTEMPTS_SECRET_BYTES = 32 };
enum { ATTEMPTS_ROWS_MAX = 100000 }; /* the oldest are forgotten */

/* Opens no file before the first question. folder: STATE/credentials, or "." in it. */
struct attempts *attempts_new(const char *folder, const struct clock *clock);
void attempts_free(struct attempts **a); /* NULL is fine */

/* Seconds until this login may be tried from this address; 0: now. Negative errno. */
int64_t attempts_pause_s(struct attempts *a, struct str login, struct str client);
int attempts_failed(struct attempts *a, struct str login, struct str client);
int attempts_succeeded(struct attempts *a, struct str login);
/* A random number that stays the same as long as the file does. 0 or negative errno. */
int attempts_secret(struct attempts *a, uint8_t ret[ATTEMPTS_SECRET_BYTES]);
