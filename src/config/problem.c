/* config/problem.c - see problem.h. */
// SPDX-License-Identifier: ISC
#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct problems *p, const struct problem *what)
{
    if (p->count == PROBLEMS_MAX) {
        p->more = true;
        return;
    }
    struct problem *new = &p->list[p->count];
    *new = *what;
    new->statement = arena_copy(p->arena, what->statement);
    new->text = arena_copy(p->arena, what->text);
    new->order = (unsigned)p->count++;
}

void problem_add(struct problems *p, unsigned line, struct str statement, struct str text)
{
    add(p, &(struct problem){.line = line, .statement = statement, .text = text});
}

void problem_warn(struct problems *p, unsigned line, struct str statement, const char *text)
{
    add(p, &(struct problem){
               .line = line, .warning = true, .statement = statement, .text = str_c(text)});
}

void problem_printf(struct problems *p, unsigned line, struct str statement, const char *format,
                    ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problem_add(p, line, statement, str_c(text));
}

bool problem_on_line(const struct problems *p, unsigned line)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].line == line)
            return true;
    return false;
}

bool problems_are_errors(const struct problems *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (!p->list[i].warning)
            return true;
    return p->more;
}

static int by_line(const void *a, const void *b)
{
    const struct problem *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void problems_print(struct problems *p, struct str file, struct buf *to)
{
    qsort(p->list, p->count, sizeof p->list[0], by_line);
    for (size_t i = 0; i < p->count; i++) {
        const struct problem *one = &p->list[i];
        buf_add(to, file);
        if (one->line > 0)
            buf_printf(to, ":%u", one->line);
        buf_add_c(to, one->warning ? ": warning: " : ": ");
        if (one->statement.n > 0)
            buf_printf(to, "%.*s: ", STR_ARG(one->statement));
        buf_add(to, one->text);
        buf_add_char(to, '\n');
    }
    if (p->more)
        buf_printf(to, "%.*s: more errors follow; these come first\n", STR_ARG(file));
}
