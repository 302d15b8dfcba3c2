/* config/scan.h - what must be done to a configuration file before libconfuse may see it.
 *
 * libconfuse 3.3 counts the line of a comment twice, skips characters it does not know (an
 * unquoted *:25 becomes :25), reads ${…} from the environment, takes a missing quote to the end of
 * the file for a string, and does not say where a section began. So comments are blanked here,
 * such errors found here, with their lines, and the text mended in place (the same length, the
 * same lines), so that the rest of the file is still checked. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"

enum { NESTING_MAX = 8 };

struct scan_section {  /* one that stands at the top */
    unsigned line;     /* of its name */
    size_t begin, end; /* from its name up to behind its closing brace */
};

struct scan {
    struct scan_section *sections; /* in order; in the arena */
    size_t section_count;
    bool balanced; /* false: braces do not match, parsing will end early */
};

/* report: one error in words, with its line. */
typedef void scan_report_fn(void *arg, unsigned line, const char *text);
void scan_text(char *text, size_t n, struct arena *a, scan_report_fn *report, void *arg,
               struct scan *ret);

/* From a statement's name at `at` to behind its value or closing brace; n when it has no end. */
size_t scan_statement_end(struct str text, size_t at);
/* Where line (from 1) begins; where this whole word stands in it, else text.n. */
size_t scan_line(struct str text, unsigned line);
size_t scan_word(struct str text, unsigned line, struct str word);
