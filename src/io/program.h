/* io/program.h - files that belong to this program: found from where it was started.
 *
 * A program run from its build has them beside itself (build/share), an installed one elsewhere
 * below its prefix (PREFIX/bin/troika and PREFIX/share/troika). */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Tries NAME in each of the folders, which are relative to that of this program, until one can be
 * accessed as mode says (R_OK, X_OK). */
bool program_file(const char *const *folders, size_t folder_count, const char *name, int mode,
                  char *ret, size_t ret_bytes);
/* A data file: "providers.conf" of share/. Works for the roles too, which are in libexec. */
bool program_share(const char *name, char *ret, size_t ret_bytes);
