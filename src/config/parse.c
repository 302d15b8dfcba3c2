/* config/parse.c - see parse.h. */
// SPDX-License-Identifier: ISC
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/presets.h"
#include "config/verify.h"

struct parse {
    struct config *config;
    struct arena arena; /* of the syntax */
    struct problems problems;
    struct syntax syntax;
    struct presets presets; /* of the smarthost */
    struct str file;        /* its last part */
};

static struct str base_name(struct str path)
{
    size_t slash = str_find_last(path, '/');
    return slash < path.n ? str_skip(path, slash + 1) : path;
}

static struct str place(struct parse *p, unsigned line)
{
    return arena_printf(&p->config->arena, "%.*s:%u", STR_ARG(p->file), line);
}

static void problem(struct parse *p, unsigned line, const char *statement, const struct buf *why)
{
    if (!syntax_spoiled(&p->syntax, &p->problems, line))
        problem_add(&p->problems, line, str_c(statement), buf_str(why));
}

/* Sections of one scope: their titles, places and defaults. */
static void take_sections(struct parse *p, enum scope scope)
{
    const struct section *row = &sections[scope];
    size_t count = 0, index = 0;
    for (size_t i = 0; i < p->syntax.section_count; i++)
        count += p->syntax.sections[i].scope == scope;
    section_room(p->config, scope, count);
    for (size_t i = 0; i < p->syntax.section_count; i++) {
        const struct said_section *said = &p->syntax.sections[i];
        if (said->scope != scope)
            continue;
        if (row->single && index > 0) {
            problem_printf(&p->problems, said->line, str_c(row->name),
                           "there is one already in line %u; there can be only one",
                           verify_section_line(&p->syntax, scope, 0));
            continue;
        }
        void *section = section_at(p->config, scope, index++);
        struct buf why = buf_init(1 * KIB);
        struct str title = scope == SCOPE_SMARTHOST ? p->presets.via : said->title;
        if (!value_parse(row->title, NULL, title, &p->config->arena, section_title(scope, section),
                         &why))
            problem(p, said->line, row->name, &why);
        buf_free(&why);
        *section_place(scope, section) = place(p, said->line);
    }
}

/* The struct that a statement of the file is about, or NULL (a second smarthost). */
static void *base_of(const struct parse *p, const struct said *said)
{
    enum scope scope = said->statement->scope;
    if (scope == SCOPE_TOP)
        return p->config;
    size_t index = 0;
    for (size_t i = 0; i < said->section && i < p->syntax.section_count; i++)
        index += p->syntax.sections[i].scope == scope;
    return index < section_count(p->config, scope) ? section_at(p->config, scope, index) : NULL;
}

static bool same_place(const struct said *a, const struct said *b)
{
    return a->statement == b->statement &&
           (a->statement->scope == SCOPE_TOP || a->section == b->section);
}

/* Statements of one section stand together, and top-level ones are few: the search is short. */
static const struct said *said_before(const struct parse *p, const struct said *said)
{
    enum scope scope = said->statement->scope;
    for (const struct said *s = said; s-- > p->syntax.statements;) {
        if (same_place(s, said))
            return s;
        if (scope != SCOPE_TOP && s->section != said->section)
            break;
    }
    return NULL;
}

static void take_statement(struct parse *p, const struct said *said)
{
    const struct statement *s = said->statement;
    void *base = base_of(p, said);
    const struct said *before = said_before(p, said);
    if (before) {
        problem_printf(&p->problems, said->line, str_c(s->name),
                       "was already said in line %u; write it once%s", before->line,
                       value_form(s->kind)->list ? ", as { ONE, ANOTHER }" : "");
        return;
    }
    struct buf why = buf_init(1 * KIB);
    bool none = said->value_count == 1 && value_is_none(s->kind, said->values[0]);
    if (base && !statement_set(s, said->values, none ? 0 : said->value_count, &p->config->arena,
                               base, &why))
        problem(p, said->line, s->name, &why);
    buf_free(&why);
    if (s->scope == SCOPE_TOP && s->offset == offsetof(struct config, relay_for))
        p->config->relay_for_at = place(p, said->line);
}

static const struct said_section *smarthost_said(const struct parse *p)
{
    for (size_t i = 0; i < p->syntax.section_count; i++)
        if (p->syntax.sections[i].scope == SCOPE_SMARTHOST)
            return &p->syntax.sections[i];
    return NULL;
}

/* Its title may be the name of a provider. */
static void find_presets(struct parse *p, const struct machine *machine)
{
    const struct said_section *said = smarthost_said(p);
    struct buf why = buf_init(4 * KIB);
    if (said && !presets_find(machine, said->title, &p->arena, &p->presets, &why))
        problem(p, said->line, sections[SCOPE_SMARTHOST].name, &why);
    if (said && p->presets.unknown && why.n > 0)
        problem_warn(&p->problems, said->line, str_c(sections[SCOPE_SMARTHOST].name), buf_c(&why));
    buf_free(&why);
}

