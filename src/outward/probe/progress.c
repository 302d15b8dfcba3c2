/* outward/probe/progress.c - see progress.h. */
// SPDX-License-Identifier: ISC
#include "outward/probe/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/translate.h"
#include "cli/cli.h"

static bool shown_at_all, shown;

void probe_progress_begin(bool quiet)
{
    shown_at_all = !quiet && isatty(STDERR_FILENO);
}

void probe_progress(const char *what, struct str about)
{
    if (!shown_at_all)
        return;
    fprintf(stderr, "\r\033[K%s: ", _(what));
    (void)write_text(stderr, str_sub(about, 0, 50));
    fflush(stderr);
    shown = true;
}

void probe_progress_end(void)
{
    if (shown)
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
    shown = false;
}
