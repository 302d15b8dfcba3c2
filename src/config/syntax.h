/* config/syntax.h - from the text of a configuration file to what it says, by libconfuse.
 *
 * libconfuse stops at its first error. So what it stopped at (an unknown statement, a second
 * section of one title, a slip of syntax) is noted, blanked, and the text parsed again, until all
 * of it has been read. Values are taken as they pass by in callbacks, with their lines, because
 * the finished tree no longer shows that a statement was repeated. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/problem.h"
#include "config/statement.h"

struct said { /* one statement of the file */
    const struct statement *statement;
    size_t section; /* index below; ignored at the top */
    unsigned line;
    struct str *values;
    size_t value_count, value_room;
};

struct said_section {
    enum scope scope;
    struct str title;
    unsigned line;
};

struct syntax { /* lives in the arena it was read with */
    struct said *statements;
    size_t statement_count;
    struct said_section *sections;
    size_t section_count;
    size_t mended; /* the first so many problems were mended: what stands there is not the file's */
    bool balanced; /* false: a brace is never closed, which has been said */
    bool complete; /* false: it could not be read to its end */
};

/* Not reentrant (libconfuse is not). The text is changed. */
void syntax_read(char *text, size_t n, struct arena *a, struct problems *p, struct syntax *ret);
/* Was something on this line mended, so that more complaints about it would only confuse? */
bool syntax_spoiled(const struct syntax *s, const struct problems *p, unsigned line);
