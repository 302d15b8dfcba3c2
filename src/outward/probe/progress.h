/* outward/probe/progress.h - one line on the terminal that says what is being waited for. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/str.h"

/* Nothing is shown where standard error is no terminal, or when `quiet`. */
void probe_progress_begin(bool quiet);
void probe_progress(const char *what, struct str about); /* what: marked for translation */
void probe_progress_end(void);                           /* the line goes away */