/* What the provider says holds where the file says nothing else. */
static void take_presets(struct parse *p)
{
    for (size_t i = 0; i < p->presets.count; i++) {
        const struct preset *preset = &p->presets.list[i];
        bool said = false;
        for (size_t j = 0; j < p->syntax.statement_count; j++)
            said = said || p->syntax.statements[j].statement == preset->statement;
        struct buf why = buf_init(1 * KIB);
        if (!said)
            (void)statement_set(preset->statement, preset->values, preset->value_count,
                                &p->config->arena, &p->config->smarthost, &why);
        buf_free(&why);
    }
    p->config->smarthost.login =
        presets_login(&p->presets, &p->config->arena, p->config->smarthost.login);
}

/* Every field has a value before the file is looked at, so that checks may look at all. */
static void take_defaults(struct parse *p)
{
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        if (!s->text)
            continue;
        size_t count = s->scope == SCOPE_TOP ? 1 : section_count(p->config, s->scope);
        for (size_t j = 0; j < count; j++)
            statement_set_default(s, &p->config->arena,
                                  s->scope == SCOPE_TOP ? p->config
                                                        : section_at(p->config, s->scope, j));
    }
}

/* Statements without a default must have been said in each of their sections. */
static void check_needed(struct parse *p)
{
    bool *said_in = arena_alloc(&p->arena, p->syntax.section_count + 1);
    for (size_t i = 0; i < statement_count; i++) {
        const struct statement *s = &statements[i];
        if (s->text || s->scope == SCOPE_TOP)
            continue;
        memset(said_in, 0, p->syntax.section_count);
        for (size_t j = 0; j < p->syntax.statement_count; j++)
            if (p->syntax.statements[j].statement == s &&
                p->syntax.statements[j].section < p->syntax.section_count)
                said_in[p->syntax.statements[j].section] = true;
        for (size_t j = 0; j < p->syntax.section_count; j++) {
            const struct said_section *section = &p->syntax.sections[j];
            if (section->scope != s->scope || said_in[j] ||
                syntax_spoiled(&p->syntax, &p->problems, section->line))
                continue;
            problem_printf(&p->problems, section->line, str_c(sections[s->scope].name),
                           "\"%.*s\" has no %s; write %s \"%.*s\" { %s = ... }",
                           STR_ARG(section->title), s->name, sections[s->scope].name,
                           STR_ARG(section->title), s->name);
        }
    }
}

/* A server without a name of its own takes that of the system. */
static void take_hostname(struct parse *p, const struct machine *machine)
{
    const struct statement *s = statement_find(SCOPE_TOP, STR("hostname"));
    for (size_t i = 0; i < p->syntax.statement_count; i++)
        if (p->syntax.statements[i].statement == s)
            return;
    struct str name = machine->hostname;
    if (machine->full_name && str_find(name, '.') == name.n)
        name = machine->full_name(&p->arena, name);
    struct buf why = buf_init(1 * KIB);
    if (!statement_set(s, &name, 1, &p->config->arena, p->config, &why))
        problem_printf(&p->problems, 0, str_c(s->name),
                       "the name of this system, \"%.*s\", is no full domain name; write "
                       "hostname = \"mail.example.org\"",
                       STR_ARG(str_sub(name, 0, 80)));
    buf_free(&why);
}

/* Without resolvers of its own the file takes those of the system. */
static void take_resolvers(struct parse *p, const struct machine *machine)
{
    struct config_dns *dns = &p->config->dns;
    if (dns->forward_count > 0 || machine->resolver_count == 0)
        return;
    struct buf why = buf_init(1 * KIB);
    check(statement_set(statement_find(SCOPE_DNS, STR("forward")), machine->resolvers,
                        machine->resolver_count, &p->config->arena, dns, &why));
    buf_free(&why);
}

static void take_all(struct parse *p, struct str text, const struct machine *machine)
{
    /* libconfuse wants it terminated; scan_text changes it. */
    char *copy = arena_c(&p->arena, text);
    syntax_read(copy, text.n, &p->arena, &p->problems, &p->syntax);
    find_presets(p, machine);
    for (size_t i = SCOPE_TOP + 1; i < SCOPE_COUNT; i++)
        take_sections(p, (enum scope)i);
    take_defaults(p);
    for (size_t i = 0; i < p->syntax.statement_count; i++)
        take_statement(p, &p->syntax.statements[i]);
    take_presets(p);
    if (!p->syntax.complete)
        return;
    take_hostname(p, machine);
    take_resolvers(p, machine);
    check_needed(p);
    verify_config(&(struct verify){
        .config = p->config, .machine = machine, .syntax = &p->syntax, .problems = &p->problems});
}

bool config_parse(struct str text, struct str file, const struct machine *machine,
                  struct config **ret, struct buf *errors)
{
    struct parse *p = mem_new(sizeof *p);
    p->config = config_new();
    p->problems.arena = &p->arena;
    p->config->file = arena_copy(&p->config->arena, file);
    p->file = arena_copy(&p->config->arena, base_name(file));
    take_all(p, text, machine);

    bool good = p->syntax.complete && !problems_are_errors(&p->problems);
    problems_print(&p->problems, p->file, errors);
    /* A brace that is never closed is at fault for the end it takes everything to. */
    if (!p->syntax.complete && p->syntax.balanced)
        buf_printf(errors, "%.*s: the rest of the file was not checked\n", STR_ARG(p->file));
    p->config->routing_fingerprint = config_fingerprint(p->config);
    if (good)
        *ret = config_hold(p->config);
    config_drop(&p->config);
    arena_free(&p->arena);
    free(p);
    return good;
}
