/* listen/letter.c - see letter.h. */
// SPDX-License-Identifier: ISC
#include "outward/listen/letter.h"

#include <stdlib.h>

#include "base/check.h"
#include "outward/listen/lines.h"

struct letter {
    struct letter_options options;
    struct judge *judge;
    struct arena arena;
    struct lines lines;
    struct parts *parts;
    struct fields fields;
    uint64_t bytes;
};

struct letter *letter_new(const struct letter_options *o, struct judge *j)
{
    struct letter *l = mem_new(sizeof *l);

    l->options = *o;
    l->judge = j;
    l->parts = parts_new(&l->arena, j);
    lines_init(&l->lines, o->chunked);
    return l;
}

void letter_free(struct letter **l)
{
    if (!*l)
        return;
    parts_free(&(*l)->parts);
    arena_free(&(*l)->arena);
    free(*l);
    *l = NULL;
}

void letter_raw(struct letter *l, struct str bytes)
{
    lines_feed(&l->lines, bytes);
}

void letter_content(struct letter *l, struct str bytes)
{
    l->bytes += bytes.n;
    parts_feed(l->parts, bytes);
}

void letter_end(struct letter *l)
{
    struct fields_options o = {.smtputf8 = l->options.smtputf8, .now_us = l->options.now_us};

    lines_end(&l->lines);
    lines_judge(&l->lines, l->judge, l->options.may_8bit || l->options.may_binary,
                l->options.may_binary);
    parts_end(l->parts);
    o.cut = parts_header_cut(l->parts);
    fields_judge(parts_header(l->parts), &o, &l->arena, l->judge, &l->fields);
}

uint64_t letter_bytes(const struct letter *l)
{
    return l->bytes;
}

const struct fields *letter_fields(const struct letter *l)
{
    return &l->fields;
}

const struct part *letter_parts(const struct letter *l, size_t *count)
{
    return parts_list(l->parts, count);
}
