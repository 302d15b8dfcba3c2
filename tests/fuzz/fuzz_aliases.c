/* Any bytes as a file of aliases: what is taken without a problem reads back the same from its own
 * print, and record by record; problems are printable and name a line of the file. */
// links: base mail route
// SPDX-License-Identifier: ISC
#include <stdlib.h>

#include "base/check.h"
#include "route/alias.h"

static size_t line_count(struct str text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    return lines;
}

static void check_problems(const struct alias_problems *problems, size_t lines)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct alias_problem *p = &problems->list[i];
        check(p->line >= 1 && p->line <= lines && p->text.n > 0);
        for (size_t j = 0; j < p->text.n; j++)
            check(p->text.p[j] >= ' ' && p->text.p[j] <= '~');
    }
}

static void check_alias(struct arena *a, const struct alias *alias, size_t lines)
{
    struct buf record = buf_init(1 * MIB);
    struct alias copy;
    check(alias->name.n > 0 && alias->line >= 1 && alias->line <= lines);
    check(str_eq(alias->name, alias_key(a, alias->name)) && !local_part_routes(alias->name));
    check(alias->target_count > 0 || alias->kind == ALIAS_MOVED);
    check(alias->target_count <= (alias->kind == ALIAS_PLAIN ? ALIAS_TARGETS_MAX : 1));
    alias_encode(&record, alias);
    check(!record.full && alias_decode(alias->name, buf_str(&record), a, &copy));
    check(copy.target_count == alias->target_count && copy.kind == alias->kind);
    for (size_t i = 0; i < copy.target_count; i++) {
        const struct alias_target *t = &alias->targets[i], *u = &copy.targets[i];
        check(t->line >= alias->line && t->line <= lines && !local_part_routes(t->to.local));
        check(t->final == u->final && t->line == u->line);
        check(str_eq(t->to.local, u->to.local) && str_eq(t->to.domain, u->to.domain));
    }
    buf_free(&record);
}

static struct str print_all(struct arena *a, const struct alias_file *f)
{
    struct buf b = buf_init(16 * MIB);
    for (size_t i = 0; i < f->count; i++) {
        alias_print(&b, &f->list[i]);
        buf_add_char(&b, '\n');
    }
    check(!b.full);
    struct str text = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct str input = str_n((const char *)p, n), domain = STR("here.test");
    struct alias_problems *problems = mem_new(sizeof *problems);
    struct alias_file file, again;
    size_t lines = line_count(input);

    alias_parse(input, domain, &a, &file, problems);
    check_problems(problems, lines);
    if (problems->count == 0) {
        for (size_t i = 0; i < file.count; i++)
            check_alias(&a, &file.list[i], lines);
        struct str text = print_all(&a, &file);
        alias_parse(text, domain, &a, &again, problems);
        check(problems->count == 0 && again.count == file.count);
        check(str_eq(text, print_all(&a, &again)));
    }
    alias_decode(STR("x"), input, &a, &(struct alias){0});
    free(problems);
    arena_free(&a);
    return 0;
}
