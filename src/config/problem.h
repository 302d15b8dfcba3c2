/* config/problem.h - everything that is wrong with a file, gathered and told in the order of its
 * lines. */
// SPDX-License-Identifier: ISC
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { PROBLEMS_MAX = 200 };

struct problem {
    unsigned line; /* 0: the file as a whole */
    unsigned order;
    bool warning;
    struct str statement; /* may be empty */
    struct str text;
};

struct problems {
    struct arena *arena;
    struct problem list[PROBLEMS_MAX];
    size_t count;
    bool more; /* than are kept */
};

void problem_add(struct problems *p, unsigned line, struct str statement, struct str text);
void problem_printf(struct problems *p, unsigned line, struct str statement, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
void problem_warn(struct problems *p, unsigned line, struct str statement, const char *text);
bool problem_on_line(const struct problems *p, unsigned line);
bool problems_are_errors(const struct problems *p); /* not only warnings */
/* "FILE:LINE: STATEMENT: TEXT" and a newline each. */
void problems_print(struct problems *p, struct str file, struct buf *to);
